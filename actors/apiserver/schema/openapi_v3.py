"""OpenAPI v3: an index, and one document per group version, for `kubectl explain`, `apply` and validation.

Everything is built when the first client asks for the index (its hashes need the documents). Only those that
were asked for last are kept, as all together are megabytes that hardly anybody reads; of custom resources only those
are built again whose definitions have changed.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Sequence
from typing import Any, NamedTuple

import orjson

from actors.apiserver.custom.served import Served
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
    name_of_document,
    paths_of,
)
from actors.apiserver.schema.openapi_values import with_defaults
from actors.apiserver.schema.page import Page
from actors.apiserver.schema.resources import Resource
from actors.apiserver.schema.types import Types

# Every group has them: a document says that its own does.
_META = "io.k8s.apimachinery.pkg.apis.meta.v1."
_OF_ALL_GROUPS = (f"{_META}DeleteOptions", f"{_META}WatchEvent")
_KINDS = "x-kubernetes-group-version-kind"
KEPT_BYTES_MAX = 2 * 1024 * 1024

_COMPONENTS = "#/components/schemas/"
_QUANTITY = "io.k8s.apimachinery.pkg.api.resource.Quantity"
_INT_OR_STRING = "io.k8s.apimachinery.pkg.util.intstr.IntOrString"


class _Known(NamedTuple):
    """A document that was built: of which resources, and what came of it."""

    resources: Sequence[Resource]
    hash: str


class OpenApiV3:
    """The pages below /openapi/v3."""

    def __init__(self, types: Types, served: Served) -> None:
        self._types = types
        self._served = served
        self._known: dict[str, _Known] = {}
        self._kept: OrderedDict[str, Page] = OrderedDict()
        self._edition = -1

    def index(self) -> Page:
        """/openapi/v3"""
        self._look()
        urls = {name: f"/openapi/v3/{name}?hash={known.hash}" for name, known in sorted(self._known.items())}
        return Page.of(orjson.dumps({"paths": {name: {"serverRelativeURL": url} for name, url in urls.items()}}))

    def document(self, name: str) -> Page | None:
        """/openapi/v3/<name>, such as "api/v1" or "apis/apps/v1"."""
        self._look()
        if name not in self._known:
            return None
        if name in self._kept:
            self._kept.move_to_end(name)
            return self._kept[name]
        resources = self._known[name].resources
        page = _Components(Definitions(self._types, resources)).page(name, resources, self._types.version)
        self._keep(name, page)
        return page

    def _look(self) -> None:
        """What is served by now."""
        edition = self._served.edition
        if self._edition == edition:
            return
        wanted = self._wanted()
        new = {name: resources for name, resources in wanted.items() if not self._is_known(name, resources)}
        components = _Components(Definitions(self._types, [each for of in new.values() for each in of]))
        for name in [name for name in self._known if name not in wanted or name in new]:
            del self._known[name]
            self._kept.pop(name, None)
        for name, resources in new.items():
            page = components.page(name, resources, self._types.version)
            self._known[name] = _Known(resources, page.hash)
            self._keep(name, page)
        self._edition = edition

    def _wanted(self) -> dict[str, list[Resource]]:
        """The documents, and the resources that each is of."""
        resources = self._served.all()
        wanted: dict[str, list[Resource]] = {
            name: [] for name in documents_of([each for each in resources if each.custom is None])
        }
        for resource in resources:
            wanted.setdefault(name_of_document(resource), []).append(resource)
        return wanted

    def _is_known(self, name: str, resources: Sequence[Resource]) -> bool:
        """Whether it is of the same resources still: what was compiled from a definition is as long as that is."""
        known = self._known.get(name)
        return (
            known is not None
            and len(known.resources) == len(resources)
            and all(one.custom is other.custom for one, other in zip(known.resources, resources, strict=True))
        )

    def _keep(self, name: str, page: Page) -> None:
        self._kept[name] = page
        while sum([len(each.body) for each in self._kept.values()]) > KEPT_BYTES_MAX and len(self._kept) > 1:
            self._kept.popitem(last=False)


class _Components:
    """Definitions in their v3 dress, each encoded once however many documents carry it."""

    def __init__(self, definitions: Definitions) -> None:
        self._definitions = definitions
        self._encoded: dict[str, orjson.Fragment] = {}

    def page(self, name: str, resources: Sequence[Resource], version: str) -> Page:
        paths = [path for resource in resources for path in paths_of(resource)]
        is_custom = any(resource.custom is not None for resource in resources)
        if not is_custom:
            paths.append(document_path(name))
        names = self._definitions.closure(self._definitions.roots(paths))
        own = None if is_custom else [("", "v1"), *((each.group, each.version) for each in resources[:1])]
        schemas = {"schemas": {name: self._component(name, own) for name in names}} if names else {}
        security = {} if is_custom else {"securitySchemes": {"BearerToken": BEARER}}
        title, version = ("Kubernetes CRD Swagger", "v0.1.0") if is_custom else ("Kubernetes", version)
        document = {
            "openapi": "3.0.0",
            "info": {"title": title, "version": version},
            "paths": {path.template: self._path(path) for path in sorted(paths, key=lambda path: path.template)},
            "components": {**schemas, **security},
        }
        return Page.of(orjson.dumps(document))

    def _component(self, name: str, own: Sequence[tuple[str, str]] | None) -> orjson.Fragment:
        """`own`: the group versions that the document is about; None for any."""
        schema = self._definitions.schema(name)
        if own is not None and name in _OF_ALL_GROUPS:
            kinds = [each for each in schema[_KINDS] if (each["group"], each["version"]) in own]
            return orjson.Fragment(orjson.dumps({**self._dressed(name, schema), _KINDS: kinds}))
        if name not in self._encoded:
            self._encoded[name] = orjson.Fragment(orjson.dumps(self._dressed(name, schema)))
        return self._encoded[name]

    def _dressed(self, name: str, schema: Schema) -> Schema:
        if not self._definitions.is_custom(name):
            schema = with_defaults(name, schema, self._type_of)
        return _component(name, schema)

    def _type_of(self, reference: str) -> object:
        return self._definitions.schema(reference.removeprefix(PREFIX)).get("type")

    def _path(self, path: Path) -> Schema:
        methods = {operation.method: self._operation(operation, path) for operation in path.operations}
        return {**methods, "parameters": _parameters(path.parameters)} if path.parameters else methods

    def _operation(self, operation: Operation, path: Path) -> Schema:
        rendered: Schema = {
            "tags": [operation.tag],
            "description": operation.description,
            "operationId": operation.id,
        }
        if own := path.own(operation):
            rendered["parameters"] = _parameters(own)
        if operation.takes is not None:
            rendered["requestBody"] = {"content": self._content(operation.consumes, operation.takes)}
            if operation.needs_body:
                rendered["requestBody"]["required"] = True
        content = self._content(operation.produces, operation.answer)
        rendered["responses"] = {str(code): {"description": SAID[code], "content": content} for code in operation.codes}
        rendered["responses"]["401"] = {"description": "Unauthorized"}
        if operation.kind is not None:
            group, version, kind = operation.kind
            rendered["x-kubernetes-action"] = operation.action
            rendered["x-kubernetes-group-version-kind"] = {"group": group, "kind": kind, "version": version}
        return rendered

    def _content(self, media_types: Sequence[str], kind: GroupVersionKind) -> Schema:
        schema = {"type": "string"} if kind == TEXT else {"$ref": f"{_COMPONENTS}{self._definitions.of_kind(kind)}"}
        return {media_type: {"schema": schema} for media_type in sorted(media_types)}


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


def _parameters(parameters: Sequence[Parameter]) -> list[Schema]:
    return [_parameter(parameter) for parameter in parameters]


def _parameter(parameter: Parameter) -> Schema:
    schema = {"type": parameter.type, "uniqueItems": True}
    rendered: Schema = {"name": parameter.name, "in": parameter.where, "description": parameter.description}
    return (
        {**rendered, "required": True, "schema": schema}
        if parameter.where == "path"
        else {**rendered, "schema": schema}
    )
