"""`GET /metrics` for Prometheus, of systems without an API server: an actor that listens on a port of its own.

Nobody is asked who he is: whoever reaches the port may read.
"""

from __future__ import annotations

import asyncio
from typing import NamedTuple

from actorkube.runtime.actor import Actor, Context
from actorkube.runtime.observers import Observers
from actorkube.runtime.page_server import Asked, Page, PageServer
from actorkube.runtime.tracing import NOT_FOLLOWED, because
from protocols.observe import Inspect, SystemReport

SYSTEMS_MAX = 256  # one costs about 2 ms of processor time
ANSWER_WITHIN_S = 2.0  # Prometheus gives up after 10
PATH = "/metrics"


class Scraped(NamedTuple):
    """What systems reported, the nearest first, the names of all that are known, and of those that were silent."""

    reports: dict[str, SystemReport]
    known: list[str]
    silent: list[str]


async def scrape(context: Context, only: str = "") -> Scraped:
    """All systems that can be reached from here (at most SYSTEMS_MAX), or one: nothing where that is not known."""
    own = context.self_ref.address.system
    with because(NOT_FOLLOWED):  # who looks on does not want to see himself
        observers = Observers.seen_from(context, own, ANSWER_WITHIN_S)
        if only != own:
            await observers.find()
        known = list(observers.paths)
        asked = [name for name in known if name == only] if only else known[:SYSTEMS_MAX]
        reports = await observers.ask_all(Inspect(), asked)
    return Scraped(reports, known, [] if only else sorted(observers.silent))


async def text_of(scraped: Scraped) -> bytes:
    """In a thread: for many systems this is half a second, and others are to be served. There must be a report."""
    from actorkube.runtime.exposition import render

    first, *others = scraped.reports.values()
    return await asyncio.get_running_loop().run_in_executor(None, render, first, others, scraped.silent)


class MetricsPage(Actor):
    """`system.spawn(lambda: MetricsPage("127.0.0.1", 9100), "metrics-page")`. Port 0: any; `port` says which."""

    begins_traces = False

    def __init__(self, host: str, port: int) -> None:
        self._server = PageServer(self._answer, host, port)

    @property
    def port(self) -> int:
        return self._server.port

    async def on_start(self) -> None:
        self._server.start()

    async def on_stop(self) -> None:
        self._server.close()

    async def _answer(self, asked: Asked) -> Page:
        from actorkube.runtime.exposition import CONTENT_TYPE

        if asked.path != PATH:
            return Page("404 Not Found", f"there is {PATH}\n".encode())
        if asked.method != "GET":
            return Page("405 Method Not Allowed", b"GET it\n")
        return Page("200 OK", await text_of(await scrape(self.ctx)), CONTENT_TYPE)
