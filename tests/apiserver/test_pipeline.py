"""What each verb does, through the actor door, with a real store behind."""

from __future__ import annotations

import asyncio

import msgspec
import pytest

from protocols import api as door
from protocols.errors import (
    AlreadyExists,
    BadRequest,
    Conflict,
    Expired,
    Forbidden,
    Invalid,
    MethodNotAllowed,
    NotFound,
    RequestEntityTooLarge,
)
from tests.apiserver.world import World, config_map, deployment, namespace, pod

# -- create -----------------------------------------------------------------------------------------------------------


async def test_a_new_cluster_has_its_namespaces_and_the_service_kubernetes(api: World) -> None:
    service = await api.get("services", "kubernetes")

    assert await api.names("namespaces", "") == ["default", "kube-node-lease", "kube-public", "kube-system"]
    assert service["spec"]["clusterIP"] == "127.66.0.1"
    assert service["spec"]["ports"][0]["port"] == 443


async def test_what_is_created_is_completed_and_read_back(api: World) -> None:
    created = await api.create("configmaps", config_map("settings"))

    assert created == await api.get("configmaps", "settings")
    assert created["metadata"]["uid"] and created["metadata"]["creationTimestamp"]
    assert int(created["metadata"]["resourceVersion"]) > 0


async def test_a_name_exists_once(api: World) -> None:
    await api.create("configmaps", config_map("settings"))

    with pytest.raises(AlreadyExists, match='configmaps "settings" already exists'):
        await api.create("configmaps", config_map("settings"))


async def test_generated_names_differ(api: World) -> None:
    unnamed = {**config_map(""), "metadata": {"generateName": "job-", "namespace": "default"}}

    created = await asyncio.gather(*(api.create("configmaps", unnamed) for _ in range(20)))

    names = {obj["metadata"]["name"] for obj in created}
    assert len(names) == 20 and all(name.startswith("job-") and len(name) == 9 for name in names)


async def test_nothing_is_created_in_a_namespace_that_does_not_exist(api: World) -> None:
    with pytest.raises(NotFound, match='namespaces "nowhere" not found'):
        await api.create("configmaps", config_map("settings", "nowhere"))


async def test_a_dry_run_says_what_would_be_and_stores_nothing(api: World) -> None:
    would_be = await api.create("configmaps", config_map("settings"), dry_run=True)

    assert would_be["metadata"]["uid"] and "resourceVersion" not in would_be["metadata"]
    assert await api.names("configmaps") == []


async def test_pods_are_admitted_with_their_service_account_tolerations_and_priority(api: World) -> None:
    spec = (await api.create("pods", pod("web")))["spec"]

    assert spec["serviceAccountName"] == "default"
    assert {t["key"]: t["tolerationSeconds"] for t in spec["tolerations"]} == {
        "node.kubernetes.io/not-ready": 300,
        "node.kubernetes.io/unreachable": 300,
    }
    assert (spec["priority"], spec["preemptionPolicy"]) == (0, "PreemptLowerPriority")


async def test_a_priority_class_gives_pods_their_priority(api: World) -> None:
    head = {"apiVersion": "scheduling.k8s.io/v1", "kind": "PriorityClass", "metadata": {"name": "high"}}
    await api.create("priorityclasses.scheduling.k8s.io", {**head, "value": 1000})
    urgent, lost = pod("urgent"), pod("lost")
    urgent["spec"]["priorityClassName"], lost["spec"]["priorityClassName"] = "high", "missing"

    assert (await api.create("pods", urgent))["spec"]["priority"] == 1000
    with pytest.raises(Forbidden, match="no PriorityClass with name missing was found"):
        await api.create("pods", lost)


@pytest.mark.parametrize(
    ("obj", "error", "words"),
    [
        ({**config_map("a"), "kind": "Secret"}, BadRequest, 'Secret in version "v1" cannot be handled as a ConfigMap'),
        ({**config_map("a"), "data": []}, BadRequest, "cannot unmarshal array into Go struct field ConfigMap.data"),
        (config_map("Not A Name"), Invalid, 'ConfigMap "Not A Name" is invalid: metadata.name'),
        (config_map("a", resourceVersion="x"), BadRequest, "invalid resource version"),
        ({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"namespace": "default"}}, Invalid, "name or generateN"),
    ],
)
async def test_what_makes_no_sense_is_refused_in_kubernetes_words(
    api: World, obj: dict, error: type[Exception], words: str
) -> None:
    body = msgspec.msgpack.encode(obj)  # not encode_object, which leaves the resourceVersion out

    with pytest.raises(error, match=words):
        await api.ask(door.Create("configmaps", body, "default"))


