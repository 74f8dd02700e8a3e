"""What a status may not say: that a container runs again which must not, or that another node runs the pod."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import FieldErrors, forbidden, matches, unchanged
from protocols.objects import Object

_SYSTEM_CONDITIONS = ("PodScheduled", "Ready", "Initialized")


def pod_status(obj: Object, old: Object | None) -> FieldErrors:
    status, before = obj.get("status") or {}, (old or {}).get("status") or {}
    for index, condition in enumerate(status.get("conditions") or ()):
        kind = condition.get("type") or ""
        if kind not in _SYSTEM_CONDITIONS:
            yield from matches(f"status.conditions[{index}].Type", kind, names.label_key(kind))
    if before.get("qosClass"):
        yield from unchanged("status.qosClass", status.get("qosClass"), before["qosClass"])
    policy = (obj.get("spec") or {}).get("restartPolicy") or "Always"
    yield from _stay_terminated(
        "status.containerStatuses", status.get("containerStatuses") or (), before.get("containerStatuses") or (), policy
    )


def _stay_terminated(
    field: str, statuses: Sequence[dict[str, Any]], before: Sequence[dict[str, Any]], restart_policy: str
) -> FieldErrors:
    if restart_policy == "Always":
        return
    now = {status.get("name"): status for status in statuses}
    for index, status in enumerate(before):
        terminated = (status.get("state") or {}).get("terminated")
        if terminated is None or (terminated.get("exitCode") and restart_policy == "OnFailure"):
            continue
        later = now.get(status.get("name"))
        if later is not None and not (later.get("state") or {}).get("terminated"):
            yield forbidden(f"{field}[{index}].state", "may not be transitioned to non-terminated state")
