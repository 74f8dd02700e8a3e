"""Namespaces that go: emptied first, honest about what holds them up."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.controllers import namespace
from actors.controllers.resources import NAMESPACED
from protocols.api import DeleteCollection
from protocols.errors import Forbidden
from protocols.message import Message
from protocols.objects import Object, meta, namespace_of
from protocols.rules.api_services import API_SERVICES
from protocols.rules.conditions import find_condition
from tests.controllers.virtual_time import run
from tests.controllers.world import World
from tests.effort import examples

CONTENT = [r for r in NAMESPACED if r.name in ("configmaps", "pods", "deployments.apps")]


def in_world(scenario: Any, seed: int = 0, **options: Any) -> None:
    async def play() -> None:
        async with World(namespace.controller(CONTENT), seed=seed, **options) as world:
            for name in ("doomed", "kept"):
                world.create("namespaces", {"kind": "Namespace", "metadata": {"name": name}})
            await scenario(world)

    run(play())


def fill(world: World, name: str, where: str = "doomed", resource: str = "configmaps", **metadata: Any) -> None:
    world.create(resource, {"metadata": {"name": name, "namespace": where, **metadata}, "spec": {}})


def doom(world: World) -> None:
    world.delete("namespaces", "doomed", "")


def condition(world: World, type: str) -> tuple[str, str, str]:
    found = find_condition(world.get("namespaces", "doomed", "")["status"].get("conditions"), type)
    assert found is not None
    return found["status"], found["reason"], found["message"]


def content(world: World, where: str) -> list[tuple[str, str]]:
    return [(resource, name) for resource, namespace, name in world.store.objects if namespace == where]


def test_a_namespace_goes_with_all_that_is_in_it_and_nothing_else() -> None:
    async def scenario(world: World) -> None:
        for where in ("doomed", "kept"):
            for resource in ("configmaps", "pods", "deployments.apps", "events"):
                fill(world, "it", where, resource)
        doom(world)
        await world.settled()

        assert world.find("namespaces", "doomed", "") is None
        assert content(world, "doomed") == []
        assert len(content(world, "kept")) == 4

    in_world(scenario)


def test_a_namespace_waits_for_a_server_that_was_never_heard() -> None:
    async def scenario(world: World) -> None:
        spec = {"group": "fruit.example.com", "version": "v1", "service": {"namespace": "kept", "name": "farm"}}
        world.create(API_SERVICES, {"metadata": {"name": "v1.fruit.example.com"}, "spec": spec})
        world.create(API_SERVICES, {"metadata": {"name": "v1.apps"}, "spec": {"group": "apps", "version": "v1"}})
        doom(world)
        await world.settled()

        assert condition(world, "NamespaceDeletionDiscoveryFailure")[:2] == ("True", "DiscoveryFailed")
        world.delete(API_SERVICES, "v1.fruit.example.com", "")
        await world.settled()
        assert world.find("namespaces", "doomed", "") is None

    in_world(scenario)


def test_pods_may_end_gracefully_and_are_waited_for() -> None:
    async def scenario(world: World) -> None:
        world.gone_after_s = 20
        fill(world, "slow", resource="pods")
        await asyncio.sleep(5)
        doom(world)
        await asyncio.sleep(10)

        assert meta(world.get("pods", "slow", "doomed"))["deletionGracePeriodSeconds"] == 30
        status, reason, message = condition(world, "NamespaceContentRemaining")
        assert (status, reason) == ("True", "SomeResourcesRemain")
        assert message == "Some resources are remaining: pods. has 1 resource instances"
        await asyncio.sleep(15)
        assert world.find("namespaces", "doomed", "") is None

    in_world(scenario, pod_grace_s=30)


def test_says_which_finalizers_hold_it_up_and_goes_when_they_are_removed() -> None:
    async def scenario(world: World) -> None:
        for name in ("a", "b"):
            fill(world, name, finalizers=["example.com/hold"])
        doom(world)
        await world.settled()

        held = "Some content in the namespace has finalizers remaining: example.com/hold in 2 resource instances"
        assert condition(world, "NamespaceFinalizersRemaining") == ("True", "SomeFinalizersRemain", held)
        failed = condition(world, "NamespaceDeletionContentFailure")
        assert failed[:2] == ("False", "ContentDeleted")
        before = world.revision()
        await asyncio.sleep(3600)
        assert world.revision() == before

        for name in ("a", "b"):
            world.patch("configmaps", name, {"metadata": {"finalizers": []}}, "doomed")
        await world.settled()
        assert world.find("namespaces", "doomed", "") is None

    in_world(scenario)


def test_what_may_not_be_deleted_is_told_and_holds_up_nothing_else() -> None:
    async def scenario(world: World) -> None:
        for name in ("precious", "trivial"):
            fill(world, name)
        fill(world, "it", resource="pods")
        world.api.fail = refuse_precious
        doom(world)
        await asyncio.sleep(60)

        assert content(world, "doomed") == [("configmaps", "precious")]
        message = "Failed to delete all resource types, 1 remaining: hands off"
        assert condition(world, "NamespaceDeletionContentFailure") == ("True", "ContentDeletionFailed", message)
        world.api.fail = lambda request: None
        await world.settled()
        assert world.find("namespaces", "doomed", "") is None

    in_world(scenario)


def refuse_precious(request: Message) -> None:
    if getattr(request, "name", "") == "precious" and type(request).__name__ == "Delete":
        raise Forbidden("hands off")


@pytest.mark.parametrize("left", [["example.com/mine"], []])
def test_takes_only_its_own_finalizer(left: list[str]) -> None:
    async def scenario(world: World) -> None:
        spec = {"finalizers": ["kubernetes", *left]}
        world.create("namespaces", {"metadata": {"name": "shared", "finalizers": ["x/y"]}, "spec": spec})
        world.delete("namespaces", "shared", "")
        await world.settled()

        assert world.get("namespaces", "shared", "")["spec"]["finalizers"] == left

    in_world(scenario)


def test_what_the_views_do_not_show_is_swept_before_the_namespace_goes() -> None:
    async def scenario(world: World) -> None:
        await world.settled()
        world.api.watches = {o: (w, at) for o, (w, at) in world.api.watches.items() if w.resource == "namespaces"}
        fill(world, "unseen")
        doom(world)
        await world.settled()

        assert content(world, "doomed") == []
        assert world.find("namespaces", "doomed", "") is None

    in_world(scenario)


def test_a_namespace_that_lives_is_left_alone() -> None:
    async def scenario(world: World) -> None:
        fill(world, "it", "kept")
        world.patch("namespaces", "kept", {"metadata": {"labels": {"a": "b"}}}, "")
        await world.settled()

        assert content(world, "kept") == [("configmaps", "it")]
        assert not any(isinstance(asked, DeleteCollection) for asked in world.api.asked)

    in_world(scenario)


@pytest.mark.slow
def test_a_large_namespace_is_emptied_in_few_passes() -> None:
    async def scenario(world: World) -> None:
        await world.settled()
        for number in range(1200):
            fill(world, f"c{number}")
        await world.settled()
        doom(world)
        await world.settled()

        assert world.find("namespaces", "doomed", "") is None
        (activity,) = await world.activity()
        assert activity.passes < 20

    in_world(scenario)


# -- settle -----------------------------------------------------------------------------------------------------------

OPERATIONS = st.lists(
    st.tuples(
        st.sampled_from(["configmaps", "pods", "deployments.apps", "events", "free", "doom", "again"]),
        st.sampled_from(["doomed", "kept"]),
        st.booleans(),
    ),
    max_size=8,
)


@settings(max_examples=examples(30), deadline=None)
@given(st.integers(0, 2**32), OPERATIONS)
def test_settles_with_the_doomed_gone_and_the_kept_whole(seed: int, operations: list[tuple[str, str, bool]]) -> None:
    async def scenario(world: World) -> None:
        fill(world, "first")
        kept: list[tuple[str, str]] = []
        for number, each in enumerate(operations):
            if each[1] == "kept" and each[0] not in ("free", "doom", "again"):
                kept.append((each[0], f"n{number}"))
        await world.unrest(40, [lambda n=n, o=o: operate(world, n, *o) for n, o in enumerate(operations)])  # type: ignore[misc]
        if world.find("namespaces", "doomed", ""):
            doom(world)
        free(world)
        await world.settled()

        assert world.find("namespaces", "doomed", "") is None
        assert content(world, "doomed") == []
        assert sorted(content(world, "kept")) == sorted(kept)
        revision = world.revision()
        await asyncio.sleep(600)
        assert world.revision() == revision

    in_world(scenario, seed=seed)


def operate(world: World, number: int, operation: str, where: str, held: bool) -> None:
    found = world.find("namespaces", "doomed", "")
    match operation:
        case "doom" if found:
            doom(world)
        case "again" if not found:
            world.create("namespaces", {"kind": "Namespace", "metadata": {"name": "doomed"}})
        case "free":
            free(world)
        case "configmaps" | "pods" | "deployments.apps" | "events":
            is_open = where == "kept" or (found is not None and "deletionTimestamp" not in meta(found))
            if is_open:
                finalizers = {"finalizers": ["x/y"]} if held and where == "doomed" else {}
                fill(world, f"n{number}", where, operation, **finalizers)


def free(world: World) -> None:
    """Whoever holds something up lets go of it."""
    for resource, where, name in list(world.store.objects):
        obj: Object | None = world.find(resource, name, where)
        if obj is not None and namespace_of(obj) and meta(obj).get("finalizers"):
            world.patch(resource, name, {"metadata": {"finalizers": []}}, where)
