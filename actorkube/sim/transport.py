"""One simulated host's links: dialled when first needed, accepted from others, ended with the host.

Behaves as the TCP transport does, back-off, second connections and newer incarnations included, so that what an actor
meets here it can meet there.
"""

from __future__ import annotations

import contextvars
import enum
from collections.abc import Collection

from actorkube.runtime.link import Address, Census, Familiars, Link, Traffic, Transport
from actorkube.runtime.settings import Settings
from actorkube.runtime.system import System
from actorkube.sim.network import IN_FLIGHT_BYTES_MAX, Network
from actorkube.sim.trace import FIN
from protocols.frame import HEADER_SIZE, Frame, Kind
from protocols.message import Lane

TELL = int(Kind.TELL)
FIN_FRAME: Frame = (FIN, 0, 0, 0, 0, 0, b"")


class SimTransport(Transport):
    def __init__(self, network: Network, knows: Collection[str] | None = None) -> None:
        self.network = network
        self._familiars = Familiars(knows)  # whom it can dial by itself; None: all
        self._links: dict[tuple[str, Lane], SimLink] = {}  # the one to send on
        self._all: dict[SimLink, None] = {}
        self._down: dict[tuple[str, Lane], tuple[float, float]] = {}  # not to be dialled before, last back-off
        self.system: System

    async def start(self, system: System) -> None:
        self.system = system
        self.name = system.name
        self.context = system.context.copy()
        self.network.known.setdefault(self.name, True)
        self.network.transports[self.name] = self

    def link(self, peer: str, lane: Lane) -> Link | None:
        link = self._links.get((peer, lane))
        if link is not None:
            return link
        if peer == self.name:
            return self._loop_back(lane)
        if not self.network.known.get(peer) or peer not in self._familiars:
            return None
        if self.network.transports.get(self.name) is not self:
            return None
        if self._down.get((peer, lane), (0.0, 0.0))[0] > self.network.loop.now:
            return None
        link = SimLink(self, peer, lane)
        self._use((peer, lane), link)
        self._all[link] = None
        self.network.dial(link)
        return link

    def peers(self) -> list[str]:
        return [name for name, listens in self.network.known.items() if listens and name in self._familiars]

    def addresses(self) -> dict[str, Address]:
        known = self.network.known
        return {name: (name, 0) for name in known if known[name] and (name == self.name or name in self._familiars)}

    def learn(self, peer: str, address: Address, teller: str) -> None:
        self._familiars.learn(peer)

    def unlearn(self, peer: str) -> None:
        self._familiars.unlearn(peer)

    def near(self, peer: str) -> System | None:
        other = self.network.transports.get(peer)
        return other.system if other is not None else None

    async def stop(self) -> None:
        """Planned: what was sent before still arrives, then the other ends learn that we are gone."""
        if self.network.transports.get(self.name) is self:
            del self.network.transports[self.name]
        for link in list(self._all):
            link.close()

    def vanish(self, *, silent: bool) -> None:
        """The host is dead. A killed process leaves a kernel that resets its connections; a dead machine is silent."""
        if self.network.transports.get(self.name) is self:
            del self.network.transports[self.name]
        for link in self._all:
            link.shut()
            if silent:
                self.network.lose(link, "dead")
            else:
                self.network.reset(link)
            link.gone = True

    def accept(self, dialling: SimLink) -> None:
        if dialling.is_closed or self.network.transports.get(self.name) is not self:
            return
        link = SimLink(self, dialling.transport.name, dialling.lane)
        self._all[link] = None
        link.far, dialling.far = dialling, link
        link.opened()
        self.network.answer(dialling, link)

    def census(self) -> Census:
        return Census(self.all_links())

    def all_links(self) -> list[SimLink]:
        return list(self._all)

    def opened(self, link: SimLink) -> None:
        key = (link.peer, link.lane)
        self._down.pop(key, None)
        known = self._links.get(key)
        # A second connection of the same host is only listened to; one of a newer incarnation replaces the old.
        if known is None or (known is not link and known.opened_by not in (None, link.opened_by)):
            self._use(key, link)

    def _use(self, key: tuple[str, Lane], link: SimLink) -> None:
        """From now on, this is the one to send on."""
        before = self._links.get(key)
        if before is not None:
            before.home = None
        self._links[key] = link
        link.home = self.system

    def ended(self, link: SimLink, *, was_open: bool) -> None:
        key = (link.peer, link.lane)
        self._all.pop(link, None)
        if self._links.get(key) is link:
            del self._links[key]
            link.home = None
            if not was_open:
                before = self._down.get(key, (0.0, Settings.backoff_first_s / 2))[1]
                wait = min(before * 2, Settings.backoff_most_s)
                self._down[key] = (self.network.loop.now + wait, wait)
        self.system.link_lost(link, sent=was_open)

    def _loop_back(self, lane: Lane) -> SimLink:
        """To ourselves: one end for what we say, one for what we answer; nothing gets lost on the way."""
        link, mirror = SimLink(self, self.name, lane), SimLink(self, self.name, lane)
        self._use((self.name, lane), link)
        for end, far in ((link, mirror), (mirror, link)):
            self._all[end] = None
            end.far = far
            end.opened()
        return link


