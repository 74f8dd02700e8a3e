"""Disruption budgets: how many pods may go now, counted from what is there and from who stands behind it."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.controllers import deployment, disruption, replicaset
from actors.controllers.disruption import RESOURCE
from protocols.objects import Object, meta, name_of
from tests.controllers.virtual_time import run
from tests.controllers.world import World, time

LABELS = {"app": "web"}


def in_world(scenario: Any, seed: int = 0) -> None:
    async def play() -> None:
        everything = disruption.controller(), deployment.controller(), replicaset.controller(replicaset.REPLICA_SET)
        async with World(*everything, seed=seed, together=True) as world:
            await scenario(world)

    run(play())


def budget(world: World, **spec: Any) -> Object:
    selector = {"matchLabels": LABELS}
    return world.create(
        RESOURCE, {"metadata": {"name": "web", "namespace": "default"}, "spec": {"selector": selector, **spec}}
    )


def replicas(world: World, count: int) -> None:
    template = {"metadata": {"labels": LABELS}, "spec": {"containers": [{"name": "main", "image": "none"}]}}
    spec = {"replicas": count, "selector": {"matchLabels": LABELS}, "template": template}
    world.create("deployments.apps", {"metadata": {"name": "web", "namespace": "default"}, "spec": spec})


def bare_pod(world: World, name: str, owners: Sequence[Object] = ()) -> None:
    spec = {"containers": [{"name": "main", "image": "none"}]}
    world.create(
        "pods",
        {
            "metadata": {"name": name, "namespace": "default", "labels": LABELS, "ownerReferences": [*owners]},
            "spec": spec,
        },
    )


def counts(world: World) -> tuple[int, int, int, int]:
    """Expected, desired, healthy, allowed."""
    status = world.get(RESOURCE, "web")["status"]
    return tuple(status[key] for key in ("expectedPods", "desiredHealthy", "currentHealthy", "disruptionsAllowed"))  # type: ignore[return-value]


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"minAvailable": 3}, (5, 3, 5, 2)),
        ({"minAvailable": 9}, (5, 9, 5, 0)),
        ({"minAvailable": "50%"}, (5, 3, 5, 2)),
        ({"minAvailable": "100%"}, (5, 5, 5, 0)),
        ({"maxUnavailable": 1}, (5, 4, 5, 1)),
        ({"maxUnavailable": 9}, (5, 0, 5, 5)),
        ({"maxUnavailable": "30%"}, (5, 3, 5, 2)),
        ({"maxUnavailable": 0}, (5, 5, 5, 0)),
    ],
)
def test_a_budget_is_counted_from_pods_and_from_who_stands_behind_them(
    spec: dict[str, Any], expected: tuple[int, ...]
) -> None:
    async def scenario(world: World) -> None:
        replicas(world, 5)
        budget(world, **spec)
        await world.settled()

        assert counts(world) == expected
        [condition] = world.get(RESOURCE, "web")["status"]["conditions"]
        assert condition["type"] == "DisruptionAllowed"
        assert (condition["status"], condition["reason"]) == (
            ("True", "SufficientPods") if expected[3] else ("False", "InsufficientPods")
        )

    in_world(scenario)


def test_it_follows_the_pods_and_the_number_that_is_wanted() -> None:
    async def scenario(world: World) -> None:
        replicas(world, 2)
        budget(world, maxUnavailable=1)
        await world.settled()
        before = counts(world)
        world.patch("deployments.apps", "web", {"spec": {"replicas": 4}})
        await world.settled()

        assert (before, counts(world)) == ((2, 1, 2, 1), (4, 3, 4, 1))
        assert world.get(RESOURCE, "web")["status"]["observedGeneration"] == meta(world.get(RESOURCE, "web")).get(
            "generation", 0
        )

    in_world(scenario)


def test_pods_that_are_not_there_yet_are_expected() -> None:
    """The set wants five and nobody has made more than two: two may not go, though they are two of two."""

    async def play() -> None:
        async with World(disruption.controller()) as world:
            replicas(world, 5)
            of = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "web", "uid": "u", "controller": True}
            for name in ("a", "b"):
                bare_pod(world, name, [of])
            budget(world, maxUnavailable=2)
            await world.settled()

            assert counts(world) == (5, 3, 2, 0)

    run(play())


def test_nobody_says_how_many_pods_to_expect_that_nobody_controls() -> None:
    """In the words of a real controller manager."""

    async def scenario(world: World) -> None:
        for name in ("a", "b", "c"):
            bare_pod(world, name)
        budget(world, maxUnavailable=1)
        await world.settled()

        assert counts(world) == (0, 0, 3, 0)
        (told,) = [event for event in world.list("events") if event["involvedObject"]["kind"] == "PodDisruptionBudget"]
        selector = (
            "&LabelSelector{MatchLabels:map[string]string{app: web,},MatchExpressions:[]LabelSelectorRequirement{},}"
        )
        assert (told["type"], told["reason"]) == ("Warning", "UnmanagedPods")
        assert told["message"] == (
            f"Pods selected by this PodDisruptionBudget (selector: {selector}) were found to be unmanaged. "
            "As a result, the status of the PDB cannot be calculated correctly, which may result in undefined "
            'behavior. To account for these pods please set ".spec.minAvailable" field of the PDB to an integer value.'
        )

    in_world(scenario)


def test_a_budget_without_pods_says_so() -> None:
    async def scenario(world: World) -> None:
        budget(world, maxUnavailable=1)
        await world.settled()

        told = [(event["type"], event["reason"], event["message"]) for event in world.list("events")]
        assert told == [("Normal", "NoPods", "No matching pods found")]

    in_world(scenario)


def test_a_budget_that_selects_nothing_allows_nothing() -> None:
    async def scenario(world: World) -> None:
        budget(world, minAvailable=0)
        world.create(RESOURCE, {"metadata": {"name": "none", "namespace": "default"}, "spec": {"minAvailable": 0}})
        bare_pod(world, "a")
        world.patch("pods", "a", {"metadata": {"labels": {"app": "other"}}})
        await world.settled()

        assert counts(world) == (0, 0, 0, 0)
        assert world.get(RESOURCE, "none")["status"]["disruptionsAllowed"] == 0

    in_world(scenario)


def test_an_empty_selector_is_the_whole_namespace() -> None:
    async def scenario(world: World) -> None:
        bare_pod(world, "a")
        world.create(
            RESOURCE, {"metadata": {"name": "web", "namespace": "default"}, "spec": {"selector": {}, "minAvailable": 0}}
        )
        await world.settled()

        assert counts(world) == (1, 0, 1, 1)

    in_world(scenario)


def test_an_evicted_pod_counts_as_lost_until_it_is_gone_or_two_minutes_are_over() -> None:
    async def scenario(world: World) -> None:
        bare_pod(world, "a")
        bare_pod(world, "b")
        budget(world, minAvailable=1)
        await world.settled()
        taken = {"disruptedPods": {"a": time(world.loop.time()), "gone": time()}, "disruptionsAllowed": 0}
        world.patch(RESOURCE, "web", {"status": taken}, subresource="status")
        await asyncio.sleep(60)
        during, noted = counts(world), world.get(RESOURCE, "web")["status"]["disruptedPods"]
        await asyncio.sleep(90)

        assert (during, list(noted)) == ((2, 1, 1, 0), ["a"])
        assert counts(world) == (2, 1, 2, 1) and "disruptedPods" not in world.get(RESOURCE, "web")["status"]

    in_world(scenario)


@pytest.mark.slow
@settings(max_examples=15)
@given(st.integers(0, 2**32), st.integers(0, 4), st.integers(0, 4))
def test_it_settles_after_any_unrest(seed: int, wanted: int, least: int) -> None:
    async def scenario(world: World) -> None:
        replicas(world, 2)
        budget(world, minAvailable=least)
        await world.unrest(20, [lambda: world.patch("deployments.apps", "web", {"spec": {"replicas": wanted}})])
        world.patch("deployments.apps", "web", {"spec": {"replicas": wanted}})
        await world.settled()

        assert len(world.active_pods()) == wanted
        assert counts(world) == (wanted, least, wanted, max(wanted - least, 0))
        assert all(name_of(pod) for pod in world.active_pods())

    in_world(scenario, seed)
