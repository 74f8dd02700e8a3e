"""The daemon set controller: one pod on each node that the template may run on, whatever happens to nodes and pods."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actorkube.kube.controller import Views
from actors.controllers import daemonset, history
from actors.controllers.daemon_pods import NEEDS, fit, named_node, needs_of, place_of
from actors.controllers.daemonset_names import waiting_s
from protocols.objects import Object, labels_of, meta, name_of, uid_of
from tests.controllers.daemon_sets import (
    RESOURCE,
    REVISIONS,
    daemon_set,
    node,
    numbers,
    status,
    taint,
    uids,
    where,
    with_image,
)
from tests.controllers.virtual_time import run
from tests.controllers.world import World
from tests.effort import examples

Scenario = Callable[[World], Awaitable[None]]


def in_world(scenario: Scenario, nodes: int = 3, **options: Any) -> None:
    async def play() -> None:
        async with World(daemonset.controller(), **options) as world:
            for number in range(nodes):
                world.create("nodes", node(f"node-{number}"))
                if number % 100 == 99:
                    await asyncio.sleep(0.1)  # a stream takes only so much at once
            await scenario(world)

    run(play())


def messages(world: World, reason: str) -> set[str]:
    return {e["message"] for e in world.list("events") if e["reason"] == reason}


def test_each_node_gets_a_pod_that_names_it_and_says_of_which_revision_it_is() -> None:
    async def scenario(world: World) -> None:
        owner = daemon_set()
        owner["metadata"]["annotations"] = {daemonset.GENERATION: "7"}
        owner = world.create(RESOURCE, owner)
        await world.settled()

        pods = world.active_pods()
        assert where(world) == ["node-0", "node-1", "node-2"]
        (revision,) = world.list(REVISIONS)
        digest = labels_of(revision)[history.HASH_LABEL]
        for each in pods:
            reference = {"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "log", "uid": uid_of(owner)}
            assert meta(each)["ownerReferences"] == [{**reference, "controller": True, "blockOwnerDeletion": True}]
            assert meta(each)["labels"] == {"app": "log", history.HASH_LABEL: digest, daemonset.GENERATION_LABEL: "7"}
            assert named_node(each) == each["spec"]["nodeName"]
            assert {t["effect"] for t in each["spec"]["tolerations"]} == {"NoExecute", "NoSchedule"}
        assert status(world) == numbers(3)
        assert world.get(RESOURCE, "log")["status"]["observedGeneration"] == 1
        assert messages(world, "SuccessfulCreate") == {f"Created pod: {name_of(each)}" for each in pods}

    in_world(scenario)


def test_nodes_come_and_go_and_pods_with_them() -> None:
    async def scenario(world: World) -> None:
        world.create(RESOURCE, daemon_set())
        await world.settled()
        world.create("nodes", node("node-9"))
        await world.settled()
        assert where(world) == ["node-0", "node-1", "node-2", "node-9"]

        world.delete("nodes", "node-0", "")
        await world.settled()
        assert status(world) == numbers(3)  # the pod of a node that is gone is the pod garbage collector's

    in_world(scenario)


def test_a_pod_that_waits_for_a_node_that_is_gone_goes() -> None:
    async def scenario(world: World) -> None:
        world.nodes = []  # nobody binds
        world.create(RESOURCE, daemon_set())
        await world.settled()
        assert len(world.active_pods()) == 3

        world.delete("nodes", "node-0", "")
        await world.settled()
        assert where(world) == ["node-1", "node-2"]

    in_world(scenario)


def test_only_nodes_that_the_template_asks_for_get_a_pod_and_a_label_is_enough() -> None:
    async def scenario(world: World) -> None:
        world.create(RESOURCE, daemon_set(pod={"nodeSelector": {"disk": "ssd"}}))
        await world.settled()
        assert where(world) == []

        world.patch("nodes", "node-1", {"metadata": {"labels": {"disk": "ssd"}}}, "")
        await world.settled()
        assert (where(world), status(world)) == (["node-1"], numbers(1))

        world.patch("nodes", "node-1", {"metadata": {"labels": {"disk": "tape"}}}, "")
        await world.settled()
        assert (where(world), status(world)) == ([], numbers(0))

    in_world(scenario)


def test_a_taint_keeps_new_pods_away_and_only_noexecute_ends_those_that_run() -> None:
    async def scenario(world: World) -> None:
        world.create(RESOURCE, daemon_set())
        await world.settled()
        world.patch("nodes", "node-1", {"spec": {"taints": [taint("mine")]}}, "")
        await world.settled()
        assert where(world) == ["node-0", "node-1", "node-2"]
        assert status(world) == numbers(2, numberMisscheduled=1)

        world.patch("nodes", "node-1", {"spec": {"taints": [taint("mine", "NoExecute")]}}, "")
        await world.settled()
        assert (where(world), status(world)) == (["node-0", "node-2"], numbers(2))

    in_world(scenario)


@pytest.mark.parametrize("key", ["unschedulable", "not-ready", "unreachable", "disk-pressure"])
def test_troubles_of_a_node_are_no_reason_to_leave_it(key: str) -> None:
    effect = "NoExecute" if key in ("not-ready", "unreachable") else "NoSchedule"

    async def scenario(world: World) -> None:
        world.create("nodes", node("troubled", {}, taint(f"node.kubernetes.io/{key}", effect)))
        world.create(RESOURCE, daemon_set())
        await world.settled()

        assert where(world) == ["troubled"]

    in_world(scenario, nodes=0)


def test_of_several_pods_on_a_node_the_oldest_stays() -> None:
    async def scenario(world: World) -> None:
        world.create(RESOURCE, daemon_set())
        await world.settled()
        first = uids(world.active_pods())
        await asyncio.sleep(2)
        extra = {"metadata": {"name": "extra", "namespace": "default", "labels": {"app": "log"}}}
        world.create("pods", {**extra, "spec": {"nodeName": "node-1"}})
        await world.settled()

        assert uids(world.active_pods()) == first
        assert messages(world, "SuccessfulDelete") == {"Deleted pod: extra"}

    in_world(scenario)


def test_orphans_are_adopted_and_what_no_longer_matches_is_let_go_and_replaced() -> None:
    async def scenario(world: World) -> None:
        orphan = {"metadata": {"name": "orphan", "namespace": "default", "labels": {"app": "log"}}}
        world.create("pods", {**orphan, "spec": {"nodeName": "node-1"}})
        owner = world.create(RESOURCE, daemon_set(updateStrategy={"type": "OnDelete"}))
        await world.settled()
        assert meta(world.get("pods", "orphan"))["ownerReferences"][0]["uid"] == uid_of(owner)
        assert where(world) == ["node-0", "node-1", "node-2"]

        world.patch("pods", "orphan", {"metadata": {"labels": {"app": "debug"}}})
        await world.settled()
        assert not meta(world.get("pods", "orphan")).get("ownerReferences")
        assert where(world) == ["node-0", "node-1", "node-1", "node-2"]

    in_world(scenario)


def test_an_orphan_that_failed_is_adopted_and_removed() -> None:
    async def scenario(world: World) -> None:
        world.never_ready = lambda pod: name_of(pod) == "orphan"
        world.create(RESOURCE, daemon_set())
        await world.settled()
        orphan = {"metadata": {"name": "orphan", "namespace": "default", "labels": {"app": "log"}}}
        world.create("pods", {**orphan, "spec": {"nodeName": "node-1"}, "status": {"phase": "Failed"}})
        await world.settled()

        assert world.find("pods", "orphan") is None
        assert where(world) == ["node-0", "node-1", "node-2"]

    in_world(scenario)


def test_waits_until_a_pod_that_is_going_has_gone() -> None:
    async def scenario(world: World) -> None:
        world.create(RESOURCE, daemon_set())
        await world.settled()
        world.gone_after_s = 60
        victim = name_of(world.active_pods()[0])
        world.delete("pods", victim)
        await asyncio.sleep(50)
        assert len(world.active_pods()) == 2

        await asyncio.sleep(15)
        await world.settled()
        assert where(world) == ["node-0", "node-1", "node-2"]
        assert victim not in {name_of(each) for each in world.active_pods()}

    in_world(scenario)


def test_a_pod_that_fails_is_replaced_at_once_and_then_later_and_later() -> None:
    async def scenario(world: World) -> None:
        world.never_ready = lambda pod: True
        world.create(RESOURCE, daemon_set())
        made: list[float] = []
        begin = world.loop.time()
        while world.loop.time() - begin < 200:
            await asyncio.sleep(0.25)
            for each in world.active_pods():
                if (each.get("status") or {}).get("phase") != "Failed":
                    made.append(world.loop.time() - begin)
                    world.patch("pods", name_of(each), {"status": {"phase": "Failed"}}, subresource="status")

        gaps = [round(after - before) for before, after in itertools.pairwise(made[1:])]
        assert gaps == [1, 2, 4, 8, 16, 32, 64]
        assert any("on node node-0, will try to kill it" in each for each in messages(world, "FailedDaemonPod"))

    in_world(scenario, nodes=1)


@pytest.mark.parametrize(
    ("ends", "now", "waits"),
    [
        ([], 100.0, 0.0),
        ([100.0], 100.0, 1.0),
        ([100.0, 101.0, 103.0], 103.0, 4.0),
        ([100.0, 101.0, 103.0], 110.0, -3.0),
        ([float(n) for n in range(30)], 29.0, 900.0),
        ([100.0, 101.0, 103.0, 2000.0], 2000.0, 1.0),
    ],
)
def test_the_back_off_doubles_up_to_a_quarter_of_an_hour_and_begins_again_after_two(
    ends: list[float], now: float, waits: float
) -> None:
    assert waiting_s(ends, now) == waits


def test_a_pod_that_succeeded_is_replaced_and_told() -> None:
    async def scenario(world: World) -> None:
        world.create(RESOURCE, daemon_set())
        await world.settled()
        name = name_of(world.active_pods()[0])
        world.patch("pods", name, {"status": {"phase": "Succeeded"}}, subresource="status")
        await world.settled()

        assert name not in {name_of(each) for each in world.list("pods")}
        assert status(world) == numbers(1)
        said = f"Found succeeded daemon pod default/{name} on node node-0, will try to delete it"
        assert messages(world, "SucceededDaemonPod") == {said}

    in_world(scenario, nodes=1)


def test_a_refused_pod_shows_as_an_event_and_in_the_numbers_until_it_works() -> None:
    async def scenario(world: World) -> None:
        world.store.refusals["pods"] = "exceeded quota: pods=0"
        world.create(RESOURCE, daemon_set())
        await asyncio.sleep(2)
        missing = {"currentNumberScheduled": 0, "numberReady": 0, "numberMisscheduled": 0}
        assert status(world) == {**missing, "desiredNumberScheduled": 3, "numberUnavailable": 3}
        assert messages(world, "FailedCreate") == {"Error creating: exceeded quota: pods=0"}

        world.store.refusals.clear()
        await world.settled()
        assert status(world) == numbers(3)

    in_world(scenario)


def test_pods_are_available_only_after_min_ready_seconds() -> None:
    async def scenario(world: World) -> None:
        world.create(RESOURCE, daemon_set(minReadySeconds=10))
        await asyncio.sleep(5)
        counts = numbers(3, numberUnavailable=3)
        del counts["numberAvailable"]
        assert status(world) == counts

        await asyncio.sleep(10)
        assert status(world) == numbers(3)

    in_world(scenario)


def test_a_set_that_is_being_deleted_does_nothing() -> None:
    async def scenario(world: World) -> None:
        dying = daemon_set()
        dying["metadata"]["finalizers"] = ["foregroundDeletion"]
        world.store.create(RESOURCE, dying)
        world.delete(RESOURCE, "log")
        await world.settled()

        assert world.list("pods") == [] and world.list(REVISIONS) == []

    in_world(scenario)


def test_a_sign_of_life_of_a_node_concerns_nobody() -> None:
    async def scenario(world: World) -> None:
        world.create(RESOURCE, daemon_set())
        world.create(RESOURCE, daemon_set("other", pod={"nodeSelector": {"disk": "ssd"}}))
        await world.settled()
        (before,) = await world.activity()
        for number in range(20):
            world.patch("nodes", "node-1", {"status": {"images": number}}, "", "status")
            await asyncio.sleep(1)

        (after,) = await world.activity()
        assert after.passes == before.passes

    in_world(scenario)


def test_a_node_concerns_the_sets_that_it_fits() -> None:
    class Sets(dict[str, Object]):
        def summary(self, name: str, key: str) -> Any:
            assert name == NEEDS
            return needs_of(self[key])

    sets = Sets({"default/all": daemon_set(), "default/ssd": daemon_set(pod={"nodeSelector": {"disk": "ssd"}})})
    views = Views({RESOURCE: sets})  # type: ignore[dict-item]

    assert daemonset.sets_of_node(place_of(node("a")), views) == ["default/all"]
    assert daemonset.sets_of_node(place_of(node("a", {"disk": "ssd"})), views) == ["default/all", "default/ssd"]
    assert daemonset.sets_of_node(place_of(node("a", {"disk": "ssd"}, taint("x", "NoExecute"))), views) == []


@pytest.mark.slow
def test_a_set_on_many_nodes_comes_up_in_bursts_and_costs_few_passes() -> None:
    async def scenario(world: World) -> None:
        world.create(RESOURCE, daemon_set())
        await world.settled()

        assert len(set(where(world))) == 600
        assert status(world) == numbers(600)
        (activity,) = await world.activity()
        assert activity.writes <= 600 + 60
        assert activity.passes <= 100

    in_world(scenario, nodes=600)


# -- which nodes: against a model that is slow and obvious -------------------------------------------------------------

LABELS = st.dictionaries(st.sampled_from(["zone", "disk"]), st.sampled_from(["a", "b"]))
KEYS = st.sampled_from(["mine", "yours", "node.kubernetes.io/unschedulable", "node.kubernetes.io/not-ready"])
EFFECTS = st.sampled_from(["NoSchedule", "NoExecute", "PreferNoSchedule"])
TAINTS = st.lists(st.builds(taint, KEYS, EFFECTS), max_size=2, unique_by=str)
TOLERATIONS = st.lists(
    st.one_of(
        st.builds(lambda key: {"key": key, "operator": "Exists"}, KEYS),
        st.builds(lambda key, effect: {"key": key, "operator": "Exists", "effect": effect}, KEYS, EFFECTS),
    ),
    max_size=2,
)
EXPRESSIONS = st.builds(
    lambda key, operator, value: {"key": key, "operator": operator, "values": [value]},
    st.sampled_from(["zone", "disk"]),
    st.sampled_from(["In", "NotIn"]),
    st.sampled_from(["a", "b"]),
)


def template(selector: dict[str, str], terms: list[list[Object]], tolerations: list[Object]) -> Object:
    required = {"nodeSelectorTerms": [{"matchExpressions": term} for term in terms]}
    affinity = {"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}} if terms else {}
    return {"nodeSelector": selector, "affinity": affinity, "tolerations": tolerations}


TEMPLATES = st.builds(
    template, LABELS, st.lists(st.lists(EXPRESSIONS, min_size=1, max_size=2), max_size=2), TOLERATIONS
)
NODES = st.lists(st.tuples(LABELS, TAINTS), max_size=6)


def model(spec: Object, labels: dict[str, str], taints: list[Object]) -> tuple[bool, bool]:
    """Runs, stays."""
    for key, value in spec["nodeSelector"].items():
        if labels.get(key) != value:
            return False, False
    terms = spec["affinity"].get("nodeAffinity", {}).get("requiredDuringSchedulingIgnoredDuringExecution", {})
    found = [
        all((labels.get(e["key"]) in e["values"]) == (e["operator"] == "In") for e in term["matchExpressions"])
        for term in terms.get("nodeSelectorTerms", [])
    ]
    if found and not any(found):
        return False, False
    effects = set()
    for each in taints:
        own = (each["key"], each["effect"]) in {
            ("node.kubernetes.io/unschedulable", "NoSchedule"),
            ("node.kubernetes.io/not-ready", "NoExecute"),
        }
        given = any(
            t["key"] == each["key"] and t.get("effect", each["effect"]) == each["effect"] for t in spec["tolerations"]
        )
        if not own and not given:
            effects.add(each["effect"])
    return not effects & {"NoSchedule", "NoExecute"}, "NoExecute" not in effects


@settings(max_examples=examples(300), deadline=None)
@given(TEMPLATES, LABELS, TAINTS)
def test_a_node_fits_as_the_model_says(spec: Object, labels: dict[str, str], taints: list[Object]) -> None:
    needs = needs_of(daemon_set(pod=spec))

    assert fit(needs, place_of(node("a", labels, *taints))) == model(spec, labels, taints)


@settings(max_examples=examples(30), deadline=None)
@given(TEMPLATES, NODES, NODES)
def test_there_is_one_pod_on_exactly_the_nodes_of_the_model(
    spec: Object, first: list[tuple[dict[str, str], list[Object]]], then: list[tuple[dict[str, str], list[Object]]]
) -> None:
    """Before and after all nodes changed."""

    async def scenario(world: World) -> None:
        world.create(RESOURCE, daemon_set(pod=spec))
        for number, (labels, taints) in enumerate(first):
            world.create("nodes", node(f"n{number}", labels, *taints))
        await world.settled()
        there = {f"n{number}" for number, place in enumerate(first) if model(spec, *place)[0]}
        assert where(world) == sorted(there)

        for number, (labels, taints) in enumerate(then[: len(first)]):
            none = dict.fromkeys(("zone", "disk"))
            world.patch("nodes", f"n{number}", {"metadata": {"labels": {**none, **labels}}}, "")
            world.patch("nodes", f"n{number}", {"spec": {"taints": taints}}, "")
            await asyncio.sleep(0)
        await world.settled()
        places = [*then[: len(first)], *first[len(then) :]]
        runs = {f"n{number}" for number, place in enumerate(places) if model(spec, *place)[0]}
        stays = {f"n{number}" for number, place in enumerate(places) if model(spec, *place)[1]}
        assert runs <= set(where(world)) <= runs | (there & stays)
        assert len(where(world)) == len(set(where(world)))
        counts = status(world)
        assert (counts["desiredNumberScheduled"], counts["numberReady"]) == (len(runs), len(runs))

    in_world(scenario, nodes=0)


# -- settle -----------------------------------------------------------------------------------------------------------

OPERATIONS = st.lists(
    st.one_of(
        st.tuples(st.just("kill"), st.integers(0, 7)),
        st.tuples(st.just("fail"), st.integers(0, 7)),
        st.tuples(st.just("relabel"), st.integers(0, 7)),
        st.tuples(st.just("taint"), st.integers(0, 3)),
        st.tuples(st.just("untaint"), st.integers(0, 3)),
        st.tuples(st.just("image"), st.integers(0, 3)),
        st.tuples(st.just("node"), st.integers(4, 6)),
        st.tuples(st.just("orphan"), st.integers(0, 3)),
    ),
    max_size=6,
)


@settings(max_examples=examples(25), deadline=None)
@given(st.integers(0, 2**32), st.integers(0, 1), OPERATIONS)
@example(7, 0, [("kill", 0), ("orphan", 0), ("fail", 0)])
def test_settles_on_one_pod_of_the_present_template_a_node(
    seed: int, surge: int, operations: list[tuple[str, int]]
) -> None:
    async def scenario(world: World) -> None:
        world.create(RESOURCE, daemon_set(rolling={"maxUnavailable": 1 - surge, "maxSurge": surge}))
        await world.unrest(40, [lambda o=o: operate(world, *o) for o in operations])  # type: ignore[misc]
        await world.settled(2000)

        nodes = [each for each in world.list("nodes") if not each["spec"].get("taints")]
        ours = [p for p in world.active_pods() if meta(p)["labels"].get("app") == "log"]
        assert sorted(p["spec"]["nodeName"] for p in ours) == sorted(map(name_of, nodes))
        (present,) = history.same_template(world.get(RESOURCE, "log"), world.list(REVISIONS))
        assert {labels_of(p).get(history.HASH_LABEL) for p in ours} <= {labels_of(present)[history.HASH_LABEL]}
        assert present["revision"] == max(each["revision"] for each in world.list(REVISIONS))
        assert status(world) == numbers(len(nodes))

        revision = world.revision()
        await asyncio.sleep(600)
        assert world.revision() == revision

    in_world(scenario, nodes=4, seed=seed)


def operate(world: World, operation: str, number: int) -> None:
    pods = world.list("pods")
    target = name_of(pods[number % len(pods)]) if pods else ""
    match operation:
        case "kill" if target:
            world.delete("pods", target)
        case "fail" if target:
            world.patch("pods", target, {"status": {"phase": "Failed"}}, subresource="status")
        case "relabel" if target:
            world.patch("pods", target, {"metadata": {"labels": {"app": "debug"}}})
        case "taint":
            world.patch("nodes", f"node-{number}", {"spec": {"taints": [taint("x", "NoExecute")]}}, "")
        case "untaint":
            world.patch("nodes", f"node-{number}", {"spec": {"taints": []}}, "")
        case "image":
            world.patch(RESOURCE, "log", with_image(f"image-{number}"))
        case "node" if not world.find("nodes", f"node-{number}", ""):
            world.create("nodes", node(f"node-{number}"))
        case "orphan" if not world.find("pods", f"orphan-{number}"):
            orphan = {"metadata": {"name": f"orphan-{number}", "namespace": "default", "labels": {"app": "log"}}}
            world.create("pods", {**orphan, "spec": {"nodeName": f"node-{number}"}})
