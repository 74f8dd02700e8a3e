"""Which pods a node takes, and what it says about itself."""

from __future__ import annotations

from typing import Any

from actors.kubelet.admission import refusal
from actors.kubelet.machine import SIMULATED, read_machine
from actors.kubelet.node_status import (
    NodeIdentity,
    allocatable,
    lease,
    node_object,
    node_status,
    registered,
    says_the_same,
)
from protocols.rules.conditions import find_condition

IDENTITY = NodeIdentity("node-1", "127.64.0.1", "127.65.1.0/24", (("disk", "ssd"),))
NODE = node_object(IDENTITY, SIMULATED)


def pod(cpu: str = "", **spec: Any) -> dict[str, Any]:
    resources = {"requests": {"cpu": cpu}} if cpu else {}
    return {"metadata": {"name": "p"}, "spec": {"containers": [{"name": "main", "resources": resources}], **spec}}


def test_a_pod_is_taken_as_long_as_there_is_room() -> None:
    room = allocatable(SIMULATED)

    assert refusal(pod("5"), NODE, room, [{"cpu": 3000}]) is None
    refused = refusal(pod("5"), NODE, room, [{"cpu": 3000}, {"cpu": 1}])

    assert refused is not None
    assert (refused.reason, "requested: 5000, used: 3001, capacity: 8000" in refused.message) == ("OutOfcpu", True)


def test_a_node_takes_so_many_pods_and_no_more() -> None:
    room = allocatable(SIMULATED)

    assert refusal(pod(), NODE, room, [{}] * 109) is None
    assert (refused := refusal(pod(), NODE, room, [{}] * 110)) is not None and refused.reason == "OutOfpods"


def test_selectors_and_noexecute_taints_are_respected() -> None:
    room = allocatable(SIMULATED)
    taint = {"key": "down", "effect": "NoExecute"}
    tainted = {**NODE, "spec": {**NODE["spec"], "taints": [taint, {"key": "busy", "effect": "NoSchedule"}]}}

    wrong_node = refusal(pod(nodeSelector={"disk": "hdd"}), NODE, room, [])

    assert refusal(pod(nodeSelector={"disk": "ssd"}), NODE, room, []) is None
    assert wrong_node is not None and wrong_node.reason == "NodeAffinity"
    assert (refused := refusal(pod(), tainted, room, [])) is not None and refused.reason == "TaintToleration"
    assert refusal(pod(tolerations=[{"key": "down", "operator": "Exists"}]), tainted, room, []) is None


def test_a_node_that_registers_again_keeps_what_others_set() -> None:
    known = {
        "metadata": {"name": "node-1", "uid": "u", "labels": {"team": "blue", "kubernetes.io/arch": "old"}},
        "spec": {"podCIDR": "10.0.0.0/24", "taints": [{"key": "x", "effect": "NoSchedule"}], "unschedulable": True},
    }

    again = registered(known, IDENTITY, SIMULATED)

    assert again["spec"] == {**NODE["spec"], **known["spec"]}
    assert (again["metadata"]["labels"]["team"], again["metadata"]["labels"]["kubernetes.io/arch"]) == ("blue", "amd64")
    assert registered(again, IDENTITY, SIMULATED) == again


def test_a_status_changes_only_when_something_is_different() -> None:
    network = {"type": "NetworkUnavailable", "status": "False", "reason": "RouteCreated", "message": ""}
    first = node_status({"status": {"conditions": [network]}}, IDENTITY, SIMULATED, "sim://1", "", 1000)

    later = node_status({"status": first}, IDENTITY, SIMULATED, "sim://1", "", 1300)
    down = node_status({"status": later}, IDENTITY, SIMULATED, "sim://1", "container runtime is down", 1400)

    assert says_the_same(first, later) and not says_the_same(later, down)
    ready = find_condition(down["conditions"], "Ready")
    assert ready is not None and (ready["status"], ready["message"]) == ("False", "container runtime is down")
    assert find_condition(later["conditions"], "Ready")["lastTransitionTime"] == "1970-01-01T00:16:40Z"  # type: ignore[index]
    assert later["conditions"][0] == network


def test_a_lease_belongs_to_its_node_and_keeps_its_revision() -> None:
    node = {"metadata": {"name": "node-1", "uid": "u"}}
    first = lease(node, None, 1000)
    stored = {**first, "metadata": {**first["metadata"], "resourceVersion": "7"}}

    renewed = lease(node, stored, 1010.5)

    assert first["metadata"]["ownerReferences"][0]["uid"] == "u"
    assert renewed["metadata"]["resourceVersion"] == "7"
    assert renewed["spec"]["renewTime"] == "1970-01-01T00:16:50.500000Z"


def test_the_real_machine_has_processors_and_memory() -> None:
    room = allocatable(read_machine())

    assert room["cpu"] >= 1000 and room["memory"] > 1 << 28 and room["ephemeral-storage"] > 1 << 28
