"""Custom resources through the real server: defined, served, changed, and gone again."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import pytest

from actors.apiserver.schema.protobuf import decode
from protocols import api
from tests.apiserver.custom.widgets import CRD_PATH, GROUP, PATH, SPEC, WIDGETS, definition, version, widget
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.schema import protobuf_writer

MERGE = "application/merge-patch+json"


@pytest.fixture
async def server(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


@pytest.fixture
async def shop(server: Rest) -> Rest:
    await server.create(CRD_PATH, definition())
    return server


def conditions(crd: dict[str, Any]) -> dict[str, str]:
    return {each["type"]: each["status"] for each in crd["status"]["conditions"]}


async def until(check: Callable[[], Any]) -> Any:
    """The first true answer; the tests' own time-out ends a wait for nothing."""
    while True:
        answer = await check()
        if answer:
            return answer
        await asyncio.sleep(0.01)


# -- definitions ------------------------------------------------------------------------------------------------------


async def test_a_definition_is_established_and_served_with_the_answer_to_its_create(server: Rest) -> None:
    crd = await server.create(CRD_PATH, definition())

    created = await server.send("POST", PATH, widget())

    assert conditions(crd) == {"NamesAccepted": "True", "Established": "True"}
    assert crd["status"]["acceptedNames"]["listKind"] == "WidgetList"
    assert crd["status"]["storedVersions"] == ["v1"]
    assert created.code == 201


