"""The plugins one by one, in worked examples of kube-scheduler's."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from actors.scheduler.columns import ALL
from actors.scheduler.cycle import SchedulingCycle
from actors.scheduler.demand import HostPort, PodDemand, host_ports
from actors.scheduler.framework import ClusterEvent, Cycle, Profile, Skip, normalize_by_max
from actors.scheduler.plugins.image_locality import ImageLocality, full_name
from actors.scheduler.plugins.node_declared_features import NodeDeclaredFeatures
from actors.scheduler.plugins.node_name import NodeName
from actors.scheduler.plugins.node_ports import NodePorts
from actors.scheduler.plugins.node_resources_balanced import NodeResourcesBalancedAllocation
from actors.scheduler.plugins.node_resources_fit import NodeResourcesFit
from actors.scheduler.plugins.node_unschedulable import NodeUnschedulable
from actors.scheduler.plugins.pod_topology_spread import PodTopologySpread
from actors.scheduler.plugins.taint_toleration import TaintToleration
from protocols.objects import Object
from tests.scheduler.worlds import cluster, make_node, make_pod

MIB = 1024 * 1024
HOST, ZONE = "kubernetes.io/hostname", "topology.kubernetes.io/zone"


def alone(plugin: Any, *objects: Object, filters: list[str] | None = None) -> SchedulingCycle:
    """A scheduler with this one plugin, and a cluster of these nodes and pods."""
    nodes = [obj for obj in objects if "allocatable" in obj["status"]]
    pods = [obj for obj in objects if obj not in nodes]
    return SchedulingCycle(
        cluster(nodes, pods), Profile((plugin, 1), points={"filter": filters} if filters is not None else None)
    )


def refusal(plugin: Any, pod: Object, node: Object, *placed: Object) -> tuple[tuple[str, ...], bool] | None:
    refusals = alone(plugin, node, *placed).examine(PodDemand(pod)).refusals
    return refusals["n0"][1] if refusals else None


def test_nodes_without_the_label_are_a_domain_of_the_default_spreading() -> None:
    """They are rated too, as no pod asks for the label: of zones there are two here, as kube-scheduler counts."""
    nodes = [
        make_node(name, labels={HOST: name, **zone})
        for name, zone in (("a", {ZONE: "z"}), ("b", {ZONE: "z"}), ("c", {}))
    ]
    pods = [make_pod(f"on-{place}-{index}", node=place) for index, place in enumerate("aab")]
    for pod in (new := make_pod("new"), *pods):
        pod["metadata"]["labels"] = {"app": "web"}
    cycle = alone(PodTopologySpread(), *nodes, *pods)
    service = {"metadata": {"name": "web", "namespace": "default"}, "spec": {"selector": {"app": "web"}}}
    cycle.state.groups.set("Service", service)

    scores = cycle.examine(PodDemand(new)).by_plugin["PodTopologySpread"]

    assert scores == {"a": 15, "b": 23, "c": 100}


def score(plugin: Any, pod: Object, *objects: Object) -> int:
    scores = alone(plugin, *objects, filters=[]).examine(PodDemand(pod)).by_plugin.get(plugin.name)
    return scores["n0"] if scores else 0


@pytest.mark.parametrize(
    ("cpu", "memory", "expected"),
    [
        ("3", "1Gi", None),
        ("3001m", "1Gi", (("Insufficient cpu",), True)),
        ("5", "1Gi", (("Insufficient cpu",), False)),
        ("3001m", "9Gi", (("Insufficient cpu", "Insufficient memory"), False)),
        (None, None, None),
        ("0", "0", None),
    ],
)
def test_a_node_needs_room_for_the_requests(cpu: str | None, memory: str | None, expected: Any) -> None:
    taken = make_pod("q", "1", "1Gi", node="n0")

    assert refusal(NodeResourcesFit(), make_pod("p", cpu, memory), make_node("n0"), taken) == expected


def test_a_full_node_takes_not_even_a_pod_that_asks_for_nothing() -> None:
    node = make_node("n0", pods="1")

    assert refusal(NodeResourcesFit(), make_pod("p"), node, make_pod("q", node="n0")) == (("Too many pods",), True)


def test_devices_count_as_well() -> None:
    pod = make_pod("p", "1")
    pod["spec"]["containers"][0]["resources"]["requests"]["x.io/gpu"] = "2"

    assert refusal(NodeResourcesFit(), pod, make_node("n0")) == (("Insufficient x.io/gpu",), False)
    assert refusal(NodeResourcesFit(), pod, make_node("n0", extra={"x.io/gpu": "2"})) is None


def test_pods_that_are_over_take_nothing() -> None:
    done = make_pod("q", "4", node="n0", phase="Succeeded")

    assert refusal(NodeResourcesFit(), make_pod("p", "4"), make_node("n0"), done) is None


@pytest.mark.parametrize(
    ("cpu", "memory", "expected"),
    [
        ("1", "2Gi", 75),  # (75 + 75) / 2
        ("1", "4Gi", 62),  # (75 + 50) / 2
        ("4", "8Gi", 0),
        ("5", "2Gi", 37),  # too much counts as nothing free: (0 + 75) / 2
        (None, None, 97),  # a small pod of 100m and 200Mi: (97 + 97) / 2
    ],
)
def test_prefers_the_node_with_most_room(cpu: str | None, memory: str | None, expected: int) -> None:
    assert score(NodeResourcesFit(), make_pod("p", cpu, memory), make_node("n0")) == expected


def test_a_resource_that_the_node_lacks_does_not_count() -> None:
    assert score(NodeResourcesFit(), make_pod("p", "1"), make_node("n0", memory="0")) == 75
    assert score(NodeResourcesFit(), make_pod("p", "1"), make_node("n0", cpu="0", memory="0")) == 0


@pytest.mark.parametrize(
    ("cpu", "memory", "placed", "expected"),
    [
        ("1", "2Gi", (), 75),  # stays balanced
        ("2", "0", (), 62),  # 50/0 percent: balance 75 after 100
        ("0", "4Gi", (("2", "0"),), 87),  # evens it out: 100 after 75
        ("8", "16Gi", (), 75),  # more than there is counts as all
    ],
)
def test_prefers_what_makes_the_node_even(cpu: str, memory: str, placed: Any, expected: int) -> None:
    others = [make_pod(f"q{index}", *requests, node="n0") for index, requests in enumerate(placed)]

    assert score(NodeResourcesBalancedAllocation(), make_pod("p", cpu, memory), make_node("n0"), *others) == expected


def test_a_pod_that_asks_for_nothing_does_not_change_the_balance() -> None:
    pre_score = NodeResourcesBalancedAllocation().pre_score

    assert isinstance(pre_score(Cycle(cluster([]), PodDemand(make_pod("p", "0")).shape)), Skip)
    assert pre_score(Cycle(cluster([]), PodDemand(make_pod("p", "1")).shape)) is None


def test_an_untolerated_taint_keeps_a_pod_away() -> None:
    taints = [
        {"key": "soft", "effect": "PreferNoSchedule"},
        {"key": "mine", "effect": "NoExecute"},
        {"key": "gpu", "value": "yes", "effect": "NoSchedule"},
    ]
    pod = make_pod("p", tolerations=[{"key": "mine", "operator": "Exists"}])

    refused = refusal(TaintToleration(), pod, make_node("n0", taints=taints))

    assert refused == (("node(s) had untolerated taint(s)",), False)


def test_soft_taints_are_counted_unless_a_soft_toleration_covers_them() -> None:
    taints = [{"key": key, "effect": "PreferNoSchedule"} for key in ("a", "b", "c")]
    tolerations = [
        {"key": "a", "operator": "Exists", "effect": "PreferNoSchedule"},
        {"key": "b", "operator": "Exists"},
        {"key": "c", "operator": "Exists", "effect": "NoSchedule"},
    ]
    plugin, pod = TaintToleration(), make_pod("p", tolerations=tolerations)
    cycle = Cycle(cluster([make_node("n0", taints=taints)]), PodDemand(pod).shape)

    scores = plugin.score(cycle, ALL)

    assert scores is not None
    assert scores.max() == 1
    assert numbers(plugin.normalize_score(cycle, np.array([3.0, 1, 0]), np.ones(3, np.bool_))) == [0, 67, 100]


def numbers(scores: Any) -> list[float] | None:
    return None if scores is None else scores.tolist()


@pytest.mark.parametrize(
    ("scores", "straight", "reversed_"),
    [([0, 0], None, None), ([1, 3, 2], [33, 100, 66], [67, 0, 34]), ([], None, None)],
)
def test_normalising_stretches_by_the_highest(scores: list[int], straight: Any, reversed_: Any) -> None:
    values, feasible = np.array(scores, np.float64), np.ones(len(scores), np.bool_)

    assert numbers(normalize_by_max(values, feasible)) == straight
    assert numbers(normalize_by_max(values, feasible, reverse=True)) == reversed_


def test_only_feasible_nodes_count_for_the_highest() -> None:
    stretched = normalize_by_max(np.array([9.0, 3, 1]), np.array([False, True, True]))

    assert stretched is not None
    assert stretched.tolist()[1:] == [100, 33]


def test_a_cordoned_node_takes_only_who_tolerates_it() -> None:
    node = make_node("n0", unschedulable=True)
    tolerant = make_pod("p", tolerations=[{"key": "node.kubernetes.io/unschedulable", "operator": "Exists"}])

    assert refusal(NodeUnschedulable(), make_pod("p"), node) == (("node(s) were unschedulable",), False)
    assert refusal(NodeUnschedulable(), tolerant, node) is None


def test_a_named_node_is_the_only_one() -> None:
    assert refusal(NodeName(), make_pod("p", node="n0"), make_node("n0")) is None
    assert refusal(NodeName(), make_pod("p", node="n1"), make_node("n0")) is not None


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        ({"hostPort": 80}, True),
        ({"hostPort": 80, "hostIP": "127.0.0.2"}, False),
        ({"hostPort": 80, "hostIP": "127.0.0.1"}, True),
        ({"hostPort": 80, "protocol": "UDP"}, False),
        ({"hostPort": 81}, False),
        ({"containerPort": 80}, False),
    ],
)
def test_a_host_port_is_taken_once_per_address_and_protocol(wanted: dict[str, Any], taken: bool) -> None:
    other = make_pod("q", node="n0", ports=[{"hostPort": 80, "hostIP": "127.0.0.1"}])

    assert (refusal(NodePorts(), make_pod("p", ports=[wanted]), make_node("n0"), other) is not None) is taken


def test_sidecars_open_host_ports_and_other_init_containers_do_not() -> None:
    port = [{"hostPort": 80}]
    spec = {"initContainers": [{"ports": port}, {"ports": port, "restartPolicy": "Always"}], "containers": []}

    assert host_ports(spec) == (HostPort("0.0.0.0", "TCP", 80),)


def test_prefers_the_node_that_has_the_image_scaled_by_its_spread() -> None:
    image = {"names": ["app:latest"], "sizeBytes": 523 * MIB}
    nodes = [make_node("n0", images=[image]), make_node("n1", images=[image]), make_node("n2"), make_node("n3")]

    scores = alone(ImageLocality(), *nodes).examine(PodDemand(make_pod("p", image="app"))).by_plugin["ImageLocality"]

    # Half of the nodes have it: 261.5 MiB of what counts between 23 and 1000 MiB.
    expected = 100 * (523 * MIB // 2 - 23 * MIB) // (977 * MIB)
    assert expected == 24
    assert scores == {"n0": expected, "n1": expected, "n2": 0, "n3": 0}


def test_an_unknown_image_says_nothing() -> None:
    assert alone(ImageLocality(), make_node("n0")).examine(PodDemand(make_pod("p"))).by_plugin == {}


@pytest.mark.parametrize(
    ("image", "full"),
    [
        ("app", "app:latest"),
        ("app:1", "app:1"),
        ("host:5000/app", "host:5000/app:latest"),
        ("a@sha256:1", "a@sha256:1"),
    ],
)
def test_an_image_without_a_tag_is_the_latest(image: str, full: str) -> None:
    assert full_name(image) == full


RESTART_ALL, USER_NAMESPACES = "RestartAllContainersOnContainerExits", "UserNamespacesHostNetworkSupport"


def restarting(action: str, where: str = "containers") -> Object:
    """A pod whose container says what is to happen when it exits."""
    pod = make_pod("p")
    rule = {"action": action, "exitCodes": {"operator": "In", "values": [7]}}
    pod["spec"].setdefault(where, [{"name": "init"}])[0]["restartPolicyRules"] = [rule]
    return pod


def declaring(*features: str) -> Object:
    node = make_node("n0")
    node["status"]["declaredFeatures"] = list(features)
    return node


@pytest.mark.parametrize(
    ("pod", "features", "fits"),
    [
        (make_pod("p"), [], True),
        (restarting("Restart"), [], True),
        (restarting("RestartAllContainers"), [], False),
        (restarting("RestartAllContainers"), [USER_NAMESPACES], False),
        (restarting("RestartAllContainers"), [USER_NAMESPACES, RESTART_ALL], True),
        (restarting("RestartAllContainers", "initContainers"), [], False),
        (make_pod("p", hostNetwork=True, hostUsers=False), [], False),
        (make_pod("p", hostNetwork=True, hostUsers=False), [USER_NAMESPACES], True),
        (make_pod("p", hostNetwork=True), [], True),
        (make_pod("p", hostUsers=False), [], True),
    ],
)
def test_what_a_pod_needs_of_a_kubelet_its_node_has_to_declare(pod: Object, features: list[str], fits: bool) -> None:
    expected = None if fits else (("node(s) didn't match Pod's required features",), False)

    assert refusal(NodeDeclaredFeatures(), pod, declaring(*features)) == expected


def test_a_node_that_declares_more_is_news() -> None:
    state = cluster([make_node("n0")])
    cycle = SchedulingCycle(state, Profile((NodeDeclaredFeatures(), 1)))
    pod = PodDemand(restarting("RestartAllContainers"), state.shapes)
    before = cycle.fits(pod, "n0")

    event = state.set_node(declaring(RESTART_ALL))

    assert event in NodeDeclaredFeatures.events and event is ClusterEvent.NODE_FEATURE
    assert (before, cycle.fits(pod, "n0")) == (False, True)


def test_pods_that_need_more_of_a_kubelet_are_of_another_shape() -> None:
    plain, demanding = PodDemand(restarting("Restart")), PodDemand(restarting("RestartAllContainers"))

    assert plain.shape.key != demanding.shape.key
    assert PodDemand(make_pod("p", hostUsers=False)).shape.key != PodDemand(make_pod("p")).shape.key
