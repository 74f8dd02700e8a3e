"""The pods of a DaemonSet: one for each node that its template may run on, bound to that node by affinity.

Which nodes these are is Kubernetes' rule (NodeShouldRunDaemonPod): selector and affinity match, no taint keeps it away
that daemons do not tolerate. Whether there is room is the scheduler's question.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator, Sequence
from typing import Any

from protocols.objects import Object, name_of
from protocols.rules.affinity import node_eligible
from protocols.rules.taints import untolerated

_EXECUTE = ("not-ready", "unreachable")
_SCHEDULE = ("disk-pressure", "memory-pressure", "pid-pressure", "unschedulable")


def nodes_of(template: Object, nodes: Sequence[Object]) -> Iterator[str]:
    """The names of the nodes that get a pod."""
    spec = tolerating(template["spec"])
    for node in nodes:
        taints = (node.get("spec") or {}).get("taints") or ()
        if node_eligible({"spec": spec}, node) and not any(untolerated(taints, spec["tolerations"])):
            yield name_of(node)


def bound_to(spec: dict[str, Any], node: str) -> dict[str, Any]:
    """The spec of the pod for that node: what the template wants of nodes, and this one by its name."""
    spec = copy.deepcopy(tolerating(spec))
    affinity = spec.setdefault("affinity", {}).setdefault("nodeAffinity", {})
    required = affinity.setdefault("requiredDuringSchedulingIgnoredDuringExecution", {})
    by_name = [{"key": "metadata.name", "operator": "In", "values": [node]}]
    terms = required.get("nodeSelectorTerms") or [{}]
    required["nodeSelectorTerms"] = [{**term, "matchFields": by_name} for term in terms]
    return spec


def tolerating(spec: dict[str, Any]) -> dict[str, Any]:
    """With the tolerations that every daemon gets."""
    schedule = (*_SCHEDULE, "network-unavailable") if spec.get("hostNetwork") else _SCHEDULE
    added = [_toleration(key, "NoExecute") for key in _EXECUTE] + [_toleration(key, "NoSchedule") for key in schedule]
    return {**spec, "tolerations": [*(spec.get("tolerations") or ()), *added]}


def _toleration(key: str, effect: str) -> dict[str, str]:
    return {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": effect}