async def test_custom_objects_are_not_to_be_had_in_protobuf(shop: Rest) -> None:
    """As in Kubernetes, where their definitions are."""
    await shop.create(PATH, widget())
    protobuf = "application/vnd.kubernetes.protobuf"

    refused = [await shop.get(where, Accept=protobuf) for where in (PATH, f"{PATH}/one", f"{PATH}?watch=1")]
    definition = await shop.get(f"{CRD_PATH}/{WIDGETS}", Accept=protobuf)

    assert [each.code for each in refused] == [406, 406, 406]
    assert (definition.code, definition.headers["Content-Type"]) == (200, protobuf)
    schema = decode(definition.body)["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    assert schema["properties"]["spec"] == SPEC


async def test_a_definition_may_come_in_protobuf(server: Rest) -> None:
    """The typed client of Go sends it so since 1.32."""
    wanted = definition()
    message = protobuf_writer.write("apiextensions.v1.CustomResourceDefinition", wanted, random.Random(0))
    body = protobuf_writer.body(wanted["apiVersion"], wanted["kind"], message)

    made = await server.send("POST", CRD_PATH, body, content_type="application/vnd.kubernetes.protobuf")
    created = await server.send("POST", PATH, widget())
    refused = await server.send("POST", PATH, widget("two", replicas=11))

    assert made.json["spec"]["versions"][0]["schema"] == wanted["spec"]["versions"][0]["schema"]
    assert (made.code, created.code, refused.code) == (201, 201, 422)


async def test_who_asks_for_a_taken_name_gets_it_when_it_is_free(shop: Rest) -> None:
    other = await shop.create(CRD_PATH, definition(plural="gizmos", singular="gizmo", shortNames=[]))
    refused = conditions(other)

    await shop.send("DELETE", f"{CRD_PATH}/{WIDGETS}")

    async def accepted() -> bool:
        return conditions((await shop.get(f"{CRD_PATH}/gizmos.{GROUP}")).json) == {
            "NamesAccepted": "True",
            "Established": "True",
        }

    assert refused == {"NamesAccepted": "False", "Established": "False"}
    assert await until(accepted)


async def test_discovery_names_what_is_defined(shop: Rest) -> None:
    v2 = "application/json;g=apidiscovery.k8s.io;v=v2;as=APIGroupDiscoveryList"

    groups = (await shop.get("/apis")).json["groups"]
    resources = (await shop.get(f"/apis/{GROUP}/v1")).json["resources"]
    aggregated = (await shop.get("/apis", Accept=v2)).json["items"]

    assert GROUP in [group["name"] for group in groups]
    assert [resource["name"] for resource in resources] == ["widgets", "widgets/status", "widgets/scale"]
    assert resources[0]["shortNames"] == ["wd"] and resources[0]["categories"] == ["all"]
    assert GROUP in [group["metadata"]["name"] for group in aggregated]


async def test_openapi_has_the_schema_and_forgets_it_with_the_definition(shop: Rest) -> None:
    name = f"/openapi/v3/apis/{GROUP}/v1"

    before = (await shop.get(name)).json["components"]["schemas"]["com.example.shop.v1.Widget"]
    old_form = (await shop.get("/openapi/v2")).json["definitions"]["com.example.shop.v1.Widget"]
    await shop.send("DELETE", f"{CRD_PATH}/{WIDGETS}")
    await until(lambda: gone(shop, f"{CRD_PATH}/{WIDGETS}"))
    after = await shop.get(name)

    assert before["properties"]["spec"]["properties"]["color"]["description"] == "How it looks."
    assert before["x-kubernetes-group-version-kind"] == [{"group": GROUP, "kind": "Widget", "version": "v1"}]
    assert "type" not in old_form["properties"]["spec"]["properties"]["port"]
    assert after.code == 404


async def gone(client: Rest, path: str) -> bool:
    return (await client.get(path)).code == 404


async def test_kubernetes_refuses_in_these_words(server: Rest) -> None:
    bad = definition(version(spec={"properties": {"a": {"type": "array"}}}))

    answer = await server.send("POST", CRD_PATH, bad)

    at = "spec.validation.openAPIV3Schema.properties[spec]"
    assert answer.code == 422
    assert f"{at}.type: Required value: must not be empty for specified object fields" in answer.json["message"]
    assert f"{at}.properties[a].items: Required value: must be specified" in answer.json["message"]


@pytest.mark.parametrize(
    ("spec", "problem"),
    [
        ({"type": "object", "additionalProperties": {"properties": "x"}}, "cannot unmarshal string"),
        ({"type": "array", "items": [{"type": "string"}]}, "items must be a schema object and not an array"),
        ({"type": "array", "items": "x"}, "items: Required value"),
        ({"type": "object", "additionalProperties": "x"}, "boolean or JSON schema expected"),
        ({"type": "string", "pattern": "("}, "must be a valid regular expression"),
        ({"type": "integer", "default": "x"}, 'must be of type integer: "string"'),
        ({"type": "object", "default": {"a": 1}}, "must not have unknown fields"),
        ({"type": "object", "anyOf": [{"type": "object"}]}, "anyOf[0].type: Forbidden: must be empty to be structural"),
        ({"type": "array", "items": {"type": "object"}, "x-kubernetes-list-type": "map"}, "list-map-keys: Required"),
        (
            {"type": "object", "properties": {"a": {"type": "string"}}, "additionalProperties": {"type": "string"}},
            "mutual",
        ),
        ({"type": "object", "x-kubernetes-map-type": "set"}, 'supported values: "atomic", "granular"'),
        ({"type": "string", "x-kubernetes-map-type": "atomic"}, "must be object if x-kubernetes-map-type is specified"),
    ],
)
async def test_a_schema_that_is_none_is_refused(server: Rest, spec: dict[str, Any], problem: str) -> None:
    answer = await server.send("POST", CRD_PATH, definition(version(spec=spec)))

    assert answer.code in (400, 422)
    assert problem in answer.json["message"]


async def test_what_is_selected_by_is_a_field(server: Rest) -> None:
    bad = definition(version(selectableFields=[{"jsonPath": ".spec.colour"}]))

    answer = await server.send("POST", CRD_PATH, bad)

    at = "spec.selectableFields[0].jsonPath"
    assert answer.code == 422
    assert f'{at}: Invalid value: ".spec.colour": is an invalid path: does not refer' in answer.json["message"]


# -- objects ----------------------------------------------------------------------------------------------------------


async def test_defaults_are_filled_in_and_what_is_not_specified_goes(shop: Rest) -> None:
    sent = widget(
        unknown=1, options={"any": {"thing": [1]}}, ports=[{"name": "a", "odd": 1}], labels={"a": "b"}, tag=None
    )

    created = await shop.create(PATH, sent)

    assert created["spec"] == {
        "color": "red",
        "replicas": 1,
        "options": {"any": {"thing": [1]}},
        "ports": [{"name": "a", "protocol": "TCP"}],
        "labels": {"a": "b"},
        "tag": None,
    }
    assert created["metadata"]["generation"] == 1


@pytest.mark.slow
async def test_unknown_fields_are_warned_of_or_refused(shop: Rest) -> None:
    warned = await shop.send("POST", f"{PATH}?fieldValidation=Warn", widget("a", odd=1))
    refused = await shop.send("POST", f"{PATH}?fieldValidation=Strict", widget("b", ports=[{"name": "a", "odd": 1}]))

    assert warned.headers["Warning"] == '299 - "unknown field \\"spec.odd\\""'
    assert refused.code == 400
    assert 'strict decoding error: unknown field "spec.ports[0].odd"' in refused.json["message"]


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"color": "blue"}, 'spec.color: Unsupported value: "blue": supported values: "red", "green"'),
        (
            {"replicas": "two"},
            'spec.replicas: Invalid value: "string": spec.replicas in body must be of type integer: "string"',
        ),
        (
            {"replicas": -1},
            "spec.replicas: Invalid value: -1: spec.replicas in body should be greater than or equal to 0",
        ),
        ({"tag": "A"}, "spec.tag: Invalid value: \"A\": spec.tag in body should match '^[a-z]+$'"),
        ({"tag": "abcdef"}, "spec.tag: Too long: may not be more than 5 bytes"),
        ({"port": True}, 'spec.port in body must be of type integer,string: "boolean"'),
        ({"template": {"spec": {}}}, "spec.template.kind: Required value"),
        ({"ports": [{"name": "a"}, {"name": "a"}]}, 'spec.ports[1]: Duplicate value: {"name":"a"}'),
        ({"ports": [{}]}, "spec.ports[0].name: Required value"),
    ],
)
async def test_an_object_that_does_not_fit_is_refused(shop: Rest, spec: dict[str, Any], message: str) -> None:
    answer = await shop.send("POST", PATH, widget(**spec))

    assert answer.code == 422
    assert message in answer.json["message"]


