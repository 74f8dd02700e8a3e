"""The HTTPS server: who asks, what about, and every answer in Kubernetes' form, refusals and bugs included.

aiohttp reads and writes HTTP; nothing of its routing is used, the resource table is the router.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import zlib
from collections.abc import Callable

from aiohttp import web

from actorkube.runtime import Context
from actorkube.runtime.tracing import note
from actors.apiserver.callers import Caller, authorize_path
from actors.apiserver.pipeline import Pipeline
from actors.apiserver.rest import observe
from actors.apiserver.rest.authenticate import authenticate
from actors.apiserver.rest.config import RestConfig
from actors.apiserver.rest.documents import Documents
from actors.apiserver.rest.negotiate import Output, negotiate
from actors.apiserver.rest.params import Params
from actors.apiserver.rest.paths import Target, parse_path
from actors.apiserver.rest.render import GZIP_BYTES_MIN, Renderer, Reply
from actors.apiserver.rest.verbs import Answer, Verbs, read_body
from actors.apiserver.tls import server_context
from protocols.errors import (
    Answer as Refusal,
)
from protocols.errors import (
    AskError,
    InternalError,
    NotAcceptable,
    NotFound,
    RequestEntityTooLarge,
    ServerTimeout,
    ServiceUnavailable,
    StatusError,
    TooManyRequests,
)
from protocols.trace import TraceContext, parse_traceparent

_PRETTY_AGENTS = ("curl", "Wget", "Mozilla/5.0")
_BACKLOG = 1024
_SHUTDOWN_S = 0.2  # requests under way may end; watches never would
IN_FLIGHT_MAX = 4096
_START_WAIT_S = 10.0
_START_LOOKS = 500


class RestServer:
    """`serve` runs until it is cancelled. `serving` turns true when the API is open; health is answered before."""

    def __init__(self, context: Context, pipeline: Pipeline, config: RestConfig, serving: Callable[[], bool]) -> None:
        self._context = context
        self._pipeline = pipeline
        self._config = config
        self._serving = serving
        self._in_flight = 0  # watches included: each holds a connection
        host, port = config.address
        self._documents = Documents(pipeline.types, pipeline.served, f"{host}:{port}", serving)

    async def serve(self) -> None:
        server = web.Server(self.handle, handler_cancellation=True, access_log=None)
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        try:
            site = web.SockSite(runner, _listener(self._config), ssl_context=_tls(self._config), backlog=_BACKLOG)
            await site.start()
            self._context.log.info("REST is open", address=f"{self._config.address}")
            await asyncio.get_running_loop().create_future()
        finally:
            transports = [connection.transport for connection in server.connections]
            await runner.cleanup()
            for transport in transports:  # who keeps a TLS connection open does not answer that it is closed
                if transport is not None:
                    transport.abort()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request. A bug costs its own request and is logged, not the connections of everybody else."""
        self._in_flight += 1
        try:
            if self._in_flight > IN_FLIGHT_MAX:
                raise TooManyRequests("Too many requests, please try again later.", {"retryAfterSeconds": 1})
            answer: Answer = await self._answer(request)
        except StatusError as refusal:
            answer = _refusal(refusal)
        except AskError as error:
            answer = _refusal(ServerTimeout(f"the outcome is not known: {error}", {"retryAfterSeconds": 1}))
        except Refusal as refusal:
            answer = _refusal(InternalError(f"Internal error occurred: {refusal}"))
        except Exception as bug:
            self._context.log.error("a request failed", method=request.method, path=request.path, exc_info=bug)
            answer = _refusal(InternalError(f"Internal error occurred: {type(bug).__name__}: {bug}"))
        finally:
            self._in_flight -= 1
        return _respond(request, answer) if isinstance(answer, Reply) else answer

    async def _answer(self, request: web.BaseRequest) -> Answer:
        caller = authenticate(request, self._config.tokens)
        params = Params(request.query)
        target = parse_path(self._pipeline.served, request.path)
        if target is None:
            authorize_path(caller, request.method.lower(), request.path)
            return await self._document(request, params, caller)
        await self._until_serving()
        with self._context.span(f"{request.method} {request.path}", _followed(request, caller)):
            note(user=caller.user, client=request.headers.get("User-Agent", "").partition(" ")[0])
            return await self._about(target, request, params, caller)

    async def _about(self, target: Target, request: web.BaseRequest, params: Params, caller: Caller) -> Answer:
        renderer = self._renderer(request, params, negotiate(request.headers.get("Accept", "")))
        agent = request.headers.get("User-Agent", "")
        verbs = Verbs(self._context, self._pipeline, caller, target, params, renderer, agent)
        return await verbs.run(request)

    async def _until_serving(self) -> None:
        """A request that comes while the server starts, or starts again, waits for it."""
        for _ in range(_START_LOOKS):
            if self._serving():
                return
            await asyncio.sleep(_START_WAIT_S / _START_LOOKS)
        raise ServiceUnavailable("the API server is starting: it has not reached the store yet")

    async def _document(self, request: web.BaseRequest, params: Params, caller: Caller) -> Reply:
        match request.method, request.path:
            case "GET", observe.METRICS_PATH:
                return await observe.metrics(self._context, params.text("system"))
            case "POST", observe.OBSERVE_PATH:
                body = await read_body(request, observe.BODY_BYTES_MAX)
                return await observe.observe(self._context, caller, body)
        accept = request.headers.get("Accept", "")
        try:
            output = Output(negotiate(accept).media_type)
        except NotAcceptable:
            output = Output()  # OpenAPI and discovery have media types of their own
        renderer = self._renderer(request, params, output)
        verbose = params.flag("verbose")
        reply = await self._documents.find(request.path, accept, verbose, renderer)
        if reply is None:
            raise NotFound("the server could not find the requested resource")
        return reply

    def _renderer(self, request: web.BaseRequest, params: Params, output: Output) -> Renderer:
        wanted = params.optional_flag("pretty")
        pretty = request.headers.get("User-Agent", "").startswith(_PRETTY_AGENTS) if wanted is None else wanted
        return Renderer(output, self._context.now, params.include_object, pretty)


