"""The HTTPS server: who asks, what about, and every answer in Kubernetes' form, refusals and bugs included.

aiohttp reads and writes HTTP; nothing of its routing is used, the resource table is the router.
"""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from functools import partial
from typing import cast

from aiohttp import web

from actorkube.kube.zpages import ZPages
from actorkube.runtime import Context
from actorkube.runtime.tracing import note
from actors.apiserver.access.attributes import Attributes
from actors.apiserver.access.impersonation import impersonated
from actors.apiserver.aggregation.remotes import Remotes
from actors.apiserver.answers import method_not_allowed
from actors.apiserver.audit.trail import Trail
from actors.apiserver.callers import Caller
from actors.apiserver.flowcontrol.gate import Gate
from actors.apiserver.pipeline import Pipeline
from actors.apiserver.rest import gzip, metrics_api, observe
from actors.apiserver.rest.aggregator import Aggregator
from actors.apiserver.rest.audit import FAILED, audited, record_of
from actors.apiserver.rest.authenticate import authenticate, authenticates_as_nobody, bearer_token
from actors.apiserver.rest.bodies import is_apply
from actors.apiserver.rest.caching import kept
from actors.apiserver.rest.config import RestConfig, flags_of
from actors.apiserver.rest.connections import BACKLOG, Connection, Server, listen
from actors.apiserver.rest.counts import CLIENT_GONE, Counted, Counts, Told
from actors.apiserver.rest.documents import Documents
from actors.apiserver.rest.flow import FLOW, PASS, extent_of, flow_headers
from actors.apiserver.rest.negotiate import Output, negotiate
from actors.apiserver.rest.params import Params
from actors.apiserver.rest.parts import PIECE_BYTES, Parts
from actors.apiserver.rest.paths import Target, parse_path
from actors.apiserver.rest.render import Renderer, Reply
from actors.apiserver.rest.request_info import attributes_of
from actors.apiserver.rest.timeout import not_in_time, seconds_allowed
from actors.apiserver.rest.verbs import Answer, Verbs, read_body
from actors.apiserver.rest.warned import WARNINGS, warned
from actors.apiserver.schema.deprecated import deprecation, removed_release
from actors.apiserver.schema.types import minor_of
from actors.apiserver.tls import server_context
from protocols.errors import (
    Answer as Refusal,
)
from protocols.errors import (
    AskError,
    Forbidden,
    InternalError,
    NotAcceptable,
    NotFound,
    RequestEntityTooLarge,
    ServerTimeout,
    ServiceUnavailable,
    StatusError,
    TooManyRequests,
    Unauthorized,
)
from protocols.trace import TraceContext, parse_traceparent

DUMPS = "/debug/api_priority_and_fairness/"
_READ_ONLY = ("/version", "/.well-known/", "/openid/")
_TEXT = "text/plain; charset=utf-8"
_NO_SNIFF = (("X-Content-Type-Options", "nosniff"),)
_NO_PAGE = Reply(b"404 page not found\n", 404, _TEXT, _NO_SNIFF)
_PRETTY_AGENTS = ("curl", "Wget", "Mozilla/5.0")
_SHUTDOWN_S = 0.2  # requests under way may end; watches never would
IN_FLIGHT_MAX = 4096
COUNTED = web.RequestKey("counted", Counted)
_START_WAIT_S = 10.0
_START_LOOKS = 500
_IMPERSONATED_ALONE_SINCE = 36  # v1.N: for one request


