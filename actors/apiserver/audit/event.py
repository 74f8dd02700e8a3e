"""One event of the audit log as audit.k8s.io/v1 has it, from what is known of a request at that stage."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import orjson

from actors.apiserver.access.attributes import Attributes
from actors.apiserver.audit.policy import LEVELS, Stage, Verdict
from actors.apiserver.callers import Caller
from protocols.objects import Object

REQUEST, RESPONSE = LEVELS.index("Request"), LEVELS.index("RequestResponse")


@dataclass(slots=True)
class Facts:
    """What is known of a request; `uri`, `agent` and `sources` as the client has them, times in seconds.

    `body` and `reply` are JSON, None where there is none (a patch, too, is JSON, and is the request's object).
    """

    id: str
    uri: str
    agent: str
    sources: tuple[str, ...]
    received: float
    caller: Caller | None  # None: nobody knows
    asked: Attributes
    version: str = ""
    impersonated: Caller | None = None
    sent: Object | None = None  # what an object that was sent says of itself: its metadata
    body: bytes | None = None
    code: int = 0
    reply: bytes | None = None
    status: Object | None = None
    annotations: dict[str, str] = field(default_factory=dict)


def event_of(facts: Facts, verdict: Verdict, stage: Stage, now: float) -> Object:
    event: Object = {
        "kind": "Event",
        "apiVersion": "audit.k8s.io/v1",
        "level": verdict.level,
        "auditID": facts.id,
        "stage": stage,
        "requestURI": facts.uri,
        "verb": facts.asked.verb,
        "user": _user(facts.caller) if facts.caller is not None else {},
        "sourceIPs": list(facts.sources),
    }
    if facts.impersonated is not None:
        event["impersonatedUser"] = _user(facts.impersonated)
    if facts.agent:
        event["userAgent"] = facts.agent
    if facts.asked.resource:
        event["objectRef"] = _reference(facts)
    if stage != "RequestReceived":
        event |= _outcome(facts, verdict)
    event["requestReceivedTimestamp"] = _micro_time(facts.received)
    event["stageTimestamp"] = _micro_time(now)
    if facts.annotations:
        event["annotations"] = dict(facts.annotations)
    return event


def _outcome(facts: Facts, verdict: Verdict) -> Object:
    found: Object = {}
    if facts.code:
        said = {key: (facts.status or {}).get(key) for key in ("status", "message", "reason", "details")}
        found["responseStatus"] = {
            "metadata": {},
            **{key: value for key, value in said.items() if value is not None and value != ""},
            "code": facts.code,
        }
    level = LEVELS.index(verdict.level)
    request = _object(facts.body, verdict) if level >= REQUEST else None
    response = _object(facts.reply, verdict) if level >= RESPONSE else None
    if request is not None:
        found["requestObject"] = request
    if response is not None:
        found["responseObject"] = response
    return found


def _object(body: bytes | None, verdict: Verdict) -> Any:
    if not body:
        return None
    try:
        obj = orjson.loads(body)
    except orjson.JSONDecodeError:
        return None  # the request was refused for it
    if verdict.omit_managed_fields and isinstance(obj, dict):
        for each in (obj, *(item for item in obj.get("items") or () if isinstance(item, dict))):
            if isinstance(each.get("metadata"), dict):
                each["metadata"].pop("managedFields", None)
    return obj


def _reference(facts: Facts) -> Object:
    asked = facts.asked
    found = {
        "resource": asked.resource,
        "namespace": asked.namespace,
        "name": asked.name,
        "apiGroup": asked.group,
        "apiVersion": facts.version,
        "subresource": asked.subresource,
    }
    for key in ("namespace", "name", "uid", "resourceVersion"):
        found[key] = found.get(key) or (facts.sent or {}).get(key) or ""
    return {key: value for key, value in found.items() if value}


def _user(caller: Caller) -> Object:
    found: Object = {"username": caller.user, "uid": caller.uid, "groups": list(caller.groups)}
    found["extra"] = {key: list(values) for key, values in caller.extra}
    return {key: value for key, value in found.items() if value}


def _micro_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
