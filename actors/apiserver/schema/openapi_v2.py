"""OpenAPI v2: one document for everything, as JSON (Headlamp) and as gnostic protobuf (kubectl 1.27 insists on it).

Both are built when first asked for, and kept as bytes until a definition of a custom resource changes, or what another
server says of its own.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import orjson

from actors.apiserver.aggregation.swagger import Swagger, merged
from actors.apiserver.custom.published import definition_for_v2
from actors.apiserver.custom.served import Served
from actors.apiserver.schema import gnostic
from actors.apiserver.schema.openapi_definitions import PREFIX, Definitions, Schema
from actors.apiserver.schema.openapi_parameters import Parameter
from actors.apiserver.schema.openapi_paths import (
    BEARER,
    SAID,
    TEXT,
    GroupVersionKind,
    Operation,
    Path,
    document_path,
    documents_of,
    paths_of,
)
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
        paths = [path for resource in resources for path in paths_of(resource)]
        own = [resource for resource in resources if resource.custom is None]
        paths += [document_path(name) for name in documents_of(own)]
        names = definitions.closure(definitions.roots(paths))
        dressed = _Paths(definitions)
        return {
            "swagger": "2.0",
            "info": {"title": "Kubernetes", "version": self._types.version},
            "paths": {path.template: dressed.path(path) for path in sorted(paths, key=lambda path: path.template)},
            "definitions": {name: _definition(name, definitions) for name in names},
            "parameters": dressed.parameters,
            "securityDefinitions": {"BearerToken": BEARER},
            "security": [{"BearerToken": []}],
        }


def _are(known: Sequence[Swagger], others: Sequence[Swagger]) -> bool:
    """Whether they are the same objects: who keeps them replaces what has changed."""
    return len(known) == len(others) and all(one is other for one, other in zip(known, others, strict=True))


def _definition(name: str, definitions: Definitions) -> Schema:
    schema = definitions.schema(name)
    if definitions.is_custom(name):
        schema = definition_for_v2(schema)
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


class _Paths:
    """Paths in their v2 dress. `parameters`: those that were met, which operations refer to."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self.parameters: Schema = {}

    def path(self, path: Path) -> Schema:
        methods = {operation.method: self._operation(operation, path) for operation in path.operations}
        return {**methods, "parameters": self._all(path.parameters)} if path.parameters else methods

    def _operation(self, operation: Operation, path: Path) -> Schema:
        rendered: Schema = {"description": operation.description}
        if operation.consumes:
            rendered["consumes"] = list(operation.consumes)
        rendered |= {
            "produces": list(operation.produces),
            "schemes": ["https"],
            "tags": [operation.tag],
            "operationId": operation.id,
        }
        parameters = [*self._body(operation), *self._all(path.own(operation))]
        if parameters:
            rendered["parameters"] = parameters
        answer = {"type": "string"} if operation.answer == TEXT else self._reference(operation.answer)
        rendered["responses"] = {str(code): {"description": SAID[code], "schema": answer} for code in operation.codes}
        rendered["responses"]["401"] = {"description": "Unauthorized"}
        if operation.kind is not None:
            group, version, kind = operation.kind
            rendered["x-kubernetes-action"] = operation.action
            rendered["x-kubernetes-group-version-kind"] = {"group": group, "kind": kind, "version": version}
        return rendered

    def _body(self, operation: Operation) -> Iterator[Schema]:
        if operation.takes is not None:
            body: Schema = {"name": "body", "in": "body"}
            required = {"required": True} if operation.needs_body else {}
            yield {**body, **required, "schema": self._reference(operation.takes)}

    def _all(self, parameters: Iterable[Parameter]) -> list[Schema]:
        return [self._parameter(parameter) for parameter in parameters]

    def _parameter(self, parameter: Parameter) -> Schema:
        rendered: Schema = {
            "uniqueItems": True,
            "type": parameter.type,
            "description": parameter.description,
            "name": parameter.name,
            "in": parameter.where,
        }
        if parameter.where == "path":
            rendered["required"] = True
        if parameter.name == "name":
            return rendered  # of each kind another
        name = parameter.name if parameter.where == "query" else f"{parameter.name}-in-{parameter.where}"
        self.parameters[name] = rendered
        return {"$ref": f"#/parameters/{name}"}

    def _reference(self, kind: GroupVersionKind) -> Schema:
        return {"$ref": f"#/definitions/{self._definitions.of_kind(kind)}"}
