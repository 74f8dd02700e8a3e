"""Formats in the schema of a custom resource that nobody checks."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from actors.apiserver.custom.formats import known
from protocols.objects import Object

_LISTS, _SINGLE, _MAPS = ("allOf", "oneOf", "anyOf"), ("not", "items", "additionalProperties"), ("properties",)


def definition(obj: Object, old: Object | None) -> Iterator[str]:
    """Of formats that were there before nothing is said."""
    known = set(_unrecognized(old)) if old is not None else set()
    for format_ in _unrecognized(obj):
        if format_ not in known:
            yield f'unrecognized format "{format_}"'


def _unrecognized(obj: Object) -> Iterator[str]:
    for version in (obj.get("spec") or {}).get("versions") or ():
        yield from _below((version.get("schema") or {}).get("openAPIV3Schema"))


def _below(schema: Any) -> Iterator[str]:
    if not isinstance(schema, dict):
        return
    format_ = schema.get("format")
    if format_ and not known(format_, schema.get("type") or ""):
        yield format_
    for key in _LISTS:
        for each in schema.get(key) or ():
            yield from _below(each)
    for key in _SINGLE:
        yield from _below(schema.get(key))
    for key in _MAPS:
        for _, each in sorted((schema.get(key) or {}).items()):
            yield from _below(each)
