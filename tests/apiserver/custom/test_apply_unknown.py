"""Of what is kept without a schema, maps divide into fields with owners, as a kube-apiserver 1.36.2 divides them."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.custom.widgets import CRD_PATH, definition
from tests.apiserver.rest_client import Answer, Rest, rest

ANY = {"type": "object", "x-kubernetes-preserve-unknown-fields": True}
UNTYPED = {"x-kubernetes-preserve-unknown-fields": True}
BESIDE = {**ANY, "properties": {"known": {"type": "object", "properties": {"a": {"type": "integer"}}}}}
PATH = "/apis/shop.example.com/v1/namespaces/default/widgets/w"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


async def define(api: Rest, **properties: Any) -> None:
    spec = {"type": "object", "properties": properties}
    schema = {"openAPIV3Schema": {"type": "object", "properties": {"spec": spec}}}
    await api.create(CRD_PATH, definition({"name": "v1", "served": True, "storage": True, "schema": schema}))


async def apply(api: Rest, manager: str, spec: Any) -> Answer:
    obj = {"apiVersion": "shop.example.com/v1", "kind": "Widget", "metadata": {"name": "w"}, "spec": spec}
    path = f"{PATH}?fieldManager={manager}"
    return await api.send("PATCH", path, obj, content_type="application/apply-patch+yaml")


def owned(answer: Answer) -> dict[str, Any]:
    return {each["manager"]: each["fieldsV1"]["f:spec"] for each in answer.json["metadata"]["managedFields"]}


@pytest.mark.parametrize("schema", [ANY, UNTYPED])
async def test_two_managers_share_what_is_kept_without_a_schema(api: Rest, schema: Any) -> None:
    await define(api, any=schema)

    await apply(api, "m1", {"any": {"a": 1, "deep": {"x": 1}}})
    answer = await apply(api, "m2", {"any": {"b": 2, "deep": {"y": 1}, "list": [1, {"z": 1}]}})

    assert answer.json["spec"] == {"any": {"a": 1, "b": 2, "deep": {"x": 1, "y": 1}, "list": [1, {"z": 1}]}}
    assert owned(answer) == {
        "m1": {"f:any": {"f:a": {}, "f:deep": {".": {}, "f:x": {}}}},
        "m2": {"f:any": {"f:b": {}, "f:deep": {".": {}, "f:y": {}}, "f:list": {}}},
    }


async def test_a_conflict_is_about_the_field_and_what_is_no_longer_applied_goes(api: Rest) -> None:
    await define(api, any=ANY)
    await apply(api, "m1", {"any": {"a": 1, "deep": {"x": 1}}})
    await apply(api, "m2", {"any": {"b": 2}})

    refused = await apply(api, "m2", {"any": {"a": 2}})
    answer = await apply(api, "m1", {"any": {"a": 1}})

    assert refused.json["message"] == 'Apply failed with 1 conflict: conflict with "m1": .spec.any.a'
    assert answer.json["spec"] == {"any": {"a": 1, "b": 2}}


async def test_fields_beside_those_of_the_schema_divide_as_well(api: Rest) -> None:
    await define(api, beside=BESIDE)

    answer = await apply(api, "m", {"beside": {"known": {"a": 1}, "more": {"b": 1}}})

    assert owned(answer)["m"] == {"f:beside": {"f:known": {"f:a": {}}, "f:more": {".": {}, "f:b": {}}}}


async def test_a_map_may_become_something_else(api: Rest) -> None:
    await define(api, any=UNTYPED)
    await apply(api, "m", {"any": {"a": 1}})

    answer = await apply(api, "m", {"any": [1]})

    assert answer.json["spec"] == {"any": [1]}
