"""Connections of HTTP clients: who does not get to the point in time is hung up on, and what is no HTTP gets a Status.

The head of a first request has 32 s, as with kube-apiserver. The TLS handshake, which is a matter of two round trips,
has less: a connection that is only half open costs a file descriptor.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Awaitable, Callable
from typing import Any, cast

import orjson
from aiohttp import web
from aiohttp.hdrs import SERVER
from aiohttp.http import SERVER_SOFTWARE
from aiohttp.http_exceptions import LineTooLong

from actors.apiserver.callers import Caller
from protocols.errors import BadRequest, InternalError, StatusError

HANDSHAKE_S = 10.0
FIRST_REQUEST_S = 32.0
BACKLOG = 1024
# Of a URL, and of a header: selectors and tokens that name many groups are long. There are at most 128 headers.
LINE_BYTES_MAX = 64 * 1024
_TOO_LARGE = "431 Request Header Fields Too Large"


class Connection(web.RequestHandler):
    """`begun` is called with each request that has come whole as far as its head. `certified`: who its certificate
    says that it is, once somebody asked.
    """

    __slots__ = ("_late", "certified")
    _late: asyncio.TimerHandle | None
    certified: Caller | None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        super().connection_made(transport)
        self._late = self.certified = None
        if cast(Server, self._manager).is_over:
            self.force_end(transport)
        else:
            self._late = asyncio.get_running_loop().call_later(FIRST_REQUEST_S, self.force_end, transport)

    def connection_lost(self, exc: BaseException | None) -> None:
        self.begun()
        super().connection_lost(exc)

    def begun(self) -> None:
        if self._late is not None:
            self._late.cancel()
            self._late = None

    def force_end(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        transport.abort()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        """What aiohttp refuses by itself: a bad request line, headers that are too large, framing that is wrong."""
        self.begun()
        if isinstance(exc, LineTooLong):
            response = web.Response(text=_TOO_LARGE, status=431)
            response.force_close()
            return response
        said = f"the request is not HTTP/1.1 as this server reads it: {message}"
        error: StatusError = BadRequest(said) if status < 500 else InternalError("Internal error occurred")
        response = web.Response(
            body=orjson.dumps(error.status()) + b"\n", status=error.code, content_type="application/json"
        )
        response.force_close()
        return response


class Request(web.BaseRequest):
    """aiohttp's, whose answers do not tell anybody which software, of which version, gave them."""

    async def _prepare_hook(self, response: web.StreamResponse) -> None:
        if response.headers.get(SERVER) == SERVER_SOFTWARE:  # another's, to whom a request was passed on, is theirs
            del response.headers[SERVER]


class Server(web.Server):
    """aiohttp's, with connections of ours. `is_over`: whose TLS handshake ends from now on has come too late."""

    def __init__(self, handle: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]) -> None:
        super().__init__(handle, request_factory=_request, handler_cancellation=True)
        self.is_over = False

    def __call__(self) -> web.RequestHandler:
        return Connection(
            self,
            loop=asyncio.get_running_loop(),
            access_log=None,  # type: ignore[arg-type]  # none is written
            max_line_size=LINE_BYTES_MAX,
            max_field_size=LINE_BYTES_MAX,
        )


def _request(message: Any, payload: Any, protocol: Any, writer: Any, task: Any) -> Request:
    return Request(message, payload, protocol, writer, task, asyncio.get_running_loop())


async def listen(server: Server, listener: socket.socket, context: ssl.SSLContext | None) -> asyncio.Server:
    handshake_s = HANDSHAKE_S if context is not None else None
    return await asyncio.get_running_loop().create_server(
        server, sock=listener, ssl=context, backlog=BACKLOG, ssl_handshake_timeout=handshake_s
    )
