"""Events: they are where what they are about is, and one with an exact time says who tells it (KEP-383)."""

from __future__ import annotations

from actors.apiserver.rules import names
from actors.apiserver.rules.field import FieldErrors, invalid_value, matches, required
from protocols.objects import Object

_TEXT_MAX = 128
_NOT_THERE = "does not match event.namespace"


def event(obj: Object, old: Object | None) -> FieldErrors:
    namespace = (obj.get("metadata") or {}).get("namespace") or ""
    about = (obj.get("involvedObject") or {}).get("namespace") or ""
    if about != namespace and (about or namespace not in ("", "default")):
        yield invalid_value("involvedObject.namespace", about, _NOT_THERE)
    if obj.get("eventTime") is not None:
        yield from _told_exactly(obj)


def _told_exactly(obj: Object) -> FieldErrors:
    reporter = obj.get("reportingComponent") or ""
    if not reporter:
        yield required("reportingComponent")
    yield from matches("reportingComponent", reporter, names.label_key(reporter))
    for key in ("reportingInstance", "action", "reason"):
        text = obj.get(key) or ""
        if not text:
            yield required(key)
        elif len(text) > _TEXT_MAX:
            yield invalid_value(key, "", f"can have at most {_TEXT_MAX} characters")
