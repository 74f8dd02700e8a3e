"""Who waits for whom: names the circle, where actors wait for each other's answers until their time runs out.

An actor is stuck while every handler that it may run at once is running; one of them waits for each ask that the actor
has out. A circle of stuck actors is looked for when an ask has run out of time, never before: so it costs nothing
where answers come, and what is said is true. Other systems are looked into where they are in the same process; those
that are not have to be asked, and that a little before the time is over (far_waits.py).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from protocols.address import Address, actor_id
from protocols.message import Message

if TYPE_CHECKING:
    from actorkube.runtime.asks import Ask
    from actorkube.runtime.system import System

WAITS = "waits"  # the actor that asks other systems
LOOKED_AT_MAX = 1000  # actors, for one ask
NOTED_FOR_S = 0.25
NOTED_MAX = 8

Edge = tuple[str, Address]  # with what request it waits for whom


class Chase(Message):
    """To our own `waits`: asks to these are about to run out of time."""

    addresses: tuple[str, ...]


def look_ahead(system: System, asks: Iterable[Ask]) -> None:
    """Those asks will soon have run out of time. A circle through others has an ask of an actor of ours to leave by."""
    leaves = any(ask.sender is not None and not ask.is_here for ask in system.asks)
    if leaves and not system.tree.is_stopping:
        system.tell(system.ref(f"{system.name}/{WAITS}"), Chase(tuple(str(ask.address) for ask in asks)))


def circle(start: Address, waits_for: Callable[[Address], Iterable[Edge]]) -> str:
    """The first circle on a way from `start`, as `s/a -Ping-> s/b -Pong-> s/a`; empty if there is none."""
    path: dict[Address, str] = {}  # with the request by which the way goes on
    seen = {start}
    ways = [(start, iter(list(waits_for(start))))]
    while ways:
        here, edges = ways[-1]
        edge = next(edges, None)
        if edge is None:
            ways.pop()
            path.pop(here, None)
            continue
        path[here], there = edge
        if there in path:
            return _story(there, path)
        if there not in seen and len(seen) < LOOKED_AT_MAX:
            seen.add(there)
            ways.append((there, iter(list(waits_for(there)))))
    return ""


def _story(first: Address, path: dict[Address, str]) -> str:
    on_circle = list(path)[list(path).index(first) :]
    return "".join(f"{address} -{path[address]}-> " for address in on_circle) + str(first)


class Waits:
    """What is so in this moment, as seen from one system."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._systems: dict[str, System] = {system.name: system}  # that were looked into
        self._asks: dict[str, dict[Address, list[Ask]]] = {}  # that are out, by system, by who waits

    def why(self, ask: Ask) -> str:
        """What else is known about an ask that was not answered in time."""
        story = circle(ask.address, self._waits_for) or self._noted(ask)
        if not story:
            return ""
        self._system.asks.circles.append((self._system.loop.time(), story))
        return f": they wait for each other: {story}"

    def _noted(self, ask: Ask) -> str:
        """A circle ends where the time is over first, perhaps in another system; the others hear of it too."""
        since = self._system.loop.time() - NOTED_FOR_S - self._system.asks.ahead_s
        notes = [note for system in self._systems.values() for note in system.asks.circles]
        return next((story for at, story in notes if at >= since and f"{ask.address} -" in story), "")

    def asks_of(self, address: Address) -> list[Ask]:
        """For what a stuck actor waits; nothing of one that is not, or that is too far away to be seen."""
        here = address.system == self._system.name
        system = self._system if here else self._system.transport.near(address.system)
        if system is None:
            return []
        self._systems[system.name] = system
        cell = system.tree.cells.get(actor_id(address.actor))
        is_stuck = cell is not None and cell.lives > 0 and cell.running >= cell.actor.concurrency
        return self._asks_in(system).get(address, []) if is_stuck else []

    def _waits_for(self, address: Address) -> list[Edge]:
        return [(ask.request_name, ask.address) for ask in self.asks_of(address)]

    def _asks_in(self, system: System) -> dict[Address, list[Ask]]:
        known = self._asks.get(system.name)
        if known is None:
            known = self._asks[system.name] = defaultdict(list)
            for ask in system.asks:
                if ask.sender is not None:
                    known[ask.sender.address].append(ask)
        return known
