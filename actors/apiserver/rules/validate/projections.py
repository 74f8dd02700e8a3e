"""Files that volumes make of other objects: keys of Secrets and ConfigMaps, the pod's own fields, tokens."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.apiserver.rules.field import FieldErrors, forbidden, invalid_value, required
from actors.apiserver.rules.validate.environment import field_ref, resource_ref

_MODE_MAX = 0o777
_TOKEN_SECONDS = (10 * 60, 2**32)
_KINDS = ("secret", "configMap", "downwardAPI", "serviceAccountToken", "clusterTrustBundle", "podCertificate")
# What of a pod may be a file; the rest is known only once it runs.
_FIELDS = ("metadata.annotations", "metadata.labels", "metadata.name", "metadata.namespace", "metadata.uid")


def keys(field: str, source: dict[str, Any]) -> FieldErrors:
    """Of a Secret or ConfigMap."""
    yield from mode(f"{field}.defaultMode", source.get("defaultMode"))
    for index, item in enumerate(source.get("items") or ()):
        where = f"{field}.items[{index}]"
        if not item.get("key"):
            yield required(f"{where}.key")
        if not item.get("path"):
            yield required(f"{where}.path")
        yield from descending(f"{where}.path", item.get("path") or "")
        yield from mode(f"{where}.mode", item.get("mode"))


def own_fields(field: str, source: dict[str, Any]) -> FieldErrors:
    """Of the pod itself."""
    yield from mode(f"{field}.defaultMode", source.get("defaultMode"))
    for item in source.get("items") or ():
        if not item.get("path"):
            yield required(f"{field}.path")
        yield from descending(f"{field}.path", item.get("path") or "")
        yield from _own_field(field, item)
        yield from mode(f"{field}.mode", item.get("mode"))


def projected(field: str, source: dict[str, Any]) -> FieldErrors:
    yield from mode(f"{field}.defaultMode", source.get("defaultMode"))
    paths: set[str] = set()
    for index, part in enumerate(source.get("sources") or ()):
        where = f"{field}.sources[{index}]"
        given = [kind for kind in _KINDS if part.get(kind) is not None]
        for kind in given:
            yield from _part(where, kind, part[kind])
        if len(given) > 1:
            yield forbidden(where, "may not specify more than 1 volume type per source")
        for kind in given:
            yield from _conflicts(field, part[kind], paths)


def mode(field: str, value: int | None) -> FieldErrors:
    if value is not None and not 0 <= value <= _MODE_MAX:
        yield invalid_value(field, value, "must be a number between 0 and 0777 (octal), both inclusive")


def descending(field: str, path: str) -> FieldErrors:
    if path.startswith("/"):
        yield invalid_value(field, path, "must be a relative path")
    yield from not_upwards(field, path)


def not_upwards(field: str, path: str) -> FieldErrors:
    if ".." in path.split("/"):
        yield invalid_value(field, path, "must not contain '..'")


def _own_field(field: str, item: dict[str, Any]) -> FieldErrors:
    reference, resource = item.get("fieldRef"), item.get("resourceFieldRef")
    if reference is not None:
        yield from field_ref(f"{field}.fieldRef", reference, _FIELDS)
        if resource is not None:
            detail = "fieldRef and resourceFieldRef can not be specified simultaneously"
            yield invalid_value(field, "resource", detail)
    elif resource is not None:
        if not resource.get("containerName"):
            yield required(f"{field}.resourceFieldRef.containerName")
        yield from resource_ref(f"{field}.resourceFieldRef", resource)
    else:
        yield required(field, "one of fieldRef and resourceFieldRef is required")


def _part(field: str, kind: str, part: dict[str, Any]) -> FieldErrors:
    match kind:
        case "secret" | "configMap":
            if not part.get("name"):
                yield required(f"{field}.{kind}.name")
            yield from keys(f"{field}.{kind}", part)
        case "downwardAPI":
            yield from own_fields(f"{field}.{kind}", part)
        case "serviceAccountToken":
            yield from _token(f"{field}.{kind}", part)


def _token(field: str, token: dict[str, Any]) -> FieldErrors:
    yield from token_seconds(f"{field}.expirationSeconds", token.get("expirationSeconds"))
    if not token.get("path"):
        yield required(f"{field}.path")


def token_seconds(field: str, seconds: int | None) -> FieldErrors:
    """How long a token that is asked for may be good."""
    shortest, longest = _TOKEN_SECONDS
    if seconds is not None and seconds < shortest:
        yield invalid_value(field, seconds, "may not specify a duration less than 10 minutes")
    elif seconds is not None and seconds > longest:
        yield invalid_value(field, seconds, "may not specify a duration larger than 2^32 seconds")


def _conflicts(field: str, part: dict[str, Any], paths: set[str]) -> FieldErrors:
    """Two parts cannot be one file."""
    for path in _paths(part):
        yield from descending(f"{field}.path", path) if "path" in part else ()
        if path in paths:
            yield invalid_value(field, part.get("name") or path, "conflicting duplicate paths")
        paths.add(path)


def _paths(part: dict[str, Any]) -> Sequence[str]:
    return [each["path"] for each in (part, *(part.get("items") or ())) if each.get("path")]
