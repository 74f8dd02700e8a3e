"""A daemon set's status: of how many nodes each thing is true. `kubectl rollout status` waits for these numbers."""

from __future__ import annotations

from actors.controllers.daemonset_nodes import Daemons
from protocols.objects import Object, meta

_MAY_BE_LEFT_OUT = ("updatedNumberScheduled", "numberAvailable", "numberUnavailable")


def new_status(daemon_set: Object, it: Daemons) -> Object:
    """A node's pod is its oldest one; what is not numbers (collisionCount, conditions) stays."""
    counts = counted(it)
    numbers = {name: number for name, number in counts.items() if number or name not in _MAY_BE_LEFT_OUT}
    kept = {name: value for name, value in (daemon_set.get("status") or {}).items() if name not in counts}
    return {**kept, **numbers, "observedGeneration": meta(daemon_set).get("generation", 0)}


def counted(it: Daemons) -> dict[str, int]:
    desired = current = updated = ready = available = misscheduled = 0
    for node, fit in it.fits.items():
        pods = it.pods.get(node)
        if not fit.runs:
            misscheduled += bool(pods)
            continue
        desired += 1
        if pods:
            current += 1
            updated += it.is_updated(pods[0])
            ready += pods[0].ready
            available += it.is_available(pods[0])
    return {
        "currentNumberScheduled": current,
        "desiredNumberScheduled": desired,
        "numberAvailable": available,
        "numberMisscheduled": misscheduled,
        "numberReady": ready,
        "numberUnavailable": desired - available,
        "updatedNumberScheduled": updated,
    }


def seconds_to_availability(it: Daemons) -> float | None:
    """A ready pod becomes available by the mere passing of time."""
    if not it.min_ready_s:
        return None
    waits = [
        pod.ready_since + it.min_ready_s - it.now
        for pods in it.pods.values()
        for pod in pods
        if pod.ready_since is not None
    ]
    return min((wait for wait in waits if wait > 0), default=None)
