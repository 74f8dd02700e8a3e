"""What a field may be and what it is without being said, which the published definitions leave out: openapi_values.txt.

Most defaults follow from the definitions: a field that has to be there is the zero of its type, and what is a struct in
Go, and not a pointer to one, is never absent.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import orjson

from actors.apiserver.schema.protobuf import plain_fields

Schema = dict[str, Any]

_ONE_OF, _IS, _NOTHING = "one of ", "is ", "nothing"
_ZEROS: Mapping[str, Any] = {"string": "", "integer": 0, "boolean": False, "number": 0}


def with_words(definition: str, schema: Schema) -> Schema:
    """A definition with the words that its fields may be."""
    words = _table().words.get(_short(definition))
    if not words or "properties" not in schema:
        return schema
    properties = dict(schema["properties"])
    for name in properties.keys() & words.keys():
        properties[name] = _one_of(properties[name], words[name])
    return {**schema, "properties": properties}


def with_defaults(definition: str, schema: Schema, type_of: Callable[[str], object]) -> Schema:
    """A definition with what its fields are without being said. `type_of`: that of the definition behind a `$ref`."""
    if "properties" not in schema:
        return schema
    said, required = _table().defaults.get(_short(definition), {}), schema.get("required", ())
    pointers = {field.name for field in plain_fields(definition) if field.keep}
    properties = dict(schema["properties"])
    for name, below in properties.items():
        if name in said:
            default = said[name]
        elif "$ref" in below:
            of_list = definition.endswith("List") and name == "metadata"
            known = of_list or name in required or name not in pointers
            default = {} if known and type_of(below["$ref"]) == "object" else _NOTHING
        else:
            default = _ZEROS.get(below.get("type", ""), _NOTHING) if name in required else _NOTHING
        if default != _NOTHING:
            properties[name] = {**below, "default": default}
    return {**schema, "properties": properties}


class _Values(NamedTuple):
    """By definition ("core.v1.Pod") and field."""

    words: dict[str, dict[str, list[str]]]
    defaults: dict[str, dict[str, Any]]


@cache
def _table() -> _Values:
    values = _Values({}, {})
    for line in (Path(__file__).parent / "openapi_values.txt").read_text().splitlines():
        said, _, fields = line.partition(": ")
        for field in fields.split() if not line.startswith("#") else ():
            definition, _, name = field.rpartition(".")
            if said.startswith(_ONE_OF):
                values.words.setdefault(definition, {})[name] = said.removeprefix(_ONE_OF).split(",")
            else:
                value = said.removeprefix(_IS)
                values.defaults.setdefault(definition, {})[name] = value if value == _NOTHING else orjson.loads(value)
    return values


def _one_of(schema: Schema, words: list[str]) -> Schema:
    for key in ("items", "additionalProperties"):
        if key in schema:
            return {**schema, key: _one_of(schema[key], words)}
    return {**schema, "enum": words}


def _short(definition: str) -> str:
    return ".".join(definition.split(".")[-3:])
