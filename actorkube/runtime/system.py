"""A system: the actors of one process (or of one simulated host), and the switchboard between them and the links.

Routing looks at frame headers only; a body is decoded when its actor gets to it. Asks that wait for an answer are one
dict entry each, and one shared timer watches their deadlines.
"""

from __future__ import annotations

import asyncio
import contextvars
import math
import os
import time
from collections.abc import Callable, Collection, Sequence
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from actorkube.runtime.actor import Actor, Ref
from actorkube.runtime.asks import Asks, Pending
from actorkube.runtime.cell import Cell, Envelope, deadline
from actorkube.runtime.disk import Disk, FileDisk
from actorkube.runtime.group import SHUTDOWN_S, Child, ChildLike, Restarting
from actorkube.runtime.link import Link, Loopback, Transport
from actorkube.runtime.log import Log, logger
from actorkube.runtime.reply import NO_REPLY, LocalReply, RemoteReply, TracedLocalReply, TracedReply
from actorkube.runtime.stream import CREDIT_MAX, Stream, dead_stream
from actorkube.runtime.supervisor import Supervision
from actorkube.runtime.tracing import Tracer, cause
from actorkube.runtime.tree import Branch, Tree
from protocols.address import Address, actor_id
from protocols.errors import (
    Answer,
    AskError,
    BadRequest,
    NotSent,
    Overloaded,
    Terminated,
    Unknown,
    decode_error,
    encode_error,
)
from protocols.frame import FRAME_MAX, Kind
from protocols.message import Message, Request, Streaming, encode, name_of, opens_stream
from protocols.trace import TRACED, TraceContext, split_context

R = TypeVar("R")
FrameHandler = Callable[[Any, int, int, int, int, int, bytes], None]  # link, type, target, sender, corr, number, body
NAMES_MAX = 1_000_000  # actors of one peer that may introduce themselves over one link
NAME_BYTES_MAX = 1024
OUTLETS_MAX = 10_000  # streams that one link may have open

OBSERVER = "observer"
OBSERVER_ID = actor_id(OBSERVER)


