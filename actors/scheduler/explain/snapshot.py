"""A cluster at one moment: the objects that decide, as the API server lists them, and the scheduler's state of them."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence

from actors.scheduler import budgets, device_claims, gangs, storage_capacity, volume_state
from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.conditions import nominated_node
from actors.scheduler.demand import PodDemand
from actors.scheduler.groups import KINDS
from protocols.objects import Object, key_of, labels_of, name_of
from protocols.rules.device_claims import CLAIMS, CLASSES, SLICES
from protocols.rules.pods import is_terminated, node_of

KIND_OF = {
    "nodes": "Node",
    "namespaces": "Namespace",
    **KINDS,
    gangs.POD_GROUPS: "PodGroup",
    gangs.WORKLOADS: "Workload",
    budgets.RESOURCE: "PodDisruptionBudget",
    CLASSES: "DeviceClass",
    SLICES: "ResourceSlice",
    CLAIMS: "ResourceClaim",
    volume_state.CLASSES: "StorageClass",
    volume_state.NODES: "CSINode",
    storage_capacity.DRIVERS: "CSIDriver",
    storage_capacity.CAPACITIES: "CSIStorageCapacity",
    volume_state.VOLUMES: "PersistentVolume",
    volume_state.CLAIMS: "PersistentVolumeClaim",
    "pods": "Pod",
}
# Pods belong to groups of 1.36, or to Workloads as 1.35 has them; those of 1.36 are templates that decide nothing.
_VERSIONS = {gangs.POD_GROUPS: "v1alpha2", gangs.WORKLOADS: "v1alpha1"}
Snapshot = Mapping[str, Sequence[Object]]  # resource -> objects


def snapshot_of(objects: Iterable[Object]) -> dict[str, list[Object]]:
    """Sorted by what they are; objects of other kinds decide nothing and are left out."""
    found: dict[str, list[Object]] = {resource: [] for resource in KIND_OF}
    resource_of = {kind: resource for resource, kind in KIND_OF.items()}
    for obj in objects:
        resource = resource_of.get(obj.get("kind", ""))
        if resource is not None:
            found[resource].append(obj)
    return found


def cluster_state(snapshot: Snapshot, seed: int = 0) -> ClusterState:
    """Nodes get their ranks in the order of their names: the same objects and seed, the same decisions."""
    state = ClusterState(random.Random(seed))
    for node in sorted(snapshot.get("nodes", ()), key=name_of):
        state.set_node(node)
    for namespace in snapshot.get("namespaces", ()):
        state.set_namespace(name_of(namespace), labels_of(namespace))
    for resource, kind in KINDS.items():
        for group in snapshot.get(resource, ()):
            state.groups.set(kind, group)
    for budget in snapshot.get(budgets.RESOURCE, ()):
        state.budgets.set(budget)
    for resource in (gangs.POD_GROUPS, gangs.WORKLOADS):
        for obj in snapshot.get(resource, ()):
            state.gangs.set_owner(resource, obj)
    for resource in volume_state.RESOURCES:
        for obj in snapshot.get(resource, ()):
            state.volumes.set(resource, key_of(obj), obj)
    for resource in device_claims.RESOURCES:
        for obj in snapshot.get(resource, ()):
            state.devices.set(resource, key_of(obj), obj)
    for pod in sorted(snapshot.get("pods", ()), key=key_of):
        state.set_pod(pod)
        if (nominated := nominated_node(pod)) and not (node_of(pod) or is_terminated(pod)):
            state.nominate(PodDemand(pod, state.shapes), nominated)
    return state


def list_path(resource: str) -> str:
    """Where the API server lists it, in all namespaces."""
    plural, _, group = resource.partition(".")
    return f"/apis/{group}/{_VERSIONS.get(resource, 'v1')}/{plural}" if group else f"/api/v1/{plural}"
