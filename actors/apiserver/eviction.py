"""The eviction subresource: a delete that asks the PodDisruptionBudgets first."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from protocols.errors import InternalError, TooManyRequests
from protocols.objects import Object, labels_of, meta, name_of, uid_of
from protocols.rules.conditions import with_condition
from protocols.rules.owners import is_deleting
from protocols.rules.pods import is_ready, phase_of
from protocols.rules.selectors import selector_matches
from protocols.rules.times import time_of

_MESSAGE = "Cannot evict pod as it would violate the pod's disruption budget."


def as_of_today(eviction: object) -> object:
    """One of a version that is gone is still taken: clients of before 1.22 send no others."""
    if isinstance(eviction, dict) and eviction.get("apiVersion") == "policy/v1beta1":
        return {**eviction, "apiVersion": "policy/v1"}
    return eviction


def budget_to_spend(pod: Object, budgets: Iterable[Object]) -> Object | None:
    """The budget that the eviction counts against; None when it may go ahead at once."""
    if is_deleting(pod) or phase_of(pod) in ("Pending", "Succeeded", "Failed"):
        return None
    mine = [budget for budget in budgets if _covers(budget, pod)]
    if len(mine) > 1:
        raise InternalError(
            "This pod has more than one PodDisruptionBudget, which the eviction subresource does not support."
        )
    if not mine or (_unhealthy_may_go(mine[0]) and not is_ready(pod)):
        return None
    return mine[0]


def spent(budget: Object, pod: Object, now: float) -> Object:
    """The budget with one disruption fewer to allow. Raises TooManyRequests when there is none left."""
    name, status = name_of(budget), {**(budget.get("status") or {})}
    if (status.get("observedGeneration") or 0) < (meta(budget).get("generation") or 0):
        raise _refusal(f"The disruption budget {name} is still being processed by the server.", retry_after_s=10)
    if (status.get("disruptionsAllowed") or 0) <= 0:
        wanted, healthy = status.get("desiredHealthy", 0), status.get("currentHealthy", 0)
        raise _refusal(f"The disruption budget {name} needs {wanted} healthy pods and has {healthy} currently")
    status["disruptionsAllowed"] -= 1
    status["disruptedPods"] = {**(status.get("disruptedPods") or {}), name_of(pod): time_of(now)}
    return {**budget, "status": status}


def marked(pod: Object, now: float) -> Object:
    """The pod, saying that it ends for the cluster's reasons and not for its own (KEP-3329)."""
    status = pod.get("status") or {}
    conditions = with_condition(
        status.get("conditions"), "DisruptionTarget", "True", "EvictionByEvictionAPI", "Eviction API: evicting", now
    )
    return {**pod, "status": {**status, "conditions": conditions}}


def means(preconditions: dict[str, Any] | None, pod: Object) -> bool:
    """Whether a deletion on these conditions goes on after the pod was marked: it has another revision then."""
    asked = preconditions or {}
    return not asked.get("resourceVersion") and asked.get("uid") in (None, "", uid_of(pod))


def _covers(budget: Object, pod: Object) -> bool:
    return selector_matches((budget.get("spec") or {}).get("selector"), labels_of(pod))


def _unhealthy_may_go(budget: Object) -> bool:
    return bool((budget.get("spec") or {}).get("unhealthyPodEvictionPolicy") == "AlwaysAllow")


def _refusal(why: str, retry_after_s: int = 0) -> TooManyRequests:
    details: dict[str, object] = {"causes": [{"reason": "DisruptionBudget", "message": why}]}
    if retry_after_s:
        details["retryAfterSeconds"] = retry_after_s
    return TooManyRequests(_MESSAGE, details)