async def test_what_was_valid_once_does_not_stand_in_the_way(shop: Rest) -> None:
    await shop.create(PATH, widget(tag="ab"))
    stricter = {**SPEC, "properties": {**SPEC["properties"], "tag": {"type": "string", "maxLength": 1}}}
    await shop.send(
        "PATCH", f"{CRD_PATH}/{WIDGETS}", {"spec": {"versions": [version(spec=stricter)]}}, content_type=MERGE
    )

    other = await shop.send("PATCH", f"{PATH}/one", {"spec": {"replicas": 2}}, content_type=MERGE)
    same = await shop.send("PATCH", f"{PATH}/one", {"spec": {"tag": "cd"}}, content_type=MERGE)

    assert (other.code, same.code) == (200, 422)


async def test_status_and_spec_are_written_apart(shop: Rest) -> None:
    await shop.create(PATH, {**widget(), "status": {"replicas": 7}})

    status = await shop.send(
        "PATCH", f"{PATH}/one/status", {"spec": {"replicas": 9}, "status": {"replicas": 3}}, content_type=MERGE
    )
    spec = await shop.send(
        "PATCH", f"{PATH}/one", {"spec": {"replicas": 5}, "status": {"replicas": 4}}, content_type=MERGE
    )

    assert (status.json["spec"]["replicas"], status.json["status"]) == (1, {"replicas": 3})
    assert (spec.json["spec"]["replicas"], spec.json["status"]) == (5, {"replicas": 3})
    assert (status.json["metadata"]["generation"], spec.json["metadata"]["generation"]) == (1, 2)


async def test_the_scale_subresource_reads_and_sets_the_paths_of_the_definition(shop: Rest) -> None:
    await shop.create(PATH, widget(replicas=2))
    await shop.send("PATCH", f"{PATH}/one/status", {"status": {"replicas": 2, "selector": "a=b"}}, content_type=MERGE)

    before = (await shop.get(f"{PATH}/one/scale")).json
    await shop.send("PATCH", f"{PATH}/one/scale", {"spec": {"replicas": 4}}, content_type=MERGE)
    after = (await shop.get(f"{PATH}/one")).json
    refused = await shop.send("PATCH", f"{PATH}/one/scale", {"spec": {"replicas": 11}}, content_type=MERGE)

    assert (before["kind"], before["apiVersion"]) == ("Scale", "autoscaling/v1")
    assert (before["spec"], before["status"]) == ({"replicas": 2}, {"replicas": 2, "selector": "a=b"})
    assert after["spec"]["replicas"] == 4
    assert refused.code == 422


