"""A few pages over HTTP or HTTPS, without a web framework: one request for each connection, GET and little more.

Who does not get to the point in time is hung up on, and so is whoever comes when there are too many. The TLS context is
made with the first connection: a process that nobody looks at pays for a socket alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
import ssl
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, NamedTuple

HEAD_BYTES_MAX = 16 * 1024
HEAD_WITHIN_S = 5.0
CONNECTIONS_MAX = 16
ACCEPT_PAUSE_S = 1.0


class Asked(NamedTuple):
    """Header names in lower case; `certificate`: what the caller has shown and was verified, as `ssl` tells it."""

    method: str
    path: str
    query: str
    headers: Mapping[str, str]
    certificate: Mapping[str, Any]


class Page(NamedTuple):
    status: str
    body: bytes
    content_type: str = "text/plain; charset=utf-8"


class PageServer:
    """`answer` must not raise. Port 0: any; `port` says which, once it listens."""

    def __init__(
        self,
        answer: Callable[[Asked], Awaitable[Page]],
        host: str,
        port: int,
        context: Callable[[], ssl.SSLContext] | None = None,
    ) -> None:
        self.port = port
        self._answer = answer
        self._host = host
        self._make_context = context
        self._context: ssl.SSLContext | None = None
        self._listener: socket.socket
        self._accepting: asyncio.Task[None]
        self._serving: dict[asyncio.Task[None], None] = {}

    def start(self) -> None:
        self._listener = socket.create_server((self._host, self.port))
        self._listener.setblocking(False)
        self.port = self._listener.getsockname()[1]
        self._accepting = asyncio.get_running_loop().create_task(self._accept())

    def close(self) -> None:
        for task in (self._accepting, *self._serving):
            task.cancel()
        self._listener.close()

    async def _accept(self) -> None:
        """By hand: a loop's server wants its TLS context before there is a connection, and who turns to TLS on one that
        is open already loses what has come by then."""
        loop = asyncio.get_running_loop()
        while True:
            try:
                connection, _ = await loop.sock_accept(self._listener)
            except OSError:  # no file descriptor is left
                await asyncio.sleep(ACCEPT_PAUSE_S)
                continue
            if len(self._serving) >= CONNECTIONS_MAX:
                connection.close()
                continue
            task = loop.create_task(self._serve(connection))
            self._serving[task] = None
            task.add_done_callback(self._serving.pop)

    async def _serve(self, connection: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        reader = asyncio.StreamReader(HEAD_BYTES_MAX)
        protocol = asyncio.StreamReaderProtocol(reader)
        with connection, contextlib.suppress(OSError, EOFError, TimeoutError, asyncio.LimitOverrunError):
            async with asyncio.timeout(HEAD_WITHIN_S):  # no request, or nobody who waits for its answer
                transport, _ = await loop.connect_accepted_socket(lambda: protocol, connection, ssl=self._tls())
                writer = asyncio.StreamWriter(transport, protocol, reader, loop)
                try:
                    head = await reader.readuntil(b"\r\n\r\n")
                except BaseException:
                    transport.abort()
                    raise
            await self._reply(writer, head)

    async def _reply(self, writer: asyncio.StreamWriter, head: bytes) -> None:
        try:
            page = await self._answer(asked_of(head, writer.get_extra_info("peercert") or {}))
            writer.write(_encoded(page, head.startswith(b"HEAD ")))
            async with asyncio.timeout(HEAD_WITHIN_S):
                await writer.drain()
                writer.close()
                await writer.wait_closed()
        finally:
            writer.transport.abort()

    def _tls(self) -> ssl.SSLContext | None:
        if self._context is None and self._make_context is not None:
            self._context = self._make_context()
        return self._context


def asked_of(head: bytes, certificate: Mapping[str, Any]) -> Asked:
    """What a request asks for. Whatever is missing there is empty."""
    first, *lines = head.decode("latin-1").split("\r\n")
    method, target, *_ = [*first.split(" "), "", ""]
    path, _, query = target.partition("?")
    fields = [line.partition(":") for line in lines if line]
    return Asked(method, path, query, {name.lower(): value.strip() for name, _, value in fields}, certificate)


def _encoded(page: Page, head_alone: bool) -> bytes:
    head = (
        f"HTTP/1.1 {page.status}\r\nContent-Type: {page.content_type}\r\nContent-Length: {len(page.body)}\r\n"
        "Cache-Control: no-cache, private\r\nX-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\n"
    )
    return head.encode() + (b"" if head_alone else page.body)
