"""Why an object is as it is: the way from one of its revisions back to the first cause, across components.

The API server remembers in which span each revision was written (AskHistory); every system keeps its spans; a span
names its parent. The answer is as long as all of them remember: `Why.complete` says whether it reaches the first cause.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from actorkube.runtime.observers import Observers
from actorkube.runtime.system import System
from protocols.api import AskHistory, History, Origin
from protocols.errors import NotFound
from protocols.observe import SpanReport

HOPS_MAX = 1000


@dataclass(frozen=True, slots=True)
class Why:
    """`hops` from the write of the revision back to what began it all."""

    resource: str
    key: str
    origin: Origin
    hops: tuple[SpanReport, ...]

    @property
    def complete(self) -> bool:
        return bool(self.hops) and not self.hops[-1].parent_id

    def caused_by(self, *what: str) -> bool:
        """Whether it happened because of that: an object ("deployments.apps default/web"), a resource
        ("deployments.apps"), an actor, a message. Of several, each because of the next, however many hops between."""
        hops = iter(self.hops)
        return all(any(cause in _names(hop) for hop in hops) for cause in what)

    def lines(self) -> list[str]:
        """One a hop: seconds before the revision, who, what, the object that was written and its revision."""
        if not self.hops:
            return ["nothing is known any more about the request that wrote it"]
        end = self.hops[0].began
        actor_width = max(len(hop.actor) for hop in self.hops)
        what_width = min(max(len(hop.what) for hop in self.hops), 60)
        rows = [
            f"{hop.began - end:+9.3f}s  {hop.actor:{actor_width}}  {hop.what:{what_width}}  {facts(hop)}".rstrip()
            for hop in self.hops
        ]
        return rows if self.complete else [*rows, "(what was before that is no longer known)"]


def _names(hop: SpanReport) -> tuple[str, ...]:
    written = hop.notes.get("object", "")
    return (written, written.partition(" ")[0], hop.actor, hop.what)


def facts(span: SpanReport) -> str:
    """What is noted about a span, the written object first: `pods default/web-1 @57`."""
    notes = dict(span.notes)
    written, revision = notes.pop("object", ""), notes.pop("revision", "")
    parts = [
        f"{written} @{revision}" if written else "",
        notes.pop("client", ""),
        f"! {span.error}" if span.error else "",
    ]
    return "  ".join(part for part in parts if part)


def way_back(spans: Iterable[SpanReport], span_id: int) -> tuple[SpanReport, ...]:
    """From a span to its root, or to the oldest one that is known."""
    known = {span.span_id: span for span in spans}
    way: list[SpanReport] = []
    while (span := known.get(span_id)) is not None and len(way) < HOPS_MAX:
        way.append(span)
        span_id = span.parent_id
    return tuple(way)


async def why(
    system: System,
    resource: str,
    name: str,
    namespace: str = "",
    *,
    revision: int = 0,
    latest: bool = False,
    api: str = "apiserver/api",
) -> Why:
    """Why the object was created (or: its latest change, or one revision). Raises NotFound where nothing is known.

    `system` is any that can reach the API server; a test's own, or the one of a command line.
    """
    history = await system.ask(system.ref(api), AskHistory(resource, name, namespace))
    observers = Observers.seen_from(system, system.ref(api).address.system)
    await observers.find()
    return await explain(history, observers, revision=revision, latest=latest)


async def explain(history: History, observers: Observers, *, revision: int = 0, latest: bool = False) -> Why:
    """As `why`, by what the API server and the observers tell."""
    origin = choose(history.origins, revision, latest=latest)
    if origin is None:
        raise NotFound(
            f'nothing is known of where {history.resource} "{history.key}" came from: it was written before the API '
            "server began to remember, or without being followed (start the cluster with --trace)"
        )
    hops = way_back(await observers.spans(origin.trace_id), origin.span_id)
    return Why(history.resource, history.key, origin, hops)


def choose(origins: Sequence[Origin], revision: int, *, latest: bool) -> Origin | None:
    """By default the creation of the object that is there now, or was there last: the first after the last deletion."""
    if revision:
        return next((origin for origin in origins if origin.revision == revision), None)
    if latest or not origins:
        return origins[-1] if origins else None
    begin = next((n + 1 for n in range(len(origins) - 2, -1, -1) if origins[n].deleted), 0)
    return origins[begin]
