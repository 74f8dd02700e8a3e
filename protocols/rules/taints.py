"""Taints and tolerations: who may be, or stay, on a node."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

Taint = Mapping[str, Any]
Toleration = Mapping[str, Any]

NO_SCHEDULE = "NoSchedule"
PREFER_NO_SCHEDULE = "PreferNoSchedule"
NO_EXECUTE = "NoExecute"

NOT_READY = "node.kubernetes.io/not-ready"
UNREACHABLE = "node.kubernetes.io/unreachable"
UNSCHEDULABLE = "node.kubernetes.io/unschedulable"
UNINITIALIZED = "node.cloudprovider.kubernetes.io/uninitialized"


def tolerates(toleration: Toleration, taint: Taint) -> bool:
    """An empty effect or key of the toleration matches all; `Equal` (the default operator) compares values."""
    if toleration.get("effect") and toleration["effect"] != taint.get("effect"):
        return False
    if toleration.get("key") and toleration["key"] != taint.get("key"):
        return False
    operator = toleration.get("operator") or "Equal"
    if operator == "Exists":
        return True
    return operator == "Equal" and (toleration.get("value") or "") == (taint.get("value") or "")


def tolerated(tolerations: Iterable[Toleration], taint: Taint) -> bool:
    return any(tolerates(toleration, taint) for toleration in tolerations)


def untolerated(
    taints: Iterable[Taint], tolerations: Iterable[Toleration], effects: tuple[str, ...] = (NO_SCHEDULE, NO_EXECUTE)
) -> Iterator[Taint]:
    """The taints with one of `effects` that no toleration matches, in the node's order."""
    tolerations = tuple(tolerations)
    return (taint for taint in taints if taint.get("effect") in effects and not tolerated(tolerations, taint))


def eviction_delay_s(taints: Iterable[Taint], tolerations: Iterable[Toleration]) -> float | None:
    """How long a pod may stay beside NoExecute taints: None is for ever, else the least tolerationSeconds."""
    tolerations = tuple(tolerations)
    delays: list[float] = []
    for taint in taints:
        if taint.get("effect") != NO_EXECUTE:
            continue
        matching = [toleration for toleration in tolerations if tolerates(toleration, taint)]
        if not matching:
            return 0.0
        delays += [
            max(0.0, float(toleration["tolerationSeconds"]))
            for toleration in matching
            if toleration.get("tolerationSeconds") is not None
        ]
    return min(delays, default=None)
