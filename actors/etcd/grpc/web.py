"""A client's connection before it has spoken, and one that speaks HTTP/1.1: etcd's pages, and its API in JSON.

One request at a time: while one is answered, the next is not read. A web page of somewhere else that a user looks at
must not reach a store at that user's machine: what a browser sends for one says so (`Origin`), and is refused.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Coroutine
from typing import Any, cast

from actors.etcd.grpc import gateway, http1
from actors.etcd.grpc.calls import Method
from actors.etcd.grpc.framing import timeout_s
from actors.etcd.grpc.server import WAITING_BYTES_MAX, House, Peer, common_name
from actors.etcd.grpc.status import Refused
from protocols.errors import Answer, AskError

TEXT, JSON = "text/plain; charset=utf-8", "application/json"


class Arrival(asyncio.Protocol):
    """Who has not said yet what it speaks. To HTTP/1.1 nothing is said before it has asked."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._received = b""
        self._transport: asyncio.Transport

    waiting_bytes = 0

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._house.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._house.connections.discard(self)

    def data_received(self, data: bytes) -> None:
        self._received += data
        is_http1 = http1.begins(self._received)
        if is_http1 is None:
            return
        self._house.connections.discard(self)
        peer = WebPeer(self._house) if is_http1 else Peer(self._house)
        self._transport.set_protocol(peer)
        peer.connection_made(self._transport)
        peer.data_received(self._received)

    def eof_received(self) -> bool:
        return False

    def leave(self) -> None:
        self._transport.close()


