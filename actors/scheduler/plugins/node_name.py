"""NodeName: a pod that names its node fits no other."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import SKIP, ClusterEvent, Cycle, Filter, PreFilter, Refusal, Skip
from actors.scheduler.node_state import NodeState

_REFUSAL = Refusal(("node(s) didn't match the requested node name",), resolvable=False)


class NodeName(PreFilter, Filter):
    name = "NodeName"
    events = ClusterEvent.NODE_ADDED

    def pre_filter(self, cycle: Cycle, pod: PodDemand) -> Skip | None:
        return None if pod.spec.get("nodeName") else SKIP

    def filter(self, cycle: Cycle, pod: PodDemand, nodes: Sequence[NodeState]) -> Mapping[str, Refusal]:
        return {node.name: _REFUSAL for node in nodes if node.name != pod.spec.get("nodeName")}
