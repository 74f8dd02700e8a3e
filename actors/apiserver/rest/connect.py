"""Requests that connect to something: commands and ports of pods, and what is passed on to pods, services and nodes.

Admission decides about the options that the URL asks for, before anybody looks whether there is such a thing; then the
connection is what became of them.
"""

from __future__ import annotations

from dataclasses import replace
from urllib.parse import quote

from aiohttp import web

from actorkube.runtime import Context
from actors.apiserver.answers import method_not_allowed
from actors.apiserver.calls import Call
from actors.apiserver.connect_options import options_of
from actors.apiserver.outward.services import service_address
from actors.apiserver.pipeline import Pipeline, asked, check_served
from actors.apiserver.reads import CURRENT
from actors.apiserver.rest.exec import run_exec
from actors.apiserver.rest.kubelets import unanswered
from actors.apiserver.rest.node_proxy import KUBELET_PORTS, kubelet_page, node_address
from actors.apiserver.rest.portforward import run_portforward
from actors.apiserver.rest.proxy import Wanted, parse_name, pass_on, path_asked, pod_address, rest_of
from actors.apiserver.rest.render import Renderer, Reply
from actors.apiserver.rest.warned import WARNINGS
from actors.apiserver.schema.resources import find, subresource_kind
from protocols.errors import BadRequest, NotFound, StatusError
from protocols.objects import Object

CONNECTIONS = ("exec", "attach", "portforward", "proxy")
_PATH_SAFE = "/:@!$&'()*+,;=~"  # RFC 3986: what stands for itself in a path


class Connect:
    """One request for a connection. `verb` is Kubernetes' for its method."""

    def __init__(self, context: Context, pipeline: Pipeline, call: Call, renderer: Renderer) -> None:
        self._context = context
        self._pipeline = pipeline
        self._renderer = renderer
        self.call = call

    async def run(self, request: web.BaseRequest, verb: str) -> Reply | web.StreamResponse:
        if self.call.subresource == "proxy":
            check_served(self.call, verb)
            return await self._proxy(request)
        if request.method not in ("GET", "POST"):
            raise method_not_allowed()
        check_served(self.call, "create")
        return await self._hold(request)

    async def _admitted(self, request: web.BaseRequest) -> Object:
        """What is asked for, as admission wants it."""
        if "dryRun" in request.query:
            raise BadRequest("dryRun is not supported")
        request[WARNINGS] = self.call.warnings
        kind = subresource_kind(self.call.resource, self.call.subresource)[2]
        return await self._pipeline.connect(self.call, options_of(kind, request.query, path_asked(request.path)))

    async def _hold(self, request: web.BaseRequest) -> web.StreamResponse:
        """Running a command is creating something, and so is a connection; a WebSocket's handshake makes it a GET."""
        call = self.call
        self._pipeline.authorizer.permit(call.caller, asked(call, "create"))
        options = await self._admitted(request)
        pod = (await self._pipeline.reads.get(call, CURRENT)).object()
        if call.subresource == "portforward":
            return await run_portforward(self._context, request, pod, options)
        return await run_exec(self._context, request, pod, options, self._unanswered)

    def _unanswered(self, node: str, error: Exception) -> StatusError:
        return unanswered(self._pipeline, node, error)

    async def _proxy(self, request: web.BaseRequest) -> Reply | web.StreamResponse:
        call, path = self.call, path_asked(request.path)
        changed = (await self._admitted(request)).get("path", "")
        # What nobody has changed passes as it came, with its own way of escaping.
        way = rest_of(request.rel_url.raw_path) if changed == path else quote(f"/{changed.lstrip('/')}", _PATH_SAFE)
        wanted = parse_name(call.name, call.resource.kind)
        found = (await self._pipeline.reads.get(replace(call, name=wanted.name), CURRENT)).object()
        if call.resource.group_resource == "pods":
            return await pass_on(request, wanted.scheme, pod_address(found, wanted.port), way)
        if call.resource.group_resource == "nodes":
            return await self._node(request, found, wanted, way)
        endpoints = await self._endpoints(wanted.name)
        address = service_address(found, endpoints, wanted.port, self._context.random)
        return await pass_on(request, wanted.scheme, address, way)

    async def _node(
        self, request: web.BaseRequest, node: Object, wanted: Wanted, way: str
    ) -> Reply | web.StreamResponse:
        if wanted.port not in KUBELET_PORTS:
            return await pass_on(request, wanted.scheme, node_address(node, wanted.port), way)
        return await kubelet_page(self._context, self._pipeline, self.call, node, request.method, way, self._renderer)

    async def _endpoints(self, name: str) -> Object:
        resource = find("endpoints")
        assert resource is not None
        call = replace(self.call, resource=resource, name=name, subresource="")
        try:
            return (await self._pipeline.reads.get(call, CURRENT)).object()
        except NotFound:
            return {}