class RestServer:
    """`serve` runs until it is cancelled. `serving` turns true when the API is open; health is answered before."""

    def __init__(
        self,
        context: Context,
        pipeline: Pipeline,
        config: RestConfig,
        serving: Callable[[], bool],
        store_answers: Callable[[], Awaitable[bool]],
        remotes: Remotes,
        aggregator: Aggregator,
        gate: Gate,
        trail: Trail | None = None,
    ) -> None:
        """`trail`: what is asked here is written there."""
        self._trail = trail
        self._remotes = remotes
        self._aggregator = aggregator
        self._gate = gate
        self._context = context
        self._pipeline = pipeline
        self._config = config
        self._serving = serving
        self._counts = Counts()
        self._in_flight = 0  # watches included: each holds a connection
        host, port = config.address
        issuer = pipeline.tokens.issuer
        address, now = f"{host}:{port}", lambda: context.now
        zpages = ZPages("apiserver", pipeline.types.version, context.now, lambda: flags_of(config))
        self._documents = Documents(
            pipeline.types, pipeline.served, address, serving, store_answers, issuer, remotes, zpages, now
        )

    async def serve(self) -> None:
        handle = audited(self.handle, self._trail, self._context.uuid) if self._trail is not None else self.handle
        server = Server(handle)
        runner = web.ServerRunner(server, shutdown_timeout=_SHUTDOWN_S)
        await runner.setup()
        listening = await listen(server, _listener(self._config), _tls(self._config))
        try:
            self._context.log.info("REST is open", address=f"{self._config.address}")
            await asyncio.get_running_loop().create_future()
        finally:
            listening.close()
            server.is_over = True
            transports = [connection.transport for connection in server.connections]
            await runner.cleanup()
            for transport in transports:  # who keeps a TLS connection open does not answer that it is closed
                if transport is not None:
                    transport.abort()

    async def handle(self, request: web.BaseRequest) -> web.StreamResponse:
        """One request. A bug costs its own request and is logged, not the connections of everybody else."""
        cast(Connection, request.protocol).begun()
        began, code = time.perf_counter(), CLIENT_GONE
        self._in_flight += 1
        try:
            answer = await self._answer_or_refuse(request)
            code = answer.code if isinstance(answer, Reply) else answer.status
        finally:
            self._in_flight -= 1
            if (counted := request.get(COUNTED)) is not None:
                counted.end(code, time.perf_counter() - began)
        return _respond(request, answer) if isinstance(answer, Reply) else answer

    def told(self) -> Callable[[], bytes]:
        """What Prometheus reads of requests and of what is stored, as `Actor.exposition` wants it."""
        from actors.apiserver.rest.exposition import render  # prometheus-client: only who is asked pays for it

        stored = {(group, plural): number for plural, group, number in self._stored()}
        told, gate = Told(self._counts.copy(), stored), self._gate.metrics()
        return lambda: gate + render(told)

    def _stored(self) -> Iterator[tuple[str, str, int]]:
        for name, number in self._pipeline.reads.sizes().items():
            plural, _, group = name.partition(".")
            yield plural, group, number

    async def _answer_or_refuse(self, request: web.BaseRequest) -> Answer:
        try:
            if self._in_flight > IN_FLIGHT_MAX:
                raise TooManyRequests("Too many requests, please try again later.", {"retryAfterSeconds": 1})
            return await self._answer(request)
        except StatusError as refusal:
            return _refusal(request, refusal)
        except AskError as error:
            return _refusal(request, ServerTimeout(f"the outcome is not known: {error}", {"retryAfterSeconds": 1}))
        except Refusal as refusal:
            return _refusal(request, InternalError(f"Internal error occurred: {refusal}"))
        except Exception as bug:
            request[FAILED] = True
            self._context.log.error("a request failed", method=request.method, path=request.path, exc_info=bug)
            return _refusal(request, InternalError(f"Internal error occurred: {type(bug).__name__}: {bug}"))

    async def _answer(self, request: web.BaseRequest) -> Answer:
        params = Params(request.query)
        asked = attributes_of(request.method, request.path, params)
        seconds = seconds_allowed(params, asked)
        if seconds is None:
            return await self._answer_in_time(request, params, asked)
        try:
            async with asyncio.timeout(seconds):
                return await self._answer_in_time(request, params, asked)
        except TimeoutError:
            raise not_in_time() from None

    async def _answer_in_time(self, request: web.BaseRequest, params: Params, asked: Attributes) -> Answer:
        token = bearer_token(request)
        if token is not None and not self._pipeline.tokens.is_configured(token):
            await self._until_serving()  # whether it is good depends on what is stored
            await self._pipeline.tokens.prepare(token)
        if not asked.path:
            await self._until_serving()
        try:
            caller, target = await self._permitted(request, asked)
        except Forbidden as denied:
            return _refusal(request, denied, _NO_SNIFF)
        request[COUNTED] = Counted(
            self._counts, asked, target, params.dry_run, applies=is_apply(request.headers.get("Content-Type", ""))
        )
        way = self._gate.admit(
            caller, asked, target.resource if target is not None else None, partial(extent_of, params)
        )
        if way is None:
            return await self._answer_to(caller, target, request, params)
        request[PASS] = way
        try:
            await way.enter()
            return await self._answer_to(caller, target, request, params)
        finally:
            way.leave()

    async def _answer_to(
        self, caller: Caller, target: Target | None, request: web.BaseRequest, params: Params
    ) -> Answer:
        remote = self._remotes.at(request.path)
        if remote is not None:
            return await self._aggregator.pass_on(request, remote, caller)
        if target is None and request.path.startswith(metrics_api.PREFIX):
            renderer = self._renderer(request, params, negotiate(request.headers.get("Accept", "")))
            metrics = metrics_api.MetricsApi(self._context, self._pipeline, caller, params)
            return await metrics.answer(request.method, request.path, renderer)
        if target is None:
            return await self._document(request, params)
        with self._context.span(f"{request.method} {request.path}", _followed(request, caller)):
            note(user=caller.user, client=request.headers.get("User-Agent", "").partition(" ")[0])
            return await self._about(target, request, params, caller)

    async def _permitted(self, request: web.BaseRequest, asked: Attributes) -> tuple[Caller, Target | None]:
        """Who asks, and what about. What another API server has just stored (a role, a token's account, a definition)
        counts here as well: who shows a name is refused only by what is so now. Raises Unauthorized, Forbidden.
        """
        try:
            caller, target = self._look_up(request, asked)
            if target is not None or not asked.resource or self._is_of_others(request.path):
                return caller, target
        except (Unauthorized, Forbidden):
            if not self._serving() or authenticates_as_nobody(request):
                raise
        await self._pipeline.reads.confirm()
        return self._look_up(request, asked)

    def _is_of_others(self, path: str) -> bool:
        """Whether nothing that is stored here could be meant."""
        return path.startswith(metrics_api.PREFIX) or self._remotes.at(path) is not None

    def _look_up(self, request: web.BaseRequest, asked: Attributes) -> tuple[Caller, Target | None]:
        shown = authenticate(request, self._pipeline.tokens)
        record = record_of(request) if self._trail is not None else None
        if record is not None:
            record.received(shown, asked)
        on = asked if minor_of(self._pipeline.types.version) >= _IMPERSONATED_ALONE_SINCE else None
        caller = impersonated(shown, request.headers.items(), self._pipeline.authorizer, on)
        if record is not None:
            record.decided(caller, self._pipeline.authorizer.decide(caller, asked))
        try:
            self._pipeline.authorizer.permit(caller, asked)
        except Forbidden:
            request[FLOW] = self._gate.flow_headers(caller, asked)
            raise
        return caller, parse_path(self._pipeline.served, request.path)

    async def _about(self, target: Target, request: web.BaseRequest, params: Params, caller: Caller) -> Answer:
        if target.watches:
            if request.method not in ("GET", "HEAD"):
                raise method_not_allowed()
            params = params.watching()
        if text := deprecation(target.resource, self._pipeline.types.version):
            request[WARNINGS] = [text]
            request[COUNTED].is_of_old(removed_release(target.resource))
            if (record := record_of(request)) is not None and target.resource.custom is None:
                record.annotations["k8s.io/deprecated"] = "true"
        accept, is_custom = request.headers.get("Accept", ""), target.resource.custom is not None
        output = negotiate(accept, protobuf=not is_custom, streams=not (is_custom or target.name))
        renderer = self._renderer(request, params, output)
        agent = request.headers.get("User-Agent", "")
        record = record_of(request) if self._trail is not None else None
        verbs = Verbs(self._context, self._pipeline, caller, target, params, renderer, agent, record)
        try:
            return await verbs.run(request)
        except StatusError:
            request[WARNINGS] = [*request.get(WARNINGS, ()), *verbs.warnings]  # who is refused is warned as well
            raise

    async def _until_serving(self) -> None:
        """A request that comes while the server starts, or starts again, waits for it."""
        for _ in range(_START_LOOKS):
            if self._serving():
                return
            await asyncio.sleep(_START_WAIT_S / _START_LOOKS)
        raise ServiceUnavailable("the API server is starting: it has not reached the store yet")

    async def _document(self, request: web.BaseRequest, params: Params) -> Reply:
        match request.method, request.path:
            case _, observe.METRICS_PATH:
                return await observe.metrics(self._context, params.text("system"), self.told)
            case "GET", path if path.startswith(DUMPS):
                return self._dump(path.removeprefix(DUMPS))
            case "POST", observe.OBSERVE_PATH:
                body = await read_body(request, observe.BODY_BYTES_MAX)
                return await observe.observe(self._context, body)
        accept = request.headers.get("Accept", "")
        output, refusal = Output(), None
        try:
            output = self._documents.output(request.path, accept)
        except NotAcceptable as unfit:
            refusal = unfit  # if there is anything at all
        renderer = self._renderer(request, params, output)
        verbose = params.flag("verbose")
        excluded = request.query.getall("exclude", [])
        reply = await self._documents.find(request.path, accept, verbose, renderer, excluded)
        if reply is None and self._documents.is_of_api(request.path):
            raise NotFound("the server could not find the requested resource")
        if reply is None:
            return _NO_PAGE
        if refusal is not None:
            raise refusal
        if request.method not in ("GET", "HEAD") and self._is_read_only(request.path):
            raise method_not_allowed()
        known = request.headers.get("If-None-Match", "")
        return kept(reply, request.path, request.query, known, self._context.now)

    def _is_read_only(self, path: str) -> bool:
        """What else there is answers whatever method, as Kubernetes does it."""
        return path.startswith(_READ_ONLY) or self._documents.is_fixed(path)

    def _dump(self, what: str) -> Reply:
        text = self._gate.dump(what)
        if text is None:
            return _NO_PAGE
        return Reply(text.encode(), content_type=_TEXT)

    def _renderer(self, request: web.BaseRequest, params: Params, output: Output) -> Renderer:
        wanted = params.optional_flag("pretty")
        pretty = request.headers.get("User-Agent", "").startswith(_PRETTY_AGENTS) if wanted is None else wanted
        include, context = params.include_object, self._context
        return Renderer(output, lambda: context.now, include, pretty, reads_gzip=_reads_gzip(request))


