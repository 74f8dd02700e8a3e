"""What a status may not count: less than nothing, or more ready pods than there are pods. By kind."""

from __future__ import annotations

from typing import Any, NamedTuple

from actors.apiserver.rules.field import FieldErrors, invalid_value, not_negative
from protocols.objects import Object


class Counts(NamedTuple):
    """`numbers` are not negative, `within` at most `replicas`; `ready`: how what is available is told to be no more
    than what is ready."""

    numbers: tuple[str, ...]
    within: tuple[str, ...] = ()
    ready: str = ""


_SET = ("replicas", "fullyLabeledReplicas", "readyReplicas", "availableReplicas")
_SET_WITHIN = ("fullyLabeledReplicas", "readyReplicas", "availableReplicas")

_COUNTS: dict[str, Counts] = {
    "ReplicationController": Counts((*_SET, "observedGeneration"), _SET_WITHIN, "readyReplicas"),
    "ReplicaSet": Counts((*_SET, "observedGeneration", "terminatingReplicas"), _SET_WITHIN, "readyReplicas"),
    "Deployment": Counts(
        (
            *("observedGeneration", "replicas", "updatedReplicas", "readyReplicas", "availableReplicas"),
            *("unavailableReplicas", "terminatingReplicas", "collisionCount"),
        ),
        ("updatedReplicas", "readyReplicas", "availableReplicas"),
        "readyReplicas",
    ),
    "StatefulSet": Counts(
        (
            *("replicas", "readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"),
            *("observedGeneration", "collisionCount"),
        ),
        ("readyReplicas", "currentReplicas", "updatedReplicas", "availableReplicas"),
        "status.readyReplicas",
    ),
    "DaemonSet": Counts(
        (
            *("currentNumberScheduled", "numberMisscheduled", "desiredNumberScheduled", "numberReady"),
            *("observedGeneration", "updatedNumberScheduled", "numberAvailable", "numberUnavailable"),
            "collisionCount",
        )
    ),
    "HorizontalPodAutoscaler": Counts(("currentReplicas", "desiredReplicas")),
    "PodDisruptionBudget": Counts(("disruptionsAllowed", "currentHealthy", "desiredHealthy", "expectedPods")),
}


def counted_status(obj: Object, old: Object | None) -> FieldErrors:
    status, before = obj.get("status") or {}, (old or {}).get("status") or {}
    counts = _COUNTS[obj["kind"]]
    for name in counts.numbers:
        yield from not_negative(f"status.{name}", status.get(name))
    yield from _within(status, counts)
    yield from _never_less(status, before)


def _within(status: dict[str, Any], counts: Counts) -> FieldErrors:
    for name in counts.within:
        if status.get(name, 0) > status.get("replicas", 0):
            yield invalid_value(f"status.{name}", status.get(name, 0), "cannot be greater than status.replicas")
    available = status.get("availableReplicas", 0)
    if counts.ready and available > status.get("readyReplicas", 0):
        yield invalid_value("status.availableReplicas", available, f"cannot be greater than {counts.ready}")


def _never_less(status: dict[str, Any], before: dict[str, Any]) -> FieldErrors:
    """Names follow from how often they were taken already."""
    was, count = before.get("collisionCount"), status.get("collisionCount")
    if was is not None and (count is None or count < was):
        yield invalid_value("status.collisionCount", count or 0, "cannot be decremented")