async def test_a_body_that_is_no_object_is_refused(api: World) -> None:
    for body in (b"", b"\xc1", b"\x93\x01\x02\x03", b"\xa1x"):
        with pytest.raises(BadRequest):
            await api.ask(door.Create("configmaps", body, "default"))


@pytest.mark.slow
@pytest.mark.parametrize("size", [1_700_000, 3_300_000])
async def test_an_object_that_is_too_large_for_the_store_or_for_us_is_refused(api: World, size: int) -> None:
    large = pod("large")
    large["spec"]["containers"][0]["env"] = [{"name": "A", "value": "x" * size}]

    with pytest.raises(RequestEntityTooLarge, match="too large"):
        await api.create("pods", large)


async def test_what_is_not_served_is_refused(api: World) -> None:
    with pytest.raises(BadRequest, match="there is no resource"):
        await api.get("gadgets", "x")
    with pytest.raises(NotFound, match="could not find the requested resource"):
        await api.get("configmaps", "x", subresource="scale")
    with pytest.raises(MethodNotAllowed):
        await api.ask(door.DeleteCollection("namespaces"))


# -- update and patch -------------------------------------------------------------------------------------------------


async def test_an_update_from_an_old_revision_is_a_conflict(api: World) -> None:
    first = await api.create("configmaps", config_map("settings"))
    second = await api.update("configmaps", {**first, "data": {"a": "2"}})

    with pytest.raises(Conflict) as refused:
        await api.update("configmaps", {**first, "data": {"a": "3"}})

    assert str(refused.value) == (
        'Operation cannot be fulfilled on configmaps "settings": the object has been modified; '
        "please apply your changes to the latest version and try again"
    )
    assert await api.get("configmaps", "settings") == second


async def test_an_update_without_a_revision_replaces_whatever_is_there(api: World) -> None:
    await api.create("configmaps", config_map("settings"))

    updated = await api.update("configmaps", {**config_map("settings"), "data": {"b": "2"}})

    assert updated["data"] == {"b": "2"}


async def test_an_update_that_changes_nothing_writes_nothing(api: World) -> None:
    created = await api.create("deployments.apps", deployment("web"))

    assert await api.update("deployments.apps", created) == created
    assert await api.patch("deployments.apps", "web", {"spec": {"replicas": 3}}) == created


async def test_an_update_of_an_object_that_was_recreated_meanwhile_is_a_conflict(api: World) -> None:
    first = await api.create("configmaps", config_map("settings"))
    await api.delete("configmaps", "settings")
    await api.create("configmaps", config_map("settings"))

    with pytest.raises(Conflict, match="Precondition failed: UID in precondition"):
        await api.update("configmaps", first, revision=0)


async def test_the_main_endpoint_leaves_the_status_alone_and_the_status_endpoint_all_else(api: World) -> None:
    created = await api.create("deployments.apps", deployment("web"))
    generation = created["metadata"]["generation"]

    told = await api.update("deployments.apps", {**created, "status": {"replicas": 2}, "spec": {}}, "status")
    kept = await api.patch("deployments.apps", "web", {"status": {"replicas": 9}, "spec": {"replicas": 5}})

    assert told["status"] == {"replicas": 2} and told["spec"] == created["spec"]
    assert kept["status"] == {"replicas": 2} and kept["spec"]["replicas"] == 5
    assert (told["metadata"]["generation"], kept["metadata"]["generation"]) == (generation, generation + 1)


