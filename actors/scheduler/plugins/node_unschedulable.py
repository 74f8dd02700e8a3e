"""NodeUnschedulable: a cordoned node takes only pods that tolerate the unschedulable taint."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import ClusterEvent, Cycle, Filter, Refusal
from actors.scheduler.node_state import NodeState
from protocols.rules.taints import NO_SCHEDULE, UNSCHEDULABLE, tolerated

_CORDONED = {"key": UNSCHEDULABLE, "effect": NO_SCHEDULE}
_REFUSAL = Refusal(("node(s) were unschedulable",), resolvable=False)


class NodeUnschedulable(Filter):
    name = "NodeUnschedulable"
    events = ClusterEvent.NODE_ADDED | ClusterEvent.NODE_TAINT

    def filter(self, cycle: Cycle, pod: PodDemand, nodes: Sequence[NodeState]) -> Mapping[str, Refusal]:
        cordoned = [node.name for node in nodes if node.unschedulable]
        return dict.fromkeys(cordoned, _REFUSAL) if cordoned and not tolerated(pod.tolerations, _CORDONED) else {}
