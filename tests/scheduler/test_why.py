"""Why a pod is where it is: what is said agrees with the decision, and what is said to help does help."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.planning import as_json, profiles_of
from actors.scheduler.explain.trial import changed
from actors.scheduler.explain.why import Near, Why, explain
from actors.scheduler.explain.why_text import lines
from actors.scheduler.framework import NodeFilter, Profile
from actors.scheduler.plugins.node_resources_fit import NodeResourcesFit
from actors.scheduler.profile import DEFAULT_PROFILE
from protocols.objects import Object, name_of
from tests.scheduler.random_clusters import Draw
from tests.scheduler.reference import answer
from tests.scheduler.reference_cluster import Cluster
from tests.scheduler.worlds import make_node, make_pod

PROFILES = {"default-scheduler": DEFAULT_PROFILE}
ZONE = "topology.kubernetes.io/zone"
GPU = {"key": "gpu", "value": "a100", "effect": "NoSchedule"}
REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def asking(*terms: object) -> object:
    return {"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": list(terms)}}}


def why(nodes: list[Object], pod: Object, others: list[Object] = [], **profiles: Profile) -> Why:  # noqa: B006
    return explain({"nodes": nodes, "pods": [*others, pod]}, pod, {**PROFILES, **profiles})


def named_term(value: str) -> dict[str, Any]:
    return {"topologyKey": ZONE, "labelSelector": {"matchLabels": {"app": value}}}


def labelled(pod: Object, **labels: str) -> Object:
    return {**pod, "metadata": {**pod["metadata"], "labels": labels}}


HARD = {
    "topologyKey": ZONE,
    "maxSkew": 1,
    "whenUnsatisfiable": "DoNotSchedule",
    "labelSelector": {"matchLabels": {"app": "x"}},
}
APART = {"podAntiAffinity": {REQUIRED: [named_term("x")]}}
TOGETHER = {"podAffinity": {REQUIRED: [named_term("db")]}}
NOT_IN_B = {"key": "zone", "operator": "NotIn", "values": ["b"]}
NAMED = {"key": "metadata.name", "operator": "In", "values": ["o", "m"]}
UNNAMED = {"key": "metadata.name", "operator": "NotIn", "values": ["n"]}
TERMS = [{"matchExpressions": [{"key": "gen", "operator": "Gt", "values": ["4"]}]}]


@pytest.mark.parametrize(
    ("node", "pod", "others", "expected"),
    [
        (
            make_node("n", "1"),
            make_pod("p", "1300m"),
            [],
            ["300m cpu less, or a node with 300m more cpu than n"],
        ),
        (
            make_node("n", "4", "1Gi"),
            make_pod("p", "1", "512Mi"),
            [make_pod("a", memory="768Mi", node="n")],
            ["256Mi memory less, or a node with 256Mi more memory than n"],
        ),
        (
            make_node("n", "0"),
            make_pod("p", "1"),
            [],
            ["a node with 1 more cpu than n"],
        ),
        (
            make_node("n", pods="1"),
            make_pod("p"),
            [make_pod("a", node="n")],
            ["1 pod fewer on n, or room for as many more there"],
        ),
        (make_node("n", taints=[GPU]), make_pod("p"), [], ["tolerate taint gpu=a100:NoSchedule, or remove it from n"]),
        (make_node("n", unschedulable=True), make_pod("p"), [], ["uncordon n"]),
        (make_node("n"), make_pod("p", nodeSelector={"zone": "b"}), [], ["label zone=b on node n"]),
        (
            make_node("n"),
            make_pod("p", affinity={"nodeAffinity": {REQUIRED: {"nodeSelectorTerms": TERMS}}}),
            [],
            ["label gen=5 on node n"],
        ),
        (
            make_node("n", labels={"zone": "b"}),
            make_pod("p", nodeSelector={"zone": "b"}, affinity=asking({"matchExpressions": [NOT_IN_B]})),
            [],
            [
                "a pod that asks for something else: "
                "its nodeSelector and its affinity ask for what no labels of a node can be"
            ],
        ),
        (
            make_node("n"),
            make_pod("p", affinity=asking({"matchFields": [NAMED]}, {"matchExpressions": []})),
            [],
            ["a node that its affinity names: m, o"],
        ),
        (
            make_node("n"),
            make_pod("p", affinity=asking({"matchFields": [UNNAMED]})),
            [],
            ["a node that its affinity does not rule out"],
        ),
        (
            make_node("n"),
            make_pod("p", ports=[{"hostPort": 80}]),
            [make_pod("a", ports=[{"hostPort": 80}], node="n")],
            ["another host port than 80/TCP, or n without pod default/a"],
        ),
        (make_node("n"), make_pod("p", topologySpreadConstraints=[HARD]), [], [f"label {ZONE}=any on node n"]),
        (
            make_node("n", labels={ZONE: "z"}),
            make_pod("p", affinity=APART),
            [labelled(make_pod(name, node="n"), app="x") for name in "abcd"],
            ["pods default/a, default/b, default/c and 1 more elsewhere"],
        ),
        (
            make_node("n", labels={ZONE: "z"}),
            labelled(make_pod("p"), app="x"),
            [make_pod("a", node="n", affinity=APART)],
            ["pod default/a elsewhere"],
        ),
        (
            make_node("n", labels={ZONE: "z"}),
            make_pod("p", affinity=TOGETHER),
            [],
            [f"a pod that its affinity selects in {ZONE}=z"],
        ),
    ],
)
def test_what_would_help_is_said_and_was_tried(
    node: Object, pod: Object, others: list[Object], expected: list[str]
) -> None:
    found = why([node], pod, others)

    (near,) = found.nearest
    assert found.verdict == "pending"
    assert texts(near) == expected
    untried = ("its affinity selects", "something else", "a node that its affinity")  # which would it be?
    assert near.tried == (not any(each in expected[0] for each in untried))


def test_a_skew_is_said_with_the_domain_that_has_too_many() -> None:
    nodes = [make_node("a", labels={ZONE: "a"}), make_node("b", labels={ZONE: "b"}, unschedulable=True)]
    held = [labelled(make_pod(name, node="a"), app="x") for name in "cd"]

    found = why(nodes, labelled(make_pod("p", topologySpreadConstraints=[HARD]), app="x"), held)

    spread = next(near for near in found.nearest if near.node == "a")
    assert texts(spread) == [f"maxSkew 3 instead of 1 over {ZONE}, or 2 matching pods fewer in {ZONE}=a"]
    assert spread.tried
    assert found.nearest[0].node == "b"  # to uncordon it is less


def texts(near: Near) -> list[str]:
    return [remedy.text for obstacle in near.obstacles for remedy in obstacle.remedies]


def test_the_nearest_lacks_least_and_all_that_is_against_it_is_named() -> None:
    nodes = [
        make_node("far", "1", taints=[GPU], labels={"zone": "a"}),
        make_node("near", "3900m"),
        make_node("small", "1"),
    ]

    found = why(nodes, make_pod("p", "4", nodeSelector={"zone": "a"}))

    assert [near.node for near in found.nearest] == ["near", "far", "small"]
    assert [obstacle.plugin for obstacle in found.nearest[0].obstacles] == ["NodeAffinity", "NodeResourcesFit"]
    assert all(near.tried for near in found.nearest)


def test_refusals_are_counted_as_kube_scheduler_counts_them() -> None:
    nodes = [make_node(f"small{n}", "1") for n in range(2)] + [make_node(f"gpu{n}", taints=[GPU]) for n in range(3)]

    found = why(nodes, make_pod("p", "2"))

    assert [(each.plugin, each.reason, each.nodes) for each in found.refused] == [
        ("TaintToleration", "node(s) had untolerated taint(s)", 3),
        ("NodeResourcesFit", "Insufficient cpu", 2),
    ]
    assert found.message.startswith(
        "0/5 nodes are available: 2 Insufficient cpu, 3 node(s) had untolerated taint(s). no new claims"
    )


def test_a_placed_pod_is_where_the_scores_are_highest() -> None:
    nodes = [make_node("big", "8"), make_node("small", "2"), make_node("gpu", taints=[GPU])]
    pod = make_pod("p", "1", "1Gi", node="big")

    found = why(nodes, pod)

    text = lines(found, score_table=True)
    assert (found.verdict, found.node, found.best) == ("placed", "big", "big")
    assert [scored.node for scored in found.scores] == ["big", "small"]
    assert all(scored.total >= sum(scored.by_plugin.values()) for scored in found.scores)
    assert "is on big, the best of 2 nodes that will do" in text[0]
    assert "NodeResourcesFit" in text[0]
    assert [line.split()[0] for line in text[-3:]] == ["NODE", "big", "small"]


def test_a_pod_that_would_go_elsewhere_now_is_told_so() -> None:
    nodes = [make_node("big", "8"), make_node("small", "2")]

    text = lines(why(nodes, make_pod("p", "1", node="small")))[0]

    assert "as the cluster is now, big would be better, and it is number 2 of 2" in text


def test_a_pod_does_not_stand_in_its_own_way() -> None:
    found = why([make_node("n", "1")], make_pod("p", "1", ports=[{"hostPort": 80}], node="n"))

    assert found.best == "n"
    assert lines(found)[0] == "pod default/p is on n, the only one of 1 node that will do"


@pytest.mark.parametrize(
    ("pod", "verdict", "text"),
    [
        (
            make_pod("p", schedulingGates=[{"name": "a/b"}]),
            "gated",
            "pod default/p waits: waiting for scheduling gates: [a/b]",
        ),
        (
            make_pod("p", schedulerName="mine"),
            "foreign",
            "pod default/p asks for scheduler 'mine', which has no profile here",
        ),
        (make_pod("p", phase="Succeeded", node="n"), "finished", "pod default/p has ended on n"),
        (make_pod("p"), "fits", "pod default/p waits, and 1 of 1 node would do now; the best is n"),
    ],
)
def test_pods_that_no_filter_refuses_wait_for_other_reasons(pod: Object, verdict: str, text: str) -> None:
    found = why([make_node("n")], pod)

    assert (found.verdict, lines(found)[0]) == (verdict, text)


def test_without_nodes_there_is_nothing_to_be_near_to() -> None:
    assert lines(why([], make_pod("p"))) == ["pod default/p waits: no nodes available to schedule pods"]


def test_the_scheduler_is_quoted_where_it_said_something_else() -> None:
    pod = make_pod("p")
    pod["status"]["conditions"] = [{"type": "PodScheduled", "status": "False", "message": "0/9 nodes are available"}]

    found = why([make_node("n")], pod)

    assert lines(found)[-1] == "the scheduler last said: 0/9 nodes are available"


def test_whom_the_scheduler_would_end_for_a_more_important_pod_is_said() -> None:
    low = make_pod("low", "900m", node="n", priority=1)

    found = why([make_node("n", "1")], make_pod("high", "500m", priority=9), [low])

    assert found.preemption is not None
    assert (found.preemption.node, found.preemption.victims) == ("n", ["default/low"])
    assert "it would be given room on n by ending pod default/low" in lines(found)


def test_room_that_another_pod_was_promised_is_not_given_away() -> None:
    promised = make_pod("promised", "900m", priority=9)
    promised["status"]["nominatedNodeName"] = "n"

    assert why([make_node("n", "1")], make_pod("p", "500m"), [promised]).verdict == "pending"
    assert why([make_node("n", "1")], make_pod("p", "500m", priority=10), [promised]).verdict == "fits"


class Fussy(NodeFilter):
    name = "Fussy"

    def refuse(self, pod: Any, node: Any) -> str:
        if node.name == "broken":
            raise ZeroDivisionError("of course")
        return "node(s) were not to its taste"


def test_plugins_of_ones_own_are_named() -> None:
    profile = Profile((NodeResourcesFit(), 1), (Fussy(), 1), name="mine")
    pod = make_pod("p", schedulerName="mine")

    refused = why([make_node("n")], pod, mine=profile)
    failed = why([make_node("broken")], pod, mine=profile)

    assert [(each.plugin, each.reason) for each in refused.refused] == [("Fussy", "node(s) were not to its taste")]
    assert "  - that Fussy accepts it (node(s) were not to its taste)" in lines(refused)
    assert not refused.nearest[0].tried
    assert failed.verdict == "failed"
    assert 'cannot be decided: running plugin "Fussy": ZeroDivisionError: of course' in lines(failed)[0]


def test_it_is_json_for_programs() -> None:
    text = as_json(why([make_node("n", "1")], make_pod("p", "2")))

    assert '"plugin": "NodeResourcesFit"' in text
    assert '"tried": true' in text


def test_the_default_profile_is_kube_schedulers() -> None:
    assert profiles_of(None) == PROFILES


SEEDS = st.integers(0, 10**9)


@pytest.mark.slow
@settings(max_examples=120, deadline=None)
@given(SEEDS)
def test_it_says_what_the_reference_says_and_what_helped_helps_there_too(seed: int) -> None:
    snapshot, pod = random_cluster(Draw(seed))

    found = explain(snapshot, pod, PROFILES)

    expected = answer(pod, reference_of(snapshot, pod))
    assert sorted(scored.node for scored in found.scores) == sorted(expected.feasible)
    reasons = Counter(reason for why in expected.reasons.values() for reason in why.partition(": ")[2].split(", "))
    if not any("plugin(s)" in each.reason or "conflict" in each.reason for each in found.refused):
        assert Counter({each.reason: each.nodes for each in found.refused}) == reasons
    for near in found.nearest:
        helpful = [remedy.change for obstacle in near.obstacles for remedy in obstacle.remedies]
        if near.tried:
            other, after = changed(snapshot, pod, near.node, helpful)
            assert near.node in answer(other, reference_of(after, other)).feasible


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(SEEDS, st.sampled_from([plugin for plugin in DEFAULT_PROFILE.filter if plugin.name != "NodeName"]))
def test_what_is_said_to_help_against_one_filter_helps(seed: int, plugin: Any) -> None:
    snapshot, pod = random_cluster(Draw(seed))
    alone = Profile((plugin, 0))

    found = explain(snapshot, pod, {"default-scheduler": alone})

    follows = "podAffinity" in pod["spec"]["affinity"]  # who stands in its way may be the one that it follows
    for near in found.nearest:
        remedies = [remedy for obstacle in near.obstacles for remedy in obstacle.remedies]
        known = remedies and math.isfinite(near.effort)  # else it takes another pod, or another node
        if known and not (follows and plugin.name == "InterPodAffinity"):
            assert near.tried, (near, pod)


def random_cluster(draw: Draw) -> tuple[dict[str, list[Object]], Object]:
    """Crowded: most pods have found a node somehow, and few nodes are left for the one that is asked about."""
    nodes = [draw.node(f"n{number}") for number in range(draw.chance.randint(1, 5))]
    pods = []
    for number in range(draw.chance.randrange(12)):
        pod = draw.pod(f"p{number}")
        pods.append({**pod, "spec": {**pod["spec"], "nodeName": name_of(draw.one_of(nodes))}})
    pod = draw.pod("asked")
    return {"nodes": nodes, "pods": [*pods, pod]}, pod


def reference_of(snapshot: dict[str, list[Object]], pod: Object) -> Cluster:
    cluster = Cluster()
    for node in snapshot["nodes"]:
        cluster.set_node(node)
    for other in snapshot["pods"]:
        if name_of(other) != name_of(pod):
            cluster.place(other, other["spec"]["nodeName"])
    return cluster
