"""A taped actor: the same actor, whose every message, answer and decision goes through a tape.

    system.spawn(taped(lambda: Counter(), Path("counter.tape")), "counter")

In any world: a simulated one, or a real one over TCP. What the actor does through `ctx` is on the tape, and while it is
taped its `ctx.now` changes only when something enters. What it does past `ctx` (asyncio.sleep, a file) is not.
A restarted actor is a new one: its tape is beside the first, `counter.tape.1`.
"""

from __future__ import annotations

import asyncio
import contextvars
import itertools
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable, Coroutine, Generator, Hashable
from functools import partial
from pathlib import Path
from types import AsyncGeneratorType, CoroutineType, GeneratorType
from typing import Any, TypeVar

from actorkube.runtime.actor import LATER, Actor, Context, Ref
from actorkube.runtime.disk import Disk
from actorkube.runtime.reply import ReplyHandle
from actorkube.runtime.stream import Outlet, Stream
from actorkube.runtime.tape import Tape, TapeHeader, TapeWriter, pack_value
from actorkube.runtime.timer import Timer
from protocols.errors import Answer, AskError
from protocols.message import Message, Request, Streaming, encode

R = TypeVar("R")


def taped(factory: Callable[[], Actor], path: Path) -> Callable[[], Actor]:
    """A factory of the same actors, taped."""
    incarnations = itertools.count()

    def make() -> Actor:
        incarnation = next(incarnations)
        here = path.with_name(f"{path.name}.{incarnation}") if incarnation else path

        def open_tape(ctx: Context) -> Tape:
            system = ctx._cell.system
            header = TapeHeader(address=str(ctx.self_ref.address), seed=system.seed, incarnation=incarnation)
            return TapeWriter(here, header, lambda: system.now)

        return with_tape(factory(), open_tape, incarnation)

    return make


def with_tape(actor: Actor, open_tape: Callable[[Context], Tape], incarnation: int) -> Actor:
    """Put a tape between the actor and its system, from `on_start` on. It becomes an instance of a subclass of its own:
    systems look at the class to see whether there is an `on_start` to wait for."""
    plain = type(actor)

    def begin(self: Actor) -> Tape:
        tape = open_tape(self.ctx)
        self.ctx = TapedContext(self.ctx, incarnation, tape)
        return tape

    async def on_start(self: Actor) -> None:
        if isinstance(self.ctx, TapedContext):  # it is called by the actor's own `on_takeover`
            await plain.on_start(self)
            return
        tape = begin(self)
        tape.put("start")
        await Steps(tape, 0, plain.on_start(self))

    async def on_takeover(self: Actor, state: Message) -> None:
        tape = begin(self)
        tape.put("takeover", *pack_value(state)[1:])
        await Steps(tape, 0, plain.on_takeover(self, state))

    async def on_handover(self: Actor) -> Message | None:
        assert isinstance(self.ctx, TapedContext)
        tape, number = self.ctx.tape, self.ctx.decided("handover")
        try:
            state = await Steps(tape, number, plain.on_handover(self))
            tape.put("handed over", pack_value(state))
        finally:
            tape.close()
        return state  # type: ignore[no-any-return]

    def receive(self: Actor, message: Message) -> object:
        assert isinstance(self.ctx, TapedContext)
        return self.ctx.receive(message, partial(plain.receive, self))

    async def on_stop(self: Actor) -> None:
        assert isinstance(self.ctx, TapedContext)
        self.ctx.tape.put("stop")
        await plain.on_stop(self)
        self.ctx.tape.close()

    methods = (on_start, on_takeover, receive, on_handover, on_stop)
    actor.__class__ = type(plain.__name__, (plain,), {"__slots__": (), **{each.__name__: each for each in methods}})
    return actor


