"""One client's connection: the bytes of a socket to calls, and their answers back, in one write a loop turn.

Nothing that a client does stays open without bound: how many calls there are, what their requests take (http2.py), what
answers wait that it does not read. Beyond that the connection is closed, and the door counts why.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, Protocol, cast

from actors.etcd.grpc import fields, http2
from actors.etcd.grpc.calls import Call, Method
from actors.etcd.grpc.framing import framed, timeout_s
from actors.etcd.grpc.messages import DecodeError
from actors.etcd.grpc.status import Code, Refused, trailers
from protocols.errors import Answer, AskError

WAITING_BYTES_MAX = 64 << 20  # of answers that are not read
UNFINISHED_BYTES_MAX = 64 << 20  # of requests that are not whole
STREAM_WAITING_BYTES = 256 << 10  # beyond, a stream waits for its reader

_OK = fields.write(((b":status", b"200"), (b"content-type", b"application/grpc")))
_DONE = fields.write(trailers(Code.OK))
_NOT_GRPC = fields.write(((b":status", b"415"),))


class House(Protocol):
    """What a connection needs of the door it came through."""

    closed: Counter[str]
    methods: Mapping[bytes, Method]
    connections: set[Any]
    pages: Mapping[str, Callable[[Mapping[str, str]], Coroutine[Any, Any, tuple[int, str, bytes]]]]

    def background(self, coro: Coroutine[Any, Any, object], name: str) -> asyncio.Task[object]: ...
    def refusal(self, error: Answer | AskError) -> Refused: ...
    def note(self, why: str) -> None: ...


class Peer(asyncio.Protocol):
    def __init__(self, house: House) -> None:
        self._house = house
        self._http = http2.Connection(client=False)
        self._calls: dict[int, Call] = {}
        self._begun: set[int] = set()  # streams in which something was sent
        self._loop = asyncio.get_running_loop()
        self._flush_is_due = False
        self._paused = False
        self._unfinished = 0
        self._waiters: list[tuple[int, asyncio.Future[None]]] = []
        self._common_name = ""
        self._transport: asyncio.Transport

    @property
    def waiting_bytes(self) -> int:
        """Of answers that its client has not read, nor made room for."""
        return self._http.waiting_bytes + self._transport.get_write_buffer_size()

    # -- asyncio.Protocol -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.set_write_buffer_limits(1 << 20)
        self._common_name = common_name(transport)
        self._house.connections.add(self)
        self._flush()

    def connection_lost(self, exc: Exception | None) -> None:
        self._house.connections.discard(self)
        for number in list(self._calls):
            self._drop(number)
        for _, waiter in self._waiters:
            waiter.cancel()

    def data_received(self, data: bytes) -> None:
        for event in self._http.receive(data, self._loop.time()):
            if type(event) is http2.Data:
                self._on_data(event)
            elif type(event) is http2.Headers:
                self._on_headers(event)
            elif type(event) is http2.Reset:
                self._drop(event.stream)
            elif type(event) is http2.Ended and event.code:
                self.close(event.why)
                return
        self._flush_soon()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        self._flush_soon()

    # -- calls ----------------------------------------------------------------------------------------------------

    def _on_headers(self, event: http2.Headers) -> None:
        if not event.opens:
            self._ended(event.stream)
            return
        found = event.fields
        if found.get(b":method") != b"POST" or not found.get(b"content-type", b"").startswith(b"application/grpc"):
            self._http.headers(event.stream, _NOT_GRPC)
            self._http.data(event.stream, b"", end=True)
            return
        path = found.get(b":path", b"")
        method = self._house.methods.get(path)
        if method is None:
            self.refuse(event.stream, self._unknown(path.decode(errors="replace")))
            return
        limit = found.get(b"grpc-timeout")
        try:
            limit_s = None if limit is None else timeout_s(limit)
        except Refused as refused:
            self.refuse(event.stream, refused)
            return
        wants_leader = found.get(b"hasleader") == b"true"
        token = found.get(b"token") or found.get(b"authorization", b"")  # where HTTP has it, as etcd
        call = Call(self, event.stream, method, limit_s, wants_leader, token, self._common_name)
        self._calls[event.stream] = call
        if method.stream is not None:
            self._run(call, self._stream(call, method.stream(call)))
        if event.end:
            self._ended(event.stream)

    def _unknown(self, path: str) -> Refused:
        service, _, method = path.removeprefix("/").rpartition("/")
        if any(known.startswith(f"/{service}/".encode()) for known in self._house.methods):
            return Refused(Code.UNIMPLEMENTED, f"unknown method {method} for service {service}")
        return Refused(Code.UNIMPLEMENTED, f"unknown service {service}")

    def _on_data(self, event: http2.Data) -> None:
        call = self._calls.get(event.stream)
        if call is None:
            return
        self._unfinished -= call.unframer.waiting_bytes
        try:
            for message in call.unframer.feed(event.data):
                self._on_message(call, message)
            if event.end:
                self._ended(event.stream)
        except Refused as refused:
            self.refuse(event.stream, refused)
            return
        self._unfinished += call.unframer.waiting_bytes
        if self._unfinished > UNFINISHED_BYTES_MAX:
            self.close("requests that are never whole")

    def _on_message(self, call: Call, message: bytes) -> None:
        """Raises Refused."""
        if call.ended:
            raise Refused(Code.INTERNAL, "more than one request in a call that takes one")
        try:
            request = call.method.request.FromString(message)
        except DecodeError as error:
            raise Refused(Code.INTERNAL, f"grpc: error unmarshalling request: {error}") from error
        method = call.method
        if method.stream is not None:
            call.came(request)
            return
        call.ended = True
        self._check_waiting()
        if method.quick is not None:
            method.quick(request, call)
        elif method.plain is not None:
            self._run(call, self._plain(call, method.plain(request, call)))

    def _ended(self, number: int) -> None:
        """The client has said all."""
        call = self._calls.get(number)
        if call is None:
            return
        if not call.unframer.is_empty or (call.method.stream is None and not call.ended):
            self.refuse(number, Refused(Code.INTERNAL, "the call ends before its request does"))
            return
        call.end()

    def _run(self, call: Call, coro: Coroutine[Any, Any, None]) -> None:
        call.task = self._house.background(coro, f"call {call.number}")

    async def _plain(self, call: Call, answer: Coroutine[Any, Any, Any]) -> None:
        try:
            call.reply(await answer)
        except Refused as refused:
            call.fail(refused)
        except (Answer, AskError) as error:
            call.fail(self._house.refusal(error))

    async def _stream(self, call: Call, served: Coroutine[Any, Any, None]) -> None:
        try:
            await served
            call.finish()
        except Refused as refused:
            call.fail(refused)
        except (Answer, AskError) as error:
            call.fail(self._house.refusal(error))

    def _drop(self, number: int) -> None:
        """Nobody waits for it any more."""
        call = self._calls.pop(number, None)
        self._begun.discard(number)
        if call is not None:
            self._unfinished -= call.unframer.waiting_bytes
            if call.task is not None:
                call.task.cancel()

    # -- answers (calls.Connection) -------------------------------------------------------------------------------

    def answer(self, stream: int, message: bytes) -> None:
        if self._calls.pop(stream, None) is not None:
            self._http.answer(stream, _OK, framed(message), _DONE)
            self._flush_soon()

    def refuse(self, stream: int, refused: Refused) -> None:
        call = self._calls.pop(stream, None)
        if call is not None and call.task is not None and call.task is not asyncio.current_task():
            call.task.cancel()
        begun = call is not None and call.method.stream is not None and stream in self._begun
        self._begun.discard(stream)
        ending = fields.write(trailers(refused.code, refused.text))
        self._http.end(stream, ending if begun else _OK + ending)
        self._flush_soon()

    def send(self, stream: int, message: bytes) -> None:
        if stream in self._calls:
            if stream not in self._begun:
                self._begun.add(stream)
                self._http.headers(stream, _OK)
            self._http.data(stream, framed(message))
            self._flush_soon()

    def finish(self, stream: int) -> None:
        if self._calls.pop(stream, None) is not None:
            begun = stream in self._begun
            self._begun.discard(stream)
            self._http.end(stream, _DONE if begun else _OK + _DONE)
            self._flush_soon()

    def room(self, stream: int) -> asyncio.Future[None] | None:
        if not self._paused and self._http.waiting(stream) <= STREAM_WAITING_BYTES:
            return None
        waiter = self._loop.create_future()
        self._waiters.append((stream, waiter))
        return waiter

    def leave(self) -> None:
        """The server ends: calls that are under way are not."""
        self._http.leave()
        self._flush()
        self._transport.close()

    def close(self, why: str) -> None:
        """What was to be said is said, and nothing is waited for."""
        self._house.closed[why] += 1
        self._house.note(why)
        if not self._paused:
            self._transport.write(self._http.take_output())
        self._transport.close() if not self._paused else self._transport.abort()

    def _check_waiting(self) -> None:
        if self._http.waiting_bytes > WAITING_BYTES_MAX or self._transport.get_write_buffer_size() > WAITING_BYTES_MAX:
            self.close("answers that nobody reads")

    def _flush_soon(self) -> None:
        if not self._flush_is_due:
            self._flush_is_due = True
            self._loop.call_soon(self._flush)

    def _flush(self) -> None:
        self._flush_is_due = False
        if self._transport.is_closing():
            return
        if out := self._http.take_output():
            self._transport.write(out)
            self._check_waiting()
        if self._waiters and not self._paused:
            waiters, self._waiters = self._waiters, []
            for stream, waiter in waiters:
                if waiter.done():
                    continue
                if self._http.waiting(stream) <= STREAM_WAITING_BYTES:
                    waiter.set_result(None)
                else:
                    self._waiters.append((stream, waiter))


def common_name(transport: asyncio.BaseTransport) -> str:
    """In the certificate that the client has shown; "" without one."""
    certificate: Mapping[str, Any] = transport.get_extra_info("peercert") or {}
    return next((value for part in certificate.get("subject", ()) for key, value in part if key == "commonName"), "")