def _followed(request: web.BaseRequest, caller: Caller) -> TraceContext | None:
    """What a client, if we know it, says that its request is part of (W3C Trace Context)."""
    header = request.headers.get("traceparent")
    return parse_traceparent(header) if header and caller.authenticated else None


def _listener(config: RestConfig) -> socket.socket:
    """A socket of the server's own. A given one is duplicated: it stays open while the server restarts."""
    if config.listener is not None:
        return socket.socket(fileno=os.dup(config.listener.fileno()))
    return socket.create_server((config.host, config.port), backlog=_BACKLOG)


def _tls(config: RestConfig) -> ssl.SSLContext | None:
    if config.cert_file is None or config.key_file is None or config.ca_file is None:
        return None
    return server_context(config.ca_file, config.cert_file, config.key_file)


def _refusal(error: StatusError) -> Reply:
    headers = []
    if error.details.get("retryAfterSeconds"):
        headers.append(("Retry-After", str(error.details["retryAfterSeconds"])))
    return Renderer(Output(), 0.0, "None").document(error.status(), error.code, headers)


def _respond(request: web.BaseRequest, reply: Reply) -> web.Response:
    body, headers = reply.body, [("Content-Type", reply.content_type), *reply.headers]
    headers.append(("Cache-Control", "no-cache, private"))
    if len(body) >= GZIP_BYTES_MIN and "gzip" in request.headers.get("Accept-Encoding", ""):
        compressor = zlib.compressobj(1, wbits=31)
        body = compressor.compress(body) + compressor.flush()
        headers += [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
    response = web.Response(body=body, status=reply.code)
    response.headers.clear()
    response.headers.extend(headers)
    if reply.code == RequestEntityTooLarge.code:
        response.force_close()  # the rest of the body is not worth reading
    return response
