"""The audit of HTTP requests: around the server's own handler, so a server without a policy knows nothing of it."""

from __future__ import annotations

import gzip
from collections.abc import Awaitable, Callable
from typing import Any

import msgspec
import orjson
from aiohttp import web

from actors.apiserver.access.attributes import Attributes
from actors.apiserver.audit.event import Facts
from actors.apiserver.audit.trail import Record, Trail
from actors.apiserver.callers import ANONYMOUS
from actors.apiserver.calls import Call
from actors.apiserver.rest.bodies import decode_body
from actors.apiserver.rest.negotiate import JSON, media_type_of
from actors.apiserver.rest.params import Params
from actors.apiserver.rest.parts import Parts
from actors.apiserver.rest.request_info import attributes_of
from actors.apiserver.rules.defaults import apply_defaults
from protocols.errors import BadRequest, StatusError, Unauthorized
from protocols.objects import Object

RECORD = web.RequestKey("audit", Record)
FAILED = web.RequestKey("audit.failed", bool)  # set by the handler where a bug ended the request
_ID_LENGTH_MAX = 64
_STATUS = b'{"kind":"Status"'
_SOURCES_MAX = 16

Handle = Callable[[web.BaseRequest], Awaitable[web.StreamResponse]]


def record_of(request: web.BaseRequest) -> Record | None:
    return request.get(RECORD)


def has_started(request: web.BaseRequest, response: web.StreamResponse) -> None:
    """The head of an answer that takes its time has been sent."""
    if (record := record_of(request)) is not None:
        record.started(response.status)


def audited(handle: Handle, trail: Trail, new_id: Callable[[], str]) -> Handle:
    """The handler that writes what the policy wants of each request, and answers with its Audit-ID."""

    async def handled(request: web.BaseRequest) -> web.StreamResponse:
        request[RECORD] = record = Record(trail, _facts(request, trail.now(), new_id))
        try:
            response = await handle(request)
        except BaseException:
            record.complete(record.facts.code)  # the client is gone
            raise
        if not response.prepared:
            response.headers["Audit-Id"] = record.facts.id
        _complete(record, request, response)
        return response

    return handled


def note_body(record: Record, body: bytes, content_type: str) -> None:
    """The object of the request, as JSON: patches are that already."""
    if not record.wants_request or not body:
        return
    media_type = media_type_of(content_type)
    if media_type == JSON or media_type.endswith("+json"):
        record.facts.body = body
        return
    try:
        decoded: Any = decode_body(body, "application/yaml" if media_type.endswith("+yaml") else content_type)
        record.facts.body = orjson.dumps(decoded)
    except (StatusError, TypeError):
        return  # it is refused for that


def note_object(record: Record, call: Call, obj: Object) -> None:
    """The object of a create or update as it is understood, which is with its defaults."""
    if not record.wants_request:
        record.sent(obj)
        return
    shown = msgspec.msgpack.decode(msgspec.msgpack.encode(obj))
    if obj.get("kind") == call.resource.kind and call.judged is call.resource:
        apply_defaults(call.judged, shown)
    record.sent(shown)


def note_options(record: Record, options: Object) -> None:
    """Those of a deletion, which are of no version where Kubernetes looks at them."""
    if record.wants_request:
        internal = {"kind": "DeleteOptions", "apiVersion": "meta.k8s.io/__internal"}
        record.facts.body = orjson.dumps({**options, **internal})


def _complete(record: Record, request: web.BaseRequest, response: web.StreamResponse) -> None:
    status = _status(response)
    if not record.has_come and response.status in (BadRequest.code, Unauthorized.code):
        asked = attributes_of(request.method, request.path, Params(request.query))
        record.refused(ANONYMOUS, asked, response.status, status or {})
        return
    if request.get(FAILED):
        record.panicked(status or {})
        return
    reply = _json(response) if record.wants_response else None
    record.complete(response.status, status, reply)


def _status(response: web.StreamResponse) -> Object | None:
    """Also of what went well: that something is gone, or a pod is bound."""
    if response.status < 400 and not _begins_as_status(response):
        return None
    try:
        found = orjson.loads(_json(response) or b"null")
    except orjson.JSONDecodeError:
        return None
    return found if isinstance(found, dict) and found.get("kind") == "Status" else None


def _begins_as_status(response: web.StreamResponse) -> bool:
    body = response.body if isinstance(response, web.Response) else None
    return isinstance(body, bytes) and body.startswith(_STATUS)


def _json(response: web.StreamResponse) -> bytes | None:
    if not isinstance(response, web.Response) or not isinstance(response.body, bytes | Parts):
        return None
    body = response.body.whole() if isinstance(response.body, Parts) else response.body
    return gzip.decompress(body) if response.headers.get("Content-Encoding") == "gzip" else body


def _facts(request: web.BaseRequest, now: float, new_id: Callable[[], str]) -> Facts:
    given = request.headers.get("Audit-ID", "")[:_ID_LENGTH_MAX]
    return Facts(
        given or new_id(),
        request.raw_path if hasattr(request, "raw_path") else str(request.rel_url),
        request.headers.get("User-Agent", ""),
        _sources(request),
        now,
        ANONYMOUS,
        Attributes(""),
        _version(request.path),
    )


def _version(path: str) -> str:
    """That of a path that is about a resource, whether there is one or not."""
    parts = path.strip("/").split("/")
    return parts[1] if parts[0] == "api" and len(parts) > 2 else parts[2] if len(parts) > 3 else ""


def _sources(request: web.BaseRequest) -> tuple[str, ...]:
    """Who forwarded it says for whom; the peer itself comes last."""
    said = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")[:_SOURCES_MAX]]
    peers = request.headers.get("X-Real-Ip", "").strip(), request.remote or ""
    return tuple(dict.fromkeys(part for part in (*said, *peers) if part))
