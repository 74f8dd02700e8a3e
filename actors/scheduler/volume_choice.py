"""Which volumes a pod's unbound claims would get on each node: a free one where there is, else one that is made there.

For all nodes at once, and as kube-scheduler does for one: the claims from small to large, each takes the smallest
volume that suits it and that can be used there; what finds none must be possible to make there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.columns import Bools
from actors.scheduler.node_objects import NodeObjects
from actors.scheduler.volume_state import KnownVolume, VolumeState
from protocols.objects import Object, labels_of
from protocols.rules.volumes import (
    NO_PROVISIONER,
    Claim,
    Volume,
    best_volume,
    suits,
    topology_allows,
    waits_for_consumer,
)

RowNumbers = np.ndarray[tuple[int], np.dtype[np.intp]]


class Sorted(NamedTuple):
    """The claims of a pod by what has to be done about them. `immediate`: that is somebody else's business."""

    bound: tuple[Claim, ...]
    waiting: tuple[Claim, ...]  # from small to large
    immediate: tuple[Claim, ...]


class Choice(NamedTuple):
    """For one node: claims and the volumes they get, and claims whose volume has to be made."""

    static: tuple[tuple[Claim, str], ...]
    dynamic: tuple[Claim, ...]


def sort_claims(claims: Sequence[Claim], volumes: VolumeState) -> Sorted:
    bound = tuple(claim for claim in claims if claim.bound)
    waiting = [c for c in claims if not c.volume and waits_for_consumer(volumes.classes.get(c.storage_class))]
    immediate = tuple(claim for claim in claims if not claim.bound and claim not in waiting)
    return Sorted(bound, tuple(sorted(waiting, key=lambda claim: (claim.size, claim.key))), immediate)


class Lack(NamedTuple):
    """The rows on which a claim gets no volume, and those on which one could be made if there was room."""

    volume: Bools
    room: Bools


def lack(waiting: Sequence[Claim], state: ClusterState) -> Lack:
    """The first claim that gets none on a row decides what is said of it."""
    nodes, volumes = state.objects, state.volumes
    fine = nodes.present.copy()
    room = np.zeros(len(fine), np.bool_)
    taken: dict[str, Bools] = {}
    to_make: list[tuple[Claim, Bools]] = []
    for claim in waiting:
        if claim.selected_node:
            fine &= _only(nodes, claim.selected_node)
    for claim in sorted(waiting, key=lambda claim: not claim.selected_node):
        found = np.zeros(len(fine), np.bool_)
        candidates = _candidates(claim, volumes) if not claim.selected_node else []
        if len(waiting) == 1:
            found = _reached(candidates, nodes)
        else:
            for known in sorted(candidates, key=lambda known: (known.summary.size, known.summary.name)):
                _take(known, nodes, found, taken)
        to_make.append((claim, ~found))
    missing = ~fine
    for claim, wanted in to_make:
        missing |= fine & wanted & ~_makeable(claim, state)
        fine &= ~missing
        room |= fine & wanted & ~_has_room(claim, state)
        fine &= ~room
    return Lack(missing, room)


def choose(waiting: Sequence[Claim], state: ClusterState, node: str) -> Choice:
    """Those that are there for that node, where `lack` found nothing missing."""
    obj = state.nodes[node].node
    volumes = state.volumes
    taken = set(volumes.promised)
    static: list[tuple[Claim, str]] = []
    dynamic: list[Claim] = []
    for claim in waiting:
        best = None
        if not claim.selected_node:
            best = best_volume(claim, volumes.reserved(claim.key), _free_at(obj, claim, volumes), obj, taken)
        if best is None:
            dynamic.append(claim)
        else:
            static.append((claim, best.name))
            taken.add(best.name)
    return Choice(tuple(static), tuple(dynamic))


def reach(known: KnownVolume, nodes: NodeObjects) -> RowNumbers:
    """The rows on which the volume can be used. Mostly it names one host, which is looked up."""
    affinity = known.summary.affinity
    if affinity is None:
        return np.flatnonzero(nodes.present)
    if known.only is not None:
        column = nodes.label(known.only[0])
        return np.flatnonzero(column.ids == column.known.get(known.only[1], -1))
    return np.flatnonzero(nodes.matching_selector(affinity) & nodes.present)


def _reached(candidates: Sequence[KnownVolume], nodes: NodeObjects) -> Bools:
    """The rows on which any of them can be used: those that name a host each are looked up together."""
    found = np.zeros(len(nodes.present), np.bool_)
    values: dict[str, list[str]] = {}
    for known in candidates:
        if known.only is not None:
            values.setdefault(known.only[0], []).append(known.only[1])
        else:
            found[reach(known, nodes)] = True
    for label, wanted in values.items():
        column = nodes.label(label)
        is_wanted = np.zeros(len(column.known) + 1, np.bool_)
        is_wanted[[column.known.get(value, 0) for value in wanted]] = True
        is_wanted[0] = False  # nodes without the label
        found |= is_wanted[column.ids]
    return found


def _free_at(node: Object | None, claim: Claim, volumes: VolumeState) -> Iterator[Volume]:
    """Of the free volumes that suit the claim all that may be used on the node."""
    labels = labels_of(node or {})
    for alike in volumes.free_by_kind(claim.storage_class):
        if suits(alike[0].summary, claim):
            yield from (known.summary for known in alike if known.is_at(labels))


def _take(known: KnownVolume, nodes: NodeObjects, found: Bools, taken: dict[str, Bools]) -> None:
    """Where the claim has none yet, and no smaller claim of the pod has taken it."""
    rows, name = reach(known, nodes), known.summary.name
    there = taken.get(name)
    rows = rows[~found[rows]] if there is None else rows[~found[rows] & ~there[rows]]
    if len(rows):
        found[rows] = True
        if there is None:
            there = taken[name] = np.zeros(len(found), np.bool_)
        there[rows] = True


def _candidates(claim: Claim, volumes: VolumeState) -> list[KnownVolume]:
    """Those that may become the claim's on some node; promises are kept. One that is reserved for the claim leaves no
    other choice."""
    reserved = sorted(volumes.reserved(claim.key), key=lambda volume: volume.name)
    mine = best_volume(claim, reserved, (), None, set(volumes.promised))
    if mine is not None:
        return [volumes.volumes[mine.name]]
    kinds = volumes.free_by_kind(claim.storage_class)
    fitting = [known for alike in kinds if suits(alike[0].summary, claim) for known in alike]
    return [known for known in fitting if known.summary.name not in volumes.promised]


def _makeable(claim: Claim, state: ClusterState) -> Bools:
    """Where its class lets a volume be made."""
    nodes = state.objects
    storage_class = state.volumes.classes.get(claim.storage_class) or {}
    provisioner = storage_class.get("provisioner") or ""
    if provisioner in ("", NO_PROVISIONER):
        return np.zeros(len(nodes.present), np.bool_)
    terms = storage_class.get("allowedTopologies")
    if not terms:
        return nodes.present
    return np.array([node is not None and topology_allows(terms, node) for node in nodes.objects], np.bool_)


def _has_room(claim: Claim, state: ClusterState) -> Bools:
    """Where its class has so much left."""
    provisioner = (state.volumes.classes.get(claim.storage_class) or {}).get("provisioner") or ""
    return state.volumes.capacity.enough(claim, provisioner, state.objects)


def _only(nodes: NodeObjects, name: str) -> Bools:
    only = np.zeros(len(nodes.present), np.bool_)
    if (row := nodes.row_of.get(name)) is not None:
        only[row] = True
    return only
