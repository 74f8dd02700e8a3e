"""A system: the actors of one process (or of one simulated host), and the switchboard between them and the links.

Routing looks at frame headers only; a body is decoded when its actor gets to it. Asks that wait for an answer are one
dict entry each, and one shared timer watches their deadlines.
"""

from __future__ import annotations

import asyncio
import contextvars
import functools
import math
import os
import time
from collections.abc import Callable, Collection, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from actorkube.runtime.actor import Actor, Ref
from actorkube.runtime.asks import Asks, Pending
from actorkube.runtime.built_in import BUILT_IN, NAMES_ID, spawn_built_in
from actorkube.runtime.cell import Cell
from actorkube.runtime.deadline import deadline
from actorkube.runtime.disk import Disk, FileDisks
from actorkube.runtime.envelope import Envelope, LocalAsk, LocalSend
from actorkube.runtime.group import SHUTDOWN_S, ChildLike, Restarting
from actorkube.runtime.link import Link, Loopback, Transport
from actorkube.runtime.log import Log, logger
from actorkube.runtime.monitors import Monitors
from actorkube.runtime.receiving import Receiver
from actorkube.runtime.stream import Stream, dead_stream
from actorkube.runtime.supervisor import Supervision
from actorkube.runtime.tracing import Tracer, cause
from actorkube.runtime.tree import Tree
from actorkube.runtime.waits import Waits, look_ahead
from protocols.address import Address, actor_id, check_name
from protocols.errors import (
    Answer,
    AskError,
    NotSent,
    Terminated,
    Unknown,
)
from protocols.frame import FRAME_MAX, Kind
from protocols.message import Lane, Message, Request, Streaming, encode

if TYPE_CHECKING:
    from actorkube.runtime.names import Names
    from actorkube.runtime.registry import Registry

R = TypeVar("R")

