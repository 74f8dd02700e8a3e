"""OpenAPI v2: one document for everything, as JSON (Headlamp) and as gnostic protobuf (kubectl 1.27 insists on it).

Both are built when first asked for, and kept as bytes until a definition of a custom resource changes, or what another
server says of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import orjson

from actors.apiserver.aggregation.swagger import Swagger, merged
from actors.apiserver.custom.published import for_v2
from actors.apiserver.custom.served import Served
from actors.apiserver.schema import gnostic
from actors.apiserver.schema.openapi_definitions import PREFIX, Definitions, Schema
from actors.apiserver.schema.openapi_paths import Operation, Parameter, Path, paths_of
from actors.apiserver.schema.page import Page
from actors.apiserver.schema.types import Types

PROTOBUF_CONTENT_TYPE = "application/com.github.proto-openapi.spec.v2.v1.0+protobuf"

_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"


class OpenApiV2:
    """/openapi/v2 in its two encodings."""

    def __init__(self, types: Types, served: Served) -> None:
        self._types = types
        self._served = served
        self._editions: dict[str, tuple[int, Sequence[Swagger], Page]] = {}

    def json(self, others: Sequence[Swagger] = ()) -> Page:
        """`others`: the parts of other servers (aggregation/swagger.py)."""
        return self._page("json", orjson.dumps, others)

    def protobuf(self, others: Sequence[Swagger] = ()) -> Page:
        return self._page("protobuf", gnostic.encode, others)

    def _page(self, encoding: str, encode: Callable[[Schema], bytes], others: Sequence[Swagger]) -> Page:
        edition = self._served.edition
        made = self._editions.get(encoding)
        if made is None or made[0] != edition or not _are(made[1], others):
            page = Page.of(encode(merged(self._document(), others)))
            made = self._editions[encoding] = (edition, others, page)
        return made[2]

    def _document(self) -> Schema:
        resources = self._served.all()
        definitions = Definitions(self._types, resources)
        names = definitions.closure(definitions.roots(resources))
        return {
            "swagger": "2.0",
            "info": {"title": "Kubernetes", "version": f"v{self._types.version}.0"},
            "paths": {path.template: _path(path, definitions) for resource in resources for path in paths_of(resource)},
            "definitions": {name: _definition(name, definitions) for name in names},
        }


def _are(known: Sequence[Swagger], others: Sequence[Swagger]) -> bool:
    """Whether they are the same objects: who keeps them replaces what has changed."""
    return len(known) == len(others) and all(one is other for one, other in zip(known, others, strict=True))


def _definition(name: str, definitions: Definitions) -> Schema:
    schema = definitions.schema(name)
    if definitions.is_custom(name):
        schema = for_v2(schema)
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
    body, answer = _reference(definitions, operation.kind), _reference(definitions, operation.answer)
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


def _reference(definitions: Definitions, of_kind: tuple[str, str, str]) -> Schema:
    group, version, kind = of_kind
    return {"$ref": f"#/definitions/{definitions.of_kind(f'{group}/{version}' if group else version, kind)}"}


def _parameter(parameter: Parameter, where: str) -> Schema:
    name, json_type = parameter
    rendered: Schema = {"in": where, "name": name, "type": json_type, "uniqueItems": True}
    return {**rendered, "required": True} if where == "path" else rendered
