"""What the scheduler writes about a pod that it could not place: the condition PodScheduled."""

from __future__ import annotations

from typing import Any

from protocols.objects import Object, meta, uid_of
from protocols.rules.conditions import find_condition, with_condition

UNSCHEDULABLE = "Unschedulable"
GATED = "SchedulingGated"
ERROR = "SchedulerError"


def not_scheduled_patch(
    pod: Object, reason: str, message: str, now: float, nominated: str | None = None
) -> dict[str, Any] | None:
    """The strategic merge patch of the pod's status; None when the pod says so already.

    `nominated`: the node it waits for, "" for none; None: what was said before still holds."""
    conditions = (pod.get("status") or {}).get("conditions")
    new = find_condition(with_condition(conditions, "PodScheduled", "False", reason, message, now), "PodScheduled")
    if new is not None and (generation := meta(pod).get("generation")):
        new = {**new, "observedGeneration": generation}
    status: dict[str, Any] = {}
    if new != find_condition(conditions, "PodScheduled") and not (reason == GATED and _says_its_gates(pod)):
        status["conditions"] = [new]
    if nominated is not None and nominated != nominated_node(pod):
        status["nominatedNodeName"] = nominated or None
    return {"metadata": {"uid": uid_of(pod)}, "status": status} if status else None


def not_scheduled_message(pod: Object) -> str:
    """Why it has no node, as it was told last; "" if it was not."""
    told = find_condition((pod.get("status") or {}).get("conditions"), "PodScheduled") or {}
    return (told.get("message") or "") if told.get("status") == "False" else ""


def _says_its_gates(pod: Object) -> bool:
    """The API server has said of its scheduling gates what there is to say, when it was created."""
    told = find_condition((pod.get("status") or {}).get("conditions"), "PodScheduled") or {}
    return bool((pod.get("spec") or {}).get("schedulingGates")) and told.get("reason") == GATED


def nominate_patch(pod: Object, node: str) -> dict[str, Any]:
    """The strategic merge patch that says which node the pod waits for, "" for none."""
    return {"metadata": {"uid": uid_of(pod)}, "status": {"nominatedNodeName": node or None}}


def group_patch(group: Object, type: str, status: str, reason: str, message: str, now: float) -> dict[str, Any] | None:
    """The strategic merge patch of a PodGroup's status; None when it says so already."""
    conditions = (group.get("status") or {}).get("conditions")
    new = find_condition(with_condition(conditions, type, status, reason, message, now), type)
    if new == find_condition(conditions, type):
        return None
    return {"metadata": {"uid": uid_of(group)}, "status": {"conditions": [new]}}


def nominated_node(pod: Object) -> str:
    """The node that a pod waits for, "" if none."""
    return (pod.get("status") or {}).get("nominatedNodeName") or ""
