"""What the scheduler writes about a pod that it could not place: the condition PodScheduled."""

from __future__ import annotations

from typing import Any

from protocols.objects import Object, uid_of
from protocols.rules.conditions import find_condition, with_condition

UNSCHEDULABLE = "Unschedulable"
GATED = "SchedulingGated"
ERROR = "SchedulerError"


def not_scheduled_patch(pod: Object, reason: str, message: str, now: float) -> dict[str, Any] | None:
    """The strategic merge patch of the pod's status; None when the pod says so already."""
    conditions = (pod.get("status") or {}).get("conditions")
    new = find_condition(with_condition(conditions, "PodScheduled", "False", reason, message, now), "PodScheduled")
    if new == find_condition(conditions, "PodScheduled"):
        return None
    return {"metadata": {"uid": uid_of(pod)}, "status": {"conditions": [new]}}