async def test_columns_are_those_of_the_definition(shop: Rest) -> None:
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    await shop.create(PATH, widget())
    ready = {"status": {"conditions": [{"type": "Ready", "status": "True"}]}}
    await shop.send("PATCH", f"{PATH}/one/status", ready, content_type=MERGE)

    answer = (await shop.get(PATH, Accept=table)).json

    assert [column["name"] for column in answer["columnDefinitions"]] == ["Name", "Color", "Ready", "Age"]
    assert answer["rows"][0]["cells"][:3] == ["one", "red", "True"]


async def test_a_list_that_is_kept_is_of_the_definition_as_it_is_now(shop: Rest) -> None:
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    await shop.create(PATH, widget())

    async def columns() -> list[str]:
        return [column["name"] for column in (await shop.get(PATH, Accept=table)).json["columnDefinitions"]]

    async def spec() -> dict[str, Any]:
        return dict((await shop.get(PATH)).json["items"][0]["spec"])

    before = await columns(), await spec()
    changed = version(additionalPrinterColumns=[])
    changed["schema"]["openAPIV3Schema"]["properties"]["spec"] = {
        **SPEC, "properties": {**SPEC["properties"], "size": {"type": "integer", "default": 3}},
    }  # fmt: skip
    await shop.send("PATCH", f"{CRD_PATH}/{WIDGETS}", {"spec": {"versions": [changed]}}, content_type=MERGE)

    assert before == (["Name", "Color", "Ready", "Age"], {"color": "red", "replicas": 1})
    assert (await columns(), await spec()) == (["Name", "Age"], {"color": "red", "replicas": 1, "size": 3})


async def test_a_table_that_is_kept_has_as_much_of_each_object_as_is_asked_for(shop: Rest) -> None:
    table = "application/json;as=Table;v=v1;g=meta.k8s.io"
    partial = "application/json;as=PartialObjectMetadataList;v=v1;g=meta.k8s.io"
    await shop.create(PATH, widget())

    for _ in range(2):  # as they are made, and as they are kept
        shown = [(await shop.get(f"{PATH}?includeObject={each}", Accept=table)).json for each in ("Object", "None")]
        metadata = (await shop.get(PATH, Accept=partial)).json

        assert [bool((each["rows"][0]["object"] or {}).get("spec")) for each in shown] == [True, False]
        assert metadata["kind"] == "PartialObjectMetadataList" and set(metadata["items"][0]) == {
            "kind", "apiVersion", "metadata",
        }  # fmt: skip


async def test_objects_are_selected_by_the_fields_of_the_definition(shop: Rest) -> None:
    await shop.create(PATH, widget("a"))
    await shop.create(PATH, widget("b", color="green"))

    green = (await shop.get(f"{PATH}?fieldSelector=spec.color=green")).json["items"]
    refused = await shop.get(f"{PATH}?fieldSelector=spec.replicas=1")

    assert [item["metadata"]["name"] for item in green] == ["b"]
    assert (refused.code, refused.json["message"]) == (400, "field label not supported: spec.replicas")


async def test_two_appliers_share_a_list_by_its_keys(shop: Rest) -> None:
    apply = "application/apply-patch+yaml"
    one = {**widget(), "spec": {"color": "red", "ports": [{"name": "a", "number": 1}]}}
    other = {**widget(), "spec": {"ports": [{"name": "b", "number": 2}]}}

    await shop.send("PATCH", f"{PATH}/one?fieldManager=one", one, content_type=apply)
    shared = await shop.send("PATCH", f"{PATH}/one?fieldManager=other", other, content_type=apply)
    conflict = await shop.send(
        "PATCH", f"{PATH}/one?fieldManager=other", {**other, "spec": {"color": "green"}}, content_type=apply
    )

    assert [port["name"] for port in shared.json["spec"]["ports"]] == ["a", "b"]
    assert conflict.code == 409


async def test_a_strategic_merge_patch_is_no_patch_of_a_custom_resource(shop: Rest) -> None:
    await shop.create(PATH, widget())

    answer = await shop.send("PATCH", f"{PATH}/one", {}, content_type="application/strategic-merge-patch+json")

    assert answer.code == 415
    assert "application/merge-patch+json" in answer.json["message"]


# -- versions ---------------------------------------------------------------------------------------------------------


