"""The simulated network: packets below, connections above.

Below, a packet may be late, lost, doubled or overtaken by the ones behind it. Above, a link promises what TCP does: at
most once, in order, a suffix may be lost. So each direction of a connection counts its packets, a second copy is
dropped, and what becomes of a packet that is lost, or missing when a later one arrives, is up to the conditions:
  breaks         the connection breaks. From then on that direction carries nothing, the other one still does, and each
                 end learns of it only after a while, as by keep-alive.
  retransmitted  it is sent again after a time-out that doubles, as TCP does, and those behind it wait for it at the
                 other end; when the last attempt is lost too, the connection breaks.
Hosts that are cut off from each other find out as by keep-alive, also when nobody speaks.
"""

from __future__ import annotations

import contextvars
import math
import random
from collections.abc import Callable
from typing import TYPE_CHECKING, NamedTuple

from actorkube.sim.conditions import Conditions
from actorkube.sim.trace import Trace, packet_name
from protocols.frame import HEADER_SIZE, Frame, Kind
from protocols.trace import CONTEXT_SIZE, TRACED

if TYPE_CHECKING:
    from actorkube.sim.loop import SimLoop
    from actorkube.sim.transport import SimLink, SimTransport

KEEPALIVE_S = 10.0
DIAL_TIMEOUT_S = 3.0
RETRANSMIT_FIRST_S = 0.2
RETRANSMISSIONS_MAX = 6  # in 12.6 s
IN_FLIGHT_BYTES_MAX = 32 * 1024 * 1024


class Packet(NamedTuple):
    """A frame on its way, as rules see it. `name`: the class of its message, or its kind (ERROR, CREDIT, ...)."""

    src: str
    dst: str
    name: str
    kind: int
    corr: int
    body: bytes


Match = str | Callable[[Packet], bool]


class Rule:
    """A fault that names its packets: of those that match, skip some, then act on so many (0: on all)."""

    def __init__(
        self, match: Callable[[Packet], bool], *, skip: int, times: int, act: Callable[[Packet], float | None]
    ) -> None:
        """`act` returns how much longer the packet takes; None drops it."""
        self.match = match
        self.skip = skip
        self.times = times
        self.act = act


class Way:
    """One direction between two hosts, shared by their connections."""

    __slots__ = (
        *("blocks", "clog_s", "conditions", "cut_count", "draw", "dst", "free_at", "is_narrow", "is_special", "src"),
        "trouble",
    )

    def __init__(self, src: str, dst: str, conditions: Conditions) -> None:
        self.src = src
        self.dst = dst
        self.is_special = False  # has conditions of its own
        self.free_at = 0.0  # when all that was sent has passed its narrowest place
        self.be(conditions)
        self.blocks = 0  # partitions that cut it now
        self.cut_count = 0  # how often it was cut: tells one cut from the next
        self.clog_s = 0.0

    def __str__(self) -> str:
        return f"{self.src}>{self.dst}"

    def be(self, conditions: Conditions) -> None:
        self.conditions = conditions
        self.draw = conditions.delay.draw
        self.trouble = conditions.trouble
        self.is_narrow = conditions.bytes_per_s != math.inf

    def queue(self, now: float, size_bytes: int) -> float:
        """How long a packet waits until it, and all before it, has gone through."""
        self.free_at = max(now, self.free_at) + size_bytes / self.conditions.bytes_per_s
        return self.free_at - now


