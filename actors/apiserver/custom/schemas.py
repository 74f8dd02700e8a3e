"""The schemas in a definition, checked where the API's own types stop: an `items` or `additionalProperties` is a schema
or something else, so the decoder lets anything pass there.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from actors.apiserver.schema.check import Checked, check
from actors.apiserver.schema.types import Type, Types
from protocols.objects import Object

DEPTH_MAX = 64

_SCHEMA = "io.k8s.apiextensions-apiserver.pkg.apis.apiextensions.v1.JSONSchemaProps"


def check_schemas(types: Types, definition: Object) -> Checked:
    """Check the schemas of all versions, in place."""
    checked, type = Checked(), types.definition(_SCHEMA)
    for version in (definition.get("spec") or {}).get("versions") or ():
        schema = (version.get("schema") or {}).get("openAPIV3Schema")
        if schema is not None:
            _check(schema, type, checked, 0)
    return checked


def _check(schema: dict[str, Any], type: Type, checked: Checked, depth: int) -> None:
    if depth > DEPTH_MAX:
        checked.errors.append(f"a schema must not be nested deeper than {DEPTH_MAX} levels")
        return
    if not isinstance(schema.get("items"), dict | list):
        schema.pop("items", None)  # Kubernetes' decoder looks for a brace or a bracket, and no further
    for key in ("items", "additionalProperties", "additionalItems"):
        value = schema.get(key)
        if isinstance(value, dict):
            found = check(value, type)
            checked.errors += found.errors
            checked.unknown += found.unknown
        elif value is not None and not isinstance(value, bool if key != "items" else list):
            checked.errors.append("boolean or JSON schema expected")
    if not checked.errors:
        for below in _below(schema):
            _check(below, type, checked, depth + 1)


def _below(schema: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield from (schema.get("properties") or {}).values()
    for key in ("items", "additionalProperties", "not"):
        if isinstance(schema.get(key), dict):
            yield schema[key]
    for key in ("allOf", "anyOf", "oneOf"):
        yield from schema.get(key) or ()
