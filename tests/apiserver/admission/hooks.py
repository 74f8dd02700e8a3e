"""A webhook over TLS: a server in this process that answers as each test says, asked by a real API server."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import orjson
from aiohttp import web

from protocols.objects import Object
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.tls_server import serving

GROUP = "/apis/admissionregistration.k8s.io/v1"
MERGE = "application/merge-patch+json"
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"
Answer = Callable[[Object], Object | bytes | int]  # a response, a body, or a status code


def allow(**more: Any) -> Answer:
    return lambda request: {"allowed": True, **more}


def deny(**status: Any) -> Answer:
    return lambda request: {"allowed": False, "status": status}


def patch(*operations: Object) -> Answer:
    encoded = base64.b64encode(orjson.dumps(operations)).decode()
    return lambda request: {"allowed": True, "patchType": "JSONPatch", "patch": encoded}


def add(path: str, value: Any) -> Object:
    return {"op": "add", "path": path, "value": value}


class Webhook:
    """`answers` by path; what was asked is in `asked`."""

    bundle: str
    port: int

    def __init__(self, client: Rest) -> None:
        self.client = client
        self.answers: dict[str, Answer] = {}
        self.asked: list[tuple[str, Object]] = []
        self.headers: dict[str, str] = {}  # of the last request

    async def serve(self, request: web.BaseRequest) -> web.Response:
        review = orjson.loads(await request.read())
        self.asked.append((request.path, review["request"]))
        self.headers = dict(request.headers)
        made = self.answers[request.path](review["request"])
        if isinstance(made, int):
            return web.Response(status=made)
        if isinstance(made, bytes):
            return web.Response(body=made)
        response = {"uid": review["request"]["uid"], **made}
        body = {"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "response": response}
        return web.Response(body=orjson.dumps(body), content_type="application/json")

    def hook(self, name: str, answer: Answer, **more: Any) -> Object:
        path = f"/{name}"
        self.answers[path] = answer
        rule = {
            "apiGroups": [""],
            "apiVersions": ["v1"],
            "operations": ["CREATE", "UPDATE"],
            "resources": ["configmaps"],
        }
        return {
            "name": f"{name}.example.com",
            "clientConfig": {"url": f"https://localhost:{self.port}{path}", "caBundle": self.bundle},
            "rules": [rule],
            "sideEffects": "None",
            "admissionReviewVersions": ["v1"],
            **more,
        }

    async def configure(self, kind: str, *hooks: Object) -> None:
        obj = {"metadata": {"name": kind.lower()}, "webhooks": list(hooks)}
        await self.client.create(f"{GROUP}/{kind.lower()}webhookconfigurations", obj)

    async def post(self, obj: Object, query: str = "") -> Any:
        return await self.client.send("POST", CONFIGMAPS + query, obj)


@asynccontextmanager
async def hooked(directory: Path) -> AsyncIterator[Webhook]:
    """Beside a real API server."""
    async with rest(directory) as client:
        made = Webhook(client)
        async with serving(directory / "webhook", made.serve, "hooks.default.svc") as server:
            made.bundle, made.port = server.bundle, server.port
            yield made
