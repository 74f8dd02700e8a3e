"""Conditions: the list in `status.conditions`, one entry a type, with the time of its last change."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from protocols.rules.times import time_of

Condition = dict[str, Any]


def find_condition(conditions: Iterable[Condition] | None, type: str) -> Condition | None:
    return next((condition for condition in conditions or () if condition.get("type") == type), None)


def condition_is(obj: Mapping[str, Any], type: str, status: str = "True") -> bool:
    """Whether the object's condition of that type has that status; an absent condition has none."""
    condition = find_condition((obj.get("status") or {}).get("conditions"), type)
    return condition is not None and condition.get("status") == status


def with_condition(
    conditions: Iterable[Condition] | None, type: str, status: str, reason: str, message: str, now: float
) -> list[Condition]:
    """The conditions with this one set. Its lastTransitionTime moves only when its status does."""
    kept = list(conditions or ())
    old = find_condition(kept, type)
    if old is None:
        return [*kept, _condition(type, status, reason, message, time_of(now))]
    if (old.get("status"), old.get("reason") or "", old.get("message") or "") == (status, reason, message):
        return kept
    since = old.get("lastTransitionTime") if old.get("status") == status else None
    new = {**old, **_condition(type, status, reason, message, since or time_of(now))}
    return [new if condition is old else condition for condition in kept]


def without_condition(conditions: Iterable[Condition] | None, type: str) -> list[Condition]:
    return [condition for condition in conditions or () if condition.get("type") != type]


def _condition(type: str, status: str, reason: str, message: str, since: str) -> Condition:
    return {"type": type, "status": status, "lastTransitionTime": since, "reason": reason, "message": message}
