"""A batch placed on a copy: by the scheduler's rules, the same every time, and nobody waits who would fit."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.planning import make_nodes
from actors.scheduler.explain.picture import svg
from actors.scheduler.explain.whatif import Outcome, Use, Wanted, place
from actors.scheduler.explain.whatif_text import bar, lines
from actors.scheduler.gangs import POD_GROUPS
from actors.scheduler.profile import DEFAULT_PROFILE
from protocols.objects import Object, key_of
from tests.scheduler.random_clusters import Draw
from tests.scheduler.reference import answer
from tests.scheduler.reference_cluster import Cluster
from tests.scheduler.worlds import make_node, make_pod

PROFILES = {"default-scheduler": DEFAULT_PROFILE}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def tried(nodes: list[Object], pods: list[Object], there: list[Object] = [], seed: int = 0) -> Outcome:  # noqa: B006
    return place({"nodes": nodes, "pods": there}, [Wanted(pod, "Pod/test") for pod in pods], PROFILES, seed)


def test_pods_go_where_the_scheduler_would_put_them_until_no_node_will_do() -> None:
    outcome = tried([make_node("a", "2"), make_node("b", "1")], [make_pod(f"p{n}", "700m") for n in range(4)])

    assert [each.node for each in outcome.placed] == ["a", "a", "b"]
    (left,) = outcome.unplaced
    assert left.message.startswith("0/2 nodes are available: 2 Insufficient cpu.")
    assert left.nearest[0].node == "a"
    assert left.nearest[0].obstacles[0].remedies[0].text == "100m cpu less, or a node with 100m more cpu than a"


def test_what_was_there_counts_and_what_is_added_is_told_apart() -> None:
    outcome = tried([make_node("a", "2", "4Gi")], [make_pod("new", "1", "1Gi")], [make_pod("old", "500m", node="a")])

    (load,) = outcome.nodes
    assert load.resources["cpu"] == Use(500, 1500, 2000)
    assert load.resources["memory"] == Use(0, 2**30, 2**32)
    assert load.resources["pods"] == Use(1, 2, 110)
    assert outcome.total.resources == load.resources
    assert bar(load.resources["cpu"]) == "[#####++++++++++.....]"


def test_the_more_important_pod_goes_first_and_one_that_follows_waits_for_its_company() -> None:
    term = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"app": "db"}}}
    nodes = [make_node(name, "1", labels={"kubernetes.io/hostname": name}) for name in "ab"]
    follower = make_pod("follower", "100m", affinity={"podAffinity": {REQUIRED: [term]}}, priority=9)
    database = make_pod("database", "900m")
    database["metadata"]["labels"] = {"app": "db"}

    outcome = tried(nodes, [database, follower])

    places = {each.pod: each.node for each in outcome.placed}
    assert places["default/follower"] == places["default/database"]
    assert not outcome.unplaced


def test_less_important_pods_end_for_more_important_ones() -> None:
    there = [make_pod("low", "900m", node="n", priority=1), make_pod("equal", "100m", node="n", priority=9)]

    outcome = tried([make_node("n", "1")], [make_pod("high", "500m", priority=9)], there)

    assert [each.node for each in outcome.placed] == ["n"]
    assert [(each.pod, each.by) for each in outcome.ended] == [("default/low", "default/high")]
    assert outcome.total.resources["cpu"] == Use(1000, 600, 1000)
    assert bar(outcome.total.resources["cpu"]) == "[############--------]"
    assert "default/high is more important than pod default/low, which would end for it" in lines(outcome)


def test_pods_that_no_scheduler_here_may_place_are_told_so() -> None:
    pods = [make_pod("gated", schedulingGates=[{"name": "g"}]), make_pod("foreign", schedulerName="mine")]

    outcome = tried([make_node("n")], pods)

    assert {each.pod: each.message for each in outcome.unplaced} == {
        "default/gated": "waiting for scheduling gates: [g]",
        "default/foreign": "no profile is named 'mine'",
    }


def gang(name: str, pods: int, cpu: str = "1", priority: int = 0) -> list[Object]:
    group = {"podGroupName": name}
    return [make_pod(f"{name}-{n}", cpu, priority=priority, schedulingGroup=group) for n in range(pods)]


def pod_group(name: str, least: int) -> Object:
    spec = {"schedulingPolicy": {"gang": {"minCount": least}}}
    return {"metadata": {"name": name, "namespace": "default"}, "spec": spec}


def tried_together(
    nodes: list[Object],
    pods: list[Object],
    groups: dict[str, int],
    there: list[Object] = [],  # noqa: B006
) -> Outcome:
    made = [pod_group(name, least) for name, least in groups.items()]
    snapshot = {"nodes": nodes, "pods": there, POD_GROUPS: made}
    return place(snapshot, [Wanted(pod, "Pod/test") for pod in pods], PROFILES)


def test_pods_of_a_gang_are_placed_all_or_none() -> None:
    nodes = [make_node("a", "2"), make_node("b", "1")]

    outcome = tried_together(nodes, [*gang("big", 4), *gang("small", 2), make_pod("p", "1")], {"big": 4, "small": 2})

    assert sorted(each.pod for each in outcome.placed) == ["default/p", "default/small-0", "default/small-1"]
    messages = {each.pod: each.message for each in outcome.unplaced}
    assert messages["default/big-0"] == "minCount (4) cannot be satisfied: 3 scheduled, 0 remaining"
    assert messages["default/big-3"].startswith("0/2 nodes are available: 2 Insufficient cpu.")
    assert lines(outcome)[0] == "3 of 7 pods would find a node (seed 0)"


def test_of_a_gang_that_is_large_enough_more_may_wait() -> None:
    outcome = tried_together([make_node("a", "2")], gang("g", 3), {"g": 2})

    assert (len(outcome.placed), len(outcome.unplaced)) == (2, 1)


def test_those_of_a_gang_that_run_already_count() -> None:
    there = [{**pod, "spec": {**pod["spec"], "nodeName": "a"}} for pod in gang("g", 1)]

    outcome = tried_together([make_node("a", "2")], gang("g", 2)[1:], {"g": 2}, there)

    assert [each.pod for each in outcome.placed] == ["default/g-1"]


def test_pods_wait_for_their_group_and_for_enough_of_them() -> None:
    outcome = tried_together([make_node("a", "8")], [*gang("g", 2), *gang("nobody", 1)], {"g": 3})

    assert {each.pod: each.message for each in outcome.unplaced} == {
        "default/g-0": "waiting for minCount pods from a gang to appear in scheduling queue",
        "default/g-1": "waiting for minCount pods from a gang to appear in scheduling queue",
        "default/nobody-0": 'waiting for pod\'s pod group "nobody" to appear in scheduling queue',
    }


def test_less_important_pods_end_for_a_gang_only_if_all_of_it_fits_then() -> None:
    nodes = [make_node("a", "1"), make_node("b", "1")]
    there = [make_pod(f"low-{node}", "1", node=node, priority=1) for node in "ab"]

    fits = tried_together(nodes, gang("g", 2, priority=9), {"g": 2}, there)
    does_not = tried_together(nodes, gang("g", 3, priority=9), {"g": 3}, there)

    assert sorted(each.node for each in fits.placed) == ["a", "b"]
    assert sorted(each.pod for each in fits.ended) == ["default/low-a", "default/low-b"]
    assert not does_not.ended and not does_not.placed and len(does_not.unplaced) == 3


def test_it_says_so_where_there_are_no_nodes() -> None:
    (left,) = tried([], [make_pod("p")]).unplaced

    assert left.message == "no nodes available to schedule pods"


def test_the_seed_decides_between_equals_and_nothing_else() -> None:
    nodes, pods = make_nodes(20, {}, 3), [make_pod(f"p{n}", "100m") for n in range(5)]

    ways = {tuple(each.node for each in tried(nodes, pods, seed=seed).placed) for seed in (1, 1, 2, 2)}

    assert len(ways) == 2
    assert tried(nodes, pods, seed=1) == tried(list(reversed(nodes)), pods, seed=1)


def test_the_text_is_short_however_many_nodes_there_are() -> None:
    outcome = tried(make_nodes(500, {}, 0), [make_pod(f"p{n}", "100m") for n in range(300)])

    text = lines(outcome)

    assert text[0] == "300 of 300 pods would find a node (seed 0)"
    assert "and 292 more nodes" in text[3]
    assert text[-1] == "460 more nodes: see them with --all-nodes, or -o json"
    assert len(lines(outcome, every_node=True)) > 500


def test_the_picture_has_a_line_for_each_node_and_escapes_names() -> None:
    picture = svg(tried([make_node("a<b")], [make_pod("p", "1")]))

    assert picture.startswith("<svg ") and picture.rstrip().endswith("</svg>")
    assert "a&lt;b" in picture and "a<b" not in picture


@pytest.mark.slow
@settings(max_examples=80, deadline=None)
@given(st.integers(0, 10**9))
def test_nobody_waits_whom_the_reference_would_place(seed: int) -> None:
    draw = Draw(seed)
    nodes = [draw.node(f"n{number}") for number in range(draw.chance.randint(1, 4))]
    kinds = [draw.pod("kind") for _ in range(3)]
    pods = [_named(draw.one_of(kinds), f"p{number}") for number in range(draw.chance.randint(1, 9))]

    outcome = tried(nodes, pods)

    by_key = {key_of(pod): pod for pod in pods}
    assert sorted(each.pod for each in (*outcome.placed, *outcome.unplaced)) == sorted(by_key)
    cluster = Cluster()
    for node in nodes:
        cluster.set_node(node)
    for each in outcome.placed:
        cluster.place(by_key[each.pod], each.node)
    for left in outcome.unplaced:
        if "plugin(s)" not in left.message and "conflict" not in left.message:
            assert answer(by_key[left.pod], cluster).feasible == [], left
    for load in outcome.nodes:
        assert all(use.before <= use.after <= max(use.capacity, use.before) for use in load.resources.values())


def _named(pod: Object, name: str) -> dict[str, Any]:
    return {**pod, "metadata": {**pod["metadata"], "name": name, "uid": name}}
