"""NodeDeclaredFeatures: what a pod needs of a kubelet that not every kubelet can, its node has to say that it can
(KEP-5328; `status.declaredFeatures` of the node)."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from actors.scheduler.columns import Ints, Rows
from actors.scheduler.framework import SKIP, ClusterEvent, Cycle, Filter, PreFilter, Refusal, Scope, Skip
from actors.scheduler.node_objects import declared_features

RESTART_ALL = "RestartAllContainersOnContainerExits"
USER_NAMESPACES_ON_HOST_NETWORK = "UserNamespacesHostNetworkSupport"
_REFUSAL = Refusal(("node(s) didn't match Pod's required features",), resolvable=False)


class NodeDeclaredFeatures(PreFilter, Filter):
    name = "NodeDeclaredFeatures"
    events = ClusterEvent.NODE_ADDED | ClusterEvent.NODE_FEATURE
    scope = Scope.OBJECT

    def pre_filter(self, cycle: Cycle) -> Skip | None:
        cycle.memo[self.name] = required(cycle.shape.spec)
        return None if cycle.memo[self.name] else SKIP

    def filter(self, cycle: Cycle, rows: Rows) -> Ints:
        """Few pods need anything, so nothing is kept for each node."""
        wanted: frozenset[str] = cycle.memo[self.name]
        return np.array(
            [not wanted.issubset(declared_features(node or {})) for node in cycle.state.objects.objects], np.int32
        )[rows]

    def refusal(self, cycle: Cycle, number: int) -> Refusal:
        return _REFUSAL


def required(spec: Mapping[str, Any]) -> frozenset[str]:
    """What of Kubernetes 1.36's features a pod needs to be run."""
    found = set()
    for container in (*(spec.get("initContainers") or ()), *(spec.get("containers") or ())):
        if any(rule.get("action") == "RestartAllContainers" for rule in container.get("restartPolicyRules") or ()):
            found.add(RESTART_ALL)
    if spec.get("hostNetwork") and spec.get("hostUsers") is False:
        found.add(USER_NAMESPACES_ON_HOST_NETWORK)
    return frozenset(found)
