"""One decision: its ties broken by chance, its refusals explained in Kubernetes' words."""

from __future__ import annotations

from typing import Any

from actors.scheduler.cycle import SchedulingCycle, gate
from actors.scheduler.demand import PodDemand
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


def test_says_what_is_wrong_with_each_node() -> None:
    taints = [{"key": "dedicated", "value": "gpu", "effect": "NoSchedule"}]
    nodes = [make_node("n0", cpu="1"), make_node("n1", taints=taints), make_node("n2", taints=taints)]

    refused = attempt(make_pod("p", "2"), nodes)

    assert refused.message == (
        "0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s). "
        "preemption: 0/3 nodes are available: 3 Preemption is not helpful for scheduling."
    )
    assert refused.refused_by == ("NodeResourcesFit", "TaintToleration")


def test_says_all_that_one_node_lacks() -> None:
    node = make_node("n0", cpu="1", memory="1Gi", pods="1")

    refused = attempt(make_pod("p", "500m", "600Mi"), [node], [make_pod("q", "600m", "600Mi", node="n0")])

    assert refused.message == (
        "0/1 nodes are available: 1 Insufficient cpu, 1 Insufficient memory, 1 Too many pods. "
        "preemption: 0/1 nodes are available: 1 No preemption victims found for incoming pod."
    )


def test_admits_that_it_does_not_preempt() -> None:
    full = [make_pod("q", "4", node="n0", priority=1)]

    refused = attempt(make_pod("p", "4", priority=2), [make_node("n0")], full)

    assert "1 Preemption of lower-priority pods is not supported." in refused.message


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

    assert refused.message.startswith("0/2 nodes are available: pod affinity terms conflict. preemption: ")
    assert refused.refused_by == ("NodeAffinity",)


def test_scheduling_gates_keep_a_pod_out() -> None:
    gated = gate(PodDemand(make_pod("p", schedulingGates=[{"name": "x.io/wait"}])), DEFAULT_PROFILE)

    assert gated is not None
    assert gated.reasons == ("waiting for scheduling gates: [x.io/wait]",)
    assert gate(PodDemand(make_pod("p", schedulingGates=[])), DEFAULT_PROFILE) is None


def pinned_pod(*names: str) -> Object:
    """A pod whose one term names each of the nodes, as the pods of a DaemonSet name theirs."""
    fields = [{"key": "metadata.name", "operator": "In", "values": [name]} for name in names]
    required = {"nodeSelectorTerms": [{"matchFields": fields}]}
    return make_pod("p", affinity={"nodeAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": required}})