class WebPeer(asyncio.Protocol):
    """Carries calls (calls.Connection), each with a number of its own."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._reader = http1.Reader()
        self._waiting: deque[http1.Request] = deque()
        self._request: http1.Request | None = None
        self._number = 0  # of the request that is answered
        self._has_begun = False  # its answer
        self._task: asyncio.Task[object] | None = None
        self._paused = False
        self._waiters: list[asyncio.Future[None]] = []
        self._common_name = ""
        self._transport: asyncio.Transport

    @property
    def waiting_bytes(self) -> int:
        return self._transport.get_write_buffer_size()

    # -- asyncio.Protocol -----------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._common_name = common_name(transport)
        self._house.connections.add(self)

    def connection_lost(self, exc: Exception | None) -> None:
        self._house.connections.discard(self)
        self._number += 1  # what is answered from now on is nobody's
        if self._task is not None:
            self._task.cancel()
        for waiter in self._waiters:
            waiter.cancel()

    def data_received(self, data: bytes) -> None:
        try:
            self._waiting.extend(self._reader.feed(data))
        except http1.Broken as broken:
            self._house.closed[broken.text] += 1
            self._house.note(broken.text)
            text = f"{broken.text}\n".encode()
            self._transport.write(http1.answer(broken.status, TEXT, text, keeps_alive=False))
            self._transport.close()
            return
        if self._reader.waits_to_continue:
            self._reader.waits_to_continue = False
            self._transport.write(http1.CONTINUE)
        if self._request is None:
            self._next()

    def eof_received(self) -> bool:
        return False

    def pause_writing(self) -> None:
        self._paused = True

    def resume_writing(self) -> None:
        self._paused = False
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    # -- requests -------------------------------------------------------------------------------------------------

    def _next(self) -> None:
        while self._request is None and self._waiting and not self._transport.is_closing():
            self._request = self._waiting.popleft()
            self._number += 1
            self._has_begun = False
            self._serve(self._request)
        if self._waiting:
            self._transport.pause_reading()
        else:
            self._transport.resume_reading()

    def _serve(self, request: http1.Request) -> None:
        page = self._house.pages.get(request.path)
        called = gateway.PATHS.get(request.path)
        if "origin" in request.fields:
            self._say(403, TEXT, b"requests of web pages are not taken\n")
        elif page is not None:
            if request.method not in ("GET", "HEAD"):
                self._say(405, TEXT, b"Method Not Allowed\n")
            else:
                self._run(self._page(self._number, page(request.query)))
        elif called is not None:
            if request.method != "POST":
                self._say(405, TEXT, b"Method Not Allowed\n")
            else:
                self._call(request, self._house.methods[called])
        else:
            self._say(404, TEXT, b"Not Found\n" if request.path.startswith("/v3/") else b"404 page not found\n")

    async def _page(self, number: int, page: Coroutine[Any, Any, tuple[int, str, bytes]]) -> None:
        said = await page
        if number == self._number:
            self._say(*said)

    def _call(self, request: http1.Request, method: Method) -> None:
        number = self._number
        try:
            limit = request.fields.get("grpc-timeout")
            limit_s = None if limit is None else timeout_s(limit.encode())
            token = request.fields.get("authorization", "").encode()
            call = gateway.JsonCall(self, number, method, limit_s, False, token, self._common_name)
            asked = list(gateway.requests(method.request, request.body))
            if method.stream is not None:
                for one in asked:
                    call.came(one)
                call.end()
                self._run(self._stream(call, method.stream(call)))
            elif method.quick is not None:
                method.quick(asked[0], call)
            elif method.plain is not None:
                self._run(self._plain(call, method.plain(asked[0], call)))
        except Refused as refused:
            self.refuse(number, refused)

    async def _plain(self, call: gateway.JsonCall, answer: Coroutine[Any, Any, Any]) -> None:
        try:
            call.reply(await answer)
        except Refused as refused:
            call.fail(refused)
        except (Answer, AskError) as error:
            call.fail(self._house.refusal(error))

    async def _stream(self, call: gateway.JsonCall, served: Coroutine[Any, Any, None]) -> None:
        try:
            await served
            call.finish()
        except Refused as refused:
            call.fail(refused)
        except (Answer, AskError) as error:
            call.fail(self._house.refusal(error))

    def _run(self, coro: Coroutine[Any, Any, None]) -> None:
        self._task = self._house.background(coro, "http request")

    # -- answers (calls.Connection) -------------------------------------------------------------------------------

    def answer(self, stream: int, message: bytes) -> None:
        if stream == self._number:
            self._say(200, JSON, message)

    def refuse(self, stream: int, refused: Refused) -> None:
        if stream != self._number:
            return
        if self._has_begun:
            self.send(stream, gateway.late_refusal(refused))
            self.finish(stream)
        else:
            self._say(gateway.status_of(refused), JSON, gateway.refusal(refused))

    def send(self, stream: int, message: bytes) -> None:
        if stream != self._number or self._request is None:
            return
        if not self._has_begun:
            self._has_begun = True
            self._transport.write(http1.beginning(200, JSON, keeps_alive=self._request.keeps_alive))
        self._transport.write(http1.chunk(message))
        self._check_waiting()

    def finish(self, stream: int) -> None:
        if stream != self._number:
            return
        if self._has_begun:
            self._transport.write(http1.LAST_CHUNK)
            self._answered()
        else:
            self._say(200, JSON, b"")

    def room(self, stream: int) -> asyncio.Future[None] | None:
        if not self._paused:
            return None
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.append(waiter)
        return waiter

    def leave(self) -> None:
        self._transport.close()

    def _say(self, status: int, kind: str, body: bytes) -> None:
        request = self._request
        if request is None or self._transport.is_closing():
            return
        has_body = request.method != "HEAD"
        self._transport.write(http1.answer(status, kind, body, keeps_alive=request.keeps_alive, has_body=has_body))
        self._check_waiting()
        self._answered()

    def _answered(self) -> None:
        request, self._request = self._request, None
        self._number += 1
        if request is not None and not request.keeps_alive:
            self._transport.close()
        elif self._waiting:
            asyncio.get_running_loop().call_soon(self._next)
        else:
            self._next()

    def _check_waiting(self) -> None:
        if self._transport.get_write_buffer_size() > WAITING_BYTES_MAX:
            self._house.closed["answers that nobody reads"] += 1
            self._house.note("answers that nobody reads")
            self._transport.abort()
