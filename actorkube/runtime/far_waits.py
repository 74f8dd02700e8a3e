"""Circles through systems of other processes: each is asked for whom its actors wait.

That takes time, so it is done shortly before an ask runs out of its own. And what two systems said at two times need
never have been true at once: so all are asked twice, and only asks that were out both times count.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from actorkube.runtime.actor import Actor
from actorkube.runtime.waits import LOOKED_AT_MAX, WAITS, Chase, Edge, Waits, circle
from protocols.address import Address
from protocols.errors import Answer, AskError
from protocols.message import Message
from protocols.waits import AskWaits, Wait, WaitList

if TYPE_CHECKING:
    from actorkube.runtime.system import System

WAITS_MAX = 100  # of one actor

Graph = dict[Address, list[Wait]]


class FarWaits(Actor):
    """`SYSTEM/waits`."""

    concurrency = 4

    def __init__(self, system: System) -> None:
        self._system = system

    def receive(self, message: Message) -> object:
        match message:
            case AskWaits():
                return WaitList(tuple(self._own(Address(self._system.name, message.actor))))
            case Chase():
                return self._chase([Address.parse(text) for text in message.addresses])
        return None

    async def _chase(self, starts: list[Address]) -> None:
        """Note the circles that lead on from there, for the asks that are about to run out of time."""
        first = await self._graph(starts)
        if not any(circle(start, lambda at: _edges(first.get(at, ()))) for start in starts):
            return
        second = await self._graph(starts)
        both = {at: [wait for wait in waits if wait in first.get(at, ())] for at, waits in second.items()}
        for start in starts:
            if story := circle(start, lambda at: _edges(both.get(at, ()))):
                self._system.asks.circles.append((self._system.loop.time(), story))

    async def _graph(self, starts: list[Address]) -> Graph:
        graph: Graph = {}
        fringe = list(dict.fromkeys(starts))
        while fringe and len(graph) + len(fringe) <= LOOKED_AT_MAX:
            graph |= zip(fringe, await asyncio.gather(*map(self._waits_of, fringe)), strict=True)
            found = [Address.parse(wait.address) for at in fringe for wait in graph[at]]
            fringe = [at for at in dict.fromkeys(found) if at not in graph]
        return graph

    async def _waits_of(self, address: Address) -> list[Wait]:
        if address.system == self._system.name:
            return self._own(address)
        peer = self.ctx.ref(f"{address.system}/{WAITS}")
        try:
            return list((await self.ctx.ask(peer, AskWaits(address.actor), self._system.asks.ahead_s)).waits)
        except (Answer, AskError):
            return []  # it is not known

    def _own(self, address: Address) -> list[Wait]:
        asks = Waits(self._system).asks_of(address)[:WAITS_MAX]
        return [Wait(ask.request_name, str(ask.address), ask.expires_at) for ask in asks]


def _edges(waits: list[Wait] | tuple[()]) -> list[Edge]:
    return [(wait.request, Address.parse(wait.address)) for wait in waits]
