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
# What every object that lies within another one has, too.
_EMBEDDED = {
    "apiVersion": {
        "type": "string",
        "description": "apiVersion defines the versioned schema of this representation of an object. More info: "
        f"{_CONVENTIONS}#resources",
    },
    "kind": {
        "type": "string",
        "description": "kind is a string value representing the type of this object. In CamelCase. More info: "
        f"{_CONVENTIONS}#types-kinds",
    },
}
_METADATA = f"Standard object's metadata. More info: {_CONVENTIONS}#metadata"


_OBJECT_META = {"description": _METADATA, "$ref": f"{_META}ObjectMeta"}
_MORE = f"More info: {_CONVENTIONS}"


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
    properties = {name: _below(each) for name, each in (schema.get("properties") or {}).items()}
    properties = {**_HEAD, **properties, "metadata": _OBJECT_META}
    return {**schema, "type": "object", "properties": properties, **_identity(resource, resource.kind)}


def _below(schema: dict[str, Any]) -> dict[str, Any]:
    """With what an embedded resource has without saying so."""
    made = dict(schema)
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            made[key] = _below(schema[key])
    if "properties" in schema:
        made["properties"] = {name: _below(each) for name, each in (schema["properties"] or {}).items()}
    if schema.get("x-kubernetes-embedded-resource"):
        made["properties"] = {**(made.get("properties") or {}), **_EMBEDDED, "metadata": _OBJECT_META}
        made["required"] = list(dict.fromkeys([*(schema.get("required") or ()), "kind", "apiVersion"]))
    return made


def _list(resource: Resource, name: str) -> dict[str, Any]:
    properties = {
        **_HEAD,
        "items": {
            "type": "array",
            "items": {"$ref": f"{_DEFS}{name}"},
            "description": f"List of {resource.plural}. {_MORE}",
        },
        "metadata": {"description": f"Standard list metadata. {_MORE}#types-kinds", "$ref": f"{_META}ListMeta"},
    }
    head = {"description": f"{resource.list_kind} is a list of {resource.kind}", "type": "object"}
    return {**head, "required": ["items"], "properties": properties, **_identity(resource, resource.list_kind)}


def _identity(resource: Resource, kind: str) -> dict[str, Any]:
    found = {"group": resource.group, "kind": kind, "version": resource.version}
    identity: dict[str, Any] = {"x-kubernetes-group-version-kind": [found]}
    if resource.selectable:
        fields = [{"fieldPath": path} for path in resource.selectable]
        identity["x-kubernetes-selectable-fields"] = fields
    return identity


def definition_for_v2(schema: dict[str, Any]) -> dict[str, Any]:
    """A whole definition: where any fields are welcome, it says of none."""
    if schema.get("x-kubernetes-preserve-unknown-fields"):
        return {key: schema[key] for key in ("type", "x-kubernetes-group-version-kind")}
    return for_v2(schema)


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


_IN_V2 = (
    *("$ref", "type", "format", "title", "description", "externalDocs", "example", "required", "properties", "enum"),
    *("multipleOf", "maximum", "exclusiveMaximum", "minimum", "exclusiveMinimum", "maxLength", "minLength", "pattern"),
    *("maxItems", "minItems", "uniqueItems", "maxProperties", "minProperties"),
)
