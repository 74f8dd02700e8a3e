"""One group's supervisor as a machine: events in, effects out. The semantics are those of OTP's `supervisor`.

A child is wanted, or it is on its way out (it has a `fate`: what it becomes once it is halted). Children on their way
out are halted from last to first, wanted ones are started from first to last, and nothing starts before what must go
is gone. So a crash that comes while others are still being halted, waited for or started only widens what is on its
way out, and no child ever runs beside one that it should have been restarted with.

Unlike OTP the group does not block while a child starts: a sibling's crash is answered at once. And there is a
back-off: it counts from the crash, and the first child that is to be started waits for it.
"""

from __future__ import annotations

import enum
import random
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from actorkube.runtime.group import Restarting
from actorkube.runtime.supervisor import Escalate, Restart, Supervision, Supervisor


@dataclass(frozen=True, slots=True)
class Start:
    """Make a new instance; answer with `started` or `ended`."""

    name: str


@dataclass(frozen=True, slots=True)
class Halt:
    """End what the child does, dead or alive; answer with `halted`."""

    name: str


@dataclass(frozen=True, slots=True)
class Wait:
    """Call `due(ticket)` after the delay."""

    ticket: int
    delay_s: float


@dataclass(frozen=True, slots=True)
class Out:
    """The halted child has ended; it comes back, if at all, with its siblings."""

    name: str


@dataclass(frozen=True, slots=True)
class Ready:
    """All children have started, for the first time."""


@dataclass(frozen=True, slots=True)
class GiveUp:
    """Too many restarts. The group answers no crash any more; whoever it belongs to stops it."""

    child: str
    restarts: int


@dataclass(frozen=True, slots=True)
class Stopped:
    """All children are halted."""


Effect = Start | Halt | Wait | Out | Ready | GiveUp | Stopped


class Status(enum.IntEnum):
    NEW = 0  # has never been started
    DOWN = 1  # halted, to be started again
    OUT = 2  # halted, not to be started again but with its siblings
    STARTING = 3
    UP = 4
    FALLEN = 5  # has ended by itself, is not halted yet
    HALTING = 6


class Fate(enum.IntEnum):
    RESTART = 0
    OUT = 1
    GONE = 2  # forgotten


IDLE = (Status.NEW, Status.DOWN, Status.OUT)
SETTLED = (Status.UP, Status.OUT)


class Member:
    __slots__ = ("fate", "name", "restart", "status", "ticket")

    def __init__(self, name: str, restart: Restarting, status: Status) -> None:
        self.name = name
        self.restart = restart
        self.status = status
        self.fate: Fate | None = None
        self.ticket = 0  # of the back-off it waits for

    @property
    def is_wanted(self) -> bool:
        """To be started, as soon as it may."""
        return self.status in (Status.NEW, Status.DOWN) and self.fate is None


