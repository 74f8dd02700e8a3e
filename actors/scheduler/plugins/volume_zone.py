"""VolumeZone: a volume that is labelled with a zone or region is used there; of nodes that say nothing, anywhere."""

from __future__ import annotations

import numpy as np

from actors.scheduler.columns import Ints, Rows
from actors.scheduler.framework import SKIP, ClusterEvent, Cycle, Filter, PreFilter, Refusal, Skip
from actors.scheduler.node_objects import NodeObjects
from actors.scheduler.plugins.volume_answers import kept_numbers
from actors.scheduler.volume_state import ZONE_LABELS

_REFUSAL = Refusal(("node(s) had no available volume zone",), resolvable=False)
Zones = tuple[tuple[str, frozenset[str]], ...]


class VolumeZone(PreFilter, Filter):
    name = "VolumeZone"
    events = ClusterEvent.VOLUME | ClusterEvent.NODE_ADDED | ClusterEvent.NODE_LABEL

    def pre_filter(self, cycle: Cycle) -> Skip | None:
        return None if _zones(cycle) else SKIP

    def filter(self, cycle: Cycle, rows: Rows) -> Ints:
        return kept_numbers(cycle, self.name, _numbers)[rows]

    def refusal(self, cycle: Cycle, number: int) -> Refusal:
        return _REFUSAL


def _zones(cycle: Cycle) -> Zones:
    volumes = cycle.state.volumes
    claims = (volumes.claims.get(key) for key in cycle.shape.claims)
    known = (volumes.volumes.get(claim.volume) for claim in claims if claim is not None and claim.volume)
    return tuple(zone for volume in known if volume is not None for zone in volume.zones)


def _numbers(cycle: Cycle) -> Ints:
    nodes = cycle.state.objects
    somewhere = np.zeros(cycle.state.rows, np.bool_)
    for key in ZONE_LABELS:
        somewhere |= nodes.label(key).ids != 0
    wrong = np.zeros(cycle.state.rows, np.bool_)
    for key, values in _zones(cycle):
        wrong |= ~_has(nodes, key, values)
    return (wrong & somewhere).astype(np.int32)


def _has(nodes: NodeObjects, key: str, values: frozenset[str]) -> np.ndarray[tuple[int, ...], np.dtype[np.bool_]]:
    column = nodes.label(key)
    return np.isin(column.ids, [column.known[value] for value in values if value in column.known])
