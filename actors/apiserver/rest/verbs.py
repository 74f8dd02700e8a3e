"""From an HTTP request about a resource to a call of the pipeline, and from its outcome to the answer."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from aiohttp import web

from actorkube.runtime import Context
from actors.apiserver.callers import Caller, authorize
from actors.apiserver.calls import Call
from actors.apiserver.changes import Removed
from actors.apiserver.incoming import accept_options
from actors.apiserver.pipeline import Pipeline, permit
from actors.apiserver.reads import CURRENT
from actors.apiserver.rest.bodies import BODY_BYTES_MAX, decode_body, decode_patch
from actors.apiserver.rest.exec import run_exec
from actors.apiserver.rest.logs import stream_log
from actors.apiserver.rest.params import Params
from actors.apiserver.rest.paths import Target
from actors.apiserver.rest.portforward import run_portforward
from actors.apiserver.rest.proxy import parse_name, pass_on, pod_address, service_address
from actors.apiserver.rest.render import Renderer, Reply, warning_headers
from actors.apiserver.rest.watch import RestWatch, watch_options
from actors.apiserver.schema.resources import find
from protocols.errors import BadRequest, MethodNotAllowed, NotFound, RequestEntityTooLarge, StatusError
from protocols.objects import Object

Answer = Reply | web.StreamResponse

_SUCCESS: Object = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success"}
_NOT_YET = {"pods": ("attach",), "nodes": ("proxy",)}


class NotImplementedYet(StatusError):
    """A part of the API that is not there yet."""

    code, reason = 501, "NotImplemented"


class Verbs:
    """One request about one target; `run` finds the verb."""

    def __init__(
        self,
        context: Context,
        pipeline: Pipeline,
        caller: Caller,
        target: Target,
        params: Params,
        renderer: Renderer,
        user_agent: str,
    ) -> None:
        self._context = context
        self._pipeline = pipeline
        self._params = params
        self._renderer = renderer
        self.call = Call(
            caller,
            target.resource,
            target.namespace,
            target.name,
            target.subresource,
            manager=params.text("fieldManager") or user_agent.partition("/")[0] or "unknown",
            dry_run=params.dry_run,
            force=params.flag("force"),
            validation=params.field_validation,
        )

    async def run(self, request: web.BaseRequest) -> Answer:
        call = self.call
        if call.subresource in _NOT_YET.get(call.resource.group_resource, ()):
            authorize(call.caller, "create", call.resource, call.namespace, call.name, call.subresource)
            raise NotImplementedYet(f"{call.subresource} is not implemented yet")
        if call.subresource in ("exec", "portforward"):
            return await self._hold(request)
        if call.subresource == "proxy":
            return await self._proxy(request)
        permit(call, self._verb(request.method))
        body = await read_body(request)
        content_type = request.headers.get("Content-Type", "")
        match request.method:
            case "GET" | "HEAD":
                return await self._read(request)
            case "POST":
                return await self._create(decode_body(body, content_type))
            case "PUT":
                return await self._update(decode_body(body, content_type))
            case "PATCH":
                return await self._patch(body, content_type)
            case "DELETE":
                options = decode_body(body, content_type) if body else None
                return await self._delete(accept_options(self._pipeline.types, options))
        raise MethodNotAllowed(f"{request.method} is not supported")

    def _verb(self, method: str) -> str:
        """Kubernetes' verb for an HTTP method."""
        match method:
            case "GET" | "HEAD":
                return "watch" if self._params.flag("watch") else "get" if self.call.name else "list"
            case "DELETE":
                return "delete" if self.call.name else "deletecollection"
        return {"POST": "create", "PUT": "update", "PATCH": "patch"}.get(method, method.lower())

    # -- reading --------------------------------------------------------------------------------------------------

    async def _read(self, request: web.BaseRequest) -> Answer:
        call, params = self.call, self._params
        if self._params.flag("watch"):
            return await self._watch(request)
        if call.subresource == "log":
            pod = (await self._pipeline.get(call)).object()
            return await stream_log(self._context, request, pod, params)
        if call.name:
            return self._renderer.item(call.resource, await self._pipeline.get(call, params.revision))
        return self._renderer.list(call.resource, await self._pipeline.list(call, params.query()))

    async def _watch(self, request: web.BaseRequest) -> Answer:
        """A watch of one object is a watch of the collection, narrowed to its name."""
        query = self._params.query(self.call.name)
        options = watch_options(self._params, self._context)
        return await RestWatch(self._pipeline, self.call, query, options, self._renderer).run(request)

    async def _hold(self, request: web.BaseRequest) -> Answer:
        """Running a command is creating something, and so is a connection; a WebSocket's handshake makes it a GET."""
        call = self.call
        if request.method not in ("GET", "POST"):
            raise MethodNotAllowed(f"{request.method} is not supported")
        permit(call, "create")
        pod = (await self._pipeline.reads.get(call, CURRENT)).object()
        if call.subresource == "portforward":
            return await run_portforward(self._context, request, pod)
        return await run_exec(self._context, request, pod, self._params)

    async def _proxy(self, request: web.BaseRequest) -> Answer:
        call, method = self.call, "GET" if request.method == "HEAD" else request.method
        permit(call, "get" if method == "GET" else self._verb(method))
        wanted = parse_name(call.name)
        found = (await self._pipeline.reads.get(replace(call, name=wanted.name), CURRENT)).object()
        if call.resource.group_resource == "pods":
            return await pass_on(request, wanted.scheme, pod_address(found, wanted.port))
        endpoints = await self._endpoints(wanted.name)
        address = service_address(found, endpoints, wanted.port, self._context.random)
        return await pass_on(request, wanted.scheme, address)

    async def _endpoints(self, name: str) -> Object:
        resource = find("endpoints")
        assert resource is not None
        call = replace(self.call, resource=resource, name=name, subresource="")
        try:
            return (await self._pipeline.reads.get(call, CURRENT)).object()
        except NotFound:
            return {}

    # -- writing --------------------------------------------------------------------------------------------------

    async def _create(self, body: Any) -> Reply:
        call = self.call
        item = await self._pipeline.create(call, body)
        if call.subresource in ("binding", "eviction") or call.resource.plural == "bindings":
            return self._renderer.document({**_SUCCESS, "code": 201}, 201)
        return self._renderer.item(call.resource, item, 201, warning_headers(call.warnings))

    async def _update(self, body: Any) -> Reply:
        self._named("update")
        item = await self._pipeline.update(self.call, body)
        return self._renderer.item(self.call.resource, item, 200, warning_headers(self.call.warnings))

    async def _patch(self, body: bytes, content_type: str) -> Reply:
        self._named("patch")
        type, patch = decode_patch(body, content_type)
        if type == "apply" and not self._params.text("fieldManager"):
            raise BadRequest("PatchOptions.meta.k8s.io is invalid: fieldManager: Required value: is required for apply")
        item = await self._pipeline.patch(self.call, type, patch)
        code = 201 if self.call.created else 200
        return self._renderer.item(self.call.resource, item, code, warning_headers(self.call.warnings))

    async def _delete(self, options: Object) -> Reply:
        call = self.call
        call.dry_run = call.dry_run or bool(options.get("dryRun"))
        deletion = self._params.deletion(options)
        if not call.name:
            query = self._params.query()
            return self._renderer.list(call.resource, await self._pipeline.delete_collection(call, query, deletion))
        removed = await self._pipeline.delete(call, deletion)
        return self._gone(removed) if removed.gone else self._renderer.item(call.resource, removed.item)

    def _gone(self, removed: Removed) -> Reply:
        resource = self.call.resource
        uid = removed.item.object()["metadata"].get("uid", "")
        details = {"name": self.call.name, "group": resource.group, "kind": resource.plural, "uid": uid}
        kept = {key: value for key, value in details.items() if value}
        return self._renderer.document({**_SUCCESS, "details": kept})

    def _named(self, verb: str) -> None:
        if not self.call.name:
            raise MethodNotAllowed(f"{verb} is not supported on a collection: name the object")


async def read_body(request: web.BaseRequest, bytes_max: int = BODY_BYTES_MAX) -> bytes:
    """The body, refused as soon as it is known to be too large."""
    if not request.can_read_body:
        return b""
    refusal = RequestEntityTooLarge(f"Request entity too large: limit is {bytes_max}")
    if (request.content_length or 0) > bytes_max:
        raise refusal
    chunks, size = [], 0
    async for chunk in request.content.iter_any():
        size += len(chunk)
        if size > bytes_max:
            raise refusal
        chunks.append(chunk)
    return b"".join(chunks)
