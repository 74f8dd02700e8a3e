"""Remedies tried out: the changes are made to copies of the pod, the node and the cluster, and decided again."""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from actors.scheduler.cycle import SchedulingCycle
from actors.scheduler.demand import PodDemand, claims_of
from actors.scheduler.explain.remedies import quantity
from actors.scheduler.explain.remedy import Remedy
from actors.scheduler.explain.snapshot import Snapshot, cluster_state
from actors.scheduler.framework import Profile
from actors.scheduler.storage_capacity import CAPACITIES
from actors.scheduler.volume_state import NODES, VOLUMES
from protocols.objects import Object, key_of, name_of
from protocols.rules.resources import amounts

_TRIED = {"uncordon", "tolerate", "label", "remove", "grow", "maxSkew", "without claim", "volume", "attach", "capacity"}


def would_fit(snapshot: Snapshot, profile: Profile, pod: Object, node: str, found: Iterable[Remedy]) -> bool:
    """Whether the pod fits on the node when all of that is done. False also where that cannot be tried."""
    changes = [remedy.change for remedy in found]
    if not changes or any(change.keys() - _TRIED for change in changes):
        return False
    pod, snapshot = changed(snapshot, pod, node, changes)
    return SchedulingCycle(cluster_state(snapshot), profile).fits(PodDemand(pod), node)


def changed(
    snapshot: Snapshot, pod: Object, node: str, changes: Iterable[Mapping[str, Any]]
) -> tuple[Object, dict[str, list[Object]]]:
    """The pod and the cluster after the changes; what was given stays as it is."""
    after = {resource: list(objects) for resource, objects in snapshot.items()}
    pod = copy.deepcopy(pod)
    index = next(i for i, each in enumerate(after["nodes"]) if name_of(each) == node)
    target = after["nodes"][index] = copy.deepcopy(after["nodes"][index])
    for change in changes:
        _change(change, pod, target)
        gone = set(change.get("remove", ()))
        after[VOLUMES] = [*after.get(VOLUMES, ()), *([change["volume"]] if "volume" in change else ())]
        after[CAPACITIES] = [*after.get(CAPACITIES, ()), *([change["capacity"]] if "capacity" in change else ())]
        after[NODES] = [_attaching(each, node, change.get("attach", {})) for each in after.get(NODES, ())]
        after["pods"] = [each for each in after.get("pods", ()) if key_of(each) not in gone]
    return pod, after


def _change(change: Mapping[str, Any], pod: Object, node: Object) -> None:
    for what, wanted in change.items():
        match what:
            case "uncordon":
                node["spec"]["unschedulable"] = False
            case "tolerate":
                pod["spec"].setdefault("tolerations", []).append(wanted)
            case "label":
                labels = {**(node["metadata"].get("labels") or {}), **wanted}
                node["metadata"]["labels"] = {key: value for key, value in labels.items() if value is not None}
            case "without claim":
                pod["spec"]["volumes"] = [each for each in pod["spec"]["volumes"] if not _uses(each, pod, wanted)]
            case "grow":
                _grow(node, wanted)
            case "maxSkew":
                for constraint in pod["spec"].get("topologySpreadConstraints") or ():
                    key, hard = constraint["topologyKey"], constraint["whenUnsatisfiable"] == "DoNotSchedule"
                    if hard and key in wanted:
                        constraint["maxSkew"] = max(constraint["maxSkew"], wanted[key])


def _attaching(csi_node: Object, node: str, more: Mapping[str, int]) -> Object:
    """A CSINode that says how many volumes its drivers attach."""
    if name_of(csi_node) != node or not more:
        return csi_node
    drivers = [
        {**driver, "allocatable": {"count": more[driver["name"]]}} if driver["name"] in more else driver
        for driver in csi_node["spec"]["drivers"]
    ]
    return {**csi_node, "spec": {**csi_node["spec"], "drivers": drivers}}


def _uses(volume: Mapping[str, Any], pod: Object, claims: Sequence[str]) -> bool:
    alone = {**pod, "spec": {"volumes": [volume]}}
    return not set(claims_of(alone)).isdisjoint(claims)


def _grow(node: Object, more: Mapping[str, int]) -> None:
    allocatable = node.setdefault("status", {}).setdefault("allocatable", {})
    for resource, amount in amounts(allocatable).items() | {(name, 0) for name in more if name not in allocatable}:
        if resource in more:
            allocatable[resource] = quantity(resource, amount + more[resource])
