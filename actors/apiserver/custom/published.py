"""A custom resource's schema as OpenAPI documents carry it, under a name made of its group, version and kind."""

from __future__ import annotations

from typing import Any

from actors.apiserver.schema.resources import Resource

_DEFS = "#/$defs/"
_META = f"{_DEFS}io.k8s.apimachinery.pkg.apis.meta.v1."
_CONVENTIONS = "https://git.k8s.io/community/contributors/devel/sig-architecture/api-conventions.md"
_HEAD = {
    "apiVersion": {
        "type": "string",
        "description": "APIVersion defines the versioned schema of this representation of an object. Servers should "
        "convert recognized schemas to the latest internal value, and may reject unrecognized values. More info: "
        f"{_CONVENTIONS}#resources",
    },
    "kind": {
        "type": "string",
        "description": "Kind is a string value representing the REST resource this object represents. Servers may "
        "infer this from the endpoint the client submits requests to. Cannot be updated. In CamelCase. More info: "
        f"{_CONVENTIONS}#types-kinds",
    },
}
_METADATA = f"Standard object's metadata. More info: {_CONVENTIONS}#metadata"


def definition_name(resource: Resource, kind: str) -> str:
    """`com.example.v1.Widget`"""
    return ".".join([*reversed(resource.group.split(".")), resource.version, kind])


def definitions_of(resource: Resource) -> dict[str, dict[str, Any]]:
    """The definitions of the kind and of its list, by name."""
    assert resource.custom is not None
    name = definition_name(resource, resource.kind)
    return {name: _kind(resource), definition_name(resource, resource.list_kind): _list(resource, name)}


def _kind(resource: Resource) -> dict[str, Any]:
    assert resource.custom is not None
    schema = resource.custom.schema
    metadata = {"description": _METADATA, "$ref": f"{_META}ObjectMeta"}
    properties = {**_HEAD, **(schema.get("properties") or {}), "metadata": metadata}
    return {**schema, "type": "object", "properties": properties, **_identity(resource, resource.kind)}


def _list(resource: Resource, name: str) -> dict[str, Any]:
    properties = {
        **_HEAD,
        "items": {"type": "array", "items": {"$ref": f"{_DEFS}{name}"}, "description": f"List of {resource.plural}."},
        "metadata": {"description": "Standard list metadata.", "$ref": f"{_META}ListMeta"},
    }
    head = {"description": f"{resource.list_kind} is a list of {resource.kind}", "type": "object"}
    return {**head, "required": ["items"], "properties": properties, **_identity(resource, resource.list_kind)}


def _identity(resource: Resource, kind: str) -> dict[str, Any]:
    found = {"group": resource.group, "kind": kind, "version": resource.version}
    return {"x-kubernetes-group-version-kind": [found]}


def for_v2(schema: dict[str, Any]) -> dict[str, Any]:
    """Without what OpenAPI v2, as kubectl reads it, cannot say: a value that may be of several types has none."""
    kept = {key: schema[key] for key in _IN_V2 if schema.get(key) is not None}
    kept |= {key: value for key, value in schema.items() if key.startswith("x-")}
    anything = schema.get("x-kubernetes-int-or-string") or schema.get("x-kubernetes-preserve-unknown-fields")
    if anything or schema.get("nullable"):
        return {key: value for key, value in kept.items() if key not in ("type", "items", "properties", "required")}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            kept[key] = for_v2(schema[key])
    if "properties" in kept:
        kept["properties"] = {name: for_v2(below) for name, below in kept["properties"].items()}
    return kept


_IN_V2 = ("$ref", "type", "format", "description", "required", "properties")
