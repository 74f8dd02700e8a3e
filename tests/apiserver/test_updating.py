"""What an update may do beside changing what is there, kind by kind."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from actors.apiserver.rules import updating
from actors.apiserver.schema.resources import find
from tests.apiserver.rest_client import Answer, Rest, rest
from tests.apiserver.world import config_map, pod

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
LEASES = "/apis/coordination.k8s.io/v1/namespaces/default/leases"
ROLES = "/apis/rbac.authorization.k8s.io/v1/clusterroles"
EVENTS = "/apis/events.k8s.io/v1/namespaces/default/events"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


def named(name: str, **fields: Any) -> Any:
    return {"metadata": {"name": name, **fields}}


async def test_an_update_creates_a_lease_and_no_config_map(api: Rest) -> None:
    """client-go's leader election, and others' controllers, PUT what may be gone."""
    made = await api.send("PUT", f"{LEASES}/a", {**named("a", resourceVersion="7"), "spec": {"holderIdentity": "me"}})
    refused = await api.send("PUT", f"{MAPS}/a", config_map("a"))

    assert (made.code, made.json["spec"]) == (201, {"holderIdentity": "me"})
    assert (await api.get(f"{LEASES}/a")).json == made.json
    assert (refused.code, refused.json["message"]) == (404, 'configmaps "a" not found')


async def test_an_event_is_created_by_an_update_in_either_version(api: Rest) -> None:
    event = {"regarding": {"namespace": "default"}, "eventTime": "2026-01-01T00:00:00.000000Z", "action": "a"}
    said = {"reason": "r", "type": "Normal", "reportingController": "c", "reportingInstance": "i"}

    made = await api.send("PUT", f"{EVENTS}/a", {**named("a"), **event, **said})

    assert made.code == 201, made.json


async def test_who_may_only_update_creates_nothing(api: Rest) -> None:
    rules = [{"apiGroups": ["coordination.k8s.io"], "resources": ["leases"], "verbs": ["update"]}]
    await api.create(ROLES, {**named("updater"), "rules": rules})
    grant = {"roleRef": {"kind": "ClusterRole", "name": "updater", "apiGroup": "rbac.authorization.k8s.io"}}
    await api.create(
        f"{ROLES[:-1]}bindings", {**named("jane"), **grant, "subjects": [{"kind": "User", "name": "jane"}]}
    )

    refused = await api.by("jane", "PUT", f"{LEASES}/a", named("a"))

    assert refused.code == 403 and 'cannot create resource "leases"' in refused.json["message"]
    assert (await api.get(f"{LEASES}/a")).code == 404


async def test_who_means_another_object_of_the_name_creates_none(api: Rest) -> None:
    refused = await api.send("PUT", f"{LEASES}/a", named("a", uid="of-one-that-is-gone"))

    assert (
        refused.code == 409
        and "Precondition failed: UID in precondition: of-one-that-is-gone" in refused.json["message"]
    )
    assert (await api.get(f"{LEASES}/a")).code == 404


async def test_a_lease_is_only_updated_from_a_revision_that_is_named(api: Rest) -> None:
    made = await api.create(LEASES, named("a"))
    await api.create(MAPS, config_map("a"))

    refused = await api.send("PUT", f"{LEASES}/a", {**named("a"), "spec": {"holderIdentity": "me"}})
    done = await api.send("PUT", f"{LEASES}/a", {**made, "spec": {"holderIdentity": "me"}})
    free = await api.send("PUT", f"{MAPS}/a", {**config_map("a"), "data": {"new": "yes"}})

    assert (done.code, free.code) == (200, 200)
    assert refused.code == 422 and refused.json["message"] == (
        'leases.coordination.k8s.io "a" is invalid: '
        "metadata.resourceVersion: Invalid value: 0: must be specified for an update"
    )


async def test_nothing_is_applied_to_the_status_of_what_is_not_there(api: Rest) -> None:
    applied = {"apiVersion": "v1", "kind": "Pod", **named("a"), "status": {}}
    path = "/api/v1/namespaces/default/pods/a/status?fieldManager=me"

    answer = await api.send("PATCH", path, applied, content_type="application/apply-patch+yaml")

    assert (answer.code, answer.json["message"]) == (404, 'pods "a" not found')


def test_every_kind_that_is_named_is_served() -> None:
    named = updating._CREATED | updating._AT_REVISION

    assert [each for each in named if find(each) is None] == []


@pytest.mark.parametrize(
    ("metadata", "code", "problem"),
    [
        (
            {"name": "a", "uid": "gone"},
            409,
            "uid mismatch: the provided object specified uid gone, and no existing object was found",
        ),
        ({}, 400, "the name of the object (a based on URL) was undeterminable: name must be provided"),
    ],
)
async def test_an_apply_creates_what_it_names_and_nothing_in_place_of_another(
    api: Rest, metadata: Any, code: int, problem: str
) -> None:
    applied = {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata}
    query, apply = "fieldManager=me", "application/apply-patch+yaml"

    refused = await api.send("PATCH", f"{MAPS}/a?{query}", applied, content_type=apply)
    await api.create(MAPS, config_map("b"))
    there = await api.send("PATCH", f"{MAPS}/b?{query}", {**applied, "metadata": {}}, content_type=apply)

    assert refused.code == code and problem in refused.json["message"]
    assert (await api.get(f"{MAPS}/a")).code == 404 and there.code == 200


async def test_what_is_sent_names_the_object_and_its_address_the_collection(api: Rest) -> None:
    await api.create(MAPS, config_map("a"))

    nameless = await api.send("PUT", f"{MAPS}/a", {"data": {}})
    posted = await api.send("POST", f"{MAPS}/b", config_map("b"))

    assert (nameless.code, nameless.json["message"]) == (
        400,
        "the name of the object (a based on URL) was undeterminable: name must be provided",
    )
    assert (posted.code, posted.json["reason"]) == (405, "MethodNotAllowed")
    assert (await api.get(f"{MAPS}/b")).code == 404


async def test_what_is_wrong_with_an_object_is_said_before_there_is_one_of_its_name(api: Rest) -> None:
    await api.send("POST", MAPS, config_map("a"))

    wrong = await api.send("POST", MAPS, {**config_map("a"), "data": {"a b": "c"}})
    right = await api.send("POST", MAPS, config_map("a"))

    assert (wrong.code, wrong.json["reason"]) == (422, "Invalid")
    assert (right.code, right.json["reason"]) == (409, "AlreadyExists")


@pytest.mark.parametrize(
    ("content_type", "body", "said"),
    [
        (
            "application/json",
            b'{"metadata": {"name": "a", "bar": 1}, "immutable": false, "immutable": false, "foo": 1, "foo": 2}',
            'unknown field "metadata.bar", unknown field "foo", duplicate field "immutable"',
        ),
        (
            "application/yaml",
            b"metadata: {name: a}\nimmutable: false\nimmutable: false\nfoo: 1\n",
            'yaml: unmarshal errors:\n  line 3: key "immutable" already set in map, unknown field "foo"',
        ),
    ],
)
async def test_a_strict_client_hears_of_all_that_is_wrong(api: Rest, content_type: str, body: bytes, said: str) -> None:
    answer = await api.send("POST", f"{MAPS}?fieldValidation=Strict", body, content_type=content_type)

    head = 'ConfigMap in version "v1" cannot be handled as a ConfigMap: strict decoding error: '
    assert (answer.code, answer.json["message"]) == (400, head + said)


async def test_a_strict_client_may_say_nothing_twice(api: Rest) -> None:
    twice = b'{"metadata": {"name": "a", "name": "b"}, "data": {"x": "1", "x": "2"}}'

    strict = await api.send("POST", f"{MAPS}?fieldValidation=Strict", twice)
    lax = await api.send("POST", f"{MAPS}?fieldValidation=Ignore", twice)

    assert strict.code == 400 and set(strict.json["message"].partition("strict decoding error: ")[2].split(", ")) == {
        'duplicate field "metadata.name"',
        'duplicate field "data.x"',
    }
    assert (lax.code, lax.json["metadata"]["name"], lax.json["data"]) == (201, "b", {"x": "2"})


@pytest.mark.parametrize(
    ("content_type", "body", "told"),
    [
        ("application/json", b'{"metadata": {"name": "a"}, "data": {"x": "1", "x": "2"}}', 'duplicate field "data.x"'),
        (
            "application/yaml",
            b"metadata: {name: a}\ndata:\n  x: '1'\n  x: '2'\n",
            'line 4: key "x" already set in map',
        ),
    ],
)
async def test_who_says_something_twice_is_warned_of_it(api: Rest, content_type: str, body: bytes, told: str) -> None:
    warned = await api.send("POST", MAPS, body, content_type=content_type)
    again = await api.send("PUT", f"{MAPS}/a?fieldValidation=Ignore", body, content_type=content_type)
    strict = await api.send("PUT", f"{MAPS}/a?fieldValidation=Strict", body, content_type=content_type)

    assert (warned.code, warned.json["data"], warnings_of(warned)) == (201, {"x": "2"}, [told])
    assert (again.code, warnings_of(again)) == (200, [])
    assert strict.code == 400 and told in strict.json["message"]


@pytest.mark.parametrize(
    ("content_type", "told"),
    [
        ("application/merge-patch+json", 'duplicate field "data.x"'),
        ("application/strategic-merge-patch+json", 'duplicate field "data.x"'),
        ("application/apply-patch+yaml", 'line 1: key "x" already set in map'),
    ],
)
async def test_a_patch_that_says_something_twice_is_warned_of_it(api: Rest, content_type: str, told: str) -> None:
    await api.create(MAPS, config_map("a"))
    patch = b'{"apiVersion":"v1","kind":"ConfigMap","metadata":{"name":"a"},"data":{"x":"1","x":"2"}}'
    path = f"{MAPS}/a?fieldManager=me&force=true" if "apply" in content_type else f"{MAPS}/a"

    warned = await api.send("PATCH", path, patch, content_type=content_type)
    strict = await api.send(
        "PATCH", f"{MAPS}/a?fieldManager=me&fieldValidation=Strict", patch, content_type=content_type
    )

    assert (warned.code, warned.json["data"]["x"], warnings_of(warned)) == (200, "2", [told])
    assert strict.code == (400 if "apply" in content_type else 422)
    assert strict.json["message"].startswith("error strict decoding YAML: error converting") == (
        "apply" in content_type
    )
    assert told in strict.json["message"]


@pytest.mark.parametrize(
    ("content_type", "patch", "shown", "told"),
    [
        (
            "application/merge-patch+json",
            b'{"metadata": {"labels": {"x": "1", "x": "2"}}, "spec": {"nodeNmae": "a"}}',
            r'"{\"apiVersion\":\"v1\"',
            'duplicate field "metadata.labels.x", unknown field "spec.nodeNmae"',
        ),
        (
            "application/strategic-merge-patch+json",
            b'{"metadata": {"labels": {"x": "1", "x": "2"}}}',
            '"map[metadata:map[labels:map[x:2]]]"',
            'duplicate field "metadata.labels.x"',
        ),
        (
            "application/json-patch+json",
            b'[{"op": "add", "path": "/metadata/labels", "value": {"x": "1"}, "value": {"x": "2"}, "why": ""}]',
            r'"{\"apiVersion\":\"v1\"',
            'json patch duplicate field "[0].value", json patch unknown field "[0].why"',
        ),
    ],
)
async def test_a_strict_patch_that_says_something_twice_shows_what_it_would_have_made(
    api: Rest, content_type: str, patch: bytes, shown: str, told: str
) -> None:
    await api.create(PODS, pod("a"))

    refused = await api.send("PATCH", f"{PODS}/a?fieldValidation=Strict", patch, content_type=content_type)

    message = refused.json["message"]
    assert (refused.code, refused.json["reason"]) == (422, "Invalid")
    assert message.startswith(f' "" is invalid: patch: Invalid value: {shown}')
    assert message.endswith(f": strict decoding error: {told}")
    assert "labels" not in (await api.get(f"{PODS}/a")).json["metadata"]


def warnings_of(answer: Answer) -> list[str]:
    found = answer.headers.getall("Warning", [])
    return [text.removeprefix('299 - "').removesuffix('"').replace('\\"', '"') for text in found]


@pytest.mark.parametrize(
    ("content_type", "patch", "shown"),
    [
        (
            "application/strategic-merge-patch+json",
            {"spec": {"foo": [1, None, True], "a": {"b": "c"}}},
            '"map[spec:map[a:map[b:c] foo:[1 <nil> true]]]": strict decoding error: unknown field "spec.',
        ),
        ("application/merge-patch+json", {"spec": {"foo": 1}}, r"\"foo\":1"),
        ("application/merge-patch+json", {"spec": {"holderIdentity": 1}}, "json: cannot unmarshal number into Go"),
    ],
)
async def test_a_patch_that_makes_no_object_is_invalid_and_shown(
    api: Rest, content_type: str, patch: Any, shown: str
) -> None:
    await api.create(LEASES, named("a"))

    refused = await api.send("PATCH", f"{LEASES}/a?fieldValidation=Strict", patch, content_type=content_type)

    assert (refused.code, refused.json["reason"]) == (422, "Invalid")
    assert refused.json["message"].startswith(' "" is invalid: patch: Invalid value: "'), refused.json
    assert shown in refused.json["message"] and refused.json["details"]["causes"][0]["field"] == "patch"


async def test_what_is_not_known_is_told_from_the_outside_in(api: Rest) -> None:
    lease = {**named("a"), "spec": {"foo": 1, "holderIdentity": "me"}, "bar": {"foo": 1}}
    lease["metadata"] |= {
        "ownerReferences": [{"apiVersion": "v1", "kind": "A", "name": "b", "uid": "c", "odd": 1}],
        "z": 1,
    }

    warned = await api.send("POST", LEASES, lease)

    assert warnings_of(warned) == [
        f'unknown field "{field}"' for field in ("metadata.ownerReferences[0].odd", "metadata.z", "spec.foo", "bar")
    ]