class TapedContext(Context):
    def __init__(self, plain: Context, incarnation: int, tape: Tape) -> None:
        super().__init__(plain._cell)
        self.tape = tape
        self._instance = incarnation
        self._numbers = itertools.count(1)
        self._handling = 0

    @property
    def _incarnation(self) -> int:
        """As the tape says it, which is played in another system."""
        return self._instance

    # -- messages in, answers out ---------------------------------------------------------------------------------

    def receive(self, message: Message, received: Callable[[Message], object]) -> object:
        number = self._handling = next(self._numbers)
        sender = self.sender
        self.tape.put("message", number, str(sender.address) if sender else "", *pack_value(message)[1:])
        try:
            result = received(message)
        except Answer as answer:
            self.tape.put("reply", number, pack_value(answer))
            raise
        except Exception as error:
            self.tape.put("crash", f"{type(error).__name__}: {error}")
            raise
        if type(result) is CoroutineType:
            return self._task(number, result)
        if type(result) is AsyncGeneratorType:
            return self._items(number, result)
        if result is not LATER:
            self.tape.put("reply", number, pack_value(result))
        return result

    async def _task(self, number: int, coro: Coroutine[Any, Any, Any]) -> Any:
        try:
            result = await Steps(self.tape, number, coro)
        except (Answer, AskError) as error:
            self.tape.put("reply", number, pack_value(error))
            raise
        if result is not LATER:
            self.tape.put("reply", number, pack_value(result))
        return result

    async def _items(self, number: int, items: AsyncGenerator[Message, None]) -> AsyncIterator[Message]:
        try:
            while True:
                item = await Steps(self.tape, number, anext(items))
                self.tape.put("item", number, *pack_value(item)[1:])
                yield item
        except StopAsyncIteration:
            self.tape.put("end", number)
        finally:
            await items.aclose()

    def reply_handle(self) -> ReplyHandle:
        return TapedReply(self.tape, self._handling, super().reply_handle())

    def outlet(self) -> Outlet:
        return TapedOutlet(self, self._handling, super().outlet())

    # -- messages out, answers in ---------------------------------------------------------------------------------

    def tell(self, ref: Ref, message: Message) -> None:
        self.tape.put("tell", str(ref.address), *pack_value(message)[1:])
        if self.tape.live:
            super().tell(ref, message)

    def ask(self, ref: Ref, request: Request[R], timeout_s: float = 5.0) -> asyncio.Future[R]:
        number = self.decided("ask", str(ref.address), *pack_value(request)[1:], timeout_s)
        return self.awaited(number, lambda: super(TapedContext, self).ask(ref, request, timeout_s))

    async def send(self, ref: Ref, message: Message, timeout_s: float = 5.0) -> None:
        number = self.decided("send", str(ref.address), *pack_value(message)[1:], timeout_s)
        sent = super().send
        await self.awaited(number, lambda: asyncio.ensure_future(sent(ref, message, timeout_s)))

    def stream(self, ref: Ref, request: Streaming[R], window: int = 64) -> Stream[R]:
        self.tape.put("stream", str(ref.address), *pack_value(request)[1:], window)
        return TapedStream(self, super().stream(ref, request, window) if self.tape.live else None)

    # -- others' ends: a Down or an Exited is a message like any other ---------------------------------------------

    def watch(self, ref: Ref) -> None:
        self.tape.put("watch", str(ref.address))
        if self.tape.live:
            super().watch(ref)

    def unwatch(self, ref: Ref) -> None:
        self.tape.put("unwatch", str(ref.address))
        if self.tape.live:
            super().unwatch(ref)

    def link(self, ref: Ref) -> None:
        self.tape.put("link", str(ref.address))
        if self.tape.live:
            super().link(ref)

    def unlink(self, ref: Ref) -> None:
        self.tape.put("unlink", str(ref.address))
        if self.tape.live:
            super().unlink(ref)

    # -- time, disk, tasks ----------------------------------------------------------------------------------------

    @property
    def now(self) -> float:
        return self.tape.now

    @property
    def disk(self) -> Disk:
        return TapedDisk(self, super().disk if self.tape.live else None)

    def after(self, delay_s: float, message: Message, key: Hashable | None = None) -> Timer:
        self.tape.put("timer", delay_s, 0.0, *pack_value(message)[1:])
        return super().after(delay_s if self.tape.live else NEVER_S, message, key)

    def every(self, period_s: float, message: Message, key: Hashable | None = None) -> Timer:
        self.tape.put("timer", period_s, period_s, *pack_value(message)[1:])
        return super().every(period_s if self.tape.live else NEVER_S, message, key)

    async def sleep(self, seconds: float) -> None:
        number = self.decided("sleep", seconds)
        await self.awaited(number, lambda: asyncio.ensure_future(asyncio.sleep(seconds)))

    def background(self, coro: Coroutine[Any, Any, object], name: str) -> asyncio.Task[object]:
        number = self.decided("background", name)

        async def run() -> object:
            return await Steps(self.tape, number, coro)

        task = super().background(run(), name)
        task.add_done_callback(lambda _: coro.close())
        return task

    def call_soon(self, callback: Callable[[], None]) -> None:
        super().call_soon(self.entered(callback))

    # -- the tape -------------------------------------------------------------------------------------------------

    def decided(self, kind: str, *details: Any) -> int:
        """Something that will be answered by its number."""
        number = next(self._numbers)
        self.tape.put(kind, number, *details)
        return number

    def awaited(self, number: int, inner: Callable[[], asyncio.Future[Any]]) -> asyncio.Future[Any]:
        """What the actor awaits: the answer of the world, or of the tape."""
        future = TapedFuture(self.tape, number)
        if self.tape.live:
            future.follow(inner())
        else:
            self.tape.await_(number, future)  # type: ignore[attr-defined]
        return future

    def entered(self, callback: Callable[[], None]) -> Callable[[], None]:
        number = next(self._numbers)
        return lambda: self.tape.enter("called", number, callback)