class System:
    """`await start()`, then `spawn`; `await stop()` ends the actors, last started first."""

    def __init__(
        self,
        name: str,
        transport: Transport,
        *,
        seed: int | str | None = None,
        disk: Callable[[str], Disk] | Path | None = None,
        epoch: float | None = None,
        log: Log | None = None,
        metrics: bool = False,
    ) -> None:
        """`metrics`: count and time messages (metered.py). What costs nothing is known in any case."""
        self.name = name
        self.seed = seed if seed is not None else os.urandom(16).hex()
        self.transport = transport
        self.log = (log or logger()).bind(system=name)
        self.failed: asyncio.Future[str] | None = None  # resolved with the reason when supervision gives up
        self.metrics = metrics
        self.tracing = False  # whether a message may have a cause; only then is anybody asked for it
        clock = time.time if epoch is None else lambda: self.now  # the loop's stands still in a turn: spans are short
        self.tracer = Tracer(str(self.seed), clock, self._wake_tracing)
        self.expired = 0
        self.dead_letters = 0
        self.unawaited = 0  # answers that nobody waits for: they came too late, or were never asked for
        self.unsent = 0
        self._disk = disk
        self._epoch = epoch
        self.tree = Tree(self)
        self._cells = self.tree.cells
        self._loopback = Loopback(self)
        self._streams: dict[int, Stream[Any]] = {}
        self._last_corr = 0
        self._asks: Asks
        self.handlers = self._handlers()  # by the kind of a frame

    # -- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.context = contextvars.copy_context()  # what the system does, it does in the context it was started in
        self.context.run(deadline.set, math.inf)
        self.context.run(cause.set, None)
        if self._epoch is None:
            epoch = getattr(self.loop, "epoch", None)  # of a loop whose time does not follow the wall clock
            self._epoch = time.time() - self.loop.time() if epoch is None else epoch
        self.started_at = self.loop.time()
        self.failed = self.loop.create_future()
        self._asks = Asks(self.loop, self.context)
        await self.transport.start(self)

    async def stop(self) -> None:
        """Planned: actors end in the order opposite to their start, then the links, then whoever still waits."""
        await self.tree.stop()
        await self.transport.stop()
        self.forget("the system stopped")

    async def abort(self) -> None:
        """End as a killed process does: links are cut before anything else is said, no on_stop runs."""
        await self.transport.stop()
        await self.tree.abort()
        self.forget("the system was killed")

    def forget(self, reason: str) -> None:
        """Whoever still waits for an answer through this system is told that none will come."""
        self._asks.forget(Unknown(reason))
        for corr in list(self._streams):
            self._end_stream(corr, Unknown(reason))
        if self.failed is not None and not self.failed.done():
            self.failed.cancel()

    @property
    def now(self) -> float:
        return (self._epoch or 0.0) + self.loop.time()

    def disk(self, actor: str) -> Disk:
        if self._disk is None:
            raise RuntimeError(f"system {self.name} was given no disk")
        if isinstance(self._disk, Path):
            return FileDisk(self._disk / actor)
        return self._disk(actor)

    def spawn(
        self,
        factory: Callable[[], Actor],
        name: str,
        supervision: Supervision | None = None,
        *,
        restart: Restarting = "permanent",
        shutdown_s: float = SHUTDOWN_S,
    ) -> Ref:
        """Start one actor under its own one-for-one supervisor."""
        return self.tree.spawn(None, [Child(name, factory, restart, shutdown_s)], supervision)[0]

    def spawn_group(self, children: Sequence[ChildLike], supervision: Supervision | None = None) -> list[Ref]:
        """Start actors, and groups of them, in order under one supervisor: each when the one before has started."""
        return self.tree.spawn(None, children, supervision)

    def make_cell(self, name: str, factory: Callable[[], Actor], branch: Branch, shutdown_s: float) -> Cell:
        ref = Ref(Address(self.name, name))
        if self.metrics:
            from actorkube.runtime.metered import MeteredCell

            return MeteredCell(self, ref, factory, branch, shutdown_s)
        return Cell(self, ref, factory, branch, shutdown_s)

    def _built_in(self, number: int) -> Cell | None:
        """The observer, which comes to life when it is first asked."""
        if number != OBSERVER_ID:
            return None
        from actorkube.runtime.observer import Observer

        self.spawn(lambda: Observer(self), OBSERVER)
        return self._cells[number]

    @property
    def cells(self) -> Collection[Cell]:
        """For those who look on."""
        return self._cells.values()

    async def kill(self, name: str) -> None:
        """Stop one actor for good. Raises KeyError when there is none."""
        await self.tree.kill(self._cells[actor_id(name)])

    def actor(self, name: str) -> Actor:
        """The instance behind a name: for tests and invariant checks that look at the state of the world."""
        return self._cells[actor_id(name)].actor

    def busy(self) -> list[str]:
        """Who has something to do now, or waits for an answer; one line each, for people (see `settled`)."""
        waiting = [f"{p.what} is not answered" for p in self._asks.pending.values() if not p.future.done()]
        return [reason for cell in self._cells.values() for reason in cell.busy()] + waiting

    def crashed(self, cell: Cell, error: BaseException) -> None:
        self.tree.crashed(cell, error)

    def fail(self, reason: str) -> None:
        """Supervision gives up at the top: whoever looks at `failed` ends the process."""
        if self.failed is not None and not self.failed.done():
            self.failed.set_result(reason)

    # -- seeing ---------------------------------------------------------------------------------------------------

    def follow(self, rate: float = 1.0) -> None:
        """Begin a trace with this chance where something happens without a cause (tracing.py). 0: begin none."""
        self.tracer.begin_traces(rate)

    def _wake_tracing(self) -> None:
        self.tracing = True

    # -- sending --------------------------------------------------------------------------------------------------

    def ref(self, address: str) -> Ref:
        return Ref(Address.parse(address))

    def tell(self, ref: Ref, message: Message, sender: Cell | None = None) -> None:
        if ref.address.system == self.name:
            cell = self._cells.get(ref.actor_id) or self._built_in(ref.actor_id)
            if cell is None:
                self.dead_letters += 1
            else:
                envelope = Envelope(message, sender.ref if sender else None)
                if self.tracing:
                    envelope.trace = self.tracer.outgoing(sender)
                cell.deliver(envelope)
            return
        link = self.transport.link(ref.address.system, message.lane)
        kind, body = int(Kind.TELL), encode(message)
        if self.tracing:
            kind, body = self.tracer.framed(kind, body, sender)
        if link is None or not link.send(
            kind, message.type_id, ref.actor_id, self._introduce(link, sender), 0, 0, body
        ):
            self.unsent += 1

    def ask(
        self, ref: Ref, request: Request[R], timeout_s: float = 5.0, sender: Cell | None = None
    ) -> asyncio.Future[R]:
        future: asyncio.Future[R] = self.loop.create_future()
        now = self.loop.time()
        expires_at = min(now + timeout_s, deadline.get())
        if sender is not None and sender.current is not None:  # asked from the synchronous part of a handler
            expires_at = min(expires_at, sender.current.expires_at)
        self._last_corr = corr = (self._last_corr + 1) & 0xFFFFFFFF
        if ref.address.system == self.name:
            cell = self._cells.get(ref.actor_id) or self._built_in(ref.actor_id)
            if cell is None:
                future.set_exception(Terminated(f"{type(request).__name__} to {ref.address}: there is no such actor"))
                return future
            self._asks.expect(corr, Pending(future, None, expires_at, type(request), ref))
            envelope = Envelope(request, sender.ref if sender else None, NO_REPLY, expires_at)
            if self.tracing and (trace := self.tracer.outgoing(sender)) is not None:
                envelope.trace = trace
                envelope.reply = TracedLocalReply(self._asks.pending, corr, self.tracer)
            else:
                envelope.reply = LocalReply(self._asks.pending, corr)
            cell.deliver(envelope)
            return future
        self._ask_over_link(ref, request, Pending(future, None, expires_at, type(request), ref), sender, corr, now)
        return future

    def _ask_over_link(
        self, ref: Ref, request: Request[Any], pending: Pending, sender: Cell | None, corr: int, now: float
    ) -> None:
        link = pending.link = self.transport.link(ref.address.system, request.lane)
        if link is None:
            pending.future.set_exception(
                NotSent(f"{pending.what}: system {ref.address.system} is not known or not reachable")
            )
            return
        self._asks.expect(corr, pending)
        link.asks[corr] = None
        ttl_ms = max(0, int((pending.expires_at - now) * 1000))
        introduced = self._introduce(link, sender)
        body = encode(request)
        if len(body) > FRAME_MAX:
            self._asks.fail(corr, pending, NotSent(f"{pending.what}: {len(body)} bytes are more than a frame may have"))
            return
        kind: int = Kind.ASK
        if self.tracing:
            kind, body = self.tracer.framed(kind, body, sender)
        if not link.send(kind, request.type_id, ref.actor_id, introduced, corr, ttl_ms, body):
            self._asks.fail(corr, pending, NotSent(f"{pending.what}: the link is down or full"))

    def stream(self, ref: Ref, request: Streaming[R], window: int = 64, sender: Cell | None = None) -> Stream[R]:
        self._last_corr = corr = (self._last_corr + 1) & 0xFFFFFFFF
        here = ref.address.system == self.name
        link = self._loopback if here else self.transport.link(ref.address.system, request.lane)
        if link is None:
            return dead_stream(self, corr, NotSent(f"system {ref.address.system} is not known or not reachable"))
        stream: Stream[R] = Stream(self, link, corr, window)
        self._streams[corr] = stream
        link.asks[corr] = None
        introduced = self._introduce(link, sender)
        kind, body = int(Kind.STREAM), encode(request)
        if self.tracing:
            kind, body = self.tracer.framed(kind, body, sender)
        if not link.send(kind, request.type_id, ref.actor_id, introduced, corr, window, body):
            self._end_stream(corr, NotSent("the link is down or full"))
        return stream

    def forget_stream(self, corr: int) -> None:
        self._streams.pop(corr, None)

    def _introduce(self, link: Link, sender: Cell | None) -> int:
        """Tell the peer the sender's name before its number is used on this link for the first time."""
        if sender is None:
            return 0
        number = sender.ref.actor_id
        if number not in link.announced:
            link.announced[number] = None
            link.send(Kind.NAME, 0, 0, number, 0, 0, sender.ref.address.actor.encode())
        return number

    # -- receiving ------------------------------------------------------------------------------------------------

    def on_frame(
        self, link: Link, kind: int, type_id: int, target: int, sender: int, corr: int, number: int, body: bytes
    ) -> None:
        """One frame of a link. Raises ValueError when the frame makes no sense: the transport ends the link."""
        self.handlers[kind](link, type_id, target, sender, corr, number, body)

    def _handlers(self) -> list[FrameHandler]:
        handlers: list[FrameHandler] = [partial(_on_unknown, kind) for kind in range(256)]
        handlers[Kind.TELL] = self._on_tell
        handlers[Kind.ASK] = self._on_ask
        handlers[Kind.REPLY] = self._on_reply
        handlers[Kind.ERROR] = self._on_error
        handlers[Kind.ITEM] = self._on_item
        handlers[Kind.CREDIT] = self._on_credit
        handlers[Kind.STREAM] = self._on_stream
        handlers[Kind.END] = self._on_end
        handlers[Kind.CANCEL] = self._on_cancel
        handlers[Kind.NAME] = self._on_name
        for kind in (Kind.TELL, Kind.ASK, Kind.STREAM, Kind.ITEM, Kind.REPLY, Kind.ERROR):
            handlers[kind | TRACED] = partial(self._on_traced, kind)
        return handlers

    def _on_traced(
        self, kind: Kind, link: Link, type_id: int, target: int, sender: int, corr: int, number: int, body: bytes
    ) -> None:
        """A frame that says what caused it."""
        trace, body = split_context(body)
        self.tracer.wake()
        if kind == Kind.ITEM:
            stream = self._streams.get(corr) if corr in link.asks else None
            if stream is not None:
                stream.item(type_id, body, trace)
        elif kind == Kind.TELL:
            self._on_tell(link, type_id, target, sender, corr, number, body, trace)
        elif kind == Kind.ASK:
            self._on_ask(link, type_id, target, sender, corr, number, body, trace)
        elif kind == Kind.STREAM:
            self._on_stream(link, type_id, target, sender, corr, number, body, trace)
        else:
            if corr in link.asks:
                self.tracer.answered(self._asks.pending.get(corr), trace)
            self.on_frame(link, kind, type_id, target, sender, corr, number, body)

    def link_lost(self, link: Link, *, sent: bool = True) -> None:
        """A link ended: whoever waits for something over it is told what is known."""
        error: AskError = (Unknown if sent else NotSent)(f"the link to {link.peer} ended")
        asks = list(link.asks)
        link.asks.clear()
        for corr in asks:
            if not self._asks.failed(corr, error):
                self._end_stream(corr, error)
        for outlet in list(link.outlets.values()):
            outlet.close()

    def _on_tell(
        self,
        link: Link,
        type_id: int,
        target: int,
        sender: int,
        _corr: int,
        _number: int,
        body: bytes,
        trace: TraceContext | None = None,
    ) -> None:
        cell = self._cells.get(target) or self._built_in(target)
        if cell is None:
            self.dead_letters += 1
        else:
            envelope = Envelope(None, link.names.get(sender), type_id=type_id, body=body)
            envelope.trace = trace
            cell.deliver(envelope)

    def _on_ask(
        self,
        link: Link,
        type_id: int,
        target: int,
        sender: int,
        corr: int,
        ttl_ms: int,
        body: bytes,
        trace: TraceContext | None = None,
    ) -> None:
        cell = self._cells.get(target) or self._built_in(target)
        if cell is None:
            link.send(Kind.ERROR, 0, 0, 0, corr, 0, encode_error(Terminated("there is no such actor")))
            return
        expires_at = self.loop.time() + ttl_ms / 1000
        reply = RemoteReply(link, corr) if trace is None else TracedReply(link, corr)
        envelope = Envelope(None, link.names.get(sender), reply, expires_at, type_id, body)
        envelope.trace = trace
        cell.deliver(envelope)

    def _on_stream(
        self,
        link: Link,
        type_id: int,
        target: int,
        sender: int,
        corr: int,
        credit: int,
        body: bytes,
        trace: TraceContext | None = None,
    ) -> None:
        cell = self._cells.get(target) or self._built_in(target)
        if cell is None:
            link.send(Kind.END, 0, 0, 0, corr, 0, encode_error(Terminated("there is no such actor")))
            return
        if credit > CREDIT_MAX:
            raise ValueError(f"credit for {credit} items")
        refusal = _no_stream(link, type_id)
        if refusal is not None:
            link.send(Kind.END, 0, 0, 0, corr, 0, encode_error(refusal))
            return
        envelope = Envelope(None, link.names.get(sender), type_id=type_id, body=body)
        envelope.link, envelope.corr, envelope.credit, envelope.trace = link, corr, credit, trace
        cell.deliver(envelope)

    # Only the link that carried a question brings its answer: numbers of other links' questions mean nothing here.

    def _on_reply(self, link: Link, type_id: int, _t: int, _s: int, corr: int, _n: int, body: bytes) -> None:
        if corr in link.asks:
            self._asks.answered(corr, type_id, body)
        else:
            self.unawaited += 1

    def _on_error(self, link: Link, _i: int, _t: int, _s: int, corr: int, _n: int, body: bytes) -> None:
        if corr in link.asks:
            self._asks.failed(corr, decode_error(body))
        else:
            self.unawaited += 1

    def _on_item(self, link: Link, type_id: int, _t: int, _s: int, corr: int, _n: int, body: bytes) -> None:
        stream = self._streams.get(corr) if corr in link.asks else None
        if stream is not None:
            stream.item(type_id, body)

    def _on_end(self, link: Link, _i: int, _t: int, _s: int, corr: int, _n: int, body: bytes) -> None:
        if corr in link.asks:
            self._end_stream(corr, decode_error(body) if body else None)

    def _on_credit(self, link: Link, _i: int, _t: int, _s: int, corr: int, number: int, _b: bytes) -> None:
        outlet = link.outlets.get(corr)
        if outlet is not None:
            outlet.grant(number)

    def _on_cancel(self, link: Link, _i: int, _t: int, _s: int, corr: int, _n: int, _b: bytes) -> None:
        outlet = link.outlets.get(corr)
        if outlet is not None:
            outlet.close()

    def _on_name(self, link: Link, _i: int, _t: int, sender: int, _c: int, _n: int, body: bytes) -> None:
        if len(link.names) >= NAMES_MAX:
            raise ValueError(f"more than {NAMES_MAX} names of actors")
        if not 0 < len(body) <= NAME_BYTES_MAX:
            raise ValueError(f"an actor's name of {len(body)} bytes")
        ref = Ref(Address(link.peer, body.decode()))
        if ref.actor_id != sender:
            raise ValueError(f"{ref.address.actor!r} is not the name of actor {sender}")
        link.names[sender] = ref

    def _end_stream(self, corr: int, error: Answer | AskError | None) -> None:
        stream = self._streams.pop(corr, None)
        if stream is not None:
            stream.end(error)


def _no_stream(link: Link, type_id: int) -> Answer | AskError | None:
    """Why the peer may not open a stream with this message."""
    if not opens_stream(type_id):
        return BadRequest(f"{name_of(type_id)} opens no stream")
    if len(link.outlets) >= OUTLETS_MAX:
        return Overloaded(f"{OUTLETS_MAX} streams are open")
    return None


def _on_unknown(kind: int, *frame: object) -> None:
    if kind & TRACED:
        raise ValueError(f"frame of kind {kind & ~TRACED} with a trace context")
    raise ValueError(f"frame of unknown kind {kind}")
