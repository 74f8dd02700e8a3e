"""VolumeRestrictions: who may not share. A claim that is ReadWriteOncePod has one pod at a time, wherever that is
(KEP-2485), and two pods of one node do not have the same disk (`disks.py`)."""

from __future__ import annotations

import numpy as np

from actors.scheduler.columns import Ints, Rows
from actors.scheduler.framework import SKIP, ClusterEvent, Cycle, Filter, PreFilter, Refusal, Skip

_DISK, _CLAIM = 1, 2
_REASONS = {
    _DISK: "node(s) had no available disk",
    _CLAIM: "node has pod using PersistentVolumeClaim with the same name and ReadWriteOncePod access mode",
}


class VolumeRestrictions(PreFilter, Filter):
    name = "VolumeRestrictions"
    events = ClusterEvent.VOLUME | ClusterEvent.POD_DELETED

    def pre_filter(self, cycle: Cycle) -> Skip | None:
        volumes = cycle.state.volumes
        alone = any(volumes.is_for_one_pod(claim) for claim in cycle.shape.claims)
        return None if alone or cycle.shape.footprint.disks else SKIP

    def filter(self, cycle: Cycle, rows: Rows) -> Ints | None:
        state = cycle.state
        taken = any(state.volumes.is_for_one_pod(c) and state.volumes.is_used(c) for c in cycle.shape.claims)
        nodes = state.disks.nodes_against(cycle.shape.footprint.disks)
        if not (taken or nodes):
            return None
        numbers = np.full(state.rows, _CLAIM if taken else 0, np.int32)
        numbers[[state.objects.row_of[node] for node in nodes if node in state.objects.row_of]] = _DISK
        return numbers[rows]

    def refusal(self, cycle: Cycle, number: int) -> Refusal:
        return Refusal((_REASONS[number],))
