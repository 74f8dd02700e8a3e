"""The definitions that OpenAPI documents carry, as Kubernetes publishes them, and which of them a document needs.

`kubernetes-validate` changed them for its own purpose: every optional type also allows null, and apiVersion and kind
are enumerated. Here that is undone. v2 and v3 dress the result differently (openapi_v2.py, openapi_v3.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import orjson

from actors.apiserver.custom.published import definition_name, definitions_of
from actors.apiserver.schema.openapi_paths import TEXT, GroupVersionKind, Path
from actors.apiserver.schema.openapi_values import with_words
from actors.apiserver.schema.resources import Resource
from actors.apiserver.schema.types import Types, minor_of

Schema = dict[str, Any]

PREFIX = "#/$defs/"

_WORDS_KNOWN_UNTIL = 36
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
# Kinds that no group has of its own.
_SHARED = {kind: f"{_META}{kind}" for kind in ("DeleteOptions", "Patch", "Status", "WatchEvent")} | {
    **{kind: f"{_META}{kind}" for kind in ("APIGroup", "APIGroupList", "APIResourceList", "APIVersions")},
    "Info": "io.k8s.apimachinery.pkg.version.Info",
}
_DESCRIPTIONS = {
    "io.k8s.apimachinery.pkg.api.resource.Quantity": "Quantity is a number with a suffix, such as 100m, 1.5 or 2Gi.",
    "io.k8s.apimachinery.pkg.util.intstr.IntOrString": "IntOrString is an int32 or a string, such as 8080 or 25%.",
}


class Definitions:
    """Definitions by name, decoded while a document is built and given up with it."""

    def __init__(self, types: Types, resources: Iterable[Resource] = ()) -> None:
        """`resources`: custom ones among them bring their own definitions."""
        self._types = types
        self._schemas: dict[str, Schema] = {}
        self._custom: dict[tuple[str, str], str] = {}
        for resource in resources:
            if resource.custom is not None:
                self._schemas.update(definitions_of(resource))
                for kind in (resource.kind, resource.list_kind):
                    self._custom[resource.api_version, kind] = definition_name(resource, kind)

    def is_custom(self, name: str) -> bool:
        return name in self._custom.values()

    def schema(self, name: str) -> Schema:
        """A definition in its published form; references still start with PREFIX."""
        if name not in self._schemas:
            schema = _published(orjson.loads(self._types.raw(name)))
            if name in _DESCRIPTIONS:
                schema = {"description": _DESCRIPTIONS[name], **schema}
            is_known = minor_of(self._types.version) <= _WORDS_KNOWN_UNTIL  # later ones may have more
            self._schemas[name] = with_words(name, schema) if is_known else schema
        return self._schemas[name]

    def closure(self, roots: Iterable[str]) -> list[str]:
        """The definitions that are reached from the roots, these included, in order of name."""
        reached: set[str] = set()
        waiting = list(roots)
        while waiting:
            name = waiting.pop()
            if name not in reached:
                reached.add(name)
                waiting += _references(self.schema(name))
        return sorted(reached)

    def of_kind(self, of_kind: GroupVersionKind) -> str:
        group, version, kind = of_kind
        api_version = f"{group}/{version}" if group else version
        if (api_version, kind) in self._custom:
            return self._custom[api_version, kind]
        if not group and kind in _SHARED:
            return _SHARED[kind]
        type_ = self._types.by_kind(api_version, kind)
        assert type_ is not None, f"no definition of {api_version} {kind}"
        return type_.name

    def roots(self, paths: Iterable[Path]) -> list[str]:
        """What the operations of some paths mention."""
        operations = [operation for path in paths for operation in path.operations]
        kinds = [kind for operation in operations for kind in (operation.answer, operation.takes) if kind]
        return [self.of_kind(kind) for kind in dict.fromkeys(kinds) if kind != TEXT]


def _references(schema: Schema) -> Iterator[str]:
    reference = schema.get("$ref")
    if isinstance(reference, str):
        yield reference.removeprefix(PREFIX)
    for below in schema.get("properties", {}).values():
        yield from _references(below)
    for key in ("items", "additionalProperties"):
        below = schema.get(key)
        if isinstance(below, dict):
            yield from _references(below)


def _published(schema: Schema) -> Schema:
    schema.pop("enum", None)
    if isinstance(schema.get("type"), list):
        schema["type"] = next(name for name in schema["type"] if name != "null")
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            _published(schema[key])
    for below in [*schema.get("properties", {}).values(), *schema.get("oneOf", [])]:
        _published(below)
    return schema
