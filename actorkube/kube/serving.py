"""What a component serves to operators and their tools over HTTPS, as kube-scheduler does on its secure port: an actor
beside the component's, in the same system.

It only listens; what there is to answer is in `component_pages.py`, which is imported when somebody asks first: a
cluster that nobody looks at starts without it.
"""

from __future__ import annotations

import ssl
from collections.abc import Callable, Mapping
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from actorkube.kube.client import Client
from actorkube.kube.servers import ApiServers
from actorkube.runtime import Actor
from actorkube.runtime.page_server import Asked, Page, PageServer

if TYPE_CHECKING:
    from actorkube.kube.component_pages import ComponentPages
    from actorkube.runtime.system import System

REVIEW_WITHIN_S = 5.0


class Serving(NamedTuple):
    """`component` is its name in Kubernetes. `configz`: configurations by the name of their API group. `version`: of
    Kubernetes ("1.36"). `pages`: what of /metrics there is besides. `record`: a file that says where it is served, as
    long as it is. `flags`: what would say the same on the command line of Kubernetes' component."""

    component: str
    actor: str
    context: Callable[[], ssl.SSLContext]
    configz: Callable[[], Mapping[str, Any]]
    version: Callable[[], str]
    pages: tuple[str, ...] = ()
    record: Path | None = None
    flags: Callable[[], Mapping[str, str]] = dict
    host: str = "127.0.0.1"
    port: int = 0


class ServingPage(Actor):
    begins_traces = False

    def __init__(self, system: System, serving: Serving, apis: tuple[str, ...]) -> None:
        self._system = system
        self._serving = serving
        self._apis = apis
        self._server = PageServer(self._answer, serving.host, serving.port, serving.context)

    @property
    def port(self) -> int:
        return self._server.port

    async def on_start(self) -> None:
        self._client = Client(self.ctx, ApiServers.known(self.ctx, self._apis), timeout_s=REVIEW_WITHIN_S)
        self._started_at = self.ctx.now
        self._server.start()
        if self._serving.record is not None:
            self._serving.record.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            target = (
                f'{{"targets": ["{self._serving.host}:{self.port}"], "labels": {{"job": "{self._serving.component}"}}}}'
            )
            self._serving.record.write_text(f"[{target}]\n")

    async def on_stop(self) -> None:
        self._server.close()
        if self._serving.record is not None:
            self._serving.record.unlink(missing_ok=True)

    async def _answer(self, asked: Asked) -> Page:
        return await self._pages.answer(asked, self.ctx.now)

    @cached_property
    def _pages(self) -> ComponentPages:
        from actorkube.kube.component_pages import ComponentPages

        return ComponentPages(self._system, self._serving, self._client, self._started_at)
