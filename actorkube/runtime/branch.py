"""What a supervision tree consists of: a `Branch` is one group; most actors are alone in theirs, and need none."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from actorkube.runtime.group import Restarting, Spec
from actorkube.runtime.group_state import GroupState
from actorkube.runtime.supervisor import Supervision

if TYPE_CHECKING:
    from actorkube.runtime.cell import Cell


class Terms(NamedTuple):
    """On which an actor was spawned alone: all that is remembered of its group before something happens to it.

    Actors that are spawned one after the other share it.
    """

    parent: Cell | None
    supervision: Supervision
    restart: Restarting


class Branch:
    """One group: what it consists of, and its machine, which is a new one at each start of the whole group.

    An actor that was spawned alone has no branch before something happens to it (`Tree.branch_of`).
    """

    __slots__ = ("alone", "done", "error", "nodes", "parent", "path", "specs", "state", "supervision")

    def __init__(
        self, parent: Cell | Branch | None, path: str, specs: Sequence[Spec], supervision: Supervision
    ) -> None:
        self.parent = parent
        self.path = path  # names of its children begin with it and a slash, if it is not empty
        self.specs = specs
        self.supervision = supervision
        self.alone: Cell | None = None  # who is all of it
        self.nodes: dict[str, Cell | Branch] = {}
        self.state: GroupState | None = None
        self.done: asyncio.Future[None] | None = None  # resolved when all that a stop must halt is halted
        self.error: BaseException | None = None  # the last crash

    def name_of(self, spec: Spec) -> str:
        return f"{self.path}/{spec.name}" if self.path else spec.name

    def kinds(self) -> list[tuple[str, Restarting]]:
        """Its children, by name, and when they are restarted."""
        return [(self.name_of(spec), spec.restart) for spec in self.specs]