@pytest.mark.parametrize(
    ("type", "patch"),
    [
        ("json", [{"op": "add", "path": "/data/b", "value": "2"}]),
        ("merge", {"data": {"b": "2"}}),
        ("strategic", {"data": {"b": "2"}}),
        ("apply", {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": "settings"}, "data": {"b": "2"}}),
    ],
)
async def test_each_type_of_patch_changes_what_it_says(api: World, type: str, patch: object) -> None:
    await api.create("configmaps", config_map("settings"))

    patched = await api.patch("configmaps", "settings", patch, type=type, field_manager="tests")

    assert patched["data"] == {"a": "1", "b": "2"}
    assert patched == await api.get("configmaps", "settings")


async def test_an_apply_creates_what_does_not_exist(api: World) -> None:
    applied = await api.patch("configmaps", "settings", config_map("settings"), type="apply", field_manager="tests")

    assert applied["data"] == {"a": "1"}
    assert [entry["manager"] for entry in applied["metadata"]["managedFields"]] == ["tests"]
    with pytest.raises(NotFound):
        await api.patch("configmaps", "other", {"data": {}})


async def test_an_apply_of_a_field_that_another_manager_owns_needs_force(api: World) -> None:
    await api.patch("configmaps", "settings", config_map("settings"), type="apply", field_manager="one")
    other = {**config_map("settings"), "data": {"a": "2"}}

    with pytest.raises(Conflict, match='conflict with "one"'):
        await api.patch("configmaps", "settings", other, type="apply", field_manager="two")
    forced = await api.patch("configmaps", "settings", other, type="apply", field_manager="two", force=True)

    assert forced["data"] == {"a": "2"}


async def test_patches_at_the_same_time_all_take_effect(api: World) -> None:
    await api.create("configmaps", config_map("settings"))

    await asyncio.gather(*(api.patch("configmaps", "settings", {"data": {f"k{i}": "x"}}) for i in range(6)))

    assert len((await api.get("configmaps", "settings"))["data"]) == 7


async def test_a_patch_that_names_a_revision_is_refused_at_another(api: World) -> None:
    created = await api.create("configmaps", config_map("settings"))
    await api.patch("configmaps", "settings", {"data": {"a": "2"}})
    stale = {"metadata": {"resourceVersion": created["metadata"]["resourceVersion"]}, "data": {"a": "3"}}

    with pytest.raises(Conflict, match="the object has been modified"):
        await api.patch("configmaps", "settings", stale)


async def test_a_patch_may_not_break_the_object(api: World) -> None:
    await api.create("deployments.apps", deployment("web"))

    with pytest.raises(Invalid, match=r"json: cannot unmarshal string into Go struct field \w+.spec.replicas"):
        await api.patch("deployments.apps", "web", {"spec": {"replicas": "many"}})
    with pytest.raises(Invalid, match="must be greater than or equal to 0"):
        await api.patch("deployments.apps", "web", {"spec": {"replicas": -1}})
    with pytest.raises(BadRequest, match="does not match the name on the URL"):
        await api.patch("deployments.apps", "web", {"metadata": {"name": "other"}})


# -- list -------------------------------------------------------------------------------------------------------------


async def test_lists_are_selected_by_namespace_labels_and_fields(api: World) -> None:
    await api.create("namespaces", namespace("other"))
    for name, where, labels, node in [
        ("a", "default", {"app": "web"}, "n1"),
        ("b", "default", {"app": "db"}, "n2"),
        ("c", "other", {"app": "web"}, "n1"),
    ]:
        await api.create("pods", pod(name, where, node, labels=labels))

    assert await api.names("pods") == ["a", "b"]
    assert await api.names("pods", "", labels="app=web") == ["a", "c"]
    assert await api.names("pods", "", fields="spec.nodeName=n1") == ["a", "c"]
    assert await api.names("pods", "", labels="app in (db)", fields="spec.nodeName!=n1,status.phase=Pending") == ["b"]
    with pytest.raises(BadRequest, match=r"field label not supported: spec\.color"):
        await api.names("pods", "", fields="spec.color=red")
    with pytest.raises(BadRequest, match="unable to parse requirement"):
        await api.names("pods", "", labels="a in b")


async def test_pages_of_a_list_are_of_one_revision(api: World) -> None:
    for name in "abcde":
        await api.create("configmaps", config_map(name))
    first = await api.ask(door.List("configmaps", "default", limit=2))
    await api.delete("configmaps", "d")
    await api.create("configmaps", config_map("cc"))

    second = await api.ask(door.List("configmaps", "default", limit=2, continue_token=first.continue_token))
    third = await api.ask(door.List("configmaps", "default", limit=2, continue_token=second.continue_token))

    pages = [first, second, third]
    assert [len(page.items) for page in pages] == [2, 2, 1]
    assert {page.revision for page in pages} == {first.revision}
    assert [page.remaining for page in pages] == [3, 1, 0] and third.continue_token == ""
    assert await api.names("configmaps") == ["a", "b", "c", "cc", "e"]


async def test_a_continue_token_is_refused_when_it_is_garbage_and_expires_when_it_is_old(api: World) -> None:
    with pytest.raises(BadRequest, match="continue key is not valid"):
        await api.ask(door.List("configmaps", "default", limit=2, continue_token="garbage"))
    await api.create("configmaps", config_map("a"))
    await api.create("configmaps", config_map("b"))
    token = (await api.ask(door.List("configmaps", "default", limit=1))).continue_token
    await api.create("configmaps", config_map("c"))
    await api.restart()

    with pytest.raises(Expired, match="The provided continue parameter is too old"):
        await api.ask(door.List("configmaps", "default", limit=1, continue_token=token))
