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
from actors.apiserver.cache import Watcher
from actors.apiserver.calls import Call
from actors.apiserver.item import Item
from actors.apiserver.log import Batch, Change
from actors.apiserver.pipeline import Pipeline
from actors.apiserver.reads import CURRENT, Query
from actors.apiserver.rest.audit import has_started
from actors.apiserver.rest.flow import flow_headers, has_begun
from actors.apiserver.rest.negotiate import JSON, PROTOBUF
from actors.apiserver.rest.params import Params
from actors.apiserver.rest.render import Renderer
from actors.apiserver.rest.warned import warned
from actors.apiserver.rest.watch_socket import WatchSocket, wants_socket
from actors.apiserver.schema.protobuf_encode import watch_frame
from actors.apiserver.schema.resources import Resource
from protocols.errors import Expired, NotAcceptable, StatusError
from protocols.objects import Object

_BOOKMARK_EVERY_S = 60.0
_BOOKMARK_BEFORE_END_S = 2.0  # who watches again then misses nothing, and is sent nothing twice
_TIMEOUT_S = (1800, 3600)  # where the client names none: at random between these, so that not all come back at once
_EVENTS_PER_WRITE = 256
_INITIAL_EVENTS_END = {"annotations": {"k8s.io/initial-events-end": "true"}}


class Options(NamedTuple):
    bookmarks: bool
    initial_events: bool | None
    timeout_s: float


def watch_options(params: Params, context: Context) -> Options:
    initial = params.optional_flag("sendInitialEvents")
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
        self._is_protobuf = renderer.output.media_type == PROTOBUF
        self._news = asyncio.Event()
        self._timer: asyncio.TimerHandle | None = None
        self._headed = True  # the next table carries its columns

    async def run(self, request: web.BaseRequest) -> web.StreamResponse:
        initial, revision = await self._beginning()
        watcher: Watcher | None = None
        response, leaving = self._response(request), None
        response.headers.extend([*flow_headers(request), *warned(request)])
        try:
            refusal: StatusError | None = None
            try:
                watcher = await self._pipeline.watch(self._call, self._query, revision, self._news.set)
            except Expired as expired:
                refusal = expired
            await response.prepare(request)
            if isinstance(response, WatchSocket):
                leaving = asyncio.ensure_future(response.until_closed())
            has_started(request, response)
            has_begun(request)
            if watcher is not None:
                refusal = await self._stream(response, watcher, initial, revision)
            if refusal is not None:
                await response.write(self._frame("ERROR", orjson.dumps(refusal.status())))
            await response.write_eof()
        except ConnectionError:
            pass  # the client is gone: that is how watches end
        finally:
            self._end_timer()
            if leaving is not None:
                leaving.cancel()
            if watcher is not None:
                watcher.close()
        return response

    def _response(self, request: web.BaseRequest) -> web.StreamResponse:
        if wants_socket(request):
            if self._is_protobuf:
                raise NotAcceptable("a watch over WebSocket is answered in JSON")
            return WatchSocket(request)
        kind = f"{PROTOBUF};stream=watch" if self._is_protobuf else JSON
        return web.StreamResponse(headers={"Content-Type": kind, "Cache-Control": "no-cache, private"})

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
        bookmark_at = min(loop.time() + _BOOKMARK_EVERY_S, ends_at - _BOOKMARK_BEFORE_END_S)
        while loop.time() < ends_at:
            try:
                changes = watcher.take(_EVENTS_PER_WRITE)
            except Expired as expired:
                return expired
            if changes:
                try:
                    await self._prepare(changes)
                except StatusError as failure:
                    return failure
                await response.write(self._lines(changes))
            elif self._options.bookmarks and loop.time() >= bookmark_at:
                await response.write(self._bookmark(self._pipeline.reads.revision))
                bookmark_at = loop.time() + _BOOKMARK_EVERY_S
                if loop.time() < ends_at - _BOOKMARK_BEFORE_END_S:
                    bookmark_at = min(bookmark_at, ends_at - _BOOKMARK_BEFORE_END_S)
            else:
                await self._wait(min(ends_at, bookmark_at))
        return None

    async def _prepare(self, changes: Batch) -> None:
        """Raises StatusError."""
        conversions, resource = self._pipeline.conversions, self._call.resource
        if conversions.concern(resource):
            await conversions.prepare(resource, [change.item for change in changes])

    async def _wait(self, until: float) -> None:
        """Until the cursor has something to read; a timer ends it without a task of its own, and stays for the next."""
        if self._timer is None or self._timer.when() != until:
            self._end_timer()
            self._timer = asyncio.get_running_loop().call_at(until, self._on_timer)
        await self._news.wait()
        self._news.clear()

    def _on_timer(self) -> None:
        self._timer = None
        self._news.set()

    def _end_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _lines(self, changes: Batch) -> bytes:
        """Made once for all who watch the same and are shown it in the same way."""
        resource = self._call.resource
        if self._renderer.output.as_kind or resource.custom is not None or self._is_protobuf:
            return b"".join([self._change(change) for change in changes])
        lines = changes.lines.get(resource.api_version)
        if lines is None:
            lines = changes.lines[resource.api_version] = b"".join([self._change(change) for change in changes])
        return lines

    def _change(self, change: Change) -> bytes:
        resource = self._call.resource
        if self._renderer.output.as_kind == "Table":
            rendered = self._renderer.table_json(resource, [change.item], change.item.revision, headed=self._headed)
            self._headed = False
            return self._frame(change.type, rendered)
        return self._frame(change.type, self._renderer.item_json(resource, change.item))

    def _bookmark(self, revision: int, metadata: Object | None = None) -> bytes:
        resource = self._call.resource
        marked: Object = {**_kind(resource, self._renderer), "metadata": {"resourceVersion": str(revision)}}
        marked["metadata"] |= metadata or {}
        if marked["kind"] == "Table":
            marked |= {"columnDefinitions": [], "rows": []}
        return self._frame("BOOKMARK", orjson.dumps(marked))

    def _frame(self, type: str, obj: bytes) -> bytes:
        if self._is_protobuf:
            return watch_frame(type, orjson.loads(obj))
        return b'{"type":"' + type.encode() + b'","object":' + obj + b"}\n"


def _kind(resource: Resource, renderer: Renderer) -> Object:
    if renderer.output.as_kind:
        kind = renderer.output.as_kind.removesuffix("List")
        return {"kind": kind, "apiVersion": f"meta.k8s.io/{renderer.output.as_version}"}
    return {"kind": resource.kind, "apiVersion": resource.api_version}
