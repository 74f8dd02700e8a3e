"""Objects of the right types and otherwise at random: what the rules see once the schema has let an object through."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from actors.apiserver.schema.resources import Resource
from actors.apiserver.schema.types import Type, Types

_DEPTH_MAX = 7
_LIKELY = ("spec", "status", "template", "containers", "name", "type", "metadata")
_WORDS = st.sampled_from(["", "a", "web", "Web_1", "10.0.0.1", "ClusterIP", "Never", "None", "2026-01-01T00:00:00Z"])
_QUANTITIES = st.sampled_from(["0", "1", "500m", "1Gi", "-1"])
_SCALARS: dict[str, st.SearchStrategy[Any]] = {
    "string": _WORDS,
    "integer": st.sampled_from([0, 1, -1, 80, 70000]),
    "number": st.sampled_from([0.5, 1.0]),
    "boolean": st.booleans(),
    "quantity": _QUANTITIES,
    "int-or-string": st.sampled_from([0, 1, "25%", "http", "200%"]),
    "any": st.just({}),
}


@st.composite
def objects_of(draw: st.DrawFn, types: Types, resource: Resource) -> dict[str, Any]:
    obj: dict[str, Any] = draw(_value(types.of(resource), 0))
    metadata = obj.setdefault("metadata", {})
    metadata.pop("managedFields", None)
    metadata["name"] = "a"
    if resource.namespaced:
        metadata["namespace"] = "default"
    for key in ("creationTimestamp", "deletionTimestamp"):
        if key in metadata:
            metadata[key] = "2026-01-01T00:00:00Z"
    return {**obj, "apiVersion": resource.api_version, "kind": resource.kind}


def _value(type: Type, depth: int) -> st.SearchStrategy[Any]:
    if type.format in ("date-time", "micro-time"):
        return st.just("2026-01-01T00:00:00Z")
    if type.format == "byte":
        return st.sampled_from(["", "YQ=="])
    if type.kind in _SCALARS:
        return _SCALARS[type.kind]
    if depth >= _DEPTH_MAX:
        return st.just([] if type.kind == "array" else {})
    if type.kind == "array":
        return st.deferred(lambda: st.lists(_value(type.items, depth + 1), max_size=2))
    if type.kind == "map":
        return st.deferred(
            lambda: st.dictionaries(st.sampled_from(["a", "cpu"]), _value(type.values, depth + 1), max_size=2)
        )
    return _some_fields(type, depth)


@st.composite
def _some_fields(draw: st.DrawFn, type: Type, depth: int) -> dict[str, Any]:
    """A few of the fields: all of them would be enormous, and always the same."""
    names = sorted(type.fields)
    likely = [
        name for name in names if name in ("spec", "status", "template", "containers", "name", "type", "metadata")
    ]
    some = draw(st.lists(st.sampled_from(names), max_size=4, unique=True)) if names else []
    return {name: draw(_value(type.fields[name], depth + 1)) for name in dict.fromkeys([*likely, *some])}
