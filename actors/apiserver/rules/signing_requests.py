"""What each endpoint of a CertificateSigningRequest may change, and when its conditions came to be.

The main one changes metadata alone; `approval` the conditions; `status` all of the status but what was decided.
"""

from __future__ import annotations

from typing import Any

from protocols.objects import Object
from protocols.rules.times import time_of

_DECIDED = ("Approved", "Denied")


def kept_apart(updated: Object, old: Object, subresource: str) -> Object:
    before, new = old.get("status") or {}, updated.get("status") or {}
    if subresource == "approval":
        # The certificate is the signer's.
        status = {**before, "conditions": new.get("conditions") or []}
        return {**old, "metadata": _metadata(updated, old), "status": status}
    if subresource == "status":
        decided = [each for each in before.get("conditions") or () if each.get("type") in _DECIDED]
        known = {each["type"] for each in decided}  # what is new among those is refused (validate/certificates.py)
        conditions = [each for each in new.get("conditions") or () if each.get("type") not in known]
        return {**updated, "spec": old.get("spec"), "status": {**new, "conditions": [*decided, *conditions]}}
    return {**updated, "spec": old.get("spec"), "status": before}


def stamped(new: Object, old: Object, now: float) -> Object:
    """Conditions say when they changed."""
    status = new.get("status") or {}
    if not status.get("conditions"):
        return new
    before = {each.get("type"): each for each in (old.get("status") or {}).get("conditions") or ()}
    conditions = [_stamped(each, before.get(each.get("type")), time_of(now)) for each in status["conditions"]]
    return {**new, "status": {**status, "conditions": conditions}}


def _stamped(condition: dict[str, Any], before: dict[str, Any] | None, moment: str) -> dict[str, Any]:
    times = {"lastUpdateTime": condition.get("lastUpdateTime") or moment}
    changed = before is None or before.get("status") != condition.get("status")
    transition = condition.get("lastTransitionTime") or (
        None if changed or before is None else before.get("lastTransitionTime")
    )
    return {**condition, **times, "lastTransitionTime": transition or moment}


def _metadata(updated: Object, old: Object) -> dict[str, Any]:
    metadata, new = {**(old.get("metadata") or {})}, updated.get("metadata") or {}
    for key in ("resourceVersion", "managedFields"):
        if key in new:
            metadata[key] = new[key]
    return metadata
