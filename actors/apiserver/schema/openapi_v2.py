"""OpenAPI v2: one document for everything, as JSON (Headlamp) and as gnostic protobuf (kubectl 1.27 insists on it).

Both are built when first asked for, and kept as bytes.
"""

from __future__ import annotations

from functools import cached_property

import orjson

from actors.apiserver.schema import gnostic
from actors.apiserver.schema.openapi_definitions import PREFIX, Definitions, Schema
from actors.apiserver.schema.openapi_paths import Operation, Parameter, Path, paths_of
from actors.apiserver.schema.page import Page
from actors.apiserver.schema.resources import RESOURCES
from actors.apiserver.schema.types import Types

PROTOBUF_CONTENT_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"


class OpenApiV2:
    """/openapi/v2 in its two encodings."""

    def __init__(self, types: Types) -> None:
        self._types = types

    @cached_property
    def json(self) -> Page:
        return Page.of(orjson.dumps(self._document()))

    @cached_property
    def protobuf(self) -> Page:
        return Page.of(gnostic.encode(self._document()))

    def _document(self) -> Schema:
        definitions = Definitions(self._types)
        names = definitions.closure(definitions.roots(RESOURCES))
        return {
            "swagger": "2.0",
            "info": {"title": "Kubernetes", "version": f"v{self._types.version}.0"},
            "paths": {path.template: _path(path, definitions) for resource in RESOURCES for path in paths_of(resource)},
            "definitions": {name: _definition(name, definitions.schema(name)) for name in names},
        }


def _definition(name: str, schema: Schema) -> Schema:
    if name == _QUANTITY:
        return {"description": schema["description"], "type": "string"}
    if name == _INT_OR_STRING:
        return {"description": schema["description"], "type": "string", "format": "int-or-string"}
    return _dressed(schema)


def _dressed(schema: Schema) -> Schema:
    dressed = dict(schema)
    if "$ref" in schema:
        dressed["$ref"] = schema["$ref"].replace(PREFIX, "#/definitions/", 1)
    if "properties" in schema:
        dressed["properties"] = {name: _dressed(below) for name, below in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            dressed[key] = _dressed(schema[key])
    return dressed


def _path(path: Path, definitions: Definitions) -> Schema:
    parameters = [_parameter((name, "string"), "path") for name in path.placeholders]
    methods = {operation.method: _operation(operation, definitions) for operation in path.operations}
    return {**methods, "parameters": parameters} if parameters else methods


def _operation(operation: Operation, definitions: Definitions) -> Schema:
    group, version, kind = operation.kind
    body = _reference(definitions, operation, kind)
    answer = _reference(definitions, operation, f"{kind}List") if operation.action == "list" else body
    parameters = [_parameter(parameter, "query") for parameter in operation.query]
    if operation.takes_body:
        parameters.append({"in": "body", "name": "body", "required": True, "schema": body})
    rendered: Schema = {
        "description": f"{operation.action} {kind}",
        "responses": {"200": {"description": "OK", "schema": answer}},
        "x-kubernetes-action": operation.action,
        "x-kubernetes-group-version-kind": {"group": group, "kind": kind, "version": version},
    }
    return {**rendered, "parameters": parameters} if parameters else rendered


def _reference(definitions: Definitions, operation: Operation, kind: str) -> Schema:
    group, version, _ = operation.kind
    return {"$ref": f"#/definitions/{definitions.of_kind(f'{group}/{version}' if group else version, kind)}"}


def _parameter(parameter: Parameter, where: str) -> Schema:
    name, json_type = parameter
    rendered: Schema = {"in": where, "name": name, "type": json_type, "uniqueItems": True}
    return {**rendered, "required": True} if where == "path" else rendered
