"""The Node that a kubelet registers, its status, and its lease. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from actors.kubelet.machine import Machine
from protocols.objects import Object, labels_of, meta, name_of, uid_of
from protocols.rules.conditions import Condition, find_condition, with_condition
from protocols.rules.quantity import NANOS, format_quantity
from protocols.rules.resources import Amounts, amounts
from protocols.rules.taints import UNINITIALIZED
from protocols.rules.times import micro_time_of, time_of

KUBERNETES_VERSION = "1.36"  # where the cluster does not say another
LEASE_NAMESPACE = "kube-node-lease"
LEASE_DURATION_S = 40
PODS_MAX = 110
_PRESSURES = {
    "MemoryPressure": ("KubeletHasSufficientMemory", "kubelet has sufficient memory available"),
    "DiskPressure": ("KubeletHasNoDiskPressure", "kubelet has no disk pressure"),
    "PIDPressure": ("KubeletHasSufficientPID", "kubelet has sufficient PID available"),
}


class NodeIdentity(NamedTuple):
    """What a node is by configuration. `in_cloud`: a cloud controller manager tells it the rest.

    `kubernetes_version`: of the API that the cluster serves, such as "1.33".
    """

    name: str
    ip: str
    pod_cidr: str
    labels: tuple[tuple[str, str], ...] = ()
    in_cloud: bool = False
    kubernetes_version: str = KUBERNETES_VERSION

    @property
    def minor(self) -> int:
        return int(self.kubernetes_version.partition(".")[2])


def node_object(identity: NodeIdentity, machine: Machine) -> Object:
    """The Node as it is registered, without its status."""
    spec: Object = {"podCIDR": identity.pod_cidr, "podCIDRs": [identity.pod_cidr]} if identity.pod_cidr else {}
    if identity.in_cloud:
        spec["taints"] = [{"key": UNINITIALIZED, "value": "true", "effect": "NoSchedule"}]
    else:
        spec["providerID"] = f"actorkube://{identity.name}"
    metadata = {"name": identity.name, "labels": node_labels(identity, machine)}
    return {"apiVersion": "v1", "kind": "Node", "metadata": metadata, "spec": spec}


def node_labels(identity: NodeIdentity, machine: Machine) -> dict[str, str]:
    return {
        "kubernetes.io/hostname": identity.name,
        "kubernetes.io/os": machine.operating_system,
        "kubernetes.io/arch": machine.architecture,
        "beta.kubernetes.io/os": machine.operating_system,
        "beta.kubernetes.io/arch": machine.architecture,
        **dict(identity.labels),
    }


def registered(known: Object, identity: NodeIdentity, machine: Machine) -> Object:
    """A Node that exists already, with what this kubelet is sure about; other labels and the taints are others'."""
    wanted = node_object(identity, machine)
    metadata = {**meta(known), "labels": {**labels_of(known), **labels_of(wanted)}}
    sure = {field: value for field, value in wanted["spec"].items() if field != "taints"}
    return {**known, "metadata": metadata, "spec": {**sure, **(known.get("spec") or {})}}


def node_status(
    known: Object, identity: NodeIdentity, machine: Machine, runtime: str, trouble: str, now: float
) -> dict[str, Any]:
    """The new status; `trouble` says why the node is not ready, "" when it is. Other owners' conditions are kept."""
    old = known.get("status") or {}
    conditions = list(old.get("conditions") or ())
    for type, (reason, message) in _PRESSURES.items():
        conditions = with_condition(conditions, type, "False", reason, message, now)
    ready = (
        ("False", "KubeletNotReady", trouble)
        if trouble
        else ("True", "KubeletReady", "kubelet is posting ready status")
    )
    conditions = with_condition(conditions, "Ready", *ready, now)
    heartbeat = time_of(now)
    own = {*_PRESSURES, "Ready"}
    resources = capacity(machine)
    return {
        **old,
        "capacity": resources,
        "allocatable": resources,
        "conditions": [{**c, "lastHeartbeatTime": heartbeat} if c["type"] in own else c for c in conditions],
        "addresses": [
            {"type": "InternalIP", "address": identity.ip},
            {"type": "Hostname", "address": identity.name},
        ],
        "nodeInfo": _node_info(machine, runtime, identity.kubernetes_version),
    }


def told_of(before: Sequence[Condition], now: Sequence[Condition]) -> Iterator[str]:
    """The reasons of the events by which the kubelet tells what has become otherwise. That a new node is ready, it does
    not say."""
    for condition in now:
        type, status = condition["type"], condition["status"]
        known = find_condition(before, type)
        if known is not None and known["status"] == status:
            continue
        if type in _PRESSURES and status == "False":
            yield condition["reason"].replace("Kubelet", "Node")
        elif type == "Ready" and known is not None:
            yield "NodeReady" if status == "True" else "NodeNotReady"


def node_reference(name: str) -> dict[str, Any]:
    """As kubelets name their node in events: they know no uid of it, and `kubectl describe` looks for either."""
    return {"kind": "Node", "name": name, "uid": name}


def capacity(machine: Machine) -> dict[str, str]:
    return {
        "cpu": str(machine.cpus),
        "memory": format_quantity(machine.memory_bytes // 1024 * 1024 * NANOS, "BinarySI"),
        "ephemeral-storage": format_quantity(machine.storage_bytes // 1024 * 1024 * NANOS, "BinarySI"),
        "pods": str(PODS_MAX),
    }


def allocatable(machine: Machine) -> Amounts:
    return amounts(capacity(machine))


def says_the_same(one: dict[str, Any], other: dict[str, Any]) -> bool:
    """But for the heartbeat: then it need not be written before the heartbeat is due."""
    return _without_heartbeats(one) == _without_heartbeats(other)


def lease(node: Object, known: Object | None, now: float) -> Object:
    """The node's lease, renewed."""
    name = name_of(node)
    owner = {"apiVersion": "v1", "kind": "Node", "name": name, "uid": uid_of(node)}
    metadata = meta(known) if known else {"name": name, "namespace": LEASE_NAMESPACE, "ownerReferences": [owner]}
    spec = {"holderIdentity": name, "leaseDurationSeconds": LEASE_DURATION_S, "renewTime": micro_time_of(now)}
    return {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": metadata, "spec": spec}


def _node_info(machine: Machine, runtime: str, kubernetes_version: str) -> dict[str, str]:
    return {
        "machineID": machine.machine_id,
        "systemUUID": machine.machine_id,
        "bootID": machine.boot_id,
        "kernelVersion": machine.kernel_version,
        "osImage": machine.os_image,
        "containerRuntimeVersion": runtime,
        "kubeletVersion": f"v{kubernetes_version}.0+actorkube",
        "kubeProxyVersion": "",
        "operatingSystem": machine.operating_system,
        "architecture": machine.architecture,
    }


def _without_heartbeats(status: dict[str, Any]) -> dict[str, Any]:
    return {**status, "conditions": [{**c, "lastHeartbeatTime": ""} for c in status.get("conditions") or ()]}