class GroupState:
    """`started`: all children have been told to start before."""

    __slots__ = ("_is_ready", "_stopping", "_supervisor", "_tickets", "given_up", "members")

    def __init__(
        self,
        supervision: Supervision,
        children: Sequence[tuple[str, Restarting]],
        chance: random.Random | None = None,
        *,
        started: bool = False,
    ) -> None:
        self.members = {name: Member(name, restart, Status.UP if started else Status.NEW) for name, restart in children}
        self.given_up = False
        self._supervisor = Supervisor(supervision, list(self.members), chance)
        self._stopping = False
        self._is_ready = started
        self._tickets = 0

    # -- orders ---------------------------------------------------------------------------------------------------

    def start(self) -> list[Effect]:
        return self._step()

    def remove(self, name: str) -> list[Effect]:
        """Halt one child for good."""
        self._doom(self.members[name], Fate.GONE)
        return self._step()

    def stop(self) -> list[Effect]:
        self._stopping = True
        for member in self.members.values():
            member.ticket = 0
            if member.status not in IDLE:
                member.fate = Fate.GONE if member.fate is Fate.GONE else Fate.OUT
        return self._step()

    # -- what happened --------------------------------------------------------------------------------------------

    def started(self, name: str) -> list[Effect]:
        member = self.members.get(name)
        if member is not None and member.status is Status.STARTING:
            member.status = Status.UP
        return self._step()

    def ended(self, name: str, now: float, *, crashed: bool) -> list[Effect]:
        """A child has ended by itself. One that is on its way out anyway is not counted."""
        member = self.members.get(name)
        if member is None or member.status not in (Status.STARTING, Status.UP):
            return []
        member.status = Status.FALLEN
        if member.fate is not None or self._stopping or self.given_up:
            return []
        if member.restart == "temporary":
            member.fate = Fate.GONE
            return self._step()
        if member.restart == "transient" and not crashed:
            member.fate = Fate.OUT
            return self._step()
        return self._answer(self._supervisor.crashed(name, now))

    def halted(self, name: str) -> list[Effect]:
        member = self.members[name]
        fate, member.fate = member.fate, None
        if fate is Fate.RESTART:
            member.status = Status.DOWN
            return self._step()
        member.status = Status.OUT
        if fate is Fate.GONE:
            self._forget(member)
        # What the group's own stop has halted is told by Stopped.
        return self._step() if self._stopping and fate is Fate.OUT else [Out(name), *self._step()]

    def due(self, ticket: int) -> list[Effect]:
        """A back-off is over. One that a later crash has replaced counts no more."""
        for member in self.members.values():
            if member.ticket == ticket:
                member.ticket = 0
                return self._step()
        return []

    # -- decisions ------------------------------------------------------------------------------------------------

    def _answer(self, decision: Restart | Escalate) -> list[Effect]:
        if isinstance(decision, Escalate):
            self.given_up = True
            return [GiveUp(decision.child, decision.restarts)]
        affected = [self.members[name] for name in decision.children]
        for member in affected:
            self._take_along(member)
        first = next(m for m in affected if m.is_wanted or m.fate is Fate.RESTART)
        self._tickets += 1
        first.ticket = self._tickets
        return [*self._step(), Wait(self._tickets, decision.delay_s)]

    def _take_along(self, member: Member) -> None:
        """It is restarted: with the child that crashed, or as that child. A temporary sibling goes, and stays away."""
        member.ticket = 0
        if member.status is Status.OUT:
            member.status = Status.DOWN
        elif member.status not in IDLE and member.fate is not Fate.GONE:
            member.fate = Fate.GONE if member.restart == "temporary" else Fate.RESTART

    def _doom(self, member: Member, fate: Fate) -> None:
        member.ticket = 0
        member.fate = fate
        if member.status in IDLE:
            member.status = Status.FALLEN  # nothing runs; it is halted all the same, to be told as the others are

    def _forget(self, member: Member) -> None:
        del self.members[member.name]
        self._supervisor.children.remove(member.name)

    # -- what follows ---------------------------------------------------------------------------------------------

    @property
    def _in_order(self) -> bool:
        """Whether children depend on those before them, so that the group moves as one."""
        return self._stopping or self._supervisor.supervision.strategy != "one_for_one"

    def _step(self) -> list[Effect]:
        effects: list[Effect] = []
        for member in list(self._to_halt()):
            member.status = Status.HALTING
            effects.append(Halt(member.name))
        if self._stopping:
            if all(member.fate is None for member in self.members.values()):
                effects.append(Stopped())
            return effects
        if self.given_up:
            return effects
        for member in list(self._to_start()):
            member.status = Status.STARTING
            effects.append(Start(member.name))
        if not self._is_ready and all(member.status in SETTLED for member in self.members.values()):
            self._is_ready = True
            effects.append(Ready())
        return effects

    def _to_halt(self) -> Iterator[Member]:
        for member in reversed(self.members.values()):
            if member.fate is None:
                continue
            if member.status is not Status.HALTING:
                yield member
            if self._in_order:
                return  # the next one when this one is halted

    def _to_start(self) -> Iterator[Member]:
        if self._in_order and any(member.fate is not None for member in self.members.values()):
            return
        elders_settled = True
        for member in self.members.values():
            depends = self._in_order or member.status is Status.NEW
            if member.is_wanted and not member.ticket and (elders_settled or not depends):
                yield member
            elders_settled = elders_settled and member.status in SETTLED
