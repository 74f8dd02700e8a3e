"""Watches and links between actors: who is told when an actor ends, here or over a link between systems.

A watch is on a name, because a `Ref` is one: an actor that its supervisor restarts is still there, with its address and
its mailbox (as in Akka). A link is between two lives: it says that neither may go on without what the other remembers,
so it ends with the first crash or restart of either (as in Erlang). A link is two watches of lives, one each way.

Each watch ends once: by what it waited for, by the loss of the link that carries it, or because the watcher gives it
up or ends. Over a link between systems: WATCH, answered by at most one DOWN, or taken back by UNWATCH.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from actorkube.runtime.actor import Ref
from actorkube.runtime.supervisor import Consequence
from protocols.frame import Kind
from protocols.message import Lane, Message

if TYPE_CHECKING:
    from actorkube.runtime.cell import Cell
    from actorkube.runtime.link import Link
    from actorkube.runtime.system import System

STOPPED = "stopped"  # by plan, or by its own will; also with its system
CRASHED = "crashed"  # and for a watch: nobody restarts it
RESTARTED = "restarted"  # with a sibling or a parent: only links end by it
ABSENT = "no such actor"
UNREACHABLE = "unreachable"  # the link to its system ended, or there is none: it may well live
REASONS = (STOPPED, CRASHED, RESTARTED, ABSENT, UNREACHABLE)

WATCHERS_MAX = 100_000  # that the actors of one peer may have here over one link

# What a WATCH frame asks for, in its `number`.
NAME, LINK, LIFE = range(3)  # LIFE is the way back of a LINK


class Down(Message):
    """The actor at `address`, which was watched, has ended for good, or cannot be reached; see `reason`."""

    address: str
    reason: str


class Exited(Message):
    """To an actor that traps exits: the actor at `address`, which it was linked with, has ended."""

    address: str
    reason: str


class LinkEnded(Consequence):
    """Why an actor crashed that was linked with one that ended."""


class Watch:
    """One actor watches another. Its Down counts only while the watch lasts, even when it is in the mailbox already."""

    __slots__ = ("cell", "is_over", "kind", "link", "number", "ref")

    def __init__(self, cell: Cell, ref: Ref, kind: int, number: int) -> None:
        self.cell = cell
        self.ref = ref
        self.kind = kind
        self.number = number
        self.link: Link | None = None  # which carries it, when the other is in another system
        self.is_over = False

    def read(self) -> bool:
        """Its message is taken from the mailbox: whether it counts."""
        counts, self.is_over = not self.is_over, True
        if counts:
            self.cell.system.monitors.forget(self)
        return counts


Watcher = Watch | tuple["Link", int]  # of this system, or by the number that the peer gave it


class Monitors:
    """The watches of one system: those of its actors, and those on its actors."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._last = 0
        self._watches: dict[int, Watch] = {}  # of our actors, by number
        self._by_cell: dict[Cell, dict[tuple[Ref, bool], Watch]] = {}  # and by who watches what
        self._names: dict[int, dict[Watcher, None]] = {}  # who watches an actor of ours, by the actor's number
        self._lives: dict[int, dict[Watcher, None]] = {}  # who is linked with its life
        self._peers: dict[Link, dict[int, int]] = {}  # watchers over a link: their number, the number of our actor

    # -- what actors want -----------------------------------------------------------------------------------------

    def watch(self, cell: Cell, ref: Ref, kind: int = NAME) -> None:
        """Watching what is watched already changes nothing."""
        if (ref, kind == NAME) in self._by_cell.get(cell, ()):
            return
        self._last = (self._last + 1) & 0xFFFFFFFF
        watch = self._watches[self._last] = Watch(cell, ref, kind, self._last)
        self._by_cell.setdefault(cell, {})[(ref, kind == NAME)] = watch
        if ref.address.system == self._system.name:
            self._watch_here(watch)
        else:
            self._watch_there(watch)

    def unwatch(self, cell: Cell, ref: Ref, kind: int = NAME) -> None:
        watch = self._by_cell.get(cell, {}).get((ref, kind == NAME))
        if watch is not None:
            watch.is_over = True
            self.forget(watch, kind)

    def link(self, cell: Cell, ref: Ref) -> None:
        self.watch(cell, ref, LINK)

    def unlink(self, cell: Cell, ref: Ref) -> None:
        """Both ways; the other's system is told by an UNWATCH of kind LINK."""
        self.unwatch(cell, ref, LINK)
        other = self._system.cell(ref.actor_id) if ref.address.system == self._system.name else None
        if other is not None:
            self.unwatch(other, cell.ref, LIFE)

    def forget(self, watch: Watch, kind: int = NAME) -> None:
        """It is over, whoever ended it."""
        if self._watches.pop(watch.number, None) is None:
            return
        mine = self._by_cell.get(watch.cell, {})
        if mine.get((watch.ref, watch.kind == NAME)) is watch:
            del mine[(watch.ref, watch.kind == NAME)]
            if not mine:
                del self._by_cell[watch.cell]
        if watch.link is not None:
            sender = watch.cell.ref.actor_id  # introduced by the WATCH
            watch.link.send(Kind.UNWATCH, 0, watch.ref.actor_id, sender, watch.number, kind, b"")
        else:
            self._remove(watch, watch.ref.actor_id, watch.kind)

    def _watch_here(self, watch: Watch) -> None:
        other = self._system.cell(watch.ref.actor_id)
        if other is None:
            self._over(watch, ABSENT)
            return
        self._add(watch, watch.ref.actor_id, watch.kind)
        if watch.kind == LINK:
            self.watch(other, watch.cell.ref, LIFE)

    def _watch_there(self, watch: Watch) -> None:
        link = self._system.transport.link(watch.ref.address.system, Lane.CONTROL)
        if link is not None:
            introduced = self._system.introduce(link, watch.cell)
            if link.send(Kind.WATCH, 0, watch.ref.actor_id, introduced, watch.number, watch.kind, b""):
                watch.link = link
                return
        self._over(watch, UNREACHABLE)

    # -- what happened to actors ----------------------------------------------------------------------------------

    def life_over(self, cell: Cell, reason: str) -> None:
        """An instance has ended: whoever is linked with it is told, and what it watched is not its successor's."""
        for watcher in self._take(self._lives, cell.ref.actor_id):
            self._tell(watcher, reason)
        for watch in list(self._by_cell.get(cell, {}).values()):
            watch.is_over = True
            self.forget(watch)

    def gone(self, cell: Cell) -> None:
        """Nobody is at this address any more."""
        reason = STOPPED if cell.rare.error is None else CRASHED
        self.life_over(cell, reason)
        for watcher in self._take(self._names, cell.ref.actor_id):
            self._tell(watcher, reason)

    def _tell(self, watcher: Watcher, reason: str) -> None:
        if isinstance(watcher, Watch):
            self._over(watcher, reason)
            return
        link, number = watcher
        self._peers.get(link, {}).pop(number, None)
        kind: int = Kind.DOWN
        body = reason.encode()
        if self._system.tracing:
            kind, body = self._system.tracer.framed(kind, body, None)
        link.send(kind, 0, 0, 0, number, 0, body)

    def _over(self, watch: Watch, reason: str) -> None:
        """What it waited for has come. The watch lasts until the watcher hears of it."""
        watch.link = None
        if watch.is_over:
            return
        address = str(watch.ref.address)
        if watch.kind == NAME:
            watch.cell.signal(Down(address, reason), watch)
        elif watch.cell.lives and watch.cell.actor.traps_exits:
            watch.cell.signal(Exited(address, reason), watch)
        else:  # later: the one who crashes may be in the middle of a handler
            self._system.loop.call_soon(self._strike, watch, reason, context=self._system.context)

    def _strike(self, watch: Watch, reason: str) -> None:
        if watch.read() and reason != STOPPED:
            watch.cell.crash(LinkEnded(f"{watch.cell.ref.address} is linked with {watch.ref.address}: {reason}"))

    # -- frames ---------------------------------------------------------------------------------------------------

    def on_watch(self, link: Link, _type: int, target: int, sender: int, number: int, kind: int, _body: bytes) -> None:
        watchers = self._peers.setdefault(link, {})
        if kind not in (NAME, LINK, LIFE) or number in watchers or len(watchers) >= WATCHERS_MAX:
            raise ValueError(f"a watch of kind {kind} with number {number}, beside {len(watchers)} others")
        cell = self._system.cell(target)
        if cell is None:
            link.send(Kind.DOWN, 0, 0, 0, number, 0, ABSENT.encode())
            return
        watchers[number] = target
        self._add((link, number), target, kind)
        if kind == LINK:
            if not sender or sender not in link.names:
                raise ValueError("a link from an actor without a name")
            self.watch(cell, link.names[sender], LIFE)

    def on_unwatch(
        self, link: Link, _type: int, _target: int, sender: int, number: int, kind: int, _body: bytes
    ) -> None:
        target = self._peers.get(link, {}).pop(number, None)
        if target is None:
            return
        self._remove((link, number), target, NAME)
        self._remove((link, number), target, LIFE)
        cell = self._system.cell(target)
        if kind == LINK and cell is not None and sender in link.names:
            self.unwatch(cell, link.names[sender], LIFE)

    def on_down(self, link: Link, _type: int, _target: int, _sender: int, number: int, _n: int, body: bytes) -> None:
        reason = body.decode()
        if reason not in REASONS:
            raise ValueError(f"an actor's end with the reason {reason[:100]!r}")
        watch = self._watches.get(number)
        if watch is not None and watch.link is link:
            self._over(watch, reason)

    def link_lost(self, link: Link) -> None:
        for number, target in self._peers.pop(link, {}).items():
            self._remove((link, number), target, NAME)
            self._remove((link, number), target, LIFE)
        for watch in [watch for watch in self._watches.values() if watch.link is link]:
            self._over(watch, UNREACHABLE)

    def watchers(self, target: int) -> int:
        """How many watch the actor with that number, or are linked with it."""
        return len(self._names.get(target, ())) + len(self._lives.get(target, ()))

    # -- tables ---------------------------------------------------------------------------------------------------

    def _table(self, kind: int) -> dict[int, dict[Watcher, None]]:
        return self._names if kind == NAME else self._lives

    def _add(self, watcher: Watcher, target: int, kind: int) -> None:
        self._table(kind).setdefault(target, {})[watcher] = None

    def _remove(self, watcher: Watcher, target: int, kind: int) -> None:
        table = self._table(kind)
        watchers = table.get(target)
        if watchers is not None:
            watchers.pop(watcher, None)
            if not watchers:
                del table[target]

    def _take(self, table: dict[int, dict[Watcher, None]], target: int) -> Iterable[Watcher]:
        return tuple(table.pop(target, ()))
