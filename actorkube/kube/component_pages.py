"""The pages that a component serves to operators:

    /healthz, /livez, /readyz     to everybody; ?verbose, ?exclude=CHECK, /livez/CHECK
    /metrics, /metrics/resources  Prometheus; the second where the component's actors have something to tell there
    /configz                      with which configuration
    /statusz, /flagz              since when, with which flags (zpages.py)

What they say is looked up in the actors of its system. Who may read what is not open to everybody is asked of the API
server (`delegated.py`).
"""

from __future__ import annotations

import json
from http import HTTPStatus
from typing import TYPE_CHECKING
from urllib.parse import parse_qs

from actorkube.kube.client import Client
from actorkube.kube.delegated import authenticate, permit
from actorkube.kube.health import KINDS, report
from actorkube.kube.zpages import ZPages
from actorkube.runtime.cell import State
from actorkube.runtime.observer import exposition
from actorkube.runtime.page_server import Asked, Page
from protocols.errors import MethodNotAllowed, NotFound, StatusError

if TYPE_CHECKING:
    from actorkube.kube.serving import Serving
    from actorkube.runtime.system import System


class ComponentPages:
    """Of one component, which was started then."""

    def __init__(self, system: System, serving: Serving, client: Client, started_at: float) -> None:
        self._system = system
        self._serving = serving
        self._client = client
        self._zpages = ZPages(serving.component, serving.version(), started_at, serving.flags)
        metrics = ("/metrics", *(f"/metrics/{page}" for page in serving.pages))
        self._paths = sorted(("/configz", *KINDS, *metrics, *self._zpages.paths))

    async def answer(self, asked: Asked, now: float) -> Page:
        try:
            return await self._page(asked, now)
        except StatusError as refusal:
            body = json.dumps(refusal.status()).encode() + b"\n"
            return _page(refusal.code, body, "application/json")

    async def _page(self, asked: Asked, now: float) -> Page:
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
            case [""]:
                return _page(200, json.dumps({"paths": self._paths}).encode(), "application/json")
        found = self._zpages.find(asked.path, asked.headers.get("accept", ""), now, self._paths)
        if found is not None:
            return _page(200, found.body, found.content_type)
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


def _page(code: int, body: bytes, content_type: str = "text/plain; charset=utf-8") -> Page:
    return Page(f"{code} {HTTPStatus(code).phrase}", body, content_type)
