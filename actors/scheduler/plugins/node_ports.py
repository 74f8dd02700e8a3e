"""NodePorts: refuse nodes on which a host port that the pod wants is taken."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import SKIP, ClusterEvent, Cycle, Filter, PreFilter, Refusal, Skip
from actors.scheduler.node_state import NodeState

_REFUSAL = Refusal(("node(s) didn't have free ports for the requested pod ports",))


class NodePorts(PreFilter, Filter):
    name = "NodePorts"
    events = ClusterEvent.NODE_ADDED | ClusterEvent.POD_DELETED

    def pre_filter(self, cycle: Cycle, pod: PodDemand) -> Skip | None:
        return None if pod.footprint.ports else SKIP

    def filter(self, cycle: Cycle, pod: PodDemand, nodes: Sequence[NodeState]) -> Mapping[str, Refusal]:
        wanted = pod.footprint.ports
        return {
            node.name: _REFUSAL
            for node in nodes
            if node.ports and any(port.conflicts(used) for port in wanted for used in node.ports)
        }
