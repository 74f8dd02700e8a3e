"""What a component serves to operators and their tools over HTTPS, as kube-scheduler does on its secure port:

    /healthz, /livez, /readyz     to everybody; ?verbose, ?exclude=CHECK, /livez/CHECK
    /metrics, /metrics/resources  Prometheus; the second where the component's actors have something to tell there
    /configz, /statusz            with which configuration, since when

It is an actor beside the component's, in the same system, whose actors it looks at. Who may read the rest is asked of
the API server (`delegated.py`).
"""

from __future__ import annotations

import json
import ssl
from collections.abc import Callable, Mapping
from http import HTTPStatus
from pathlib import Path
from time import gmtime, strftime
from typing import TYPE_CHECKING, Any, NamedTuple
from urllib.parse import parse_qs

from actorkube.kube.client import Client
from actorkube.kube.delegated import authenticate, permit
from actorkube.kube.health import KINDS, report
from actorkube.kube.servers import ApiServers
from actorkube.runtime import Actor
from actorkube.runtime.cell import State
from actorkube.runtime.observer import exposition
from actorkube.runtime.page_server import Asked, Page, PageServer
from protocols.errors import MethodNotAllowed, NotFound, StatusError

if TYPE_CHECKING:
    from actorkube.runtime.system import System

REVIEW_WITHIN_S = 5.0


class Serving(NamedTuple):
    """`component` is its name in Kubernetes. `configz`: configurations by the name of their API group. `pages`: what of
    /metrics there is besides. `record`: a file that says where it is served, as long as it is."""

    component: str
    actor: str
    context: Callable[[], ssl.SSLContext]
    configz: Callable[[], Mapping[str, Any]]
    version: str
    pages: tuple[str, ...] = ()
    record: Path | None = None
    host: str = "127.0.0.1"
    port: int = 0


class ServingPage(Actor):
    begins_traces = False

    def __init__(self, system: System, serving: Serving, apis: tuple[str, ...]) -> None:
        self._system = system
        self._serving = serving
        self._apis = apis
        self._server = PageServer(self._answer, serving.host, serving.port, serving.context)
        self._paths = ("/configz", *KINDS, "/metrics", *(f"/metrics/{page}" for page in serving.pages), "/statusz")

    @property
    def port(self) -> int:
        return self._server.port

    async def on_start(self) -> None:
        self._client = Client(self.ctx, ApiServers.known(self.ctx, self._apis), timeout_s=REVIEW_WITHIN_S)
        self._started_at = self.ctx.now
        self._server.start()
        if self._serving.record is not None:
            self._serving.record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            target = {"targets": [f"{self._serving.host}:{self.port}"], "labels": {"job": self._serving.component}}
            self._serving.record.write_text(json.dumps([target]) + "\n")

    async def on_stop(self) -> None:
        self._server.close()
        if self._serving.record is not None:
            self._serving.record.unlink(missing_ok=True)

    async def _answer(self, asked: Asked) -> Page:
        try:
            return await self._page(asked)
        except StatusError as refusal:
            body = json.dumps(refusal.status()).encode() + b"\n"
            return _page(refusal.code, body, "application/json")

    async def _page(self, asked: Asked) -> Page:
        """Raises Unauthorized, Forbidden, NotFound, MethodNotAllowed, InternalError."""
        if asked.path not in KINDS:  # the only ones that are open to everybody; a single check is not, as in Kubernetes
            user = await authenticate(self._client, asked.certificate, asked.headers.get("authorization", ""))
            await permit(self._client, user, asked.method.lower(), asked.path)
        if asked.method not in ("GET", "HEAD"):
            raise MethodNotAllowed(f"{asked.method} is not supported")
        match asked.path.split("/")[1:]:
            case ["healthz" | "livez" | "readyz" as kind, *_]:
                return self._health(kind, asked)
            case ["metrics"]:
                return await self._exposition("")
            case ["metrics", page] if page in self._serving.pages:
                return await self._exposition(page)
            case ["configz"]:
                return _page(200, json.dumps(self._serving.configz()).encode(), "application/json")
            case ["statusz"]:
                return _page(200, self._status().encode())
            case [""]:
                return _page(200, json.dumps({"paths": sorted(self._paths)}).encode(), "application/json")
        raise NotFound("the server could not find the requested resource")

    def _health(self, kind: str, asked: Asked) -> Page:
        query = parse_qs(asked.query, keep_blank_values=True)
        found = report(asked.path, self._checks(kind), "verbose" in query, query.get("exclude", []))
        if found is None:
            raise NotFound("the server could not find the requested resource")
        return _page(found[0], found[1].encode())

    def _checks(self, kind: str) -> dict[str, bool]:
        """An actor that is gone, or starts again, is well for nobody."""
        checks = {"ping": True, self._serving.actor: False}
        for cell in self._system.cells:
            running = cell.state is State.RUNNING
            if cell.ref.address.actor == self._serving.actor:
                checks[self._serving.actor] = running
            if running:
                checks.update(cell.actor.live_checks())
                checks.update(cell.actor.ready_checks() if kind == "readyz" else {})
        return checks

    async def _exposition(self, page: str) -> Page:
        told = await exposition(self._system, page)
        return _page(200, told.text, told.content_type)

    def _status(self) -> str:
        up_s = int(self.ctx.now - self._started_at)
        lines = {
            "Started": strftime("%a %b %e %H:%M:%S UTC %Y", gmtime(self._started_at)),
            "Up": f"{up_s // 3600} hr {up_s // 60 % 60:02} min {up_s % 60:02} sec",
            "Binary version": self._serving.version,
            "Paths": " ".join(sorted(self._paths)),
        }
        warning = (
            "Warning: This endpoint is not meant to be machine parseable, has no formatting compatibility guarantees"
            " and is for debugging purposes only."
        )
        told = "\n".join(f"{name}: {value}" for name, value in lines.items())
        return f"\n{self._serving.component} statusz\n{warning}\n\n{told}\n"


def _page(code: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> Page:
    return Page(f"{code} {HTTPStatus(code).phrase}", body, content_type)