class Steps:
    """A coroutine whose every step, from one await to the next, is an entry: so their order is on the tape."""

    def __init__(self, tape: Tape, number: int, coro: Awaitable[Any]) -> None:
        self._tape = tape
        self._number = number
        self._coro = coro

    def __await__(self) -> Generator[Any, Any, Any]:
        coro = self._coro  # a generator: of a function that `types.coroutine` made awaitable
        steps = coro if isinstance(coro, GeneratorType) else coro.__await__()
        error: BaseException | None = None
        while True:
            error = yield from self._may_step(error)
            try:
                waits = steps.send(None) if error is None else steps.throw(error)
            except StopIteration as done:
                return done.value
            error = None
            try:
                yield waits
            except GeneratorExit:
                steps.close()
                raise
            except BaseException as raised:  # cancelled while it waited: that is its next step
                error = raised

    def _may_step(self, error: BaseException | None) -> Generator[Any, Any, BaseException | None]:
        gate = self._tape.gate(self._number)
        while gate is not None and not gate.is_open:
            try:
                yield from gate.wait().__await__()
            except GeneratorExit:
                if isinstance(self._coro, Coroutine | GeneratorType):
                    self._coro.close()  # it has not begun, or nobody will go on with it
                raise
            except BaseException as raised:
                error = raised
        return error


NEVER_S = 1e9  # a played actor's ticks come from the tape


class TapedFuture(asyncio.Future[Any]):
    """Whoever waits for it goes on when the tape says so; that is an entry of its own."""

    def __init__(self, tape: Tape, number: int) -> None:
        super().__init__(loop=asyncio.get_running_loop())
        self._tape = tape
        self._number = number
        self._wrapped: list[tuple[Any, Any]] = []

    def __hash__(self) -> int:
        return self._number

    def follow(self, inner: asyncio.Future[Any]) -> None:
        inner.add_done_callback(self._resolve)
        super().add_done_callback(lambda _: inner.cancel())

    def _resolve(self, inner: asyncio.Future[Any]) -> None:
        if self.done() or inner.cancelled():
            self.cancel()
            return
        error = inner.exception()
        self._tape.put("resolved", self._number, pack_value(error if error is not None else inner.result()))
        self.resolve(error if error is not None else inner.result())

    def resolve(self, value: Any) -> None:
        if isinstance(value, BaseException):
            self.set_exception(value)
        else:
            self.set_result(value)

    def add_done_callback(  # type: ignore[override]
        self, callback: Callable[[asyncio.Future[Any]], object], *, context: contextvars.Context | None = None
    ) -> None:
        def woken(_: asyncio.Future[Any]) -> None:
            self._tape.enter("woke", self._number, lambda: callback(self), context)

        self._wrapped.append((callback, woken))
        super().add_done_callback(woken, context=context)

    def remove_done_callback(self, callback: Callable[[asyncio.Future[Any]], object]) -> int:  # type: ignore[override]
        return sum(super(TapedFuture, self).remove_done_callback(w) for given, w in self._wrapped if given == callback)


class TapedReply(ReplyHandle):
    __slots__ = ("_inner", "_number", "_tape")

    def __init__(self, tape: Tape, number: int, inner: ReplyHandle) -> None:
        self._tape = tape
        self._number = number
        self._inner = inner

    def send(self, reply: Message | None) -> None:
        self._tape.put("reply", self._number, pack_value(reply))
        self._inner.send(reply)

    def fail(self, error: Answer | AskError) -> None:
        self._tape.put("reply", self._number, pack_value(error))
        self._inner.fail(error)


