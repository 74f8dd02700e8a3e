"""One decision: its ties broken by chance, its refusals explained in Kubernetes' words."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from actors.scheduler.columns import Ints, Rows
from actors.scheduler.cycle import Decision, SchedulingCycle, gate
from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import Cycle, Profile
from actors.scheduler.plugins.node_resources_fit import NodeResourcesFit
from actors.scheduler.profile import DEFAULT_PROFILE
from protocols.objects import Object
from tests.scheduler.worlds import cluster, make_node, make_pod


def attempt(pod: Object, nodes: list[Object], placed: list[Object] | None = None, seed: int = 1) -> Any:
    return SchedulingCycle(cluster(nodes, placed or [], seed), DEFAULT_PROFILE).decide(PodDemand(pod))


def test_breaks_ties_by_chance_and_the_same_chance_the_same_way() -> None:
    nodes = [make_node(f"n{index}") for index in range(4)]

    chosen = [attempt(make_pod("p"), nodes, seed=seed).node for seed in range(40)]

    assert set(chosen) == {"n0", "n1", "n2", "n3"}
    assert chosen == [attempt(make_pod("p"), nodes, seed=seed).node for seed in range(40)]


def test_spreads_pods_over_equal_nodes() -> None:
    nodes = [make_node(f"n{index}") for index in range(3)]
    placed: list[Object] = []
    for index in range(6):
        decision = attempt(make_pod(f"p{index}", "500m", "1Gi"), nodes, placed)
        placed.append(make_pod(f"p{index}", "500m", "1Gi", node=decision.node))

    assert sorted(pod["spec"]["nodeName"] for pod in placed) == ["n0", "n0", "n1", "n1", "n2", "n2"]


def test_nodes_are_rated_by_what_the_containers_ask_for() -> None:
    """Not by what the pod asks for as a whole, which counts when it is placed: seen of kube-scheduler 1.36."""
    whole = {"requests": {"cpu": "3", "memory": "5Gi"}}
    cycle = SchedulingCycle(cluster([make_node("n0", "4", "8Gi"), make_node("n1", "4", "8Gi")]), DEFAULT_PROFILE)

    first = cycle.examine(PodDemand(make_pod("p", "50m", "700Mi", resources=whole)))
    cycle.state.set_pod(make_pod("q", "50m", "700Mi", node="n0", resources=whole))
    then = cycle.examine(PodDemand(make_pod("p", "50m", "700Mi")))

    assert first.by_plugin["NodeResourcesFit"] == {"n0": 94, "n1": 94}
    assert then.by_plugin["NodeResourcesFit"] == {"n0": 25, "n1": 94}


def test_says_what_is_wrong_with_each_node() -> None:
    taints = [{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}]
    nodes = [make_node("n0", cpu="1"), make_node("n1", taints=taints), make_node("n2", taints=taints)]

    refused = attempt(make_pod("p", "2"), nodes)

    assert refused.message == (
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s). no new claims to deallocate, "
        "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    )
    assert refused.refused_by == ("NodeResourcesFit", "TaintToleration")


def test_says_all_that_one_node_lacks() -> None:
    node = make_node("n0", cpu="1", memory="1Gi", pods="1")

    refused = attempt(make_pod("p", "500m", "600Mi"), [node], [make_pod("q", "600m", "600Mi", node="n0")])

    assert refused.message == (
        "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 Too many pods. no new claims to "
        "deallocate, preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    )


def test_a_pod_that_never_preempts_is_told_so() -> None:
    refused = attempt(make_pod("p", "5", preemptionPolicy="Never"), [make_node("n0")])

    assert refused.message.endswith("preemption: not eligible due to preemptionPolicy=Never.")


def test_without_nodes_there_is_nothing_to_say_about_them() -> None:
    assert attempt(make_pod("p"), []).message == "no nodes available to schedule pods"


def test_a_pod_that_names_its_node_looks_at_no_other() -> None:
    refused = attempt(pinned_pod("n1"), [make_node("n0"), make_node("n1", unschedulable=True)])

    assert refused.message.startswith(
        "0/2 nodes are available: 1 node(s) didn't satisfy plugin(s) [NodeAffinity], 1 node(s) were unschedulable. "
    )
    assert attempt(pinned_pod("n1"), [make_node("n0"), make_node("n1")]).node == "n1"


def test_contradictory_names_are_refused_altogether() -> None:
    refused = attempt(pinned_pod("n0", "n1"), [make_node("n0"), make_node("n1")])

    assert refused.message == "0/2 nodes are available: pod affinity terms conflict. not found"
    assert refused.refused_by == ("NodeAffinity",)


def test_scheduling_gates_keep_a_pod_out() -> None:
    gated = gate(PodDemand(make_pod("p", schedulingGates=[{"name": "x.io/wait"}])), DEFAULT_PROFILE, cluster([]))

    assert gated is not None
    assert gated.reasons == ("waiting for scheduling gates: [x.io/wait]",)
    assert gate(PodDemand(make_pod("p", schedulingGates=[])), DEFAULT_PROFILE, cluster([])) is None


def pinned_pod(*names: str) -> Object:
    """A pod whose one term names each of the nodes, as the pods of a DaemonSet name theirs."""
    fields = [{"key": "metadata.name", "operator": "In", "values": [name]} for name in names]
    required = {"nodeSelectorTerms": [{"matchFields": fields}]}
    return make_pod("p", affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}})


class OnlyX(NodeResourcesFit):
    """A plugin of somebody's that looks at more than the one that it derives from."""

    def filter_one(self, cycle: Cycle, row: int) -> int:
        return super().filter_one(cycle, row) if cycle.shape.labels.get("app") == "x" else 1

    def filter(self, cycle: Cycle, rows: Rows) -> Ints:
        numbers = super().filter(cycle, rows)
        return numbers if cycle.shape.labels.get("app") == "x" else np.ones_like(numbers)


