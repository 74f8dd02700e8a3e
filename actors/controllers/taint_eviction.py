"""The taint eviction controller: pods leave a node with a NoExecute taint when their tolerations run out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actorkube.kube import Controller, Views, Watches
from actorkube.kube.writes import Delete, Event, RequeueAfter, UpdateStatus, Write, reference_to
from actors.controllers.indexes import BY_NODE, by_node
from actors.controllers.node_state import taints_of
from actors.controllers.pod_summary import POD, PodSummary, summarise_pod
from protocols.objects import Object, key_of, name_of, namespace_of, uid_of
from protocols.rules.conditions import with_condition
from protocols.rules.owners import is_deleting
from protocols.rules.pods import is_terminated, node_of
from protocols.rules.taints import NO_EXECUTE, eviction_delay_s
from protocols.rules.times import seconds_of

NO_EXECUTE_TAINTS = "taints that evict"


def controller() -> Controller:
    return Controller(
        "taint-eviction-controller",
        (
            Watches("nodes", pods_of_node, summaries={NO_EXECUTE_TAINTS: no_execute_taints}, when=NO_EXECUTE_TAINTS),
            Watches(
                "pods",
                evictable,
                indexes={BY_NODE: by_node},
                summaries={POD: summarise_pod},
                when=POD,
                told_by=POD,
            ),
        ),
        reconcile,
    )


def no_execute_taints(node: Object) -> list[dict[str, Any]]:
    return [taint for taint in taints_of(node) if taint.get("effect") == NO_EXECUTE]


def pods_of_node(node: Object, views: Views) -> list[str]:
    return list(views["pods"].keys(BY_NODE, name_of(node)))


def evictable(pod: PodSummary, views: Views) -> list[str]:
    """Only pods on a node that evicts are of any interest."""
    return [pod.key] if views["nodes"].summary(NO_EXECUTE_TAINTS, pod.node) else []


def reconcile(key: str, views: Views, now: float) -> list[Write]:
    pod = views["pods"].get(key)
    if pod is None or is_deleting(pod):
        return []
    nodes = views["nodes"]
    taints = nodes.summary(NO_EXECUTE_TAINTS, node_of(pod)) or []
    noticed_at = nodes.since(NO_EXECUTE_TAINTS, node_of(pod)) or now
    leave_at = departure(taints, (pod.get("spec") or {}).get("tolerations") or (), noticed_at)
    if leave_at is None:
        return []
    return [RequeueAfter(leave_at - now)] if leave_at > now else evict(pod, now)


def departure(
    taints: Sequence[dict[str, Any]], tolerations: Sequence[dict[str, Any]], noticed_at: float
) -> float | None:
    """When a pod must go: each taint's toleration runs from when the taint came. None: it may stay."""
    times = []
    for taint in taints:
        delay_s = eviction_delay_s([taint], tolerations)
        if delay_s is not None:
            times.append(delay_s + (seconds_of(taint["timeAdded"]) if taint.get("timeAdded") else noticed_at))
    return min(times, default=None)


def evict(pod: Object, now: float) -> list[Write]:
    message = f"Marking for deletion Pod {key_of(pod)}"
    event = Event(reference_to(pod, "v1", "Pod"), "Normal", "TaintManagerEviction", message)
    deletion = Delete("pods", namespace_of(pod), name_of(pod), uid_of(pod), announce=event)
    marked = with_disruption(pod, "DeletionByTaintManager", "Taint manager: deleting due to NoExecute taint", now)
    return [deletion] if marked == pod or is_terminated(pod) else [UpdateStatus("pods", marked), deletion]


def with_disruption(pod: Object, reason: str, message: str, now: float) -> Object:
    """The pod, saying that it ends for the cluster's reasons and not for its own (KEP-3329)."""
    status = pod.get("status") or {}
    conditions = with_condition(status.get("conditions"), "DisruptionTarget", "True", reason, message, now)
    return {**pod, "status": {**status, "conditions": conditions}}
