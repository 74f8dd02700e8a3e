"""Which of a cluster's API servers a client asks: one, and the next one when that one does not answer.

All of them serve the same store, so any will do, also for a watch that goes on after a revision which another one has
shown. Clients begin at different ones, each at the same every time. Those of one actor share one `ApiServers`, so that
they go over together.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from typing import Any, NoReturn

from actorkube.runtime import Context, Ref
from protocols.errors import Answer, AskError, ServiceUnavailable
from protocols.message import Request

API = "apiserver/api"
_MISSING_PAUSE_S = 1.0


class ApiServers:
    """`ref` is who is to be asked now. Whoever had no use of it says so by `failed`."""

    def __init__(self, refs: Sequence[Ref], first: int = 0) -> None:
        assert refs
        self.all = tuple(refs)
        self._at = first % len(refs)

    @classmethod
    def known(cls, ctx: Context, addresses: str | Sequence[str] = API) -> ApiServers:
        """Those at `addresses`; a system's own name says which one its clients begin with."""
        names = [addresses] if isinstance(addresses, str) else list(addresses)
        return cls([ctx.ref(name) for name in names], zlib.crc32(ctx.self_ref.address.system.encode()))

    @classmethod
    def of(cls, api: Ref | ApiServers) -> ApiServers:
        return api if isinstance(api, ApiServers) else cls([api])

    @property
    def ref(self) -> Ref:
        return self.all[self._at]

    def failed(self, ref: Ref, error: Answer | AskError) -> bool:
        """Whether another one is to be asked now. A refusal is an answer; that the store is out of reach is none."""
        if isinstance(error, Answer) and not isinstance(error, ServiceUnavailable):
            return False
        if ref == self.ref:  # else somebody else has said it already
            self._at = (self._at + 1) % len(self.all)
        return len(self.all) > 1


async def stay_linked(ctx: Context, servers: ApiServers, question: Request[Any], every_s: float) -> NoReturn:
    """Have a link to each of them, for those who are asked by API servers and can only dial themselves.

    `question` goes by the lane that they are asked by.
    """
    while True:
        missing = [ref for ref in servers.all if not await _answers(ctx, ref, question, every_s)]
        await ctx.sleep(_MISSING_PAUSE_S if missing else every_s)


async def _answers(ctx: Context, ref: Ref, question: Request[Any], within_s: float) -> bool:
    try:
        await ctx.ask(ref, question, timeout_s=within_s)
    except AskError:
        return False
    except Answer:
        return True
    return True