INF = math.inf
TELL, ASK = int(Kind.TELL), int(Kind.ASK)
AT_ONCE_MAX = 16  # asks that are handled without a turn of the loop between them


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
        check_name(name)
        self.name = name
        self.seed = seed if seed is not None else os.urandom(16).hex()
        self.transport = transport
        self.log = (log or logger()).bind(system=name)
        self.failed: asyncio.Future[str] | None = None  # resolved with the reason when supervision gives up
        self.metrics = metrics
        self.tracing = False  # whether a message may have a cause; only then is anybody asked for it
        self.tracer = Tracer(str(self.seed), lambda: self.now, self._wake_tracing)
        self.at_once_max = 0
        self.at_once = 0  # so many asks may still be handled before the loop gets its turn
        self.turn_now: float | None = None  # what `ctx.now` says in the handler that runs: there is one at a time
        self.awake = 0  # actors that have something to handle, and wait for their turn
        self.expired = 0
        self.dead_letters = 0
        self.unawaited = 0  # answers that nobody waits for: they came too late, or were never asked for
        self.unsent = 0
        self._disk = FileDisks(disk) if isinstance(disk, Path) else disk
        self._epoch = epoch
        self._ahead_s = 0.0
        self._latest = -math.inf  # below which the wall clock does not go
        self.tree = Tree(self, _metered() if metrics else Cell)
        self.monitors = Monitors(self)
        self.registry: Registry | None = None  # names across systems, where they are used
        self._cells = self.tree.cells
        self._loopback = Loopback(self)
        self.streams: dict[int, Stream[Any]] = {}
        self._last_corr = 0
        self.asks: Asks
        receiver = Receiver(self, self._cells)
        self.handlers = receiver.handlers  # by the kind of a frame
        self.on_batch, self.tell_at_once = receiver.on_batch, receiver.tell_at_once
        # Who was woken by what a connection is just reading: theirs is the next turn.
        self.corked: list[Cell] | None = None

    # -- life -----------------------------------------------------------------------------------------------------

    async def start(self) -> None:
        self.loop = asyncio.get_running_loop()
        self.context = contextvars.copy_context()  # what the system does, it does in the context it was started in
        self.context.run(deadline.set, math.inf)
        self.context.run(cause.set, None)
        if self._epoch is None:
            epoch = getattr(self.loop, "epoch", None)  # of a loop whose time does not follow the wall clock
            self._epoch = time.time() - self.loop.time() if epoch is None else epoch
            if epoch is None:
                self.tracer.clock = time.time  # the loop's stands still in a turn: spans are short
        self.at_once_max = 0 if self.metrics else getattr(self.loop, "at_once_max", AT_ONCE_MAX)
        self.started_at = self.loop.time()
        self.failed = self.loop.create_future()
        ahead = None if self.transport.sees_all else functools.partial(look_ahead, self)
        self.asks = Asks(self.loop, self.context, lambda: Waits(self), ahead)
        await self.transport.start(self)

    async def stop(self, drain_s: float = 0.0) -> None:
        """Planned: actors end in the order opposite to their start, then the links, then whoever still waits.

        Before that, within `drain_s` altogether, each in the same order handles what waits, and takes nothing new.
        """
        if drain_s > 0:
            await self.tree.drain(drain_s)
        await self.tree.stop()
        await self.transport.stop()
        self.forget("the system stopped")

    async def abort(self) -> None:
        """End as a killed process does: links are cut before anything else is said, no on_stop runs."""
        await self.transport.stop()
        await self.tree.abort()
        self.forget("the system was killed")

    def forget(self, reason: str) -> None:
        """Whoever still waits for an answer through this system is told that none will come; files are closed."""
        self.asks.forget(Unknown(reason))
        for corr in list(self.streams):
            self.end_stream(corr, Unknown(reason))
        if self.failed is not None and not self.failed.done():
            self.failed.cancel()
        if isinstance(self._disk, FileDisks):
            self._disk.close()

    @property
    def now(self) -> float:
        now = (self._epoch or 0.0) + self._ahead_s + self.loop.time()
        return now if now > self._latest else self._latest

    def set_clock(self, ahead_s: float) -> None:
        """Step the wall clock (`now`): it is so far ahead of real time, behind if negative.

        It does not go back: it stands still until it is right. Timers do not follow it.
        """
        self._latest = self.now
        self._ahead_s = ahead_s

    def disk(self, actor: str) -> Disk:
        if self._disk is None:
            raise RuntimeError(f"system {self.name} was given no disk")
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
        return self.tree.spawn_alone(None, factory, name, supervision, restart, shutdown_s)

    def spawn_group(self, children: Sequence[ChildLike], supervision: Supervision | None = None) -> list[Ref]:
        """Start actors, and groups of them, in order under one supervisor: each when the one before has started."""
        return self.tree.spawn(None, children, supervision)

    def built_in(self, number: int) -> Cell | None:
        """Actors that come to life when they are first asked for."""
        if self.tree.is_stopping:
            return None
        if number in BUILT_IN and number not in self._cells:
            spawn_built_in(self, number)
        return self._cells.get(number)

    @property
    def cells(self) -> Collection[Cell]:
        """For those who look on."""
        return self._cells.values()

    async def kill(self, name: str, drain_s: float = 0.0) -> None:
        """Stop one actor for good. Raises KeyError when there is none.

        Until `drain_s` is over it handles what waits, and takes nothing new; the rest is refused.
        """
        cell = self._cells[actor_id(name)]
        if drain_s > 0:
            await cell.drain(drain_s)
        await self.tree.kill(cell)

    async def replace(self, name: str, factory: Callable[[], Actor]) -> None:
        """Let a new instance go on in the place of a running actor (handover.py); later restarts use the factory too.

        Returns when it has started. Address, mailbox, monitors, links, names, timers and children stay; its streams
        and tasks end. Raises KeyError when there is no such actor.
        """
        await self.tree.replace(self._cells[actor_id(name)], factory)

    async def restart(self, name: str) -> None:
        """As `replace`, by the factory that it has."""
        await self.replace(name, self._cells[actor_id(name)].factory)

    def cell(self, number: int) -> Cell | None:
        """Who is reached by that number."""
        return self._cells.get(number) or self.built_in(number)

    def actor(self, name: str) -> Actor:
        """The instance behind a name: for tests and invariant checks that look at the state of the world."""
        return self._cells[actor_id(name)].actor

    @property
    def names(self) -> Names:
        """The actor that keeps names across systems; they are used in this system from now on."""
        cell = self.cell(NAMES_ID)
        if cell is None:
            raise RuntimeError(f"system {self.name} stops: there are no names any more")
        names: Any = cell.actor
        return names  # type: ignore[no-any-return]

    def leave(self, name: str, actor: str, *, unique: bool) -> None:
        """Also while the system stops: then there may be nothing to leave."""
        if NAMES_ID in self._cells:
            self.names.leave(name, actor, unique=unique)

    def lookup(self, name: str) -> Ref | None:
        """Who has registered the name, as far as this system has heard."""
        address = self.names.registry.lookup(name)
        return None if address is None else Ref(address)

    def members(self, group: str) -> list[Ref]:
        """Who has joined the group, as far as this system has heard; sorted by address."""
        return [Ref(address) for address in self.names.registry.members(group)]

    def busy(self) -> list[str]:
        """Who has something to do now, or waits for an answer; one line each, for people (see `settled`)."""
        waiting = [f"{p.what} is not answered" for p in self.asks if not p.future.done()]
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
        cell = ref.cell
        if cell is None or cell.home is not self:
            if ref.address.system != self.name:
                self._tell_away(ref, message, sender)
                return
            cell = self._reach(ref)
            if cell is None:
                self.dead_letters += 1
                return
        trace = self.tracer.outgoing(sender) if self.tracing else None
        envelope = Envelope(message, None if sender is None else sender.ref, trace, INF)
        inbox = cell.inbox  # from here on as `cell.deliver`: a call less for each message
        if len(inbox) < inbox.limit:
            inbox.append(envelope)
            if not cell.scheduled:
                cell.wake()
        else:
            cell.deliver(envelope)

    def _reach(self, ref: Ref) -> Cell | None:
        """Who is behind a ref to this system; the ref remembers it."""
        cell = ref.cell = self._cells.get(ref.actor_id) or self.built_in(ref.actor_id)
        return cell

    def _tell_away(self, ref: Ref, message: Message, sender: Cell | None) -> None:
        link = ref.link
        if link is None or link.home is not self or link.lane is not message.lane:
            link = ref.link = self.transport.link(ref.address.system, message.lane)
            if link is None:
                self.unsent += 1
                return
        kind, body = TELL, encode(message)
        if self.tracing:
            kind, body = self.tracer.framed(kind, body, sender)
        number = 0
        if sender is not None and (number := (sender._ref or sender.ref).actor_id) not in link.announced:
            self.introduce(link, sender)
        if not link.send(kind, message.type_id, ref.actor_id, number, 0, 0, body):
            self.unsent += 1

    def ask(
        self, ref: Ref, request: Request[R], timeout_s: float = 5.0, sender: Cell | None = None
    ) -> asyncio.Future[R]:
        loop = self.loop
        future: asyncio.Future[R] = loop.create_future()
        now = loop.time()
        expires_at = now + timeout_s
        if (inherited := deadline.get()) < expires_at:
            expires_at = inherited
        if sender is not None and (handled := sender.current) is not None and handled.expires_at < expires_at:
            expires_at = handled.expires_at  # asked from the synchronous part of a handler
        cell = ref.cell
        if cell is None or cell.home is not self:
            if ref.address.system != self.name:
                self._call(ASK, ref, request, future, expires_at, sender, now)
                return future
            cell = self._reach(ref)
            if cell is None:
                future.set_exception(Terminated(f"{type(request).__name__} to {ref.address}: there is no such actor"))
                return future
        trace = self.tracer.outgoing(sender) if self.tracing else None
        who = None if sender is None else sender.ref
        ask = LocalAsk(request, who, trace, expires_at, cell, self.asks, future)
        if self.at_once and not self.awake and cell.is_free and asyncio.current_task(loop) is not None:
            self._hand_over(cell, ask, now)
            return future
        self.asks.expect_here(ask)
        inbox = cell.inbox  # from here on as `cell.deliver`
        if len(inbox) < inbox.limit:
            inbox.append(ask)
            if not cell.scheduled:
                cell.wake()
        else:
            cell.deliver(ask)
        return future

    def _hand_over(self, cell: Cell, ask: LocalAsk, now: float) -> None:
        """Nothing waits in this system, and a task asks: the actor handles it now, and the loop is spared a turn.

        Only so many follow one another before the loop gets its turn: whoever asks again and again must let others go
        on. What the handler asks in its turn waits for that, too: no actor is entered on the way into another.
        """
        left, self.at_once = self.at_once - 1, 0
        self.asks.here[ask] = ask
        self.turn_now = None
        cell.context.run(cell.handle, ask, now)
        self.at_once = left
        if ask in self.asks.here:
            self.asks.expect_here(ask)

    async def send(self, ref: Ref, message: Message, timeout_s: float = 5.0, sender: Cell | None = None) -> None:
        """Returns when the message is in the receiver's mailbox. Raises an AskError: see Context.send."""
        future: asyncio.Future[None] = self.loop.create_future()
        now = self.loop.time()
        expires_at = min(now + timeout_s, deadline.get())
        if ref.address.system != self.name:
            self._call(Kind.SEND, ref, message, future, expires_at, sender, now)
        elif (cell := self._cells.get(ref.actor_id) or self.built_in(ref.actor_id)) is None:
            raise Terminated(f"{type(message).__name__} to {ref.address}: there is no such actor")
        else:
            trace = self.tracer.outgoing(sender) if self.tracing else None
            send = LocalSend(message, sender.ref if sender else None, trace, expires_at, cell, self.asks, future)
            self.asks.expect_here(send)
            cell.offer(send)
        await future

    def _call(
        self,
        kind: int,
        ref: Ref,
        message: Message,
        future: asyncio.Future[Any],
        expires_at: float,
        sender: Cell | None,
        now: float,
    ) -> None:
        """Over a link: the future is resolved by what comes back."""
        link = ref.link
        if link is None or link.home is not self or link.lane is not message.lane:
            link = ref.link = self.transport.link(ref.address.system, message.lane)
            if link is None:
                why = self._unreachable(ref, message.lane)
                future.set_exception(NotSent(f"{type(message).__name__} to {ref.address}: {why}"))
                return
        body = encode(message)
        if len(body) > FRAME_MAX:
            why = f"{len(body)} bytes are more than a frame may have"
            future.set_exception(NotSent(f"{type(message).__name__} to {ref.address}: {why}"))
            return
        who = sender.ref if sender is not None else None
        self._last_corr = corr = (self._last_corr + 1) & 0xFFFFFFFF
        pending = Pending(corr, future, link, expires_at, type(message), ref, who)
        self.asks.expect(pending)
        ttl_ms = int((expires_at - now) * 1000) if expires_at > now else 0
        introduced = 0 if sender is None else self.introduce(link, sender)
        if self.tracing:
            kind, body = self.tracer.framed(kind, body, sender)
        if not link.send(kind, message.type_id, ref.actor_id, introduced, corr, ttl_ms, body):
            pending.settle(NotSent(f"{pending.what}: the link is down or full"))

    def stream(self, ref: Ref, request: Streaming[R], window: int = 64, sender: Cell | None = None) -> Stream[R]:
        self._last_corr = corr = (self._last_corr + 1) & 0xFFFFFFFF
        here = ref.address.system == self.name
        link = self._loopback if here else self.transport.link(ref.address.system, request.lane)
        if link is None:
            return dead_stream(self, corr, NotSent(self._unreachable(ref, request.lane)))
        stream: Stream[R] = Stream(self, link, corr, window)
        self.streams[corr] = stream
        link.streams[corr] = None
        introduced = self.introduce(link, sender)
        kind, body = int(Kind.STREAM), encode(request)
        if self.tracing:
            kind, body = self.tracer.framed(kind, body, sender)
        if not link.send(kind, request.type_id, ref.actor_id, introduced, corr, window, body):
            self.end_stream(corr, NotSent("the link is down or full"))
        return stream

    def _unreachable(self, ref: Ref, lane: Lane) -> str:
        return f"system {ref.address.system} {self.transport.why_not(ref.address.system, lane)}"

    def forget_stream(self, corr: int) -> None:
        self.streams.pop(corr, None)

    def introduce(self, link: Link, sender: Cell | None) -> int:
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

    def cork(self) -> bool:
        """Whoever is woken from now on has its turn at `uncork`. False: that is so already."""
        if self.corked is not None:
            return False
        self.corked = []
        return True

    def uncork(self) -> None:
        woken, self.corked = self.corked, None
        for cell in woken or ():
            (cell._context or cell.context).run(cell._drain)  # its turn

    def link_lost(self, link: Link, *, sent: bool = True) -> None:
        """A link ended: whoever waits for something over it is told what is known."""
        error: AskError = (Unknown if sent else NotSent)(
            f"the link to {link.peer} ended{link.fate and f': {link.fate}'}"
        )
        self.asks.lost(link, error)
        for corr in list(link.streams):
            self.end_stream(corr, error)
        for call in list(link.calls.values()):
            call.cancel()
        for outlet in list(link.outlets.values()):
            outlet.close()
        self.monitors.link_lost(link)

    def end_stream(self, corr: int, error: Answer | AskError | None) -> None:
        stream = self.streams.pop(corr, None)
        if stream is not None:
            stream.end(error)


def _metered() -> type[Cell]:
    """Who does not measure need not know how."""
    from actorkube.runtime.metered import MeteredCell

    return MeteredCell
