"""A node in a cloud waits for the cloud controller manager, once."""

from __future__ import annotations

from actors.kubelet.machine import SIMULATED
from actors.kubelet.node_status import NodeIdentity, node_object, registered
from protocols.rules.taints import UNINITIALIZED

IN_CLOUD = NodeIdentity("node-1", "127.64.0.1", "127.65.1.0/24", in_cloud=True)


def test_a_node_in_a_cloud_registers_tainted_and_without_a_provider_id() -> None:
    spec = node_object(IN_CLOUD, SIMULATED)["spec"]

    assert [taint["key"] for taint in spec["taints"]] == [UNINITIALIZED]
    assert "providerID" not in spec


def test_a_kubelet_that_starts_again_does_not_bring_the_taint_back() -> None:
    initialised = node_object(IN_CLOUD, SIMULATED)
    initialised["spec"] = {"podCIDR": "127.65.1.0/24", "providerID": "local://node-1"}

    again = registered(initialised, IN_CLOUD, SIMULATED)["spec"]

    assert "taints" not in again
    assert again["providerID"] == "local://node-1"


def test_a_node_without_a_cloud_is_complete_by_itself() -> None:
    spec = node_object(IN_CLOUD._replace(in_cloud=False), SIMULATED)["spec"]

    assert "taints" not in spec
    assert spec["providerID"] == "actorkube://node-1"
