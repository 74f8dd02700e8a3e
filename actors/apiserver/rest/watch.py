"""Watch over REST: one JSON line an event, read from a cursor in the cache as fast as the client takes them.

How it begins follows Kubernetes: from a revision, changes after it; from "0" or nothing, first what exists, as ADDED;
with sendInitialEvents, what exists and then the bookmark that says that this was all.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace
from typing import NamedTuple

import orjson
from aiohttp import web

from actorkube.runtime import Context
from actors.apiserver.cache import Change, Watcher
from actors.apiserver.calls import Call
from actors.apiserver.item import Item
from actors.apiserver.pipeline import Pipeline
from actors.apiserver.reads import CURRENT, Query
from actors.apiserver.rest.negotiate import JSON
from actors.apiserver.rest.params import Params
from actors.apiserver.rest.render import Renderer
from actors.apiserver.schema.resources import Resource
from protocols.errors import Expired, Invalid, StatusError
from protocols.objects import Object

_BOOKMARK_EVERY_S = 60.0
_TIMEOUT_S = (1800, 3600)  # where the client names none: at random between these, so that not all come back at once
_EVENTS_PER_WRITE = 256
_INITIAL_EVENTS_END = {"annotations": {"k8s.io/initial-events-end": "true"}}


class Options(NamedTuple):
    bookmarks: bool
    initial_events: bool | None
    timeout_s: float


def watch_options(params: Params, context: Context) -> Options:
    """Raises Invalid for combinations that Kubernetes refuses."""
    initial = params.optional_flag("sendInitialEvents")
    match = params.text("resourceVersionMatch")
    if initial is not None and match != "NotOlderThan":
        raise Invalid(
            "ListOptions.meta.k8s.io is invalid: resourceVersionMatch: Forbidden: "
            "sendInitialEvents requires setting resourceVersionMatch to NotOlderThan"
        )
    if initial is None and match:
        raise Invalid(
            "ListOptions.meta.k8s.io is invalid: resourceVersionMatch: Forbidden: "
            "resourceVersionMatch is forbidden for watch unless sendInitialEvents is provided"
        )
    timeout_s = params.number("timeoutSeconds") or context.random.randint(*_TIMEOUT_S)
    return Options(params.flag("allowWatchBookmarks"), initial, float(timeout_s))


class RestWatch:
    """One client's watch. `run` returns when the time is up, the client is gone or its cursor fell off the log."""

    def __init__(self, pipeline: Pipeline, call: Call, query: Query, options: Options, renderer: Renderer) -> None:
        self._pipeline = pipeline
        self._call = call
        self._query = query
        self._options = options
        self._renderer = renderer
        self._news = asyncio.Event()
        self._headed = True  # the next table carries its columns

    async def run(self, request: web.BaseRequest) -> web.StreamResponse:
        initial, revision = await self._beginning()
        watcher: Watcher | None = None
        response = web.StreamResponse(headers={"Content-Type": JSON, "Cache-Control": "no-cache, private"})
        response.enable_chunked_encoding()
        try:
            refusal: StatusError | None = None
            try:
                watcher = await self._pipeline.watch(self._call, self._query, revision, self._news.set)
            except Expired as expired:
                refusal = expired
            await response.prepare(request)
            if watcher is not None:
                refusal = await self._stream(response, watcher, initial, revision)
            if refusal is not None:
                await response.write(_frame("ERROR", orjson.dumps(refusal.status())))
            await response.write_eof()
        except ConnectionError:
            pass  # the client is gone: that is how watches end
        finally:
            if watcher is not None:
                watcher.close()
        return response

    async def _beginning(self) -> tuple[Sequence[Item], int]:
        """The objects to send first, and the revision after which changes follow."""
        revision, wanted = self._query.revision, self._options.initial_events
        if wanted is None and revision > 0:
            return (), revision
        at_least = CURRENT if revision == CURRENT else revision
        query = replace(self._query, revision=at_least, limit=0, token="", exact=False)
        listing = await self._pipeline.list(self._call, query)
        if wanted is False:
            return (), revision if revision > 0 else listing.revision
        return listing.items, listing.revision

    async def _stream(
        self, response: web.StreamResponse, watcher: Watcher, initial: Sequence[Item], revision: int
    ) -> StatusError | None:
        loop = asyncio.get_running_loop()
        ends_at = loop.time() + self._options.timeout_s
        for start in range(0, len(initial), _EVENTS_PER_WRITE):
            some = initial[start : start + _EVENTS_PER_WRITE]
            await response.write(b"".join([self._change(Change("ADDED", item)) for item in some]))
        if self._options.initial_events and self._options.bookmarks:
            await response.write(self._bookmark(revision, _INITIAL_EVENTS_END))
        bookmark_at = loop.time() + _BOOKMARK_EVERY_S
        while loop.time() < ends_at:
            try:
                changes = watcher.take(_EVENTS_PER_WRITE)
            except Expired as expired:
                return expired
            if changes:
                await response.write(b"".join([self._change(change) for change in changes]))
            elif self._options.bookmarks and loop.time() >= bookmark_at:
                await response.write(self._bookmark(self._pipeline.reads.revision))
                bookmark_at = loop.time() + _BOOKMARK_EVERY_S
            else:
                await self._wait(min(ends_at, bookmark_at))
        return None

    async def _wait(self, until: float) -> None:
        """Until the cursor has something to read; a timer ends it without a task of its own."""
        timer = asyncio.get_running_loop().call_at(until, self._news.set)
        try:
            await self._news.wait()
        finally:
            timer.cancel()
            self._news.clear()

    def _change(self, change: Change) -> bytes:
        resource = self._call.resource
        if self._renderer.output.as_kind == "Table":
            rendered = self._renderer.table_json(resource, [change.item], change.item.revision, headed=self._headed)
            self._headed = False
            return _frame(change.type, rendered)
        return _frame(change.type, self._renderer.item_json(resource, change.item))

    def _bookmark(self, revision: int, metadata: Object | None = None) -> bytes:
        resource = self._call.resource
        marked: Object = {**_kind(resource, self._renderer), "metadata": {"resourceVersion": str(revision)}}
        marked["metadata"] |= {"creationTimestamp": None, **(metadata or {})}
        if marked["kind"] == "Table":
            marked |= {"columnDefinitions": [], "rows": []}
        return _frame("BOOKMARK", orjson.dumps(marked))


def _kind(resource: Resource, renderer: Renderer) -> Object:
    if renderer.output.as_kind:
        kind = renderer.output.as_kind.removesuffix("List")
        return {"kind": kind, "apiVersion": f"meta.k8s.io/{renderer.output.as_version}"}
    return {"kind": resource.kind, "apiVersion": resource.api_version}


def _frame(type: str, obj: bytes) -> bytes:
    return b'{"type":"' + type.encode() + b'","object":' + obj + b"}\n"
