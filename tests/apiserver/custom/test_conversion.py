"""Versions that a webhook converts: a server over TLS in this process, asked by a real API server.

In `v1` a widget has a color; in `v2`, which is stored, it has a list of colors.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from pathlib import Path
from typing import Any

import orjson
import pytest
from aiohttp import web

from actors.apiserver.custom.conversion import ConversionWebhook, Wanted, converted
from protocols import api
from protocols.errors import ConversionFailed
from protocols.objects import Object, decode_object
from tests.apiserver.custom.widgets import CRD_PATH, GROUP, WIDGETS, definition, version, widget
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.tls_server import behind_service, serving

V1 = f"/apis/{GROUP}/v1/namespaces/default/widgets"
V2 = f"/apis/{GROUP}/v2/namespaces/default/widgets"
MERGE = "application/merge-patch+json"
APPLY = "application/apply-patch+yaml"
_REPLICAS = {"type": "integer"}
V1_SPEC = {"type": "object", "properties": {"color": {"type": "string", "maxLength": 5}, "replicas": _REPLICAS}}
V2_SPEC = {
    "type": "object",
    "properties": {"colors": {"type": "array", "items": {"type": "string"}}, "replicas": _REPLICAS},
}


def in_version(obj: Object, api_version: str) -> Object:
    spec = {**obj["spec"]}
    if api_version.endswith("v1"):
        spec["color"] = "+".join(spec.pop("colors", ()))
    else:
        spec["colors"] = spec.pop("color", "").split("+")
    return {**obj, "apiVersion": api_version, "spec": spec}


class Converter:
    """What was asked is in `asked`, as (version, names); `change` is what an answer becomes before it is sent."""

    port: int
    bundle: str

    def __init__(self, client: Rest) -> None:
        self.client = client
        self.asked: list[tuple[str, list[str]]] = []
        self.change: Callable[[Object], Any] = lambda response: response

    async def serve(self, request: web.BaseRequest) -> web.Response:
        review = orjson.loads(await request.read())
        asked = review["request"]
        names = [obj["metadata"]["name"] for obj in asked["objects"]]
        self.asked.append((asked["desiredAPIVersion"].rpartition("/")[2], names))
        objects = [in_version(obj, asked["desiredAPIVersion"]) for obj in asked["objects"]]
        response = {"uid": asked["uid"], "result": {"status": "Success"}, "convertedObjects": objects}
        answer = {"apiVersion": review["apiVersion"], "kind": review["kind"], "response": self.change(response)}
        return web.json_response(answer)

    def definition(self, stored: str = "v2", **config: Any) -> Object:
        made = definition(
            version("v1", storage=stored == "v1", spec=V1_SPEC, selectableFields=[]),
            version("v2", storage=stored == "v2", spec=V2_SPEC, selectableFields=[], additionalPrinterColumns=[]),
        )
        client = {"url": f"https://localhost:{self.port}/convert", "caBundle": self.bundle, **config}
        webhook = {"conversionReviewVersions": ["v9", "v1"], "clientConfig": client}
        made["spec"]["conversion"] = {"strategy": "Webhook", "webhook": webhook}
        return made

    def seen(self) -> list[tuple[str, list[str]]]:
        """What was asked since the last look."""
        seen, self.asked = self.asked, []
        return seen

    async def make(self, name: str, **spec: Any) -> Object:
        """A widget of v2, which needs no conversion."""
        return await self.client.create(V2, {**widget(name, "v2"), "spec": {"colors": ["red", "green"], **spec}})


@pytest.fixture
async def shop(tmp_path: Path) -> AsyncIterator[Converter]:
    async with rest(tmp_path) as client:
        made = Converter(client)
        async with serving(tmp_path / "webhook", made.serve, "convert.default.svc") as server:
            made.port, made.bundle = server.port, server.bundle
            yield made


@pytest.fixture
async def open_shop(shop: Converter) -> Converter:
    await shop.client.create(CRD_PATH, shop.definition())
    return shop


# -- writing and reading ----------------------------------------------------------------------------------------------


async def test_what_is_written_in_one_version_is_kept_in_the_other_and_read_in_both(open_shop: Converter) -> None:
    created = await open_shop.client.create(V1, {**widget("one"), "spec": {"color": "a+b"}})
    written = open_shop.seen()

    new, old = await open_shop.client.get(f"{V2}/one"), await open_shop.client.get(f"{V1}/one")

    assert created["apiVersion"] == f"{GROUP}/v1" and created["spec"] == {"color": "a+b"}
    assert new.json["spec"] == {"colors": ["a", "b"]} and new.json["apiVersion"] == f"{GROUP}/v2"
    assert old.json == created
    assert written == [("v2", ["one"]), ("v1", ["one"])]  # to the store, and back for the answer
    assert open_shop.seen() == []  # it is kept as it was converted


async def test_the_version_that_is_asked_for_says_what_is_right(open_shop: Converter) -> None:
    refused = await open_shop.client.send("POST", V1, {**widget("one"), "spec": {"color": "crimson"}})
    unknown = await open_shop.client.send(
        "POST", f"{V1}?fieldValidation=Strict", {**widget("one"), "spec": {"colors": []}}
    )

    assert refused.code == 422 and 'Widget.shop.example.com "one" is invalid: spec.color' in refused.json["message"]
    assert unknown.code == 400 and 'unknown field "spec.colors"' in unknown.json["message"]


async def test_a_list_is_converted_in_one_question_and_only_once(open_shop: Converter) -> None:
    for name in ("a", "b", "c"):
        await open_shop.make(name)
    assert open_shop.seen() == []

    first, second = await open_shop.client.get(V1), await open_shop.client.get(V1)

    assert [item["spec"]["color"] for item in first.json["items"]] == ["red+green"] * 3
    assert first.body == second.body
    assert open_shop.seen() == [("v1", ["a", "b", "c"])]


async def test_a_watch_shows_the_version_that_it_watches_to_the_end(open_shop: Converter) -> None:
    await open_shop.make("one")
    async with open_shop.client.watch(f"{V1}?watch=true&timeoutSeconds=30") as watch:
        first = await watch.event()
        await open_shop.client.send("PATCH", f"{V2}/one", {"spec": {"colors": ["blue"]}}, content_type=MERGE)
        second = await watch.event()
        await open_shop.client.send("DELETE", f"{V2}/one")
        third = await watch.event()

    seen = [(event["type"], event["object"]) for event in (first, second, third)]
    events = [(type, obj["apiVersion"], obj["spec"]["color"]) for type, obj in seen]
    assert events == [
        ("ADDED", f"{GROUP}/v1", "red+green"),
        ("MODIFIED", f"{GROUP}/v1", "blue"),
        ("DELETED", f"{GROUP}/v1", "blue"),
    ]
    assert open_shop.seen() == [("v1", ["one"])] * 2  # what is gone was converted before


async def test_a_watch_ends_with_an_error_when_nobody_converts(open_shop: Converter) -> None:
    async with open_shop.client.watch(f"{V1}?watch=true&timeoutSeconds=30") as watch:
        open_shop.change = lambda response: {**response, "result": {"status": "Failure", "message": "closed"}}
        await open_shop.make("one")
        event = await watch.event()

    assert event["type"] == "ERROR"
    assert event["object"]["message"] == f"conversion webhook for {GROUP}/v2, Kind=Widget failed: closed"


async def test_updates_patches_and_apply_are_made_of_the_version_they_are_in(open_shop: Converter) -> None:
    client = open_shop.client
    await open_shop.make("one")

    old = (await client.get(f"{V1}/one")).json
    updated = await client.send("PUT", f"{V1}/one", {**old, "spec": {"color": "x+y"}})
    merged = await client.send("PATCH", f"{V1}/one", {"spec": {"replicas": 2}}, content_type=MERGE)
    piece = {**widget("one"), "spec": {"color": "z"}}
    applied = await client.send("PATCH", f"{V1}/one?fieldManager=me&force=true", piece, content_type=APPLY)
    new = await client.get(f"{V2}/one")

    assert updated.json["spec"] == {"color": "x+y"}
    assert merged.json["spec"] == {"color": "x+y", "replicas": 2}
    assert applied.code == 200 and applied.json["spec"] == {"color": "z", "replicas": 2}
    assert new.json["spec"] == {"colors": ["z"], "replicas": 2}
    assert int(new.json["metadata"]["resourceVersion"]) == int(applied.json["metadata"]["resourceVersion"])


async def test_subresources_are_of_the_version_in_the_path(open_shop: Converter) -> None:
    client = open_shop.client
    await open_shop.make("one", replicas=1)

    scaled = await client.send("PATCH", f"{V1}/one/scale", {"spec": {"replicas": 4}}, content_type=MERGE)
    status = await client.send("PATCH", f"{V1}/one/status", {"status": {"replicas": 3}}, content_type=MERGE)
    seen = await client.get(f"{V1}/one/scale")

    assert scaled.json["spec"] == {"replicas": 4} and seen.json["status"] == {"replicas": 3}
    assert status.json["spec"] == {"color": "red+green", "replicas": 4}
    assert (await client.get(f"{V2}/one")).json["spec"] == {"colors": ["red", "green"], "replicas": 4}


async def test_a_dry_run_is_converted_and_not_kept(open_shop: Converter) -> None:
    tried = await open_shop.client.send("POST", f"{V1}?dryRun=All", {**widget("one"), "spec": {"color": "a"}})

    assert tried.code == 201 and tried.json["spec"] == {"color": "a"}
    assert (await open_shop.client.get(f"{V2}/one")).code == 404


async def test_a_table_and_a_collections_end_are_of_the_version_that_is_asked_for(open_shop: Converter) -> None:
    await open_shop.make("one")

    table = await open_shop.client.get(V1, Accept="application/json;as=Table;g=meta.k8s.io;v=v1")
    gone = await open_shop.client.send("DELETE", V1)

    assert table.json["rows"][0]["cells"][:2] == ["one", "red+green"]
    assert [item["spec"]["color"] for item in gone.json["items"]] == ["red+green"]
    assert (await open_shop.client.get(V2)).json["items"] == []


async def test_actors_read_and_follow_the_preferred_version(shop: Converter) -> None:
    await shop.client.create(CRD_PATH, shop.definition(stored="v1"))
    world = shop.client.world
    async with world.stream(api.Watch(WIDGETS, "default")) as stream:
        (await anext(stream))  # the bookmark of an empty list
        await shop.client.create(V1, {**widget("one"), "spec": {"color": "a+b"}})
        await shop.client.send("PATCH", f"{V1}/one", {"spec": {"color": "c"}}, content_type=MERGE)
        events = [decode_object((await anext(stream)).body) for _ in range(2)]

    assert [event["spec"] for event in events] == [{"colors": ["a", "b"]}, {"colors": ["c"]}]
    assert (await world.get(WIDGETS, "one"))["spec"] == {"colors": ["c"]}


async def test_an_admission_webhook_sees_the_version_it_asked_for(open_shop: Converter) -> None:
    rule = {"apiGroups": [GROUP], "apiVersions": ["v2"], "resources": ["widgets"], "operations": ["*"]}
    validation = {"expression": "object.spec.colors.size() < 3", "message": "too many colors"}
    spec = {"matchConstraints": {"resourceRules": [rule]}, "validations": [validation]}
    group = "/apis/admissionregistration.k8s.io/v1"
    await open_shop.client.create(f"{group}/validatingadmissionpolicies", {"metadata": {"name": "few"}, "spec": spec})
    binding = {"policyName": "few", "validationActions": ["Deny"]}
    await open_shop.client.create(
        f"{group}/validatingadmissionpolicybindings", {"metadata": {"name": "few"}, "spec": binding}
    )

    two = await open_shop.client.send("POST", V1, {**widget("two"), "spec": {"color": "a+b"}})
    three = await open_shop.client.send("POST", V1, {**widget("three"), "spec": {"color": "a+b+c"}})

    assert two.code == 201
    assert three.code == 422 and three.json["message"].endswith("denied request: too many colors")


# -- versions of the store --------------------------------------------------------------------------------------------


async def test_objects_of_an_old_storage_version_move_when_they_are_written(shop: Converter) -> None:
    client = shop.client
    await client.create(CRD_PATH, shop.definition(stored="v1"))
    await client.create(V1, {**widget("one"), "spec": {"color": "a"}})
    later = {"spec": shop.definition(stored="v2")["spec"]}
    changed = await client.send("PATCH", f"{CRD_PATH}/{WIDGETS}", later, content_type=MERGE)
    shop.seen()

    read = (await client.get(f"{V2}/one")).json
    asked_to_read = shop.seen()
    written = (await client.send("PUT", f"{V2}/one", read)).json
    shop.seen()
    again = (await client.get(f"{V2}/one")).json
    asked_again = shop.seen()
    unchanged = (await client.send("PUT", f"{V2}/one", again)).json

    assert changed.json["status"]["storedVersions"] == ["v1", "v2"]
    assert read["spec"] == {"colors": ["a"]} and asked_to_read == [("v2", ["one"])]
    assert written["metadata"]["resourceVersion"] != read["metadata"]["resourceVersion"]
    assert again["spec"] == {"colors": ["a"]} and asked_again == []
    assert unchanged["metadata"]["resourceVersion"] == written["metadata"]["resourceVersion"]


async def test_a_changed_definition_converts_anew(open_shop: Converter) -> None:
    await open_shop.make("one")
    assert (await open_shop.client.get(f"{V1}/one")).json["metadata"].get("labels") is None

    def labelled(response: Object) -> Object:
        for obj in response["convertedObjects"]:
            obj["metadata"] |= {"labels": {"seen": "yes"}, "generation": 99, "finalizers": ["none"]}
        return response

    open_shop.change = labelled
    before = await open_shop.client.get(f"{V1}/one")
    await open_shop.client.send(
        "PATCH", f"{CRD_PATH}/{WIDGETS}", {"metadata": {"labels": {"new": "yes"}}}, content_type=MERGE
    )
    after = await open_shop.client.get(f"{V1}/one")

    assert "labels" not in before.json["metadata"]
    assert after.json["metadata"]["labels"] == {"seen": "yes"}
    assert after.json["metadata"]["generation"] == 1 and "finalizers" not in after.json["metadata"]


@pytest.mark.slow
async def test_a_definition_ends_though_nobody_converts(open_shop: Converter) -> None:
    await open_shop.make("one")
    open_shop.change = lambda response: None
    async with open_shop.client.watch(f"{CRD_PATH}?watch=true&timeoutSeconds=30") as watch:
        await open_shop.client.send("DELETE", f"{CRD_PATH}/{WIDGETS}")
        while (await watch.event())["type"] != "DELETED":
            pass

    assert (await open_shop.client.get(f"{CRD_PATH}/{WIDGETS}")).code == 404
    assert open_shop.seen() == []


# -- how it is reached, and how it fails ------------------------------------------------------------------------------


async def test_a_service_is_asked_at_its_endpoints_with_its_own_name(shop: Converter) -> None:
    made = shop.definition()
    reference = {"namespace": "default", "name": "convert", "path": "/convert"}
    made["spec"]["conversion"]["webhook"]["clientConfig"] = {"service": reference, "caBundle": shop.bundle}
    await shop.client.create(CRD_PATH, made)
    await shop.make("one")

    missing = await shop.client.get(f"{V1}/one")
    await behind_service(shop.client, "convert", shop.port)
    found = await shop.client.get(f"{V1}/one")

    failed = f"conversion webhook for {GROUP}/v2, Kind=Widget failed: "
    asked = 'Post "https://convert.default.svc:443/convert?timeout=30s": '
    assert missing.json["message"] == f'{failed}{asked}service "convert" not found'
    assert found.json["spec"] == {"color": "red+green"}


async def test_a_failure_is_an_error_of_the_request_and_of_no_other(open_shop: Converter) -> None:
    await open_shop.make("one")
    open_shop.change = lambda response: {**response, "result": {"status": "Failure", "message": "out of paint"}}

    read, listed = await open_shop.client.get(f"{V1}/one"), await open_shop.client.get(V1)
    created = await open_shop.client.send("POST", V1, {**widget("two"), "spec": {"color": "a"}})

    words = f"conversion webhook for {GROUP}/v2, Kind=Widget failed: out of paint"
    assert [read.code, listed.code, created.code] == [500] * 3
    assert read.json["message"] == listed.json["message"] == words and "reason" not in read.json
    assert created.json["message"] == f"conversion webhook for {GROUP}/v1, Kind=Widget failed: out of paint"
    assert [item["metadata"]["name"] for item in (await open_shop.client.get(V2)).json["items"]] == ["one"]


_HOOK = ConversionWebhook({}, "v1")
_ONE = {"apiVersion": "g.io/v1", "kind": "Widget", "metadata": {"name": "one", "namespace": "ns", "uid": "u"}}
_MADE = {**_ONE, "apiVersion": "g.io/v2"}
_GOOD = {"uid": "q", "result": {"status": "Success"}, "convertedObjects": [_MADE]}


def answer(response: Any, **head: str) -> bytes:
    found = {"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "response": response, **head}
    return orjson.dumps(found)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"<html>", "failed: couldn't decode the response: "),
        (b"[]", "failed: the response is no JSON object"),
        (
            answer(_GOOD, kind="Review"),
            "failed: expected webhook response of apiextensions.k8s.io/v1, Kind=ConversionReview, got",
        ),
        (answer(None), "failed: no response provided"),
        (answer({**_GOOD, "uid": "p"}), 'failed: expected response.uid="q", got "p"'),
        (answer({**_GOOD, "result": {}}), "failed: response.result.status was '', not 'Success'"),
        (answer({**_GOOD, "result": {"status": "Failure", "message": "no"}}), "failed: no"),
        (answer({**_GOOD, "convertedObjects": []}), "returned 0 objects, expected 1"),
        (
            answer({**_GOOD, "convertedObjects": [_ONE]}),
            "at index 0: invalid groupVersion (expected g.io/v2, received g.io/v1)",
        ),
        (
            answer({**_GOOD, "convertedObjects": [{**_MADE, "kind": "Other"}]}),
            "at index 0: invalid kind (expected Widget, received Other)",
        ),
        (
            answer({**_GOOD, "convertedObjects": [{**_MADE, "metadata": {"name": "two"}}]}),
            "at index 0: must have the same name: one != two",
        ),
        (
            answer({**_GOOD, "convertedObjects": [{**_MADE, "metadata": {**_ONE["metadata"], "uid": "v"}}]}),
            "at index 0: must have the same UID: u != v",
        ),
        (
            answer({**_GOOD, "convertedObjects": [{**_MADE, "metadata": {**_ONE["metadata"], "labels": {"a": 1}}}]}),
            "returned invalid metadata in object at index 0: metadata.labels",
        ),
        (answer({**_GOOD, "convertedObjects": ["x"]}), "at index 0: it is no object with metadata"),
    ],
)
def test_an_answer_that_converts_nothing_is_refused(body: bytes, words: str) -> None:
    with pytest.raises(ConversionFailed) as refused:
        converted(_HOOK, Wanted("q", "g.io/v2", [_ONE]), body)

    assert refused.value.message.startswith("conversion webhook for g.io/v1, Kind=Widget ")
    assert words in refused.value.message


async def test_a_conversion_that_could_not_work_is_refused(shop: Converter) -> None:
    made = shop.definition()
    made["spec"]["conversion"]["webhook"] = {"clientConfig": {"url": "http://a"}, "conversionReviewVersions": ["v9"]}
    neither = shop.definition()
    neither["spec"]["conversion"] = {"strategy": "None", "webhook": {"conversionReviewVersions": ["v1"]}}

    webhook = await shop.client.send("POST", CRD_PATH, made)
    none = await shop.client.send("POST", CRD_PATH, neither)

    assert webhook.code == 422 and none.code == 422
    assert "spec.conversion.webhookClientConfig.url: Invalid value" in webhook.json["message"]
    assert "spec.conversion.conversionReviewVersions: Invalid value" in webhook.json["message"]
    assert "must include at least one of v1, v1beta1" in webhook.json["message"]
    assert "should not be set when strategy is not set to Webhook" in none.json["message"]
