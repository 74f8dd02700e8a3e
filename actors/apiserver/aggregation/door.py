"""What actors ask by message of resources that another API server serves: asked of it over HTTPS, in the actor's name.

So the garbage collector and the namespace controller watch, change and delete these objects like any other, and any
other actor has them as if they were here. A watch is a list in pages, and then the other server's own watch, event by
event as far as the consumer has granted credit.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterable, Mapping
from contextlib import AbstractAsyncContextManager, suppress
from typing import Any, NamedTuple, Protocol
from urllib.parse import quote, urlencode

import msgspec
import orjson

from actorkube.runtime import Outlet
from actors.apiserver.access.attributes import Attributes, name_selected
from actors.apiserver.access.authorizer import Authorizer
from actors.apiserver.aggregation.remotes import Remotes
from actors.apiserver.aggregation.services import Remote
from actors.apiserver.callers import Caller, manager_of
from actors.apiserver.custom.served import Served
from actors.apiserver.messages import decoded
from protocols import api
from protocols.errors import Answer, AskError, BadRequest, Conflict, InternalError, ServiceUnavailable, error_of
from protocols.objects import Object, encode_object, key_of, meta, name_of
from protocols.rules.api_services import FarResource

_ANSWERED_S = 30.0
_PAGE = 500
_TRIES = 5
_BYTES_MAX = 64 * 1024 * 1024  # of one answer, or one event
_PATCHES = {
    "json": "application/json-patch+json",
    "merge": "application/merge-patch+json",
    "strategic": "application/strategic-merge-patch+json",
    "apply": "application/apply-patch+yaml",
}


class Sent(NamedTuple):
    """`path` with its query. `content_type` "": there is no body."""

    method: str
    path: str
    body: bytes = b""
    content_type: str = ""


class Incoming(Protocol):
    """An answer: its head is there, its body comes in pieces."""

    @property
    def status(self) -> int: ...

    def pieces(self) -> AsyncIterator[bytes]:
        """Raises ServiceUnavailable where it breaks off."""


class Sender(Protocol):
    def exchange(self, remote: Remote, caller: Caller, sent: Sent) -> AbstractAsyncContextManager[Incoming]:
        """Raises ServiceUnavailable when it is not available, or nobody answers."""


class FarDoor:
    """The same verbs as the door (door.py). `sender` is None where there is no network of sockets."""

    def __init__(self, authorizer: Authorizer, served: Served, remotes: Remotes, sender: Sender | None) -> None:
        self._authorizer = authorizer
        self._served = served
        self._remotes = remotes
        self._sender = sender

    def serves(self, group_resource: str) -> bool:
        """Whether another server does, and this one does not."""
        if self._sender is None or not self._remotes.all() or self._served.find(group_resource) is not None:
            return False
        return self._remotes.serving(group_resource) is not None

    async def get(self, message: api.Get, caller: Caller) -> api.Stored:
        far = self._far(caller, "get", message.resource, message.namespace, message.name, message.subresource)
        return far.stored(await far.ask("GET", message.name, message.subresource))

    async def list(self, message: api.List, caller: Caller) -> api.StoredList:
        far = self._far(caller, "list", message.resource, message.namespace, selector=message.field_selector)
        query = {**_selected(message), "limit": message.limit or "", "continue": message.continue_token}
        found = await far.ask("GET", query=query)
        return far.stored_list(found)

    async def create(self, message: api.Create, caller: Caller) -> api.Stored:
        """Of a subresource, the answer may be of another kind, and have no revision."""
        far = self._far(caller, "create", message.resource, message.namespace, message.name, message.subresource)
        name = message.name if message.subresource else ""
        body = far.body(decoded(message.body), message.name, message.subresource)
        return far.stored(await far.ask("POST", name, message.subresource, _written(message, caller), body))

    async def update(self, message: api.Update, caller: Caller) -> api.Stored:
        """Servers may want a revision in any case: where the caller does not care, it is that of a moment ago."""
        far = self._far(caller, "update", message.resource, message.namespace, message.name, message.subresource)
        what, obj, query = (message.name, message.subresource), decoded(message.body), _written(message, caller)
        if message.revision:
            return far.stored(await far.ask("PUT", *what, query, far.body(obj, *what, message.revision)))
        for _ in range(_TRIES):
            revision = _revision(await far.ask("GET", *what))
            with suppress(Conflict):
                return far.stored(await far.ask("PUT", *what, query, far.body(obj, *what, revision)))
        raise Conflict(f"{message.resource} {message.name} changes faster than it could be updated")

    async def patch(self, message: api.Patch, caller: Caller) -> api.Stored:
        far = self._far(caller, "patch", message.resource, message.namespace, message.name, message.subresource)
        query = {**_written(message, caller), "force": "true" if message.force else ""}
        if message.field_manager:
            query["fieldManager"] = message.field_manager
        body = orjson.dumps(decoded(message.body))
        sent = far.sent("PATCH", message.name, message.subresource, query, body, _PATCHES[message.type])
        return far.stored(await far.answer(sent))

    async def delete(self, message: api.Delete, caller: Caller) -> api.Stored:
        far = self._far(caller, "delete", message.resource, message.namespace, message.name)
        options = _options(message.propagation, message.uid, message.revision, message.grace_s)
        return far.deleted(await far.ask("DELETE", message.name, body=options), message)

    async def delete_collection(self, message: api.DeleteCollection, caller: Caller) -> api.StoredList:
        """The answer is what was there."""
        what = message.resource, message.namespace
        far = self._far(caller, "deletecollection", *what, selector=message.field_selector)
        query, options = _selected(message), _options(message.propagation)
        there = far.stored_list(await far.ask("GET", query=query))
        if far.resource.can("deletecollection") and there.items:
            await far.ask("DELETE", query=query, body=options)
        else:
            for stored in there.items:
                await far.ask("DELETE", name_of(msgspec.msgpack.decode(stored.body)), body=options)
        return there

    async def open_watch(self, message: api.Watch, caller: Caller, outlet: Outlet) -> None:
        """Until the consumer leaves, or the other server ends its stream."""
        pump = asyncio.ensure_future(self._pump(message, caller, outlet))
        outlet.on_closed = pump.cancel  # type: ignore[assignment]  # whether it was still running is nobody's matter
        try:
            await asyncio.wait([pump])
        finally:
            pump.cancel()
        if not pump.cancelled() and isinstance(error := pump.exception(), Answer | AskError):
            outlet.end(error)
        elif not pump.cancelled():
            pump.result()
            outlet.end()

    async def _pump(self, message: api.Watch, caller: Caller, outlet: Outlet) -> None:
        far = self._far(caller, "watch", message.resource, message.namespace, selector=message.field_selector)
        selected, revision = _selected(message), message.revision
        if not revision:
            async for stored in far.each(selected):
                await outlet.put(api.WatchEvent("ADDED", stored.body, stored.revision))
            revision = far.listed
            await outlet.put(api.WatchEvent("BOOKMARK", b"", revision))
        async for event in far.changes({**selected, "resourceVersion": revision or ""}):
            await outlet.put(event)

    def _far(
        self,
        caller: Caller,
        verb: str,
        group_resource: str,
        namespace: str,
        name: str = "",
        subresource: str = "",
        selector: str = "",
    ) -> _Far:
        """It, if the caller may ask it that."""
        plural, _, group = group_resource.partition(".")
        which = name or name_selected(selector)
        self._authorizer.permit(caller, Attributes(verb, group, plural, subresource, namespace, which, fields=selector))
        found = self._remotes.serving(group_resource)
        if found is None or self._sender is None:
            raise BadRequest(f'there is no resource "{group_resource}"')
        return _Far(*found, namespace, caller, self._sender)


class _Far:
    """One resource of another server, in one namespace or all."""

    def __init__(self, remote: Remote, resource: FarResource, namespace: str, caller: Caller, sender: Sender) -> None:
        self.resource = resource
        self.listed = 0  # the revision of the last list that `each` went through
        self._remote = remote
        self._namespace = namespace if resource.namespaced else ""
        self._caller = caller
        self._sender = sender

    def sent(
        self,
        method: str,
        name: str = "",
        subresource: str = "",
        query: Mapping[str, Any] | None = None,
        body: bytes = b"",
        content_type: str = "",
    ) -> Sent:
        where = ["namespaces", self._namespace] if self._namespace else []
        parts = [self._remote.api_version, *where, self.resource.plural, name, subresource]
        path = "/".join(("/apis", *(quote(part) for part in parts if part)))
        given = {key: value for key, value in (query or {}).items() if value != ""}
        return Sent(method, f"{path}?{urlencode(given)}" if given else path, body, content_type)

    async def ask(
        self,
        method: str,
        name: str = "",
        subresource: str = "",
        query: Mapping[str, Any] | None = None,
        body: Object | None = None,
    ) -> Object:
        json = ("", b"") if body is None else ("application/json", orjson.dumps(body))
        return await self.answer(self.sent(method, name, subresource, query, json[1], json[0]))

    async def answer(self, sent: Sent) -> Object:
        """The object that is answered. Raises what the other server refuses with."""
        try:
            async with asyncio.timeout(_ANSWERED_S), self._sender.exchange(self._remote, self._caller, sent) as answer:
                return await _object(answer)
        except TimeoutError:
            raise ServiceUnavailable(f"{self._remote.name} does not answer") from None

    async def each(self, selected: Mapping[str, str]) -> AsyncIterator[api.Stored]:
        token = ""
        while True:
            page = self.stored_list(await self.ask("GET", query={**selected, "limit": _PAGE, "continue": token}))
            for stored in page.items:
                yield stored
            self.listed, token = page.revision, page.continue_token
            if not token:
                return

    async def changes(self, query: Mapping[str, Any]) -> AsyncIterator[api.WatchEvent]:
        sent = self.sent("GET", query={**query, "watch": "true", "allowWatchBookmarks": "true"})
        async with self._sender.exchange(self._remote, self._caller, sent) as answer:
            if answer.status >= 400:
                await _object(answer)
            async for line in _lines(answer):
                yield self._event(line)

    def body(self, obj: Any, name: str, subresource: str, revision: int = 0) -> Object:
        """An object as it is written there: that it is of this resource need not be said in a message, and of which
        revision is said beside it."""
        if not isinstance(obj, dict) or not isinstance(obj.get("metadata") or {}, dict):
            raise BadRequest("the object provided is unrecognized: it is no object")
        head = {} if subresource else {"apiVersion": self._remote.api_version, "kind": self.resource.kind}
        named = {"name": name} if name else {}
        where = {"namespace": self._namespace} if self._namespace else {}
        seen = {"resourceVersion": str(revision)} if revision else {}
        return {**head, **obj, "metadata": {**named, **where, **meta(obj), **seen}}

    def stored(self, obj: Object) -> api.Stored:
        head = {"apiVersion": self._remote.api_version, "kind": self.resource.kind}
        return api.Stored(encode_object({**head, **obj}), _revision(obj))

    def stored_list(self, found: Object) -> api.StoredList:
        items, metadata = tuple(self.stored(obj) for obj in found.get("items") or ()), meta(found)
        revision = _revision(found) or max((each.revision for each in items), default=0)
        return api.StoredList(items, revision, metadata.get("continue") or "", metadata.get("remainingItemCount") or 0)

    def deleted(self, answer: Object, message: api.Delete) -> api.Stored:
        """The object where that is the answer; of one that went at once it may be a Status."""
        if answer.get("kind") != "Status":
            return self.stored(answer)
        named = {"name": message.name, "uid": message.uid}
        return self.stored({"metadata": {**named, "namespace": self._namespace} if self._namespace else named})

    def _event(self, line: bytes) -> api.WatchEvent:
        event = _parsed(line)
        obj = event.get("object") or {}
        match event.get("type"):
            case "ADDED" | "MODIFIED" | "DELETED" as type if key_of(obj):
                stored = self.stored(obj)
                return api.WatchEvent(type, stored.body, stored.revision)
            case "BOOKMARK":
                return api.WatchEvent("BOOKMARK", b"", _revision(obj))
            case "ERROR":
                raise error_of(obj, int(obj.get("code") or 500))
        raise _no_api("a watch event that is none")


def _written(message: api.Create | api.Update | api.Patch, caller: Caller) -> dict[str, str]:
    """How: the query of a write."""
    return {"fieldManager": manager_of(caller), "dryRun": "All" if message.dry_run else ""}


async def _object(answer: Incoming) -> Object:
    body = bytearray()
    async for piece in answer.pieces():
        body += piece
        if len(body) > _BYTES_MAX:
            raise _no_api("an answer that is too large")
    if answer.status >= 400:
        raise error_of(_status(bytes(body)), answer.status)
    return _parsed(bytes(body))


def _status(body: bytes) -> Object:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    return found if isinstance(found, dict) else {"message": body[:1024].decode(errors="replace")}


def _parsed(body: bytes) -> Object:
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        found = None
    if not isinstance(found, dict):
        raise _no_api("what is no object")
    return found


async def _lines(answer: Incoming) -> AsyncIterator[bytes]:
    rest = b""
    async for piece in answer.pieces():
        *lines, rest = (rest + piece).split(b"\n")
        for line in filter(bytes.strip, lines):
            yield line
        if len(rest) > _BYTES_MAX:
            raise _no_api("an event that is too large")


def _revision(obj: Object) -> int:
    """Views compare revisions, so they must be numbers, as Kubernetes wants them."""
    text = str(meta(obj).get("resourceVersion") or 0)
    if not (text.isascii() and text.isdigit()):
        raise _no_api(f'a resourceVersion that is no number: "{text[:64]}"')
    return int(text)


def _selected(message: api.List | api.Watch | api.DeleteCollection) -> dict[str, str]:
    return {"labelSelector": message.label_selector, "fieldSelector": message.field_selector}


def _options(propagation: str, uid: str = "", revision: int = 0, grace_s: int = -1) -> Object:
    preconditions = {"uid": uid, "resourceVersion": str(revision or "")}
    wanted: Iterable[tuple[str, Any]] = (
        ("propagationPolicy", propagation or None),
        ("gracePeriodSeconds", grace_s if grace_s >= 0 else None),
        ("preconditions", {key: value for key, value in preconditions.items() if value} or None),
    )
    given = {key: value for key, value in wanted if value is not None}
    return {"kind": "DeleteOptions", "apiVersion": "v1", **given}


def _no_api(what: str) -> InternalError:
    return InternalError(f"Internal error occurred: another API server answers with {what}")
