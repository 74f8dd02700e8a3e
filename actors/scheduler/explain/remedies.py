"""What would have to change, for the pod or for one node, so that a filter that refuses it there would not.

A plugin that is not in the table at the end has none: then its reason is all that is said.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from actors.scheduler.devices.needs import unusable
from actors.scheduler.explain import device_remedies, volume_remedies
from actors.scheduler.explain.pods_in_the_way import company, conflicting, named, ports_taken
from actors.scheduler.explain.remedy import Labels, Remedy, relabelled
from actors.scheduler.framework import Cycle
from actors.scheduler.node_state import NodeState
from protocols.rules.affinity import expression_matches, node_affinity
from protocols.rules.quantity import NANOS, format_quantity
from protocols.rules.taints import Taint, untolerated

_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_NONE: Mapping[str, Any] = {"another": "pod or node"}  # nothing that can be tried


def remedies(plugin: str, cycle: Cycle, node: NodeState) -> list[Remedy]:
    advise = _ADVICE.get(plugin)
    return list(advise(cycle, node)) if advise is not None else []


def remedies_altogether(plugin: str, cycle: Cycle) -> list[Remedy]:
    """Where a plugin refuses the pod before it looks at nodes."""
    if plugin == "VolumeBinding":
        return list(volume_remedies.without_node(cycle))
    return list(_devices(cycle)) if plugin == "DynamicResources" else []


def _devices(cycle: Cycle) -> Iterator[Remedy]:
    for wanted in cycle.shape.device_claims:
        if why := unusable(cycle.state, cycle.shape.pod, wanted):
            yield Remedy(f"another claim: {why}", 1, _NONE)


def _unschedulable(cycle: Cycle, node: NodeState) -> Iterator[Remedy]:
    yield Remedy(f"uncordon {node.name}", 1, {"uncordon": True})


def _taints(cycle: Cycle, node: NodeState) -> Iterator[Remedy]:
    taints = ((node.node or {}).get("spec") or {}).get("taints") or ()
    for taint in untolerated(taints, cycle.shape.tolerations):
        toleration = {"key": taint["key"], "effect": taint["effect"], "operator": "Exists"}
        if taint.get("value"):
            toleration |= {"operator": "Equal", "value": taint["value"]}
        yield Remedy(f"tolerate taint {taint_text(taint)}, or remove it from {node.name}", 1, {"tolerate": toleration})


def taint_text(taint: Taint) -> str:
    """As `kubectl taint` writes it."""
    value = f"={taint['value']}" if taint.get("value") else ""
    return f"{taint.get('key')}{value}:{taint.get('effect')}"


def _affinity(cycle: Cycle, node: NodeState) -> Iterator[Remedy]:
    wanted = cycle.shape.spec.get("nodeSelector") or {}
    required = node_affinity(cycle.shape.pod).get(_REQUIRED)
    terms = _terms_for(node, required)
    changes = _labels_wanted(wanted, terms, node)
    if terms and changes is None:
        both = "its nodeSelector and its affinity ask" if wanted and required else "its affinity asks"
        yield Remedy(f"a pod that asks for something else: {both} for what no labels of a node can be", math.inf, _NONE)
    elif changes is None:
        names = sorted({name for term in (required or {}).get("nodeSelectorTerms") or () for name in _names(term)})
        which = (
            f"a node that its affinity names: {', '.join(names)}"
            if names
            else "a node that its affinity does not rule out"
        )
        yield Remedy(which, math.inf, _NONE)
    elif changes:
        parts = [f"label {key}={value}" if value is not None else f"no label {key}" for key, value in changes.items()]
        yield Remedy(f"{' and '.join(parts)} on node {node.name}", len(changes), {"label": changes})


def _terms_for(node: NodeState, required: Mapping[str, Any] | None) -> list[Mapping[str, Any]]:
    """Those that do not ask for a node of another name; one that asks for nothing selects nothing."""
    if required is None:
        return [{}]
    name = {"metadata.name": node.name}
    return [
        term
        for term in required.get("nodeSelectorTerms") or ()
        if (term.get("matchExpressions") or term.get("matchFields"))
        and all(expression_matches(field, name) for field in term.get("matchFields") or ())
    ]


def _names(term: Mapping[str, Any]) -> list[str]:
    return [n for field in term.get("matchFields") or () if field.get("operator") == "In" for n in field["values"]]


def _labels_wanted(wanted: Labels, terms: Iterable[Mapping[str, Any]], node: NodeState) -> dict[str, str | None] | None:
    """The fewest labels to change (None: to remove) so that the pod selects it; None if labels do not help."""
    chosen = [{"key": key, "operator": "In", "values": [value]} for key, value in wanted.items()]
    tried = (relabelled([*chosen, *(term.get("matchExpressions") or ())], node.labels) for term in terms)
    return min((changes for changes in tried if changes is not None), key=len, default=None)


def _ports(cycle: Cycle, node: NodeState) -> Iterator[Remedy]:
    taken = ports_taken(cycle.shape.footprint.ports, node)
    for port, pods in taken.items():
        yield Remedy(
            f"another host port than {port.port}/{port.protocol}, or {node.name} without {named(pods)}",
            len(pods),
            {"remove": pods},
        )


def _resources(cycle: Cycle, node: NodeState) -> Iterator[Remedy]:
    room, row = cycle.state.room, node.row
    if room.pods.at[row] >= room.pods_max.at[row]:
        over = int(room.pods.at[row] - room.pods_max.at[row]) + 1
        text = f"{over} {'pod' if over == 1 else 'pods'} fewer on {node.name}, or room for as many more there"
        yield Remedy(text, over / max(1.0, room.pods_max.at[row]), {"grow": {"pods": over}})
    for wanted in cycle.memo["NodeResourcesFit"]:
        capacity = int(wanted.column.allocatable.at[row])
        missing = int(wanted.column.requested.at[row]) + wanted.amount - capacity
        if missing > 0:
            lacks = quantity(wanted.name, missing)
            more = f"a node with {lacks} more {wanted.name} than {node.name}"
            less = f"{lacks} {wanted.name} less, or " if missing < wanted.amount else ""
            yield Remedy(less + more, missing / capacity if capacity else 1.0, {"grow": {wanted.name: missing}})


def quantity(resource: str, amount: float) -> str:
    """As Kubernetes writes it: `300m`, `1536Mi`."""
    if resource == "cpu":
        return format_quantity(int(amount) * (NANOS // 1000))
    binary = resource == "memory" or "storage" in resource or resource.startswith("hugepages-")
    return format_quantity(int(amount) * NANOS, "BinarySI" if binary else "DecimalSI")


def _spread(cycle: Cycle, node: NodeState) -> Iterator[Remedy]:
    for constraint, domains, itself in cycle.memo["PodTopologySpread"]:
        key = constraint.topology_key
        domains.follow()
        column = cycle.state.objects.label(key)
        names = {number: value for value, number in column.known.items()}
        held = {names[number]: domains.sums[number] for number in domains.inhabited.nonzero()[0].tolist()}
        least = min(held.values(), default=0.0) if len(held) >= constraint.domains_min else 0.0
        if key not in node.labels:
            emptiest = min(held, key=lambda value: (held[value], value), default="any")
            yield Remedy(f"label {key}={emptiest} on node {node.name}", 1, {"label": {key: emptiest}})
            continue
        skew = int(domains.sums[domains.ids[node.row]] + itself - least)
        if skew > constraint.skew_max:
            over = skew - constraint.skew_max
            fewer = f"{over} matching {'pod' if over == 1 else 'pods'} fewer in {key}={node.labels[key]}"
            yield Remedy(
                f"maxSkew {skew} instead of {constraint.skew_max} over {key}, or {fewer}",
                over,
                {"maxSkew": {key: skew}},
            )


def _pod_affinity(cycle: Cycle, node: NodeState) -> Iterator[Remedy]:
    yield from _together(cycle, node)
    if in_the_way := conflicting(cycle, node):
        yield Remedy(f"{named(in_the_way)} elsewhere", len(in_the_way), {"remove": in_the_way})


def _together(cycle: Cycle, node: NodeState) -> Iterator[Remedy]:
    """Required affinity: in each topology it wants a pod that all its terms select."""
    terms = cycle.shape.terms.required
    held = list(company(cycle, terms)) if terms else []
    lonely = []
    for key in sorted({term.topology_key for term in terms}):
        values = sorted({other.labels[key] for other in held if key in other.labels})
        if key in node.labels and node.labels[key] not in values:
            lonely.append(f"{key}={node.labels[key]}")
        elif key not in node.labels:
            value = values[0] if values else node.name
            yield Remedy(f"label {key}={value} on node {node.name}", 1, {"label": {key: value}})
    if lonely:
        places = " and ".join(lonely)
        yield Remedy(f"a pod that its affinity selects in {places}", len(lonely), {"company": lonely})


_ADVICE: dict[str, Callable[[Cycle, NodeState], Iterable[Remedy]]] = {
    "NodeUnschedulable": _unschedulable,
    "TaintToleration": _taints,
    "NodeAffinity": _affinity,
    "NodePorts": _ports,
    "NodeResourcesFit": _resources,
    "PodTopologySpread": _spread,
    "InterPodAffinity": _pod_affinity,
    "VolumeRestrictions": volume_remedies.one_pod,
    "NodeVolumeLimits": volume_remedies.limits,
    "VolumeBinding": volume_remedies.on_node,
    "VolumeZone": volume_remedies.zones,
    "DynamicResources": device_remedies.on_node,
}
