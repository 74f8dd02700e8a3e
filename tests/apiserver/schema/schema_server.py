"""A server of schema documents alone, for real kubectls: writes are decoded, checked, recorded and echoed, not kept."""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from actors.apiserver.cache import Cache
from actors.apiserver.custom.served import Served
from actors.apiserver.schema import discovery, protobuf
from actors.apiserver.schema.check import cannot_be_handled, check
from actors.apiserver.schema.openapi_v2 import PROTOBUF_CONTENT_TYPE, OpenApiV2
from actors.apiserver.schema.openapi_v3 import OpenApiV3
from actors.apiserver.schema.page import Page
from actors.apiserver.schema.resources import RESOURCES
from actors.apiserver.schema.types import Types
from protocols.errors import BadRequest, NotFound


class SchemaServer:
    """`aggregated` and `v3` switch off what older servers do not have."""

    def __init__(self, aggregated: bool = True, v3: bool = True) -> None:
        self.types = Types.load()
        served = Served(Cache(), self.types)
        self.v2, self.v3 = OpenApiV2(self.types, served), OpenApiV3(self.types, served) if v3 else None
        self.aggregated = aggregated
        self.objects: dict[str, dict[str, Any]] = {}  # what GET answers, by path
        self.received: list[dict[str, Any]] = []
        self.asked: list[str] = []

    async def handle(self, request: web.Request) -> web.Response:
        self.asked.append(f"{request.method} {request.path}")
        steps = request.path.strip("/").split("/")
        if request.method in ("POST", "PUT"):
            return self._write(request, await request.read())
        match steps:
            case ["version"]:
                return _json(discovery.version_document(self.types.version, "test"))
            case ["api" | "apis"]:
                return self._roots(request)
            case ["api", version]:
                return _json(discovery.resource_list(RESOURCES, "", version))
            case ["apis", group]:
                return _json(discovery.group(RESOURCES, group))
            case ["apis", group, version]:
                return _json(discovery.resource_list(RESOURCES, group, version))
            case ["openapi", "v2"]:
                as_protobuf = "proto" in request.headers["Accept"]
                content_type = PROTOBUF_CONTENT_TYPE if as_protobuf else "application/json"
                return _page(self.v2.protobuf() if as_protobuf else self.v2.json(), content_type)
            case ["openapi", "v3", *below] if self.v3 is not None:
                return _page(self.v3.document("/".join(below)) if below else self.v3.index(), "application/json")
        return _json(self.objects.get(request.path))

    def _roots(self, request: web.Request) -> web.Response:
        core, accepted = request.path == "/api", request.headers.get("Accept", "")
        if self.aggregated and "v=v2;as=APIGroupDiscoveryList" in accepted:
            return _json(discovery.aggregated(RESOURCES, core), discovery.aggregated_content_type("v2"))
        if self.aggregated and "v=v2beta1;as=APIGroupDiscoveryList" in accepted:
            return _json(discovery.aggregated(RESOURCES, core, "v2beta1"), discovery.aggregated_content_type("v2beta1"))
        return _json(discovery.core_versions("127.0.0.1") if core else discovery.group_list(RESOURCES))

    def _write(self, request: web.Request, body: bytes) -> web.Response:
        as_protobuf = request.content_type == protobuf.CONTENT_TYPE
        obj = protobuf.decode(body) if as_protobuf else json.loads(body)
        type_ = self.types.by_kind(obj["apiVersion"], obj["kind"])
        assert type_ is not None, obj
        self.received.append(obj)
        problem = check(obj, type_).problem("Strict")
        if problem:
            return _json(BadRequest(cannot_be_handled(obj["apiVersion"], obj["kind"], problem)).status())
        return _json(obj)


def _json(document: dict[str, Any] | None, content_type: str = "application/json") -> web.Response:
    if document is None:
        document = NotFound("not found").status()
    status = document.get("code", 200)
    return web.Response(text=json.dumps(document), status=status, headers={"Content-Type": content_type})


def _page(page: Page | None, content_type: str) -> web.Response:
    if page is None:
        return _json(None)
    return web.Response(body=page.body, headers={"Content-Type": content_type, "ETag": page.etag})
