"""An API server behind the API server: what it serves, and the APIService by which it is found."""

from __future__ import annotations

import asyncio
from typing import Any

import orjson
from aiohttp import WSMsgType, web

from actors.apiserver.rest.upgrade import SpdyConnection, require_stream_protocol, upgrade_to_spdy, wants_spdy
from actors.apiserver.spdy.session import Closed, Ended, Opened, Received
from protocols.objects import Object
from tests.apiserver.rest_client import Rest
from tests.apiserver.tls_server import Server

SERVICES = "/apis/apiregistration.k8s.io/v1/apiservices"
GROUP = "fruit.example.com"
BASE = f"/apis/{GROUP}/v1"
APPLES = f"{BASE}/namespaces/default/apples"
WAIT_S = 30.0


class Orchard:
    """An extension server. `asked` is what came, but for what the check of its availability asks."""

    def __init__(self) -> None:
        self.asked: list[web.BaseRequest] = []
        self.down = False
        self.refused = 0
        self.grown = asyncio.Event()

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        if self.down:
            self.refused += 1
            return web.Response(status=500)
        if request.headers.get("X-Remote-User") != "system:kube-aggregator":
            self.asked.append(request)
        match request.path:
            case "/openapi/v3":
                url = f"/openapi/v3/apis/{GROUP}/v1?hash=A1"
                return web.json_response({"paths": {f"apis/{GROUP}/v1": {"serverRelativeURL": url}}})
            case "/openapi/v2":
                return web.json_response(SWAGGER)
            case "/apis/fruit.example.com/v1":
                return web.json_response({"kind": "APIResourceList", "groupVersion": f"{GROUP}/v1", "resources": KINDS})
            case path if path.startswith("/openapi/v3/apis/"):
                return web.json_response({"openapi": "3.0.0", "info": {"title": "fruit"}})
            case path if path == APPLES and request.query.get("watch"):
                return await self._watch(request)
            case path if path == APPLES and request.method == "GET":
                items = [apple("boskoop"), apple("elstar")]
                return web.json_response({"kind": "AppleList", "apiVersion": f"{GROUP}/v1", "items": items})
            case path if path == APPLES and request.method == "POST":
                return web.json_response(orjson.loads(await request.read()), status=201)
            case path if path.endswith("/shell"):
                return await self._shell(request)
        head = {"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Failure"}
        return web.json_response({**head, "code": 404, "reason": "NotFound", "message": "no such fruit"}, status=404)

    async def _watch(self, request: web.BaseRequest) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        await response.prepare(request)
        for name in ("boskoop", "elstar"):
            await response.write(orjson.dumps({"type": "ADDED", "object": apple(name)}) + b"\n")
            await self.grown.wait()
        await response.write_eof()
        return response

    async def _shell(self, request: web.BaseRequest) -> web.StreamResponse:
        """Says backwards what it is told over a WebSocket, and in capitals what it is told on streams of SPDY."""
        if request.query.get("closed"):
            return web.json_response({"kind": "Status", "code": 403, "message": "closed"}, status=403)
        if wants_spdy(request):
            return await self._spdy(request)
        socket = web.WebSocketResponse(protocols=("v5.channel.k8s.io",))
        await socket.prepare(request)
        async for message in socket:
            if message.type is WSMsgType.BINARY:
                await socket.send_bytes(message.data[::-1])
        return socket

    async def _spdy(self, request: web.BaseRequest) -> web.StreamResponse:
        way = await upgrade_to_spdy(request, require_stream_protocol(request, ("v4.channel.k8s.io",)))
        connection = SpdyConnection(way)
        async for event in connection.events():
            match event:
                case Opened(stream):
                    connection.session.reply(stream)
                case Received(stream, data):
                    connection.session.send(stream, data.upper())
                case Ended(stream):
                    connection.session.send(stream, b"", last=True)
                case Closed():
                    break
        await connection.close()
        return way.response


KINDS: list[Object] = [
    {
        "name": "apples",
        "singularName": "apple",
        "namespaced": True,
        "kind": "Apple",
        "verbs": ["get", "list", "watch"],
        "shortNames": ["ap"],
    },
    {"name": "apples/status", "singularName": "", "namespaced": True, "kind": "Apple", "verbs": ["get"]},
]

META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
# What it calls ObjectMeta is not what Kubernetes calls so; and it says something of a group that is not its own.
SWAGGER: Object = {
    "swagger": "2.0",
    "info": {"title": "fruit", "version": "v1"},
    "paths": {
        f"{BASE}/namespaces/{{namespace}}/apples": {
            "get": {
                "responses": {"200": {"description": "OK", "schema": {"$ref": "#/definitions/com.example.AppleList"}}}
            }
        },
        "/apis/apps/v1/deployments": {"get": {"responses": {"200": {"description": "not its own"}}}},
    },
    "definitions": {
        "com.example.AppleList": {
            "type": "object",
            "properties": {"items": {"type": "array", "items": {"$ref": "#/definitions/com.example.Apple"}}},
        },
        "com.example.Apple": {"type": "object", "properties": {"metadata": {"$ref": f"#/definitions/{META}"}}},
        META: {"type": "object", "properties": {"name": {"type": "string"}}},
        "com.example.Pear": {"type": "object"},
    },
}


def apple(name: str) -> Object:
    return {"kind": "Apple", "apiVersion": f"{GROUP}/v1", "metadata": {"name": name, "namespace": "default"}}


def api_service(server: Server, **spec: Any) -> Object:
    wanted = {
        "group": GROUP,
        "version": "v1",
        "service": {"namespace": "default", "name": "orchard"},
        "caBundle": server.bundle,
        "groupPriorityMinimum": 1500,
        "versionPriority": 15,
    }
    return {"metadata": {"name": f"v1.{GROUP}"}, "spec": {**wanted, **spec}}


async def available(client: Rest, name: str, status: str) -> Object:
    """The condition, once it has this status."""
    path = f"{SERVICES}?watch=true&fieldSelector=metadata.name%3D{name}&timeoutSeconds={int(WAIT_S)}"
    async with client.watch(path) as watch, asyncio.timeout(WAIT_S):
        while True:
            found = (await watch.event())["object"]
            for condition in (found.get("status") or {}).get("conditions") or ():
                if condition["status"] == status:
                    return dict(condition)