class TapedStream(Stream[Any]):
    """The consuming end. `inner` is None when the tape is played."""

    def __init__(self, ctx: TapedContext, inner: Stream[Any] | None) -> None:
        self._ctx = ctx
        self._inner = inner

    async def __anext__(self) -> Any:
        number = self._ctx.decided("next")
        inner = self._inner
        return await self._ctx.awaited(number, lambda: asyncio.ensure_future(anext(inner)))  # type: ignore[arg-type]

    def pending(self) -> bool:
        return bool(self._ctx.tape.value(lambda: self._inner.pending()))  # type: ignore[union-attr]

    def close(self) -> None:
        self._ctx.tape.put("close")
        if self._inner is not None:
            self._inner.close()


class TapedOutlet(Outlet):
    """The producing end. When the tape is played, what the other end grants is on the tape."""

    def __init__(self, ctx: TapedContext, number: int, inner: Outlet) -> None:
        self._ctx = ctx
        self._number = number
        self._inner = inner

    @property
    def credit(self) -> int:  # type: ignore[override]
        return int(self._ctx.tape.value(lambda: self._inner.credit))

    @property
    def closed(self) -> bool:  # type: ignore[override]
        return bool(self._ctx.tape.value(lambda: self._inner.closed))

    @property
    def on_ready(self) -> Callable[[], None] | None:
        return self._inner.on_ready

    @on_ready.setter
    def on_ready(self, callback: Callable[[], None] | None) -> None:
        self._inner.on_ready = self._ctx.entered(callback) if callback is not None else None

    @property
    def on_closed(self) -> Callable[[], None] | None:
        return self._inner.on_closed

    @on_closed.setter
    def on_closed(self, callback: Callable[[], None] | None) -> None:
        self._inner.on_closed = self._ctx.entered(callback) if callback is not None else None

    def send(self, item: Message, because: Any = None) -> None:
        self.send_bytes(type(item).type_id, encode(item), because)

    def send_bytes(self, type_id: int, body: bytes, because: Any = None) -> None:
        self._ctx.tape.put("item", self._number, type_id, body)
        if self._ctx.tape.live:
            self._inner.send_bytes(type_id, body, because)

    async def put(self, item: Message) -> None:
        number = self._ctx.decided("put", *pack_value(item)[1:])
        await self._ctx.awaited(number, lambda: asyncio.ensure_future(self._inner.put(item)))

    def end(self, error: Answer | AskError | None = None) -> None:
        self._ctx.tape.put("end", self._number, *(() if error is None else (pack_value(error),)))
        if self._ctx.tape.live:
            self._inner.end(error)

    def close(self) -> None:
        self._inner.close()


class TapedDisk:
    """What is read comes from the tape when it is played; what is written is a decision, told by its size."""

    def __init__(self, ctx: TapedContext, inner: Disk | None) -> None:
        self._ctx = ctx
        self._inner: Any = inner

    def lock(self) -> None:
        self._ctx.tape.value(lambda: self._inner.lock())

    def free_bytes(self) -> int:
        return int(self._ctx.tape.value(lambda: self._inner.free_bytes()))

    def list(self) -> list[str]:
        found: list[str] = self._ctx.tape.value(lambda: self._inner.list())
        return found

    def read(self, name: str) -> bytes:
        return bytes(self._ctx.tape.value(lambda: self._inner.read(name)))

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        return bytes(self._ctx.tape.value(lambda: self._inner.read_at(name, offset, size)))

    def append(self, name: str, data: bytes) -> None:
        self._ctx.tape.put("append", name, bytes(data))
        self._ctx.tape.value(lambda: self._inner.append(name, data))

    def reserve(self, name: str, size: int) -> None:
        self._ctx.tape.put("reserve", name, size)
        self._ctx.tape.value(lambda: self._inner.reserve(name, size))

    def truncate(self, name: str, size: int) -> None:
        self._ctx.tape.put("truncate", name, size)
        self._ctx.tape.value(lambda: self._inner.truncate(name, size))

    def remove(self, name: str) -> None:
        self._ctx.tape.put("remove", name)
        self._ctx.tape.value(lambda: self._inner.remove(name))

    async def sync(self, name: str) -> None:
        number = self._ctx.decided("sync", name)
        await self._ctx.awaited(number, lambda: asyncio.ensure_future(self._inner.sync(name)))

    async def replace(self, name: str, data: bytes) -> None:
        number = self._ctx.decided("replace", name, bytes(data))
        await self._ctx.awaited(number, lambda: asyncio.ensure_future(self._inner.replace(name, data)))

    async def rename(self, name: str, new: str) -> None:
        number = self._ctx.decided("rename", name, new)
        await self._ctx.awaited(number, lambda: asyncio.ensure_future(self._inner.rename(name, new)))