@pytest.mark.parametrize("fit", [NodeResourcesFit(), OnlyX()])
def test_shapes_share_answers_only_if_nobody_looks_at_more_than_amounts(fit: NodeResourcesFit) -> None:
    state = cluster([make_node("n0")])
    cycle, pods = SchedulingCycle(state, Profile((fit, 1))), [make_pod(name, "1") for name in "xy"]
    for pod in pods:
        pod["metadata"]["labels"] = {"app": pod["metadata"]["name"]}

    found = [isinstance(cycle.decide(PodDemand(pod, state.shapes)), Decision) for pod in pods]

    assert found == [True, not isinstance(fit, OnlyX)]


@pytest.mark.parametrize("merged", [True, False])
def test_label_keys_mean_the_labels_that_a_pod_was_created_with(merged: bool) -> None:
    """What the API server has put into the selector stays, though the pod's label is another now."""
    nodes = [make_node(f"n{index}", labels={"zone": str(index)}) for index in range(3)]
    placed = [make_pod(f"q{index}", node=f"n{index}") for index in range(2)]
    for pod, tenant in zip(placed, ("a", "b"), strict=True):
        pod["metadata"]["labels"] = {"app": "web", "tenant": tenant}
    expressions = [{"key": "tenant", "operator": "NotIn", "values": ["a"]}] if merged else []
    chosen = {"matchLabels": {"app": "web"}, "matchExpressions": expressions}
    term = {"topologyKey": "zone", "labelSelector": chosen, "mismatchLabelKeys": ["tenant"]}
    pod = make_pod("p", affinity={"podAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}})
    pod["metadata"]["labels"] = {"tenant": "b"}

    decision = attempt(pod, nodes, placed)

    assert decision.node == ("n1" if merged else "n0")


@pytest.mark.parametrize("given", ["zone", "other"])
def test_a_pod_is_seen_with_the_labels_that_its_binding_gave_it(given: str) -> None:
    """It takes what it took when it was assumed; but what others say about its labels holds from now on."""
    state = cluster(
        [make_node("n0", labels={"kubernetes.io/hostname": "n0"})], [make_pod("resting", node="n0", cpu="1")]
    )
    cycle, pod = SchedulingCycle(state, DEFAULT_PROFILE), make_pod("p", cpu="1", uid="u")
    state.assume(PodDemand(pod), "n0")
    bound = {**pod, "spec": {**pod["spec"], "nodeName": "n0"}}
    bound["metadata"] = {**pod["metadata"], "labels": {given: "a"}}

    changed = state.set_pod(bound)

    term = {"labelSelector": {"matchLabels": {"zone": "a"}}, "topologyKey": "kubernetes.io/hostname"}
    apart = {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [term]}}
    found = cycle.decide(PodDemand(make_pod("q", affinity=apart)))
    state.check()
    assert changed == "n0"
    assert isinstance(found, Decision) == (given == "other")
    assert state.nodes["n0"].requested["cpu"] == 2000
