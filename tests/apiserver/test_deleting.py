"""Deletion: graceful for pods, held up by finalizers, by policy, by preconditions; and what it means for namespaces."""

from __future__ import annotations

import pytest

from protocols import api as door
from protocols.errors import Conflict, Forbidden, NotFound
from protocols.objects import Object
from tests.apiserver.world import World, config_map, deployment, namespace, pod


async def test_a_deleted_object_is_gone_and_the_answer_is_its_last_state(api: World) -> None:
    created = await api.create("configmaps", config_map("settings"))

    last = await api.delete("configmaps", "settings")

    assert (last["metadata"]["uid"], last["data"]) == (created["metadata"]["uid"], created["data"])
    assert int(last["metadata"]["resourceVersion"]) > int(created["metadata"]["resourceVersion"])
    with pytest.raises(NotFound, match='configmaps "settings" not found'):
        await api.delete("configmaps", "settings")


async def test_preconditions_protect_another_object_of_the_same_name(api: World) -> None:
    created = await api.create("configmaps", config_map("settings"))
    revision = int(created["metadata"]["resourceVersion"])

    with pytest.raises(Conflict, match=r"the UID in the precondition \(other\) does not match the UID in record "):
        await api.delete("configmaps", "settings", uid="other")
    with pytest.raises(Conflict, match="the ResourceVersion in the precondition"):
        await api.delete("configmaps", "settings", revision=revision - 1)
    await api.delete("configmaps", "settings", uid=created["metadata"]["uid"], revision=revision)

    assert await api.names("configmaps") == []


async def test_a_running_pod_ends_gracefully_and_its_kubelet_finishes_it(api: World) -> None:
    await api.create("pods", pod("web", node="n1"))

    marked = await api.delete("pods", "web", grace_s=10)
    again = await api.delete("pods", "web", grace_s=60)
    sooner = await api.delete("pods", "web", grace_s=5)

    assert marked["metadata"]["deletionGracePeriodSeconds"] == 10 and again == marked
    assert sooner["metadata"]["deletionGracePeriodSeconds"] == 5
    assert sooner["metadata"]["deletionTimestamp"] < marked["metadata"]["deletionTimestamp"]
    assert await api.names("pods") == ["web"]
    await api.delete("pods", "web", grace_s=0, uid=marked["metadata"]["uid"])
    assert await api.names("pods") == []


async def test_a_pods_own_grace_period_counts_where_none_is_asked_for(api: World) -> None:
    patient = pod("patient", node="n1")
    patient["spec"]["terminationGracePeriodSeconds"] = 7
    await api.create("pods", patient)
    await api.create("pods", pod("plain", node="n1"))

    assert (await api.delete("pods", "patient"))["metadata"]["deletionGracePeriodSeconds"] == 7
    assert (await api.delete("pods", "plain"))["metadata"]["deletionGracePeriodSeconds"] == 30


async def test_a_pod_without_a_node_or_that_is_over_goes_at_once(api: World) -> None:
    await api.create("pods", pod("waiting"))
    await api.create("pods", pod("over", node="n1"))
    await api.patch("pods", "over", {"status": {"phase": "Succeeded"}}, subresource="status")

    await api.delete("pods", "waiting")
    await api.delete("pods", "over")

    assert await api.names("pods") == []


@pytest.mark.slow
async def test_finalizers_keep_the_object_until_the_last_one_is_gone(api: World) -> None:
    await api.create("configmaps", config_map("held", finalizers=["example.com/one", "example.com/two"]))

    marked = await api.delete("configmaps", "held")
    assert marked["metadata"]["deletionTimestamp"]
    assert await api.delete("configmaps", "held") == marked  # a second time changes nothing
    await api.patch("configmaps", "held", {"metadata": {"finalizers": ["example.com/two"]}})
    assert await api.names("configmaps") == ["held"]
    await api.patch("configmaps", "held", {"metadata": {"finalizers": None}})

    assert await api.names("configmaps") == []


async def test_a_pod_with_finalizers_goes_when_both_kubelet_and_finalizer_are_done(api: World) -> None:
    await api.create("pods", pod("held", node="n1", finalizers=["example.com/one"]))
    await api.delete("pods", "held")

    await api.patch("pods", "held", {"metadata": {"finalizers": None}})
    assert await api.names("pods") == ["held"]  # the kubelet has not said that it ended
    await api.delete("pods", "held", grace_s=0)

    assert await api.names("pods") == []


@pytest.mark.parametrize(("policy", "finalizer"), [("Foreground", "foregroundDeletion"), ("Orphan", "orphan")])
async def test_a_propagation_policy_leaves_the_rest_to_the_garbage_collector(
    api: World, policy: door.Delete, finalizer: str
) -> None:
    await api.create("deployments.apps", deployment("web"))

    marked = await api.delete("deployments.apps", "web", propagation=policy)

    assert marked["metadata"]["finalizers"] == [finalizer] and marked["metadata"]["deletionTimestamp"]
    await api.delete("deployments.apps", "web", propagation="Background")
    assert await api.names("deployments.apps") == []


async def test_a_namespace_ends_when_its_content_is_gone_and_takes_nothing_new(api: World) -> None:
    await api.create("namespaces", namespace("team"))
    await api.create("configmaps", config_map("old", "team"))

    marked = await api.delete("namespaces", "team", "")
    assert marked["status"]["phase"] == "Terminating" and marked["spec"]["finalizers"] == ["kubernetes"]
    with pytest.raises(Forbidden, match="unable to create new content in namespace team because it is being termin"):
        await api.create("configmaps", config_map("new", "team"))
    await api.delete("configmaps", "old", "team")
    await api.update("namespaces", {**marked, "spec": {"finalizers": []}}, "finalize")

    assert "team" not in await api.names("namespaces", "")


async def test_the_namespaces_of_the_system_cannot_be_deleted(api: World) -> None:
    with pytest.raises(Forbidden, match='namespaces "default" is forbidden: this namespace may not be deleted'):
        await api.delete("namespaces", "default", "")


async def test_a_collection_is_deleted_as_far_as_it_is_selected(api: World) -> None:
    for name, app in [("a", "web"), ("b", "db"), ("c", "web")]:
        await api.create("configmaps", config_map(name, labels={"app": app}))

    deleted = await api.ask(door.DeleteCollection("configmaps", "default", "app=web"))

    assert len(deleted.items) == 2
    assert await api.names("configmaps") == ["b"]


async def test_an_update_cannot_take_back_a_deletion(api: World) -> None:
    await api.create("configmaps", config_map("held", finalizers=["example.com/one"]))
    marked = await api.delete("configmaps", "held")
    metadata = {key: value for key, value in marked["metadata"].items() if not key.startswith("deletion")}
    revived: Object = {**marked, "metadata": metadata}

    updated = await api.update("configmaps", revived)

    assert updated["metadata"]["deletionTimestamp"] == marked["metadata"]["deletionTimestamp"]
