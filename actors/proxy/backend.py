"""What a proxy backend is: something that makes a forwarding table true on this machine."""

from __future__ import annotations

from typing import NamedTuple, Protocol

from actors.proxy.rules import Frontend
from actors.proxy.table import Changes


class Unbindable(NamedTuple):
    """A frontend on which this machine does not let us listen, and what to do about it."""

    frontend: Frontend
    reason: str
    hint: str


class Backend(Protocol):
    async def apply(self, changes: Changes) -> list[Unbindable]:
        """Make the changes. What cannot be opened is reported, and everything else is done all the same.

        A frontend that was reported counts as open: it is closed or changed like the others, and `retry` tries again.
        """

    async def retry(self) -> list[Frontend]:
        """Try again what could not be opened; the frontends that work now."""

    async def close(self) -> None:
        """End everything: listeners and connections."""