async def test_every_version_serves_the_same_objects_as_it_knows_them(server: Rest) -> None:
    v2 = {"type": "object", "properties": {"color": {"type": "string"}, "size": {"type": "string", "default": "big"}}}
    await server.create(CRD_PATH, definition(version(), version("v2", storage=False, spec=v2)))
    await server.create(PATH, widget(replicas=3))

    newer = (await server.get(PATH.replace("/v1/", "/v2/") + "/one")).json
    preferred = (await server.get(f"/apis/{GROUP}")).json["preferredVersion"]["version"]
    older = (await server.get(f"{PATH}/one")).json

    assert (newer["apiVersion"], newer["spec"]) == (f"{GROUP}/v2", {"color": "red", "size": "big"})
    assert (older["apiVersion"], older["spec"]["replicas"]) == (f"{GROUP}/v1", 3)
    assert preferred == "v2"


async def test_a_new_storage_version_is_remembered_and_an_unserved_one_is_gone(shop: Rest) -> None:
    await shop.create(PATH, widget())
    versions = [{**version(storage=False), "served": False}, version("v2")]

    crd = await shop.send("PATCH", f"{CRD_PATH}/{WIDGETS}", {"spec": {"versions": versions}}, content_type=MERGE)
    old, new = await shop.get(f"{PATH}/one"), await shop.get(PATH.replace("/v1/", "/v2/") + "/one")
    dropped = await shop.send(
        "PATCH", f"{CRD_PATH}/{WIDGETS}", {"spec": {"versions": versions[1:]}}, content_type=MERGE
    )

    assert crd.json["status"]["storedVersions"] == ["v1", "v2"]
    assert (old.code, new.code) == (404, 200)
    assert dropped.code == 422 and "status.storedVersions[0]" in dropped.json["message"]


async def test_a_new_default_is_seen_when_an_old_object_is_read(shop: Rest) -> None:
    await shop.create(PATH, widget())
    spec = {**SPEC, "properties": {**SPEC["properties"], "size": {"type": "string", "default": "big"}}}

    first = (await shop.get(f"{PATH}/one")).json
    await shop.send("PATCH", f"{CRD_PATH}/{WIDGETS}", {"spec": {"versions": [version(spec=spec)]}}, content_type=MERGE)
    second = (await shop.get(f"{PATH}/one")).json

    assert "size" not in first["spec"]
    assert second["spec"]["size"] == "big"


# -- watches, and the end ---------------------------------------------------------------------------------------------


async def test_a_watch_goes_on_while_the_definition_changes(shop: Rest) -> None:
    async with shop.watch(f"{PATH}?watch=1") as watch:
        await shop.create(PATH, widget("a"))
        await shop.send("PATCH", f"{CRD_PATH}/{WIDGETS}", {"metadata": {"labels": {"a": "b"}}}, content_type=MERGE)
        await shop.create(PATH, widget("b"))

        names = await watch.names(2)

    assert names == [("ADDED", "a"), ("ADDED", "b")]


@pytest.mark.slow
async def test_a_definition_takes_its_objects_along_and_waits_for_their_finalizers(shop: Rest) -> None:
    held = widget("held")
    held["metadata"]["finalizers"] = ["example.com/hold"]
    await shop.create(PATH, held)
    await shop.create(PATH, widget("free"))

    await shop.send("DELETE", f"{CRD_PATH}/{WIDGETS}")
    await until(lambda: gone(shop, f"{PATH}/free"))
    waiting = (await shop.get(f"{CRD_PATH}/{WIDGETS}")).json
    refused = await shop.send("POST", PATH, widget("late"))
    await shop.send("PATCH", f"{PATH}/held", {"metadata": {"finalizers": None}}, content_type=MERGE)
    await until(lambda: gone(shop, f"{CRD_PATH}/{WIDGETS}"))

    assert conditions(waiting)["Terminating"] == "True"
    assert refused.code == 405
    assert (await shop.get(PATH)).code == 404


async def test_actors_speak_of_custom_resources_as_of_any(shop: Rest) -> None:
    world = shop.world

    created = await world.create(WIDGETS, widget())
    names = await world.names(WIDGETS)
    stream = world.stream(api.Watch(WIDGETS))
    event = await anext(aiter(stream))
    stream.close()

    assert created["spec"]["replicas"] == 1
    assert names == ["one"]
    assert event.type == "ADDED"


async def test_definitions_are_known_again_after_a_restart(shop: Rest) -> None:
    await shop.create(PATH, widget())

    await shop.restart()

    assert (await shop.get(f"{PATH}/one")).json["spec"]["color"] == "red"
