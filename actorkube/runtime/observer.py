"""The actor that every system has, `SYSTEM/observer`: tells what happens in its system, over the wire as well.

It comes to life when it is first asked. Who cannot reach a system asks a neighbour's observer to ask for him.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import time
from collections import Counter
from functools import partial
from typing import TYPE_CHECKING

import msgspec

from actorkube.runtime.actor import Actor
from actorkube.runtime.cell import Cell, State
from actorkube.runtime.histogram import Log2
from actorkube.runtime.link import Link
from actorkube.runtime.metered import MeteredCell
from actorkube.runtime.tracing import Span
from protocols.errors import BadRequest
from protocols.message import Message, Request, UnknownMessage, decode, encode, name_of
from protocols.observe import (
    SPANS_PER_ANSWER_MAX,
    ActorReport,
    AskExposition,
    AskPeers,
    AskSpans,
    Exposition,
    FollowTraces,
    Inspect,
    LinkReport,
    Peers,
    Relay,
    Relayed,
    SpanReport,
    Spans,
    SystemReport,
)

if TYPE_CHECKING:
    from actorkube.runtime.system import System

PATH_MAX = 8
_FOR_OBSERVERS = (Inspect, AskSpans, AskPeers, AskExposition, FollowTraces)
_NOTHING = Log2().report()


class Observer(Actor):
    concurrency = 16
    begins_traces = False

    def __init__(self, system: System) -> None:
        self._system = system

    def receive(self, message: Message) -> object:
        match message:
            case Inspect():
                return report(self._system)
            case AskSpans():
                return Spans(spans(self._system, message.trace_id, message.limit))
            case AskPeers():
                return Peers(self._system.name, peers(self._system))
            case AskExposition(page):
                return exposition(self._system, page)
            case FollowTraces(rate):
                self._system.follow(min(max(rate, 0.0), 1.0))
                return None
            case Relay():
                return self._relay(message)
        return super().receive(message)

    async def _relay(self, relay: Relay) -> Relayed:
        """Only observers' messages are passed on, to observers."""
        if not 0 < len(relay.path) <= PATH_MAX:
            raise BadRequest(f"a path has from 1 to {PATH_MAX} systems")
        try:
            request: Message = decode(relay.number, relay.body)
        except (UnknownMessage, msgspec.MsgspecError) as error:
            raise BadRequest(f"what is to be relayed does not decode: {error}") from None
        if not isinstance(request, _FOR_OBSERVERS):
            raise BadRequest(f"{type(request).__name__} is not for observers")
        neighbour, *rest = relay.path
        ref = self.ctx.ref(f"{neighbour}/{self.ctx.self_ref.address.actor}")
        if rest:
            onward = Relay(tuple(rest), relay.number, relay.body)
            return await self.ctx.ask(ref, onward)
        answer: Message = await self.ctx.ask(ref, request)
        return Relayed(answer.type_id, encode(answer))


def relay_of(path: tuple[str, ...], request: Request[object]) -> Relay:
    return Relay(path, request.type_id, encode(request))


# -- what there is to tell --------------------------------------------------------------------------------------------


def report(system: System) -> SystemReport:
    census = system.transport.census()
    return SystemReport(
        system.name,
        os.getpid(),
        system.loop.time() - system.started_at,
        time.process_time(),
        memory_bytes(),
        system.expired,
        system.dead_letters,
        system.unsent,
        system.metrics,
        system.tracer.rate,
        len(system.tracer.spans),
        tuple(_actor(cell) for cell in system.cells),
        tuple(_link(link) for link in census.links),
        dict(census.opened),
        dict(census.refused),
    )


async def exposition(system: System, page: str = "") -> Exposition:
    """Imported here: who is never asked for metrics need not know how they are written down."""
    from actorkube.runtime.exposition import CONTENT_TYPE, render

    running = [cell.actor for cell in system.cells if cell.state is State.RUNNING]
    parts = [part for actor in running if (part := actor.exposition(page)) is not None]
    if not page:
        parts.insert(0, partial(render, report(system)))

    def text() -> bytes:
        return b"".join(part() for part in parts)

    return Exposition(await asyncio.get_running_loop().run_in_executor(None, text), CONTENT_TYPE)


def spans(system: System, trace_id: str = "", limit: int = SPANS_PER_ANSWER_MAX) -> tuple[SpanReport, ...]:
    try:
        wanted = bytes.fromhex(trace_id)
    except ValueError:
        raise BadRequest(f"{trace_id!r} is not a trace id") from None
    newest_first = reversed(system.tracer.spans)
    found = (span for span in newest_first if not wanted or span.trace_id == wanted)
    some = list(itertools.islice(found, max(0, min(limit, SPANS_PER_ANSWER_MAX))))
    return tuple(span_report(system.name, span) for span in reversed(some))


def span_report(system: str, span: Span) -> SpanReport:
    return SpanReport(
        span.trace_id.hex(),
        span.span_id,
        span.parent_id,
        system,
        str(span.actor),
        span.what,
        span.began,
        span.ended,
        span.error,
        span.notes or {},
    )


def peers(system: System) -> tuple[str, ...]:
    return tuple(sorted({link.peer for link in system.transport.census().links} - {system.name, ""}))


def memory_bytes() -> int:
    """Of this process, as the kernel counts it; 0 where there is no /proc."""
    try:
        with open("/proc/self/statm") as statm:
            return int(statm.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return 0


def _by_name(handled: dict[int, int]) -> dict[str, int]:
    """Messages of one name from several modules are counted together."""
    counts: Counter[str] = Counter()
    for type_id, count in handled.items():
        counts[name_of(type_id)] += count
    return dict(counts)


def _actor(cell: Cell) -> ActorReport:
    metered = cell if isinstance(cell, MeteredCell) else None
    return ActorReport(
        cell.ref.address.actor,
        type(cell.actor).__name__,
        cell.state.value,
        cell.depth,
        cell.running,
        _by_name(cell.handled or {}),
        metered.waiting.report() if metered else _NOTHING,
        metered.handling.report() if metered else _NOTHING,
        metered.found.report() if metered else _NOTHING,
        cell.restarts,
        cell.crashes,
        {reason: count for reason, count in cell.losses.items() if count},
    )


def _link(link: Link) -> LinkReport:
    return LinkReport(link.peer, link.lane.name, *link.traffic())
