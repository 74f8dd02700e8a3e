"""What a kube-apiserver 1.36.2 answered to deletions and made of the objects; ours does the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.custom.widgets import CRD_PATH, definition
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.rules.minimal import minimal_of
from tests.apiserver.world import config_map, pod
from tests.cluster.two_servers import path_of

pytestmark = pytest.mark.slow  # a server for each answer

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
MERGE = "application/merge-patch+json"
MODIFIED = "The object might have been modified"
RECREATED = "The object might have been deleted and then recreated"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


# -- what it is answered with -----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "shown"),
    [
        ("ConfigMap", "Status"),
        ("Deployment", "Status"),
        ("DeviceClass", "DeviceClass"),
        ("PodTemplate", "PodTemplate"),
        ("ResourceQuota", "ResourceQuota"),
        ("Secret", "Status"),
        ("ServiceAccount", "ServiceAccount"),
        ("Service", "Service"),
        ("StorageClass", "StorageClass"),
        ("ResourceClaim", "ResourceClaim"),
    ],
)
async def test_which_kinds_are_shown_once_more(api: Rest, kind: str, shown: str) -> None:
    obj = minimal_of(kind)
    await api.create(path_of(obj), obj)

    answer = await api.send("DELETE", path_of(obj, obj["metadata"]["name"]))

    assert (answer.code, answer.json["kind"]) == (200, shown)
    assert (await api.get(path_of(obj, obj["metadata"]["name"]))).code == 404


async def test_a_pod_that_goes_at_once_is_shown_as_deleted(api: Rest) -> None:
    await api.create(PODS, pod("a"))

    metadata = (await api.send("DELETE", f"{PODS}/a")).json["metadata"]

    assert (metadata["deletionGracePeriodSeconds"], metadata["generation"]) == (0, 2)
    assert metadata["deletionTimestamp"]


async def test_less_than_no_grace_is_a_second(api: Rest) -> None:
    await api.create(PODS, pod("a", node="n1"))

    metadata = (await api.send("DELETE", f"{PODS}/a", {"gracePeriodSeconds": -3})).json["metadata"]

    assert metadata["deletionGracePeriodSeconds"] == 1


async def test_who_ends_in_a_way_of_its_own_has_no_grace(api: Rest) -> None:
    await api.create("/api/v1/namespaces", {"metadata": {"name": "shop"}})
    await api.create(CRD_PATH, definition())

    space = (await api.send("DELETE", "/api/v1/namespaces/shop", {})).json["metadata"]
    defined = (await api.send("DELETE", f"{CRD_PATH}/widgets.shop.example.com", {"propagationPolicy": "Orphan"})).json

    assert "deletionTimestamp" in space and "deletionGracePeriodSeconds" not in space
    assert "deletionGracePeriodSeconds" not in defined["metadata"]
    assert "orphan" not in defined["metadata"]["finalizers"]
    assert defined["metadata"]["generation"] == 1


async def test_the_last_finalizers_are_nobodys_any_more_when_they_are_gone(api: Rest) -> None:
    await api.create(MAPS, {"metadata": {"name": "a", "finalizers": ["example.com/one"]}})
    await api.send("DELETE", f"{MAPS}/a")

    last = await api.send("PATCH", f"{MAPS}/a", {"metadata": {"finalizers": None}}, content_type=MERGE)

    assert "managedFields" not in last.json["metadata"]


# -- what becomes of what belongs to it -------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["Job", "ReplicationController"])
async def test_what_belongs_to_the_oldest_kinds_is_left_where_nobody_says_otherwise(api: Rest, kind: str) -> None:
    obj = minimal_of(kind)
    await api.create(path_of(obj), obj)
    path = path_of(obj, obj["metadata"]["name"])

    assert (await api.send("DELETE", path)).json["metadata"]["finalizers"] == ["orphan"]
    assert (await api.send("DELETE", path, {"propagationPolicy": "Background"})).json["status"] == "Success"


async def test_nobody_waits_for_what_belongs_to_an_event(api: Rest) -> None:
    event = minimal_of("Event")
    await api.create(path_of(event), event)

    answer = await api.send("DELETE", path_of(event, event["metadata"]["name"]), {"propagationPolicy": "Foreground"})

    assert answer.json["kind"] == "Status"


@pytest.mark.parametrize(
    ("before", "policy", "after"),
    [
        (["orphan", "a/b"], "Orphan", ["orphan", "a/b"]),
        (["orphan", "a/b"], "Foreground", ["a/b", "foregroundDeletion"]),
        (["a/b", "foregroundDeletion"], "Background", ["a/b"]),
    ],
)
async def test_a_finalizer_that_is_there_stays_where_it_is(
    api: Rest, before: list[str], policy: str, after: list[str]
) -> None:
    await api.create(MAPS, {"metadata": {"name": "a", "finalizers": before}})

    answer = await api.send("DELETE", f"{MAPS}/a", {"propagationPolicy": policy})

    assert answer.json["metadata"]["finalizers"] == after


# -- options ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("query", "body", "what", "stated", "why"),
    [
        ("?uid=x", None, "UID", "x", RECREATED),
        ("?resourceVersion=1", None, "ResourceVersion", "1", MODIFIED),
        ("?resourceVersion=abc", None, "ResourceVersion", "abc", MODIFIED),
        ("?uid=x&resourceVersion=1&dryRun=All", None, "UID", "x", RECREATED),
        ("", {"preconditions": {"uid": ""}}, "UID", "", RECREATED),
        ("", {"preconditions": {"resourceVersion": ""}}, "ResourceVersion", "", MODIFIED),
        ("", {"preconditions": {"resourceVersion": "abc"}}, "ResourceVersion", "abc", MODIFIED),
        ("", {"preconditions": {"resourceVersion": "0"}}, "ResourceVersion", "0", MODIFIED),
    ],
)
async def test_conditions_are_compared_as_they_are_written(
    api: Rest, query: str, body: Any, what: str, stated: str, why: str
) -> None:
    metadata = (await api.create(MAPS, config_map("a")))["metadata"]
    record = metadata["uid" if what == "UID" else "resourceVersion"]

    answer = await api.send("DELETE", f"{MAPS}/a{query}", body)

    said = f"the {what} in the precondition ({stated}) does not match the {what} in record ({record}). {why}"
    assert answer.code == 409
    assert answer.json["message"] == f'Operation cannot be fulfilled on ConfigMap "a": {said}'
    assert (await api.get(f"{MAPS}/a")).code == 200


async def test_a_collections_resource_version_is_a_condition_of_each_as_well(api: Rest) -> None:
    await api.create(MAPS, config_map("a"))

    assert (await api.send("DELETE", f"{MAPS}?resourceVersion=0")).code == 409
    assert (await api.send("DELETE", f"{MAPS}?resourceVersion=0", {})).code == 200


@pytest.mark.parametrize("query", ["?dryRun=All", "?propagationPolicy=Foreground", "?dryRun=Nope", "?uid=x"])
async def test_who_sends_options_says_all_of_them_there(api: Rest, query: str) -> None:
    await api.create(MAPS, config_map("a"))

    answer = await api.send("DELETE", f"{MAPS}/a{query}", {})

    assert (answer.code, answer.json["status"]) == (200, "Success")
    assert (await api.get(f"{MAPS}/a")).code == 404


async def test_all_dry_runs_that_are_asked_for_are_looked_at(api: Rest) -> None:
    await api.create(MAPS, config_map("a"))

    answer = await api.send("DELETE", f"{MAPS}/a?dryRun=All&dryRun=Nope")

    problem = 'dryRun: Unsupported value: ["All","Nope"]: supported values: "All"'
    assert (answer.code, answer.json["message"]) == (422, f'DeleteOptions.meta.k8s.io "" is invalid: {problem}')


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            {"kind": "Pod", "apiVersion": "v1"},
            'no kind "Pod" is registered for version "v1" in scheme '
            '"k8s.io/apimachinery/pkg/apis/meta/internalversion/scheme/register.go:27"',
        ),
        (
            {"gracePeriodSeconds": "x"},
            "json: cannot unmarshal string into Go struct field DeleteOptions.gracePeriodSeconds of type int64",
        ),
    ],
)
async def test_what_no_options_are_is_said(api: Rest, options: Any, message: str) -> None:
    await api.create(MAPS, config_map("a"))

    answer = await api.send("DELETE", f"{MAPS}/a", options)

    assert (answer.code, answer.json["message"]) == (400, message)


# -- while it ends ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("wanted", "message", "seconds"),
    [
        ({"name": "a"}, 'object is being deleted: configmaps "a" already exists', None),
        (
            {"name": "a", "generateName": "a"},
            'object is being deleted: configmaps "a" already exists, the server was not able to generate a unique name '
            "for the object",
            "1",
        ),
    ],
)
async def test_who_takes_the_name_of_what_still_ends_is_told(
    api: Rest, wanted: Any, message: str, seconds: str | None
) -> None:
    await api.create(MAPS, {"metadata": {"name": "a", "finalizers": ["example.com/one"]}})
    await api.send("DELETE", f"{MAPS}/a")

    answer = await api.send("POST", MAPS, {"metadata": wanted})

    assert (answer.code, answer.json["message"]) == (409, message)
    assert answer.headers.get("Retry-After") == seconds


@pytest.mark.parametrize(
    ("field", "value", "shown"),
    [("deletionGracePeriodSeconds", 5, "5"), ("deletionTimestamp", "2020-01-01T00:00:00Z", '"2020-01-01T00:00:00Z"')],
)
async def test_no_update_deletes(api: Rest, field: str, value: Any, shown: str) -> None:
    await api.create(MAPS, config_map("a"))

    for method, kind in (("PATCH", MERGE), ("PUT", "application/json")):
        answer = await api.send(method, f"{MAPS}/a", {"metadata": {"name": "a", field: value}}, content_type=kind)
        problem = f"metadata.{field}: Invalid value: {shown}: field is immutable"
        assert (answer.code, answer.json["message"]) == (422, f'ConfigMap "a" is invalid: {problem}')