class Network:
    def __init__(self, loop: SimLoop, chance: random.Random, trace: Trace, conditions: Conditions) -> None:
        self.loop = loop
        self.trace = trace
        self.transports: dict[str, SimTransport] = {}  # of the hosts that are up
        self.known: dict[str, bool] = {}  # all hosts, and whether they can be dialled
        self.rules: list[Rule] = []
        self.outside = contextvars.Context()  # of no host
        self._chance = chance
        self._ways: dict[tuple[str, str], Way] = {}
        self.conditions = conditions

    def set_conditions(self, conditions: Conditions) -> None:
        """What all ways are like that have no conditions of their own."""
        self.conditions = conditions
        for way in self._ways.values():
            if not way.is_special:
                way.be(conditions)

    def set_way(self, src: str, dst: str, conditions: Conditions | None) -> None:
        """What one way is like; None: as the network is."""
        way = self.way(src, dst)
        way.is_special = conditions is not None
        way.be(conditions or self.conditions)

    def way(self, src: str, dst: str) -> Way:
        way = self._ways.get((src, dst))
        if way is None:
            way = self._ways[(src, dst)] = Way(src, dst, self.conditions)
        return way

    # -- packets --------------------------------------------------------------------------------------------------

    def transmit(self, link: SimLink, frame: Frame) -> None:
        """Send one frame from this end of an open connection to the other."""
        far, way, sequence = link.far, link.way, link.sent
        assert far is not None
        if link.transport is far.transport:
            link.sent = sequence + 1
            self.loop.call_soon(far.arrive, sequence, frame, context=far.context)
            return
        extra = 0.0
        if self.rules:
            longer = self._ruled(way, frame)
            if link.is_closed:
                return  # a rule has crashed the sender: this was never sent
            if longer is None:
                link.in_flight_bytes -= HEADER_SIZE + len(frame[6])
                if frame[0] & ~TRACED != Kind.TELL:  # a tell may be lost alone, all else takes its connection along
                    self.lose(link, "dropped")
                return
            extra = longer
        link.sent = sequence + 1
        if link.cut:
            return
        if way.blocks:
            self.obstructed(link, sequence, frame, "cut off")
            return
        if far.is_closed and self.transports.get(link.peer) not in (None, far.transport):
            self.loop.later(self._delay(way), link.fail, context=link.context)  # a later life knows it not
            return
        loop = self.loop
        at = loop.now + way.draw(self._chance) + way.clog_s + extra
        if way.is_narrow:
            at += way.queue(loop.now, HEADER_SIZE + len(frame[6]))
        if at < link.clear_at:
            at = link.clear_at
        if way.trouble and (roll := self._chance.random()) < way.trouble:
            if roll < way.conditions.loss:
                self.obstructed(link, sequence, frame, "lost")
                return
            at = self._troubled(link, sequence, frame, at, roll - way.conditions.loss)
        else:
            link.clear_at = at
        loop.at(at, far.arrive, (sequence, frame), far.context)

    def _troubled(self, link: SimLink, sequence: int, frame: Frame, at: float, roll: float) -> float:
        """When the packet arrives, which was overtaken, doubled or stalled."""
        conditions = link.way.conditions
        longer = self._chance.random() * conditions.stall_s
        if roll < conditions.overtaking:
            link.resends = link.resends or conditions.lost == "retransmitted"
            return at + longer  # those behind do not wait for it
        if roll < conditions.overtaking + conditions.duplication:
            far = link.far
            assert far is not None
            self.loop.at(at + longer, far.arrive, (sequence, frame), far.context)
            longer = 0.0
        link.clear_at = at + longer
        return link.clear_at

    def obstructed(self, link: SimLink, sequence: int, frame: Frame, why: str, attempts: int = 0) -> None:
        """A packet has not come through: it is sent again, or the connection is lost with it."""
        if link.way.conditions.lost == "breaks" or attempts >= RETRANSMISSIONS_MAX:
            self.lose(link, why)
            return
        link.resends = True
        self.note(f"{why}, again {link.way} {link.lane.name} {sequence}")
        wait = RETRANSMIT_FIRST_S * 2**attempts
        self.loop.later(wait, self._resend, link, sequence, frame, attempts + 1, context=self.outside)

    def _resend(self, link: SimLink, sequence: int, frame: Frame, attempts: int) -> None:
        far = link.far
        if link.cut or link.gone or far is None or far.is_closed:
            return
        if link.way.blocks:
            self.obstructed(link, sequence, frame, "cut off", attempts)
        elif self._is_lost(link.way):
            self.obstructed(link, sequence, frame, "lost", attempts)
        else:
            self.loop.later(self._delay(link.way), far.arrive, sequence, frame, context=far.context)

    def add_rule(
        self,
        match: Match,
        src: str,
        dst: str,
        skip: int,
        times: int,
        act: Callable[[Packet], float | None],
    ) -> None:
        """`match` is a name or a test; `src` and `dst` may be empty for any."""

        def matches(packet: Packet) -> bool:
            if src not in ("", packet.src) or dst not in ("", packet.dst):
                return False
            return packet.name == match if isinstance(match, str) else match(packet)

        self.rules.append(Rule(matches, skip=skip, times=times, act=act))

    def _ruled(self, way: Way, frame: Frame) -> float | None:
        """How much longer the packet takes by the rules; None: it is dropped."""
        kind, body = frame[0], frame[6]
        if kind & TRACED:
            kind, body = kind & ~TRACED, body[CONTEXT_SIZE:]  # rules need not know what is followed
        packet = Packet(way.src, way.dst, packet_name(frame), kind, frame[4], body)
        extra = 0.0
        for rule in list(self.rules):
            if not rule.match(packet):
                continue
            if rule.skip:
                rule.skip -= 1
                continue
            if rule.times == 1:
                self.rules.remove(rule)
            rule.times = max(0, rule.times - 1)
            longer = rule.act(packet)
            if longer is None:
                self.note(f"dropped {packet.name} {way}")
                return None
            extra += longer
        return extra

    def note(self, what: str) -> None:
        self.trace.note(self.loop.now, self.loop.steps, what)

    # -- connections ----------------------------------------------------------------------------------------------

    def dial(self, link: SimLink) -> None:
        self.loop.later(self._delay(link.way), self._knock, link, context=self.outside)
        self.loop.later(DIAL_TIMEOUT_S, link.dial_failed, "no answer", context=link.context)

    def _knock(self, link: SimLink) -> None:
        """A dial reaches the other host, if nothing is in its way."""
        if link.is_closed or link.way.blocks or self._is_lost(link.way):
            return
        there = self.transports.get(link.peer)
        if there is not None:
            self.loop.call_soon(there.accept, link, context=there.context)
        elif not self.way(link.peer, link.way.src).blocks:
            delay = self._delay(link.way)
            self.loop.later(delay, link.dial_failed, "refused", context=link.context)

    def answer(self, link: SimLink, accepted: SimLink) -> None:
        """The other host has accepted; tell the one who dialled."""
        if accepted.way.blocks or self._is_lost(accepted.way):
            self.lose(accepted, "lost")
            return
        at = accepted.clear_at = self.loop.now + self._delay(accepted.way)
        self.loop.at(at, link.dialled, (accepted,), link.context)

    def lose(self, link: SimLink, why: str) -> None:
        """The connection has lost what this end sent: nothing more gets through, and both ends will notice."""
        if link.cut:
            return
        link.cut = True
        self.note(f"broken {link.way} {link.lane.name}: {why}")
        for end in (link, link.far):
            if end is not None and not end.doomed:
                end.doomed = True
                self.loop.later(self._chance.uniform(*end.way.conditions.detect_s), end.fail, context=end.context)

    def reset(self, link: SimLink) -> None:
        """Tell the other end that this one is gone, if the way is free."""
        far = link.far
        if far is None or far.is_closed:
            return
        if link.way.blocks:
            self.lose(link, "cut off")
        else:
            self.loop.later(self._delay(link.way), far.fail, context=far.context)

    # -- partitions -----------------------------------------------------------------------------------------------

    def block(self, src: str, dst: str) -> None:
        way = self.way(src, dst)
        way.blocks += 1
        if way.blocks == 1:
            way.cut_count += 1
            self.loop.later(KEEPALIVE_S, self._silent, way, way.cut_count, context=self.outside)

    def unblock(self, src: str, dst: str) -> None:
        way = self.way(src, dst)
        way.blocks = max(0, way.blocks - 1)

    @property
    def is_cut(self) -> bool:
        """Whether any way is."""
        return any(way.blocks for way in self._ways.values())

    def heal(self) -> None:
        """Nothing is in the way any more, and connections that are broken already are noticed now."""
        for transport in self.transports.values():
            for link in transport.all_links():
                if link.doomed:
                    self.loop.call_soon(link.fail, context=link.context)
        for way in self._ways.values():
            way.blocks = 0
            way.clog_s = 0.0
            way.is_special = False
        self.rules.clear()

    def stalled(self, transport: SimTransport) -> None:
        """The host has not moved for as long as keep-alive is patient: those that are linked to it give up."""
        for link in transport.all_links():
            if link.far is not None:
                self.loop.call_soon(link.far.fail, context=link.far.context)

    def _silent(self, way: Way, cut_count: int) -> None:
        """The way was cut for as long as keep-alive is patient: whoever waited for a sign has none."""
        if not way.blocks or way.cut_count != cut_count:
            return
        transport = self.transports.get(way.src)
        for link in transport.all_links() if transport is not None else ():
            if link.peer == way.dst:
                self.lose(link, "silent")

    # -- chance ---------------------------------------------------------------------------------------------------

    def _delay(self, way: Way) -> float:
        return way.conditions.delay.draw(self._chance) + way.clog_s

    def _is_lost(self, way: Way) -> bool:
        loss = way.conditions.loss
        return loss > 0 and self._chance.random() < loss
