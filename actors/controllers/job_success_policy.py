"""A Job's `successPolicy`: which indexes must have succeeded for the whole job to have (KEP-3998)."""

from __future__ import annotations

from typing import Any

from actors.controllers.job_indexes import Intervals, overlap, parse, total
from protocols.objects import Object


def met(job: Object, succeeded: Intervals) -> str:
    """Which rule is fulfilled, in Kubernetes' words; "" for none."""
    policy = job["spec"].get("successPolicy") or {}
    completions = job["spec"]["completions"]
    for position, rule in enumerate(policy.get("rules") or ()):
        if _fulfilled(rule, succeeded, completions):
            return f"Matched rules at index {position}"
    return ""


def _fulfilled(rule: dict[str, Any], succeeded: Intervals, completions: int) -> bool:
    count = rule.get("succeededCount")
    if rule.get("succeededIndexes") is None:
        return bool(succeeded) and count is not None and total(succeeded) >= count
    required = parse(rule["succeededIndexes"], completions)
    reached = overlap(required, succeeded)
    return bool(required) and (reached == total(required) or (count is not None and reached >= count))
