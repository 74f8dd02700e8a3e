"""What a deployment says about itself: counts, Available, Progressing with its deadline, ReplicaFailure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from actors.controllers.rollout import Limits
from protocols.objects import Object, meta, name_of
from protocols.rules.conditions import Condition, find_condition, without_condition
from protocols.rules.times import seconds_of, time_of

NO_DEADLINE = 2**31 - 1
NEW_SET_AVAILABLE = "NewReplicaSetAvailable"
TIMED_OUT = "ProgressDeadlineExceeded"
PAUSED = "DeploymentPaused"


def new_status(deployment: Object, new: Object | None, old: Sequence[Object], limits: Limits, now: float) -> Object:
    """The status after a look at the replica sets, with its conditions brought up to date."""
    status = counted(deployment, new, old, limits, now)
    if not has_deadline(deployment):
        status["conditions"] = without_condition(status["conditions"], "Progressing")
    else:
        status["conditions"] = _progress(deployment, status, new, now)
    failure = next((c for s in [new, *old] if s and (c := _failure_of(s)) is not None), None)
    if failure is not None:
        found = (failure["type"], failure["status"], failure.get("reason", ""), failure.get("message", ""))
        status["conditions"] = with_deployment_condition(status["conditions"], *found, now)
    else:
        status["conditions"] = without_condition(status["conditions"], "ReplicaFailure")
    return status


def counted(deployment: Object, new: Object | None, old: Sequence[Object], limits: Limits, now: float) -> Object:
    """The numbers, and whether that many pods are enough (Available)."""
    sets = [*old, *([new] if new is not None else [])]
    available = _sum(sets, "availableReplicas")
    numbers = {
        "observedGeneration": meta(deployment).get("generation", 0),
        "replicas": _sum(sets, "replicas"),
        "updatedReplicas": _sum([new] if new is not None else [], "replicas"),
        "readyReplicas": _sum(sets, "readyReplicas"),
        "availableReplicas": available,
        "unavailableReplicas": max(0, sum((s["spec"].get("replicas") or 0) for s in sets) - available),
        "collisionCount": (deployment.get("status") or {}).get("collisionCount"),
    }
    status: dict[str, Any] = {field: number for field, number in numbers.items() if number}
    terminating = [(each.get("status") or {}).get("terminatingReplicas") for each in sets]
    if None not in terminating:  # every set has said so
        status["terminatingReplicas"] = sum(terminating)
    if available >= limits.least_available:
        verdict = ("True", "MinimumReplicasAvailable", "Deployment has minimum availability.")
    else:
        verdict = ("False", "MinimumReplicasUnavailable", "Deployment does not have minimum availability.")
    status["conditions"] = with_deployment_condition(conditions_of(deployment), "Available", *verdict, now)
    return status


def _progress(deployment: Object, status: Object, new: Object | None, now: float) -> list[Condition]:
    """Progressing: done, moving, or stuck for longer than the deadline."""
    conditions: list[Condition] = status["conditions"]
    current = find_condition(conditions, "Progressing")
    is_done = status.get("replicas", 0) == status.get("updatedReplicas", 0)
    if is_done and current is not None and current.get("reason") == NEW_SET_AVAILABLE:
        return conditions
    subject = f'ReplicaSet "{name_of(new)}"' if new is not None else f'Deployment "{name_of(deployment)}"'
    if is_complete(deployment, status):
        message = f"{subject} has successfully progressed."
        return with_deployment_condition(conditions, "Progressing", "True", NEW_SET_AVAILABLE, message, now)
    if _has_moved(deployment.get("status") or {}, status):
        message = f"{subject} is progressing."
        since = current["lastTransitionTime"] if current is not None and current["status"] == "True" else time_of(now)
        moved = _condition("Progressing", "True", "ReplicaSetUpdated", message, now, since)
        return [*without_condition(conditions, "Progressing"), moved]
    if is_timed_out(deployment, current, now):
        message = f"{subject} has timed out progressing."
        return with_deployment_condition(conditions, "Progressing", "False", TIMED_OUT, message, now)
    return conditions


def is_complete(deployment: Object, status: Object) -> bool:
    """All pods are of the new template and available, and this generation has been seen."""
    replicas = deployment["spec"].get("replicas")
    wanted = 1 if replicas is None else replicas
    return all(
        status.get(field, 0) == wanted for field in ("updatedReplicas", "replicas", "availableReplicas")
    ) and status.get("observedGeneration", 0) >= meta(deployment).get("generation", 0)


def seconds_to_deadline(deployment: Object, status: Object, now: float) -> float | None:
    """When to look again although nothing may happen until then: just after the progress deadline."""
    current = find_condition(status.get("conditions"), "Progressing")
    if not has_deadline(deployment) or current is None or is_complete(deployment, status):
        return None
    if current.get("reason") in (TIMED_OUT, NEW_SET_AVAILABLE, PAUSED):
        return None
    deadline = seconds_of(current["lastUpdateTime"]) + float(deployment["spec"]["progressDeadlineSeconds"])
    return max(1.0, deadline - now + 1.0)


def is_timed_out(deployment: Object, current: Condition | None, now: float) -> bool:
    if current is None or current.get("reason") in (NEW_SET_AVAILABLE, PAUSED):
        return False
    if current.get("reason") == TIMED_OUT:
        return True
    return seconds_of(current["lastUpdateTime"]) + float(deployment["spec"]["progressDeadlineSeconds"]) < now


def has_deadline(deployment: Object) -> bool:
    deadline = deployment["spec"].get("progressDeadlineSeconds")
    return deadline is not None and deadline != NO_DEADLINE


def conditions_of(deployment: Object) -> list[Condition]:
    return (deployment.get("status") or {}).get("conditions") or []


def with_progress(deployment: Object, status: str, reason: str, message: str, now: float) -> Object:
    """The deployment's status with another Progressing condition."""
    conditions = with_deployment_condition(conditions_of(deployment), "Progressing", status, reason, message, now)
    return {**(deployment.get("status") or {}), "conditions": conditions}


def with_deployment_condition(
    conditions: Iterable[Condition], type: str, status: str, reason: str, message: str, now: float
) -> list[Condition]:
    """Set it, unless status and reason are what they were; lastTransitionTime moves only with the status."""
    kept = list(conditions)
    current = find_condition(kept, type)
    if current is not None and (current.get("status"), current.get("reason")) == (status, reason):
        return kept
    same = current is not None and current.get("status") == status
    since = current["lastTransitionTime"] if same and current is not None else time_of(now)
    return [*without_condition(kept, type), _condition(type, status, reason, message, now, since)]


def _condition(type: str, status: str, reason: str, message: str, now: float, since: str) -> Condition:
    return {
        "type": type,
        "status": status,
        "lastUpdateTime": time_of(now),
        "lastTransitionTime": since,
        "reason": reason,
        "message": message,
    }


def _has_moved(before: Object, after: Object) -> bool:
    def old_pods(status: Object) -> int:
        return int(status.get("replicas", 0) - status.get("updatedReplicas", 0))

    more = any(after.get(f, 0) > before.get(f, 0) for f in ("updatedReplicas", "readyReplicas", "availableReplicas"))
    return more or old_pods(after) < old_pods(before)


def _failure_of(replica_set: Object) -> Condition | None:
    return find_condition((replica_set.get("status") or {}).get("conditions"), "ReplicaFailure")


def _sum(sets: Iterable[Object], field: str) -> int:
    return sum((each.get("status") or {}).get(field) or 0 for each in sets)
