"""OpenAPI v3: an index, and one document per group version, for `kubectl explain`, `apply` and validation.

Everything is built when the first client asks for the index (its hashes need the documents) and kept as bytes. The
documents of custom resources are built again when a definition has changed.
"""

from __future__ import annotations

from collections.abc import Iterable
from itertools import groupby
from typing import Any

import orjson

from actors.apiserver.custom.served import Served
from actors.apiserver.schema.openapi_definitions import PREFIX, Definitions, Schema
from actors.apiserver.schema.openapi_paths import Operation, Parameter, Path, paths_of
from actors.apiserver.schema.page import Page
from actors.apiserver.schema.resources import Resource
from actors.apiserver.schema.types import Types

_COMPONENTS = "#/components/schemas/"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"
_PATCH_TYPES = (
    "application/apply-patch+yaml",
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
)


class OpenApiV3:
    """The pages below /openapi/v3: of built-in resources made once, of others with every edition of what is served."""

    def __init__(self, types: Types, served: Served) -> None:
        self._types = types
        self._served = served
        self._builtin: dict[str, Page] = {}
        self._custom: dict[str, Page] = {}
        self._edition = -1

    def index(self) -> Page:
        """/openapi/v3"""
        urls = {name: f"/openapi/v3/{name}?hash={page.hash}" for name, page in self._built().items()}
        return Page.of(orjson.dumps({"paths": {name: {"serverRelativeURL": url} for name, url in urls.items()}}))

    def document(self, name: str) -> Page | None:
        """/openapi/v3/<name>, such as "api/v1" or "apis/apps/v1"."""
        return self._built().get(name)

    def _built(self) -> dict[str, Page]:
        if not self._builtin:
            self._builtin = self._pages([*self._served.builtin])
        edition = self._served.edition
        if self._edition != edition:
            self._custom = self._pages([resource for resource in self._served.all() if resource.custom is not None])
            self._edition = edition
        return {**self._builtin, **self._custom}

    def _pages(self, resources: list[Resource]) -> dict[str, Page]:
        components = _Components(Definitions(self._types, resources))
        pages = {}
        for api_version, of_version in groupby(resources, key=lambda resource: resource.api_version):
            name = f"apis/{api_version}" if "/" in api_version else f"api/{api_version}"
            pages[name] = components.page(list(of_version), self._types.version)
        return pages


class _Components:
    """Definitions in their v3 dress, each encoded once however many documents carry it."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._encoded: dict[str, orjson.Fragment] = {}

    def page(self, resources: list[Resource], version: str) -> Page:
        names = self._definitions.closure(self._definitions.roots(resources))
        document = {
            "openapi": "3.0.0",
            "info": {"title": "Kubernetes", "version": f"v{version}.0"},
            "paths": {path.template: self._path(path) for resource in resources for path in paths_of(resource)},
            "components": {"schemas": {name: self._component(name) for name in names}},
        }
        return Page.of(orjson.dumps(document))

    def _component(self, name: str) -> orjson.Fragment:
        if name not in self._encoded:
            self._encoded[name] = orjson.Fragment(orjson.dumps(_component(name, self._definitions.schema(name))))
        return self._encoded[name]

    def _path(self, path: Path) -> Schema:
        parameters = [_parameter((name, "string"), "path") for name in path.placeholders]
        methods = {operation.method: self._operation(operation) for operation in path.operations}
        return {**methods, "parameters": parameters} if parameters else methods

    def _operation(self, operation: Operation) -> Schema:
        group, version, kind = operation.kind
        answer = self._reference(*operation.answer)
        rendered: Schema = {
            "description": f"{operation.action} {kind}",
            "parameters": [_parameter(parameter, "query") for parameter in operation.query],
            "responses": {"200": {"description": "OK", "content": {"application/json": {"schema": answer}}}},
            "x-kubernetes-action": operation.action,
            "x-kubernetes-group-version-kind": {"group": group, "kind": kind, "version": version},
        }
        if operation.takes_body:
            rendered["requestBody"] = _body(("application/json",), self._reference(group, version, kind))
        elif operation.action == "patch":
            # kubectl chooses its patch by what is listed here.
            types = _PATCH_TYPES[:-1] if self._definitions.is_custom_kind(operation.kind) else _PATCH_TYPES
            rendered["requestBody"] = _body(types, {"type": "object"})
        return rendered

    def _reference(self, group: str, version: str, kind: str) -> Schema:
        name = self._definitions.of_kind(f"{group}/{version}" if group else version, kind)
        return {"$ref": f"{_COMPONENTS}{name}"}


def _component(name: str, schema: Schema) -> Schema:
    if name == _QUANTITY:
        return {**schema, "oneOf": [{"type": "string"}, {"type": "number"}]}
    if name == _INT_OR_STRING:
        return {**schema, "format": "int-or-string", "oneOf": [{"type": "integer"}, {"type": "string"}]}
    return _dressed(schema)


def _dressed(schema: Schema) -> Schema:
    """References point to components; one that has company (a description, a merge strategy) stands in an allOf."""
    dressed = dict(schema)
    if "properties" in schema:
        dressed["properties"] = {name: _dressed(below) for name, below in schema["properties"].items()}
    for key in ("items", "additionalProperties"):
        if isinstance(schema.get(key), dict):
            dressed[key] = _dressed(schema[key])
    reference: Any = dressed.pop("$ref", None)
    if reference is None:
        return dressed
    target = {"$ref": reference.replace(PREFIX, _COMPONENTS, 1)}
    return {"allOf": [target], **dressed} if dressed else target


def _parameter(parameter: Parameter, where: str) -> Schema:
    name, json_type = parameter
    rendered: Schema = {"in": where, "name": name, "schema": {"type": json_type, "uniqueItems": True}}
    return {**rendered, "required": True} if where == "path" else rendered


def _body(content_types: Iterable[str], schema: Schema) -> Schema:
    return {"content": {content_type: {"schema": schema} for content_type in content_types}, "required": True}
