"""What would have to change so that a pod could have its volumes: at all, or on one node.

Which claim it is about, of which class, how large, to be used how; where the volume is that it has. Looks at the claims
of one pod and at the free volumes of their classes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from actors.scheduler.explain.pods_in_the_way import named
from actors.scheduler.explain.remedy import Remedy, relabelled
from actors.scheduler.framework import Cycle
from actors.scheduler.node_state import NodeState
from actors.scheduler.volume_choice import choose, sort_claims
from actors.scheduler.volume_state import VolumeState
from protocols.objects import Object, split_key
from protocols.rules.quantity import format_quantity
from protocols.rules.volumes import (
    NO_PROVISIONER,
    Claim,
    Volume,
    mismatch,
    suits,
    topology_allows,
)

_VOLUMES_MAX = 3  # that are named with what is wrong about them


def without_node(cycle: Cycle) -> Iterator[Remedy]:
    """VolumeBinding refuses the pod before it looks at nodes."""
    volumes = cycle.state.volumes
    for key in cycle.shape.claims:
        name, claim = split_key(key)[1], volumes.claims.get(key)
        if claim is None:
            yield Remedy(f"a claim {name} in namespace {split_key(key)[0]}: there is none", 1, {"claim": key})
        elif key in volumes.lost:
            yield Remedy(f"another claim than {name}: its volume {claim.volume} is gone", 1, {"claim": key})
        elif claim.deleting:
            yield Remedy(f"a new claim {name}, when the one that is being deleted is gone", 1, {"claim": key})
        elif claim in sort_claims([claim], volumes).immediate:
            yield Remedy(_immediate(claim, volumes), 1, {"claim": key})


def _immediate(claim: Claim, volumes: VolumeState) -> str:
    """It is bound before its pod is placed, and is not yet."""
    name = split_key(claim.key)[1]
    if claim.volume:
        known = volumes.volumes.get(claim.volume)
        why = "there is none of that name" if known is None else mismatch(known.summary, claim) or "it is not bound yet"
        return f"volume {claim.volume}, which claim {name} asks for: {why}"
    known_class = volumes.classes.get(claim.storage_class)
    if known_class is None and claim.storage_class:
        return f"a class {claim.storage_class}, which claim {name} asks for, or {_free(claim)}: there is no such class"
    provisioner = (known_class or {}).get("provisioner") or NO_PROVISIONER
    if provisioner == NO_PROVISIONER:
        return f"{_free(claim)}, for claim {name}: none is made for it{_why_not(claim, volumes)}"
    return f"that {provisioner} makes a volume for claim {name} of class {claim.storage_class}: see the claim's events"


def on_node(cycle: Cycle, node: NodeState) -> Iterator[Remedy]:
    """VolumeBinding: volumes that are elsewhere, and claims that get none here."""
    volumes = cycle.state.volumes
    found = sort_claims([volumes.claims[key] for key in cycle.shape.claims if key in volumes.claims], volumes)
    for claim in found.bound:
        known = volumes.volumes.get(claim.volume)
        if known is None:
            yield Remedy(
                f"another claim than {split_key(claim.key)[1]}: its volume {claim.volume} is gone", 1, _without(claim)
            )
        elif not known.summary.reaches(node.node or {}):
            yield _elsewhere(claim, known.summary, node)
    if found.waiting:
        for claim in choose(found.waiting, cycle.state, node.name).dynamic:
            yield from _not_made(claim, cycle, node)


def _elsewhere(claim: Claim, volume: Volume, node: NodeState) -> Remedy:
    name, terms = split_key(claim.key)[1], (volume.affinity or {}).get("nodeSelectorTerms") or ()
    places = " or ".join(_place(term) for term in terms)
    text = f"another claim than {name}: its volume {volume.name} can be used on nodes with {places} alone"
    for term in terms:
        keys = {each.get("key") for each in term.get("matchExpressions") or ()}
        labels = None if term.get("matchFields") else relabelled(term.get("matchExpressions") or (), node.labels)
        if labels and not any(key is None or "hostname" in key for key in keys):
            said = ", ".join(f"{key}={value}" for key, value in labels.items())
            return Remedy(f"{text}, or label {said} on node {node.name}", 1, {"label": labels})
    return Remedy(text, 1, _without(claim))


def _place(term: Mapping[str, Any]) -> str:
    expressions = [*(term.get("matchExpressions") or ()), *(term.get("matchFields") or ())]
    return " and ".join(
        f"{each.get('key')} {each.get('operator')} {'|'.join(each.get('values') or ())}".strip()
        if each.get("operator") != "In"
        else f"{each.get('key')}={'|'.join(each.get('values') or ())}"
        for each in expressions
    )


def _not_made(claim: Claim, cycle: Cycle, node: NodeState) -> Iterator[Remedy]:
    """No free volume suits it on that node: may one be made there?"""
    volumes, name = cycle.state.volumes, split_key(claim.key)[1]
    if claim.selected_node:
        if claim.selected_node != node.name:
            text = f"another claim than {name}: its volume is being made on {claim.selected_node}"
            yield Remedy(text, 1, _without(claim))
        return
    known_class = volumes.classes.get(claim.storage_class) or {}
    provisioner = known_class.get("provisioner") or NO_PROVISIONER
    if provisioner == NO_PROVISIONER:
        text = f"{_free(claim)} that can be used on {node.name}, for claim {name}{_why_not(claim, volumes, node)}"
        yield Remedy(text, 1, {"volume": _made_for(claim)})
        return
    terms = known_class.get("allowedTopologies") or ()
    if not topology_allows(terms, node.node or {}):
        expressions = [_as_expressions(term) for term in terms]
        places = " or ".join(_place({"matchExpressions": each}) for each in expressions)
        labels = relabelled(expressions[0], node.labels) or {}
        said = ", ".join(f"{key}={value}" for key, value in labels.items())
        text = f"a node with {places}, where class {claim.storage_class} of claim {name} may make volumes"
        yield Remedy(f"{text}, or label {said} on node {node.name}", len(labels), {"label": labels})
    elif not volumes.capacity.enough(claim, provisioner, cycle.state.objects)[node.row]:
        yield _no_room(claim, provisioner, volumes, node)


def _no_room(claim: Claim, provisioner: str, volumes: VolumeState, node: NodeState) -> Remedy:
    size = format_quantity(claim.size, "BinarySI")
    largest = format_quantity(volumes.capacity.largest(claim.storage_class), "BinarySI")
    text = f"{size} of storage of class {claim.storage_class} for claim {split_key(claim.key)[1]} on {node.name}"
    more = {
        "metadata": {"name": f"for {claim.key}", "namespace": "default"},
        "storageClassName": claim.storage_class,
        "capacity": size,
        "nodeTopology": {},
    }
    return Remedy(f"{text} (driver {provisioner} says that {largest} is the most anywhere)", 1, {"capacity": more})


def _as_expressions(term: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{**each, "operator": "In"} for each in term.get("matchLabelExpressions") or ()]


def _free(claim: Claim) -> str:
    of_class = f"of class {claim.storage_class}" if claim.storage_class else "without a class"
    size, modes = format_quantity(claim.size, "BinarySI"), ", ".join(sorted(claim.access_modes))
    return f"a free volume {of_class} with {size} or more ({modes})"


def _why_not(claim: Claim, volumes: VolumeState, node: NodeState | None = None) -> str:
    """What is wrong about those of its class that nobody has."""
    free = sorted(volumes.free(claim.storage_class), key=lambda volume: volume.name)
    told = [f"{volume.name} {_wrong(volume, claim, volumes, node)}" for volume in free[:_VOLUMES_MAX]]
    more = f" and {len(free) - _VOLUMES_MAX} more" if len(free) > _VOLUMES_MAX else ""
    return f" ({'; '.join(told)}{more})" if told else ""


def _wrong(volume: Volume, claim: Claim, volumes: VolumeState, node: NodeState | None) -> str:
    if volume.name in volumes.promised:
        return f"is promised to {volumes.promised[volume.name]}"
    if volume.size < claim.size:
        return f"has {format_quantity(volume.size, 'BinarySI')} only"
    if not claim.access_modes <= volume.access_modes:
        return f"is for {', '.join(sorted(volume.access_modes))} only"
    if volume.volume_mode != claim.volume_mode:
        return f"is of volumeMode {volume.volume_mode}"
    if not suits(volume, claim):
        return "is not what its selector asks for, or not Available"
    if node is not None and not volume.reaches(node.node or {}):
        terms = (volume.affinity or {}).get("nodeSelectorTerms") or ()
        return f"is on nodes with {' or '.join(_place(term) for term in terms)}"
    return "is taken by another claim of the pod"


def zones(cycle: Cycle, node: NodeState) -> Iterator[Remedy]:
    """VolumeZone: the labels of a volume say in which zone or region it is."""
    volumes = cycle.state.volumes
    for key in cycle.shape.claims:
        claim = volumes.claims.get(key)
        known = volumes.volumes.get(claim.volume) if claim is not None else None
        for label, values in known.zones if known is not None else ():
            if node.labels.get(label) not in values:
                place = f"{label}={'|'.join(sorted(values))}"
                text = f"a node with {place}, where volume {known.summary.name} of claim {split_key(key)[1]} is"  # type: ignore[union-attr]
                yield Remedy(f"{text}, or that label on {node.name}", 1, {"label": {label: min(values)}})


def limits(cycle: Cycle, node: NodeState) -> Iterator[Remedy]:
    """NodeVolumeLimits: which driver attaches no more on that node."""
    volumes = cycle.state.volumes
    attached, most = volumes.attached(node.name), volumes.limits.get(node.name, {})
    wanted = {volumes.attachment(key) for key in cycle.shape.claims} - {None} - attached
    for driver in sorted({each.driver for each in wanted if each is not None}):
        more = sum(each is not None and each.driver == driver for each in wanted)
        over = sum(each.driver == driver for each in attached) + more - most.get(driver, 10**9)
        if over > 0:
            fewer = f"{over} {'volume' if over == 1 else 'volumes'} of driver {driver} fewer on {node.name}"
            text = f"{fewer}, which attaches {most[driver]} at most, or a CSINode that says so many more"
            yield Remedy(text, over / max(1, most[driver]), {"attach": {driver: most[driver] + over}})


def one_pod(cycle: Cycle, node: NodeState) -> Iterator[Remedy]:
    """VolumeRestrictions: another pod has the claim, wherever it is; or the disk, on that node."""
    mine = cycle.shape.footprint.disks
    if users := [
        key
        for key, placed in sorted(node.pods.items())
        if any(disk.conflicts(other) for disk in mine for other in placed.footprint.disks)
    ]:
        yield Remedy(f"{named(users)} elsewhere, which has the same disk", len(users), {"remove": users})
    volumes = cycle.state.volumes
    for key in cycle.shape.claims:
        if volumes.is_for_one_pod(key) and volumes.is_used(key):
            users = sorted(_users(cycle, key))
            text = f"{named(users)} gone, or another claim than {split_key(key)[1]}, which is ReadWriteOncePod"
            yield Remedy(text, len(users), {"remove": users})


def _users(cycle: Cycle, claim: str) -> Iterator[str]:
    for node in cycle.state.nodes.values():
        yield from (key for key, placed in node.pods.items() if claim in placed.footprint.claims)


def _made_for(claim: Claim) -> Object:
    """A volume that has just what the claim asks for."""
    spec = {
        "capacity": {"storage": format_quantity(claim.size, "BinarySI")},
        "accessModes": sorted(claim.access_modes),
        "storageClassName": claim.storage_class,
        "volumeMode": claim.volume_mode,
        "volumeAttributesClassName": claim.attributes_class,
    }
    return {"metadata": {"name": f"for {claim.key}"}, "spec": spec, "status": {"phase": "Available"}}


def _without(claim: Claim) -> Mapping[str, Sequence[str]]:
    return {"without claim": [claim.key]}
