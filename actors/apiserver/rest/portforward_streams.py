"""Port-forward over SPDY: each connection is a pair of streams that have the same `requestid`, for data and for errors.

What a pod does not take waits, a little of it, with its own connection; then the client's whole SPDY connection waits,
as it does at a kubelet.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable

from actorkube.runtime import Context, Ref, Stream
from actors.apiserver.rest.idle import idle_limit
from actors.apiserver.rest.upgrade import SpdyConnection
from actors.apiserver.spdy.session import Aborted, Closed, Ended, Event, Opened, Received
from protocols.errors import Answer, AskError
from protocols.exec import IDLE_S, WINDOW, ExecInput, ExecItem, ForwardPort
from protocols.objects import Object, name_of, namespace_of, uid_of

_WAITING_MAX = 4  # pieces of a connection's input, 64 KiB at most each
_OPENED_WITHIN_S = 30.0
_END = b""
FORWARDS_MAX = 128


class Forward:
    """One connection: its two streams, once both are there, and its input."""

    def __init__(self, id: str, port: int) -> None:
        self.id = id
        self.port = port
        self.streams: dict[str, int] = {}
        self.input: asyncio.Queue[bytes] = asyncio.Queue(_WAITING_MAX)
        self.items: Stream[ExecItem] | None = None
        self.over = False

    @property
    def complete(self) -> bool:
        return len(self.streams) == 2

    async def take(self, data: bytes) -> None:
        """Waits while too much waits; what comes for a connection that is over is dropped."""
        if not self.over:
            await self.input.put(data)

    def end(self) -> None:
        """Whatever it waits for: who waits to put some input in need not any more."""
        self.over = True
        while not self.input.empty():
            self.input.get_nowait()
        if self.items is not None:
            self.items.close()


class Forwards:
    """All of a client's."""

    def __init__(self, context: Context, kubelet: Ref, pod: Object, connection: SpdyConnection) -> None:
        self._context = context
        self._kubelet = kubelet
        self._pod = pod
        self._connection = connection
        self._session = connection.session
        self._forwards: dict[str, Forward] = {}  # by the client's id
        self._of_data: dict[int, Forward] = {}  # by the stream for data
        self._busy: Callable[[], None] = lambda: None

    async def run(self) -> None:
        """Until the client leaves, or nobody has sent anything for four hours."""
        try:
            async with idle_limit(IDLE_S) as self._busy, asyncio.TaskGroup() as tasks:
                await self._read_client(tasks)
                for forward in self._forwards.values():
                    forward.end()
        except TimeoutError:
            self._context.log.debug("a port-forward was idle for too long")
        await self._connection.close()

    async def _read_client(self, tasks: asyncio.TaskGroup) -> None:
        try:
            async for event in self._connection.events():
                self._busy()
                if isinstance(event, Closed):
                    return
                await self._on(event, tasks)
        except ConnectionError as error:
            self._context.log.debug("a port-forward broke off", error=repr(error))

    async def _on(self, event: Event, tasks: asyncio.TaskGroup) -> None:
        match event:
            case Opened():
                forward = self._opened(event)
                if forward is not None and forward.complete:
                    tasks.create_task(self._forward(forward))
            case Received(stream, data) if stream in self._of_data:
                await self._of_data[stream].take(data)
            case Ended(stream) if stream in self._of_data:
                await self._of_data[stream].take(_END)
            case Aborted(stream):
                self._aborted(stream)

    def _opened(self, event: Opened) -> Forward | None:
        """What it is a part of; a stream that cannot be one is reset."""
        type, port = event.headers.get("streamtype", ""), _port(event.headers.get("port", ""))
        id = event.headers.get("requestid") or _numbered(event, type)
        forward = self._forwards.get(id) or Forward(id, port)
        full = id not in self._forwards and len(self._forwards) >= FORWARDS_MAX
        if type not in ("data", "error") or not port or type in forward.streams or full:
            self._session.reset(event.stream)
            return None
        forward.streams[type] = event.stream
        self._forwards[id] = forward
        if type == "data":
            self._of_data[event.stream] = forward
        self._session.reply(event.stream)
        return forward

    def _aborted(self, stream: int) -> None:
        """Without its stream for data a connection is over; one that has not begun, without either."""
        if stream in self._of_data:
            forward = self._of_data[stream]
            forward.end()
            if not forward.complete:
                self._forget(forward)
            return
        for forward in list(self._forwards.values()):
            if not forward.complete and stream in forward.streams.values():
                self._forget(forward)

    def _forget(self, forward: Forward) -> None:
        self._forwards.pop(forward.id, None)
        self._of_data.pop(forward.streams.get("data", 0), None)

    async def _forward(self, forward: Forward) -> None:
        """Every way that it can end ends this connection alone."""
        error = await self._connect(forward) if not forward.over else ""
        if error:
            where = f"port {forward.port} to pod {name_of(self._pod)}, uid {uid_of(self._pod)}"
            self._session.send(forward.streams["error"], f"error forwarding {where}: {error}".encode())
        for stream in forward.streams.values():
            self._session.send(stream, b"", last=True)
        forward.end()
        self._forget(forward)
        with contextlib.suppress(ConnectionError):  # the client's reader sees that it has left
            await self._connection.flush()

    async def _connect(self, forward: Forward) -> str:
        """From the first byte to the last. The error, if there was one."""
        wanted = ForwardPort(namespace_of(self._pod), name_of(self._pod), forward.port)
        try:
            async with self._context.stream(self._kubelet, wanted, window=WINDOW) as forward.items:
                async with asyncio.timeout(_OPENED_WITHIN_S):
                    first = await anext(forward.items)
                return await self._pump(forward, first.session, forward.items)
        except StopAsyncIteration:
            return ""
        except (Answer, AskError, TimeoutError) as refusal:
            return str(refusal)

    async def _pump(self, forward: Forward, session: str, items: Stream[ExecItem]) -> str:
        """Both directions, until the pod's ends. The error, if there was one."""
        writing = asyncio.ensure_future(self._write_pod(forward, session))
        try:
            async for item in items:
                if item.error:
                    return item.error
                self._session.send(forward.streams["data"], item.data)
                await self._connection.flush()
                self._busy()
        except ConnectionError:
            return ""
        finally:
            writing.cancel()
            await asyncio.wait([writing])
        return ""

    async def _write_pod(self, forward: Forward, session: str) -> None:
        try:
            while (data := await forward.input.get()) != _END:
                await self._context.ask(self._kubelet, ExecInput(session, data), timeout_s=IDLE_S)
            await self._context.ask(self._kubelet, ExecInput(session, b"", last=True), timeout_s=IDLE_S)
        except (Answer, AskError) as error:
            self._context.log.debug("input is not taken", error=repr(error))
            forward.end()


def _port(text: str) -> int:
    port = int(text) if text.isascii() and text.isdigit() and len(text) <= 5 else 0
    return port if port < 65_536 else 0


def _numbered(event: Opened, type: str) -> str:
    """Old clients number no requests: their streams come in pairs, first that for errors."""
    return f"stream {event.stream if type == 'error' else event.stream - 2}"
