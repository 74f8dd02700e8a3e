"""Links inside one process: systems that share an event loop exchange bodies as bytes, in order, by `call_soon`.

A system that stops or is cut off ends its links, as a closed connection would.
"""

from __future__ import annotations

import asyncio
from collections.abc import Collection

from actorkube.runtime.link import Address, Census, Familiars, Link, Transport
from actorkube.runtime.system import System
from protocols.message import Lane


class LocalNetwork:
    """The systems of one process, by name."""

    def __init__(self) -> None:
        self.systems: dict[str, LocalTransport] = {}
        self._cuts: frozenset[tuple[str, str]] = frozenset()

    def transport(self, knows: Collection[str] | None = None) -> LocalTransport:
        """`knows`: whom this system can join by itself; None: all."""
        return LocalTransport(self, knows)

    def cut(self, cuts: Collection[tuple[str, str]]) -> None:
        """A fault: no link joins these pairs of systems until the next call. Those that do now end at once, on both
        sides, also where only one direction is cut: nobody here waits for a silent peer."""
        self._cuts = frozenset(cuts)
        for transport in list(self.systems.values()):
            transport.end_what_is_cut()

    def is_cut(self, one: str, other: str) -> bool:
        return (one, other) in self._cuts or (other, one) in self._cuts


class LocalTransport(Transport):
    def __init__(self, network: LocalNetwork, knows: Collection[str] | None = None) -> None:
        self._network = network
        self._familiars = Familiars(knows)
        self._links: dict[tuple[str, Lane], LocalLink] = {}
        self.system: System | None = None

    async def start(self, system: System) -> None:
        if system.name in self._network.systems:
            raise ValueError(f"there is a system named {system.name} already")
        self.system = system
        self._network.systems[system.name] = self

    def link(self, peer: str, lane: Lane) -> Link | None:
        link = self._links.get((peer, lane))
        if link is None:
            other = self._network.systems.get(peer)
            if other is None or self.system is None or not (other is self or peer in self._familiars):
                return None
            if self._network.is_cut(self.system.name, peer):
                return None
            link = self._join(other, peer, lane)
        return link

    def peers(self) -> list[str]:
        return [name for name in self._network.systems if name in self._familiars]

    def addresses(self) -> dict[str, Address]:
        return {
            name: (name, 0) for name, other in self._network.systems.items() if other is self or name in self._familiars
        }

    def learn(self, peer: str, address: Address, teller: str) -> None:
        self._familiars.learn(peer)

    def unlearn(self, peer: str) -> None:
        self._familiars.unlearn(peer)

    def near(self, peer: str) -> System | None:
        other = self._network.systems.get(peer)
        return other.system if other is not None else None

    def end_what_is_cut(self) -> None:
        for link in list(self._links.values()):
            if self.system is not None and self._network.is_cut(self.system.name, link.peer):
                link.end()

    async def stop(self) -> None:
        if self.system is None:
            return
        self._network.systems.pop(self.system.name, None)
        for link in list(self._links.values()):
            link.end()
        self.system = None

    def _join(self, other: LocalTransport, peer: str, lane: Lane) -> LocalLink:
        here, there = self.system, other.system
        assert here is not None and there is not None
        ours, theirs = LocalLink(self, peer, lane), LocalLink(other, here.name, lane)
        ours.far, theirs.far = theirs, ours
        self._links[(peer, lane)] = ours
        if other is not self:
            other._links[(here.name, lane)] = theirs
        return ours

    def census(self) -> Census:
        return Census(list(self._links.values()))

    def forget(self, link: LocalLink) -> None:
        if self._links.get((link.peer, link.lane)) is link:
            del self._links[(link.peer, link.lane)]


class LocalLink(Link):
    """One end; what is sent here is a frame there in the next loop turn."""

    def __init__(self, transport: LocalTransport, peer: str, lane: Lane) -> None:
        super().__init__(peer)
        assert transport.system is not None
        self.lane = lane
        self.far: LocalLink | None = None
        self._transport = transport
        self._system = transport.system
        self._loop = asyncio.get_running_loop()

    def send(self, kind: int, type_id: int, target: int, sender: int, corr: int, number: int, body: bytes) -> bool:
        far = self.far
        if far is None:
            return False
        # In the receiver's context: what the sender is at is not what the receiver does.
        context = far._system.context
        self._loop.call_soon(far._receive, kind, type_id, target, sender, corr, number, body, context=context)
        return True

    def end(self) -> None:
        """Both ends learn of it at the end of this loop turn, after what was sent before."""
        far, self.far = self.far, None
        if far is not None:
            far.far = None
            self._loop.call_soon(far._lost)
            self._lost()

    def _receive(self, kind: int, type_id: int, target: int, sender: int, corr: int, number: int, body: bytes) -> None:
        self._system.on_frame(self, kind, type_id, target, sender, corr, number, body)

    def _lost(self) -> None:
        self._transport.forget(self)
        self._system.link_lost(self)
