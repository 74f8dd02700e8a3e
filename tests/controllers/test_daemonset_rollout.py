"""A daemon set's rolling update, its revisions, and what is to be changed on a node."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.controllers import daemonset, history
from actors.controllers.daemon_pods import Fit
from actors.controllers.daemonset_nodes import change_of
from actors.controllers.daemonset_rollout import Limits, limits_of, roll
from actors.controllers.pod_summary import PodSummary
from protocols.objects import Object, decode_object, labels_of, meta, name_of
from protocols.rules.pods import node_of
from tests.controllers.daemon_sets import (
    GOES,
    NOW,
    RESOURCE,
    REVISIONS,
    RUNS,
    STAYS,
    daemon_set,
    daemons,
    digests,
    node,
    numbers,
    pod,
    served,
    status,
    where,
    with_image,
)
from tests.controllers.virtual_time import run
from tests.controllers.world import World
from tests.effort import examples

NEW = pod("new")
OLD = pod("old", "before")
UNREADY: dict[str, Any] = {"ready_since": None}
LATE = pod("late", created=NOW - 10)
OLD_UNREADY = OLD._replace(**UNREADY)
NEW_UNREADY = NEW._replace(**UNREADY)
GOING = OLD._replace(deleting=True)
FAILED = NEW._replace(phase="Failed", terminated=True, ready_since=None)


def in_world(scenario: Any, nodes: int = 5, **options: Any) -> None:
    async def play() -> None:
        async with World(daemonset.controller(), **options) as world:
            for number in range(nodes):
                world.create("nodes", node(f"node-{number}"))
            await scenario(world)

    run(play())


# -- one node ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("fit", "pods", "surges", "creates", "ends"),
    [
        (RUNS, [], False, True, ""),
        (STAYS, [], False, False, ""),
        (GOES, [], False, False, ""),
        (RUNS, [NEW], False, False, ""),
        (STAYS, [NEW], False, False, ""),
        (GOES, [NEW], False, False, "new"),
        (GOES, [GOING, NEW], False, False, "new"),
        (RUNS, [GOING], False, False, ""),
        (RUNS, [GOING], True, True, ""),
        (RUNS, [OLD, NEW], False, False, "new"),
        (RUNS, [NEW, LATE], True, False, "late"),
        (RUNS, [FAILED], False, False, "new"),
        (RUNS, [FAILED], True, False, "new"),
        (RUNS, [OLD, NEW_UNREADY], True, False, ""),
        (RUNS, [OLD, NEW], True, False, "old"),
        (RUNS, [OLD_UNREADY, NEW_UNREADY], True, False, "old"),
        (STAYS, [GOING], True, False, ""),
    ],
)
def test_a_node_is_put_in_order(fit: Fit, pods: list[PodSummary], surges: bool, creates: bool, ends: str) -> None:
    change = change_of(daemons({"n": pods}, {"n": fit}, surges), "n")

    assert (change.creates, " ".join(each.name for each in [*change.doomed, *change.over])) == (creates, ends)


# -- how far at a time ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("rolling", "desired", "expected"),
    [
        ({}, 10, Limits(1, 0)),
        ({"maxUnavailable": 3}, 10, Limits(3, 0)),
        ({"maxUnavailable": "25%"}, 10, Limits(3, 0)),
        ({"maxUnavailable": "1%"}, 10, Limits(1, 0)),
        ({"maxUnavailable": "50%"}, 0, Limits(1, 0)),
        ({"maxUnavailable": 0, "maxSurge": "15%"}, 10, Limits(0, 2)),
        ({"maxUnavailable": 0, "maxSurge": 4}, 10, Limits(0, 4)),
        ({"maxUnavailable": 0}, 10, Limits(1, 0)),
    ],
)
def test_limits_are_numbers_or_shares_rounded_up(rolling: Object, desired: int, expected: Limits) -> None:
    assert limits_of(daemon_set(rolling=rolling), desired) == expected


@pytest.mark.parametrize(
    ("pods", "most", "expected"),
    [
        ({"a": [OLD], "b": [OLD], "c": [OLD]}, 1, ["a"]),
        ({"a": [OLD], "b": [OLD], "c": [OLD]}, 2, ["a", "b"]),
        ({"a": [NEW_UNREADY], "b": [OLD]}, 1, []),
        ({"a": [GOING], "b": [OLD]}, 1, []),
        ({"a": [], "b": [OLD]}, 1, []),
        ({"a": [NEW], "b": [OLD]}, 1, ["b"]),
        ({"a": [OLD], "b": [OLD_UNREADY], "c": [OLD_UNREADY]}, 1, ["b", "c"]),
        ({"a": [OLD], "b": [OLD_UNREADY]}, 2, ["b", "a"]),
        ({"a": [OLD, NEW], "b": [OLD]}, 1, []),
    ],
)
def test_old_pods_go_as_far_as_others_are_available(
    pods: dict[str, list[PodSummary]], most: int, expected: list[str]
) -> None:
    named = {n: [each._replace(name=n) for each in there] for n, there in pods.items()}

    step = roll(daemons(named), Limits(most, 0))

    assert ([each.name for each in step.doomed], list(step.nodes)) == (expected, [])


@pytest.mark.parametrize(
    ("pods", "fits", "most", "ends", "begins"),
    [
        ({"a": [OLD], "b": [OLD]}, {}, 1, [], ["a"]),
        ({"a": [OLD, NEW_UNREADY], "b": [OLD]}, {}, 1, [], []),
        ({"a": [OLD, NEW_UNREADY], "b": [OLD]}, {}, 2, [], ["b"]),
        ({"a": [OLD, NEW], "b": [OLD]}, {}, 1, ["a"], ["b"]),
        ({"a": [OLD], "b": [OLD_UNREADY], "c": [OLD_UNREADY]}, {}, 1, [], ["b", "c", "a"]),
        ({"a": [OLD], "b": [OLD]}, {"b": STAYS}, 1, ["b"], ["a"]),
        ({"a": [OLD_UNREADY], "b": [OLD]}, {"b": STAYS}, 1, [], ["a"]),
        ({"a": [OLD], "b": [OLD_UNREADY]}, {"b": STAYS}, 1, ["b"], ["a"]),
    ],
)
def test_new_pods_come_before_the_old_ones_go(
    pods: dict[str, list[PodSummary]], fits: dict[str, Fit], most: int, ends: list[str], begins: list[str]
) -> None:
    named = {n: [each._replace(name=n) for each in there] for n, there in pods.items()}

    step = roll(daemons(named, {n: fits.get(n, RUNS) for n in pods}, surges=True), Limits(0, most))

    assert ([each.name for each in step.doomed], list(step.nodes)) == (ends, begins)


@settings(max_examples=examples(200), deadline=None)
@given(st.integers(1, 7), st.integers(0, 3), st.integers(0, 3), st.integers(0, 2**32))
def test_a_rollout_keeps_to_its_limits_and_ends(nodes: int, unavailable: int, surge: int, seed: int) -> None:
    """Pods become ready and go when chance wants it; of those that are not due to the rollout all stay available."""
    chance = random.Random(seed)
    limits = Limits(unavailable or int(not surge), surge)
    pods = {f"n{number}": [OLD._replace(name=f"n{number}", uid=f"old-{number}")] for number in range(nodes)}
    made = 0
    for _ in range(2000):
        it = daemons(pods, surges=surge > 0)
        changes = {name: change_of(it, name) for name in pods}
        begins = [name for name, change in changes.items() if change.creates]
        ends = {each.uid for change in changes.values() for each in change.doomed}
        if not begins and not ends:
            step = roll(it, limits)
            begins, ends = list(step.nodes), {each.uid for each in step.doomed}
        for name, there in pods.items():
            pods[name] = [each._replace(deleting=True) if each.uid in ends else each for each in there]
        for name in begins:
            made += 1
            pods[name].append(NEW._replace(uid=f"new-{made}", created=NOW + made, **UNREADY))
        without = [name for name, there in pods.items() if not any(p.active and p.ready for p in there)]
        assert len(without) <= (0 if surge else limits.unavailable)
        assert sum(len([p for p in there if p.active]) > 1 for there in pods.values()) <= surge
        moving = [(name, p) for name, there in pods.items() for p in there if p.deleting or not p.ready]
        if not begins and not ends and not moving:
            break
        if moving and chance.random() < 0.7:
            name, moved = chance.choice(moving)
            pods[name] = [
                each._replace(ready_since=NOW) if each is moved else each
                for each in pods[name]
                if each is not moved or not moved.deleting
            ]

    assert all([p.labels[history.HASH_LABEL] for p in there] == ["new"] for there in pods.values())


# -- in a world -------------------------------------------------------------------------------------------------------


def fewest_served(world: World, since: int) -> int:
    """On how few nodes there was a ready pod at any time since then."""
    pods: dict[str, Object] = {}
    fewest = 1 << 30
    for resource, event in world.store.log:
        if resource == "pods":
            obj = decode_object(event.body)
            pods[name_of(obj)] = obj
            if event.type == "DELETED":
                del pods[name_of(obj)]
        if event.revision > since:
            fewest = min(fewest, len(served(pods)))
    return fewest


@pytest.mark.parametrize(
    ("rolling", "fewest"),
    [
        ({"maxUnavailable": 1}, 4),
        ({"maxUnavailable": "50%"}, 2),
        ({"maxUnavailable": 0, "maxSurge": 1}, 5),
        ({"maxUnavailable": 0, "maxSurge": "40%"}, 5),
    ],
)
def test_all_nodes_get_the_new_template_and_no_more_than_allowed_are_without(rolling: Object, fewest: int) -> None:
    async def scenario(world: World) -> None:
        world.create(RESOURCE, daemon_set(rolling=rolling))
        await world.settled()
        before = digests(world)
        revision = world.revision()
        world.patch(RESOURCE, "log", with_image("two"))
        await world.settled()

        assert where(world) == [f"node-{number}" for number in range(5)]
        assert not set(digests(world).values()) & set(before.values())
        assert status(world) == numbers(5)
        assert world.get(RESOURCE, "log")["status"]["observedGeneration"] == 2
        assert fewest_served(world, revision) == fewest

    in_world(scenario)


def test_a_template_that_never_gets_ready_stops_after_one_node_and_the_next_one_heals_it() -> None:
    async def scenario(world: World) -> None:
        world.never_ready = lambda pod: pod["spec"]["containers"][0]["image"] == "broken"
        world.create(RESOURCE, daemon_set())
        await world.settled()
        world.patch(RESOURCE, "log", with_image("broken"))
        await world.settled()
        assert status(world) == numbers(5, numberReady=4, numberAvailable=4, numberUnavailable=1) | {
            "updatedNumberScheduled": 1
        }

        world.patch(RESOURCE, "log", with_image("three"))
        await world.settled()
        assert status(world) == numbers(5)

    in_world(scenario)


def test_ondelete_waits_for_somebody_to_delete_pods() -> None:
    async def scenario(world: World) -> None:
        world.create(RESOURCE, daemon_set(updateStrategy={"type": "OnDelete"}))
        await world.settled()
        before = digests(world)
        world.patch(RESOURCE, "log", with_image("two"))
        await world.settled()
        assert digests(world) == before
        counts = numbers(5)
        del counts["updatedNumberScheduled"]
        assert status(world) == counts

        world.delete("pods", min(before))
        await world.settled()
        assert status(world) == numbers(5, updatedNumberScheduled=1)

    in_world(scenario)


def test_each_template_has_a_revision_and_one_that_was_there_gets_the_next_number() -> None:
    async def scenario(world: World) -> None:
        world.create(RESOURCE, daemon_set())
        await world.settled()
        (first,) = world.list(REVISIONS)
        world.patch(RESOURCE, "log", with_image("two"))
        await world.settled()
        world.patch(RESOURCE, "log", with_image("one"))
        await world.settled()

        found = {name_of(each): each["revision"] for each in world.list(REVISIONS)}
        assert (len(found), found[name_of(first)], max(found.values())) == (2, 3, 3)
        assert set(digests(world).values()) == {labels_of(first)[history.HASH_LABEL]}
        assert meta(first)["ownerReferences"][0]["kind"] == "DaemonSet"

    in_world(scenario)


def test_the_oldest_revisions_beyond_the_limit_are_forgotten() -> None:
    async def scenario(world: World) -> None:
        world.create(RESOURCE, daemon_set(revisionHistoryLimit=2))
        for image in ("one", "two", "three", "four", "five"):
            world.patch(RESOURCE, "log", with_image(image))
            await world.settled()

        assert sorted(each["revision"] for each in world.list(REVISIONS)) == [3, 4, 5]

    in_world(scenario, nodes=2)


def test_a_revision_that_pods_are_of_is_kept_beyond_the_limit() -> None:
    async def scenario(world: World) -> None:
        world.create(RESOURCE, daemon_set(revisionHistoryLimit=0, updateStrategy={"type": "OnDelete"}))
        for image in ("one", "two", "three"):
            world.patch(RESOURCE, "log", with_image(image))
            await world.settled()

        assert sorted(each["revision"] for each in world.list(REVISIONS)) == [1, 3]

    in_world(scenario, nodes=2)


@pytest.mark.parametrize("image", ["one", "other"])
def test_a_name_that_somebody_else_has_is_a_collision_which_is_counted(image: str) -> None:
    async def scenario(world: World) -> None:
        taken = history.new_revision(daemon_set(), "DaemonSet", 1, history.HASH_LABEL)
        taken["metadata"].pop("ownerReferences")
        taken["metadata"]["labels"] = {}
        world.create(REVISIONS, {**taken, "data": history.patch_of(daemon_set(image=image))})
        world.create(RESOURCE, daemon_set())
        await world.settled()

        (mine,) = [each for each in world.list(REVISIONS) if meta(each).get("ownerReferences")]
        assert name_of(mine) != name_of(taken)
        assert status(world) == numbers(2, collisionCount=1)

    in_world(scenario, nodes=2)


def test_of_equal_revisions_one_stays_and_its_pods_are_not_replaced() -> None:
    async def scenario(world: World) -> None:
        world.create(RESOURCE, daemon_set())
        await world.settled()
        (first,) = world.list(REVISIONS)
        before = sorted(digests(world))
        twin = {**first, "metadata": {**meta(first), "name": "log-twin"}, "revision": 7}
        twin["metadata"]["labels"] = {"app": "log", history.HASH_LABEL: "twin"}
        world.create(REVISIONS, twin)
        await world.settled()

        assert [name_of(each) for each in world.list(REVISIONS)] == ["log-twin"]
        assert digests(world) == dict.fromkeys(before, "twin")

    in_world(scenario)


def test_a_revision_without_its_label_gets_its_name() -> None:
    async def scenario(world: World) -> None:
        old = history.new_revision(daemon_set(), "DaemonSet", 1, history.HASH_LABEL)
        old["metadata"].update(name="log-old", ownerReferences=[], labels={"app": "log"})
        world.create(REVISIONS, old)
        world.create(RESOURCE, daemon_set())
        await world.settled()

        (adopted,) = world.list(REVISIONS)
        assert labels_of(adopted) == {"app": "log", history.HASH_LABEL: "log-old"}
        assert set(digests(world).values()) == {"log-old"}

    in_world(scenario)


def test_a_surging_set_that_moves_keeps_its_old_place_until_the_new_one_is_served() -> None:
    async def scenario(world: World) -> None:
        world.patch("nodes", "node-0", {"spec": {"taints": [{"key": "x", "effect": "NoSchedule"}]}}, "")
        world.create(RESOURCE, daemon_set(rolling={"maxUnavailable": 0, "maxSurge": 1}))
        await world.settled()
        assert where(world) == ["node-1"]
        revision = world.revision()
        world.patch("nodes", "node-1", {"spec": {"taints": [{"key": "x", "effect": "NoSchedule"}]}}, "")
        world.patch("nodes", "node-0", {"spec": {"taints": []}}, "")
        world.patch(RESOURCE, "log", with_image("two"))
        await world.settled()

        assert where(world) == ["node-0"] and fewest_served(world, revision) == 1
        assert {node_of(each) for each in world.list("pods")} == {"node-0"}

    in_world(scenario, nodes=2)