def _followed(request: web.BaseRequest, caller: Caller) -> TraceContext | None:
    """What a client, if we know it, says that its request is part of (W3C Trace Context)."""
    header = request.headers.get("traceparent")
    return parse_traceparent(header) if header and caller.authenticated else None


def _listener(config: RestConfig) -> socket.socket:
    """A socket of the server's own. A given one is duplicated: it stays open while the server restarts."""
    if config.listener is not None:
        return socket.socket(fileno=os.dup(config.listener.fileno()))
    return socket.create_server((config.host, config.port), backlog=BACKLOG)


def _tls(config: RestConfig) -> ssl.SSLContext | None:
    if config.cert_file is None or config.key_file is None or config.ca_file is None:
        return None
    return server_context(config.ca_file, config.cert_file, config.key_file)


def _reads_gzip(request: web.BaseRequest) -> bool:
    return "gzip" in request.headers.get("Accept-Encoding", "")


def _refusal(request: web.BaseRequest, error: StatusError, more: Sequence[tuple[str, str]] = ()) -> Reply:
    """In the form that the client asked for: who reads nothing but protobuf or YAML is told in it why not."""
    headers = list(more)
    if error.details.get("retryAfterSeconds"):
        headers.append(("Retry-After", str(error.details["retryAfterSeconds"])))
    try:
        output = Output(negotiate(request.headers.get("Accept", ""), protobuf=True).media_type)
    except NotAcceptable:
        output = Output()
    return Renderer(output, float, "None").document(error.status(), error.code, headers)


def _respond(request: web.BaseRequest, reply: Reply) -> web.Response:
    content_type = [("Content-Type", reply.content_type)] if reply.content_type else []
    body, headers = reply.body, [*content_type, *reply.headers, *warned(request)]
    headers += flow_headers(request)
    if not any(name == "Cache-Control" for name, _ in reply.headers):
        headers.append(("Cache-Control", "no-cache, private"))
    zipped = reply.zipped
    if not zipped and len(body) >= gzip.BYTES_MIN and _reads_gzip(request):
        body, zipped = gzip.compressed(body.whole() if isinstance(body, Parts) else body), True
    if zipped:
        headers += [("Content-Encoding", "gzip"), ("Vary", "Accept-Encoding")]
    if len(body) > PIECE_BYTES:
        body = body if isinstance(body, Parts) else Parts([body])
    elif isinstance(body, Parts):
        body = body.whole()
    if isinstance(body, Parts):
        response = web.Response(body=body, status=reply.code)
        response.headers.clear()  # what the parts say of themselves
        response.headers.extend(headers)
    else:
        response = web.Response(body=body, status=reply.code, headers=headers)
    if reply.code == RequestEntityTooLarge.code:
        response.force_close()  # the rest of the body is not worth reading
    return response