class State(enum.Enum):
    DIALLING = 0
    OPEN = 1
    CLOSED = 2


DIALLING, OPEN = State.DIALLING, State.OPEN  # a member of an enum is looked up anew at each use


class SimLink(Link):
    """One end of a connection. Frames sent before it is open wait."""

    def __init__(self, transport: SimTransport, peer: str, lane: Lane) -> None:
        super().__init__(peer)
        self.transport = transport
        self.lane = lane
        self.state = State.DIALLING
        self.is_closed = False
        self.context: contextvars.Context = transport.context
        self.way = transport.network.way(transport.name, peer)
        self._arrives = f"{peer}>{transport.name} {lane.name}"  # for the trace
        self.far: SimLink | None = None
        self.opened_by: System | None = None  # the incarnation at the other end
        self.sent = 0  # packets of ours
        self.received = 0  # packets of theirs that were accepted, in order
        self.resends = False  # has sent a packet again, or may yet: what comes early at the other end waits there
        self.clear_at = 0.0  # when the last of our packets arrives: later ones do not pass it
        self.in_flight_bytes = 0  # under way or waiting
        self.cut = False  # a packet of ours was lost: nothing more gets through
        self.doomed = False  # will be told so
        self.gone = False  # its host is dead: nothing is sent again
        self._network = transport.network
        self._loop = transport.network.loop
        self._system = transport.system
        self._handlers = transport.system.handlers
        self._tell_at_once = transport.system.tell_at_once
        self._waiting: list[Frame] = []
        self._early: dict[int, Frame] = {}  # packets of theirs that others must come before

    def shut(self) -> None:
        self.state, self.is_closed = State.CLOSED, True

    def send(self, kind: int, type_id: int, target: int, sender: int, corr: int, number: int, body: bytes) -> bool:
        if self.is_closed or self.in_flight_bytes > IN_FLIGHT_BYTES_MAX:
            return False
        frame = (kind, type_id, target, sender, corr, number, body)
        self.in_flight_bytes += HEADER_SIZE + len(body)
        if self.state is DIALLING:
            self._waiting.append(frame)
        else:
            self._network.transmit(self, frame)
        return True

    def traffic(self) -> Traffic:
        return Traffic(frames_sent=self.sent, frames_received=self.received, outbox_bytes=self.in_flight_bytes)

    def arrive(self, sequence: int, frame: Frame) -> None:
        """A packet of the other end, in this end's context."""
        far = self.far
        assert far is not None
        if self.is_closed:
            self._network.reset(self)
        elif far.way.blocks:
            self._network.obstructed(far, sequence, frame, "cut off")
        elif sequence == self.received:
            self._accept(far, frame)
            while self._early and self.state is OPEN and (next_one := self._early.pop(self.received, None)) is not None:
                self._accept(far, next_one)
        elif sequence < self.received or sequence in self._early:
            self._network.note(f"doubled {self._arrives}")
        elif far.resends or far.way.conditions.lost == "retransmitted":
            self._early[sequence] = frame
        else:
            self._network.lose(far, "overtaken")

    def _accept(self, far: SimLink, frame: Frame) -> None:
        self.received += 1
        far.in_flight_bytes -= HEADER_SIZE + len(frame[6])
        loop, kind = self._loop, frame[0]
        self._network.trace.add((loop.now, loop.steps, self._arrives, frame))
        if kind == TELL and self._tell_at_once(self, frame):
            return
        if kind == FIN:
            self.fail()
            return
        corked = self._system.cork()
        try:
            self._handlers[kind](self, *frame[1:])
        except ValueError as error:
            self._system.log.warning("connection closed", peer=self.peer, reason=str(error))
            self.fail()
        finally:
            if corked:
                self._system.uncork()  # as on a real connection, who was woken has the turn now

    def opened(self) -> None:
        assert self.far is not None
        self.state = State.OPEN
        self.opened_by = self.far.transport.system
        self.transport.opened(self)
        waiting, self._waiting = self._waiting, []
        for frame in waiting:
            self._network.transmit(self, frame)

    def dialled(self, accepted: SimLink) -> None:
        """The answer to our dial."""
        if self.state is State.DIALLING:
            self.opened()
        else:
            self._network.reset(self)

    def dial_failed(self, reason: str) -> None:
        if self.state is State.DIALLING:
            self._system.log.debug("link failed", peer=self.peer, reason=reason)
            self.fail()

    def fail(self) -> None:
        """This end learns that the connection is over."""
        if self.is_closed:
            return
        was_open = self.state is State.OPEN
        self.shut()
        self._network.note(f"ended {self.way} {self.lane.name}")
        self.transport.ended(self, was_open=was_open)
        self._network.reset(self)

    def close(self) -> None:
        """Planned: the other end learns of it behind what was sent before."""
        if self.state is State.OPEN:
            self._network.transmit(self, FIN_FRAME)
            self.shut()
            self.transport.ended(self, was_open=True)
        else:
            self.fail()
