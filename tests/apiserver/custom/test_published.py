"""How kinds that somebody defined stand in OpenAPI, as a kube-apiserver 1.36.2 was seen to describe the same ones."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.custom.widgets import CRD_PATH
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.schema import gnostic_reader

pytestmark = pytest.mark.slow  # a server for each answer

V3 = "/openapi/v3/apis/shop.example.com"
META = "io.k8s.apimachinery.pkg.apis.meta.v1."
SPEC = {
    "color": {"type": "string", "enum": ["red", "blue"], "default": "red"},
    "count": {"type": "integer", "format": "int32", "minimum": 0, "maximum": 10},
    "names": {"type": "array", "maxItems": 3, "items": {"type": "string", "maxLength": 5, "pattern": "^a"}},
    "port": {"x-kubernetes-int-or-string": True, "anyOf": [{"type": "integer"}, {"type": "string"}]},
    "any": {"type": "object", "x-kubernetes-preserve-unknown-fields": True, "properties": {"a": {"type": "string"}}},
    "when": {"type": "string", "format": "date-time", "nullable": True},
    "one": {"type": "object", "properties": {"a": {"type": "string"}}, "oneOf": [{"required": ["a"]}]},
    "told": {"type": "string", "title": "T", "example": "e", "externalDocs": {"url": "http://x"}},
    "template": {
        "type": "object",
        "x-kubernetes-embedded-resource": True,
        "properties": {"spec": {"type": "object", "properties": {"a": {"type": "string"}}}},
    },
}
DEFINITION: dict[str, Any] = {
    "apiVersion": "apiextensions.k8s.io/v1",
    "kind": "CustomResourceDefinition",
    "metadata": {"name": "widgets.shop.example.com"},
    "spec": {
        "group": "shop.example.com",
        "scope": "Namespaced",
        "names": {"plural": "widgets", "singular": "widget", "kind": "Widget", "listKind": "WidgetList"},
        "versions": [
            {
                "name": "v1",
                "served": True,
                "storage": True,
                "subresources": {
                    "status": {},
                    "scale": {"specReplicasPath": ".spec.count", "statusReplicasPath": ".status.count"},
                },
                "selectableFields": [{"jsonPath": ".spec.color"}],
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "description": "A widget.",
                        "properties": {
                            "spec": {
                                "type": "object",
                                "properties": SPEC,
                                "x-kubernetes-validations": [{"rule": "self.color != 'black'", "message": "too dark"}],
                            }
                        },
                    }
                },
            },
            {
                "name": "v1beta1",
                "served": True,
                "storage": False,
                "schema": {
                    "openAPIV3Schema": {
                        "type": "object",
                        "description": "Whatever.",
                        "x-kubernetes-preserve-unknown-fields": True,
                        "properties": {"spec": {"type": "object"}},
                    }
                },
            },
        ],
    },
}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        assert (await client.send("POST", CRD_PATH, DEFINITION)).code == 201
        yield client


async def _spec(api: Rest, in_v2: bool) -> dict[str, Any]:
    if in_v2:
        definitions = (await api.get("/openapi/v2")).json["definitions"]
    else:
        definitions = (await api.get(f"{V3}/v1")).json["components"]["schemas"]
    return dict(definitions["com.example.shop.v1.Widget"]["properties"]["spec"]["properties"])


@pytest.mark.parametrize(
    ("field", "schema"),
    [
        ("color", {"type": "string", "enum": ["red", "blue"]}),
        ("count", {"type": "integer", "format": "int32", "minimum": 0, "maximum": 10}),
        ("names", SPEC["names"]),
        ("port", {"x-kubernetes-int-or-string": True}),
        ("any", {"x-kubernetes-preserve-unknown-fields": True}),
        ("when", {"format": "date-time"}),
        ("one", {"type": "object", "properties": {"a": {"type": "string"}}}),
        ("told", SPEC["told"]),
    ],
)
async def test_what_openapi_v2_says_of_a_field(api: Rest, field: str, schema: dict[str, Any]) -> None:
    assert (await _spec(api, in_v2=True))[field] == schema


async def test_the_protobuf_form_says_the_same(api: Rest) -> None:
    found = await api.get("/openapi/v2", Accept="application/com.github.proto-openapi.spec.v2@v1.0+protobuf")
    spec = gnostic_reader.read(found.body)["definitions"]["com.example.shop.v1.Widget"]["properties"]["spec"]

    assert spec["properties"] == await _spec(api, in_v2=True)


@pytest.mark.parametrize("field", ["color", "count", "names", "port", "any", "when", "one", "told"])
async def test_openapi_v3_says_what_was_defined(api: Rest, field: str) -> None:
    assert (await _spec(api, in_v2=False))[field] == SPEC[field]


@pytest.mark.parametrize("in_v2", [True, False])
async def test_an_object_within_another_has_what_every_object_has(api: Rest, in_v2: bool) -> None:
    template = (await _spec(api, in_v2))["template"]

    assert template["required"] == ["kind", "apiVersion"]
    assert {*template["properties"]} == {"apiVersion", "kind", "metadata", "spec"}
    assert f"{META}ObjectMeta" in str(template["properties"]["metadata"])


async def test_where_any_fields_are_welcome_openapi_v2_names_none(api: Rest) -> None:
    definitions = (await api.get("/openapi/v2")).json["definitions"]

    kind = {"group": "shop.example.com", "kind": "Widget", "version": "v1beta1"}
    assert definitions["com.example.shop.v1beta1.Widget"] == {
        "type": "object",
        "x-kubernetes-group-version-kind": [kind],
    }


async def test_by_which_fields_it_is_selected(api: Rest) -> None:
    schemas = (await api.get(f"{V3}/v1")).json["components"]["schemas"]

    for kind in ("Widget", "WidgetList"):
        assert schemas[f"com.example.shop.v1.{kind}"]["x-kubernetes-selectable-fields"] == [{"fieldPath": "spec.color"}]


WIDGETS = "/apis/shop.example.com/v1/namespaces/{namespace}/widgets"


@pytest.mark.parametrize(
    ("path", "method", "id", "consumes", "codes"),
    [
        (WIDGETS, "get", "listShopExampleComV1NamespacedWidget", 2, ["200", "401"]),
        (WIDGETS, "post", "createShopExampleComV1NamespacedWidget", 2, ["200", "201", "202", "401"]),
        (WIDGETS, "delete", "deleteShopExampleComV1CollectionNamespacedWidget", 2, ["200", "401"]),
        (f"{WIDGETS}/{{name}}", "patch", "patchShopExampleComV1NamespacedWidget", 3, ["200", "401"]),
        (f"{WIDGETS}/{{name}}/scale", "get", "readShopExampleComV1NamespacedWidgetScale", 2, ["200", "401"]),
    ],
)
async def test_the_operations_of_what_was_defined(
    api: Rest, path: str, method: str, id: str, consumes: int, codes: list[str]
) -> None:
    operation = (await api.get("/openapi/v2")).json["paths"][path][method]

    assert (operation["operationId"], operation["tags"]) == (id, ["shopExampleCom_v1"])
    assert (len(operation["consumes"]), len(operation["produces"]), [*operation["responses"]]) == (consumes, 2, codes)
    assert operation["description"] != "list or watch objects of kind Widget"


async def test_its_scale_is_spoken_of_as_its_own(api: Rest) -> None:
    scale = (await api.get("/openapi/v2")).json["paths"][f"{WIDGETS}/{{name}}/scale"]["get"]

    assert scale["x-kubernetes-group-version-kind"]["kind"] == "Widget"
    assert scale["responses"]["200"]["schema"] == {"$ref": "#/definitions/io.k8s.api.autoscaling.v1.Scale"}


async def test_its_document_says_whose_it_is_and_has_no_group(api: Rest) -> None:
    index = (await api.get("/openapi/v3")).json["paths"]
    document = (await api.get(f"{V3}/v1")).json

    assert {name for name in index if "shop" in name} == {
        f"apis/shop.example.com/{version}" for version in ("v1", "v1beta1")
    }
    assert document["info"] == {"title": "Kubernetes CRD Swagger", "version": "v0.1.0"}
    assert "/apis/shop.example.com/v1/" not in document["paths"] and "securitySchemes" not in document["components"]


NOT_CHECKED = "some validation rules were not checked because the object was invalid"


@pytest.mark.parametrize(
    ("spec", "message", "checked"),
    [
        ({"color": "green"}, 'spec.color: Unsupported value: "green": supported values: "red", "blue"', False),
        ({"count": 99}, "spec.count in body should be less than or equal to 10", True),
        ({"names": ["abcdefgh"]}, "spec.names[0]: Too long: may not be more than 5 bytes", False),
        ({"count": "a"}, ".spec.count: Invalid value: 0: .spec.count accessor error: a is of the type string", False),
        ({"count": True}, "accessor error: true is of the type bool, expected int64", False),
        ({"count": -1}, ".spec.count: Invalid value: -1: should be a non-negative integer", True),
    ],
)
async def test_what_an_object_is_too_unfit_for(api: Rest, spec: dict[str, Any], message: str, checked: bool) -> None:
    """Rules are asked only about what they can be asked about."""
    widget = {"apiVersion": "shop.example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec}

    answer = await api.send("POST", "/apis/shop.example.com/v1/namespaces/default/widgets", widget)

    assert (answer.code, message in answer.json["message"]) == (422, True)
    assert (NOT_CHECKED not in answer.json["message"]) == checked


async def test_documents_of_definitions_that_stay_the_same_do_too(api: Rest) -> None:
    before = (await api.get("/openapi/v3")).json["paths"]
    other: dict[str, Any] = {**DEFINITION, "metadata": {"name": "things.shop2.example.com"}}
    names = {"plural": "things", "singular": "thing", "kind": "Thing", "listKind": "ThingList"}
    other["spec"] = {**other["spec"], "group": "shop2.example.com", "names": names}
    assert (await api.send("POST", CRD_PATH, other)).code == 201
    during = (await api.get("/openapi/v3")).json["paths"]
    await api.send("DELETE", f"{CRD_PATH}/widgets.shop.example.com")

    async with api.watch(f"{CRD_PATH}?watch=true&timeoutSeconds=20") as watch:
        while "apis/shop.example.com/v1" in (after := (await api.get("/openapi/v3")).json["paths"]):
            await watch.names(1)

    assert before.items() < during.items() and {*during} - {*before} == {*after} - {*before}
    assert (await api.get(f"{V3}/v1")).code == 404
