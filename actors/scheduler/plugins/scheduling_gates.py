"""SchedulingGates: a pod with gates does not enter the queue until they are all removed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import PreEnqueue, Refusal

if TYPE_CHECKING:
    from actors.scheduler.cluster_state import ClusterState


class SchedulingGates(PreEnqueue):
    name = "SchedulingGates"

    def pre_enqueue(self, pod: PodDemand, state: ClusterState) -> Refusal | None:
        gates = [gate.get("name", "") for gate in pod.spec.get("schedulingGates") or ()]
        return Refusal((f"waiting for scheduling gates: [{' '.join(gates)}]",), resolvable=False) if gates else None
