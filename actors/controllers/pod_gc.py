"""The pod garbage collector: pods that nobody else will ever remove.

Pods bound to a node that exists no more (after a quarantine: it may register again), pods that are to go but were never
bound, and the oldest of those that are over, beyond a threshold. Keys: `node/NAME`, `pod/NAMESPACE/NAME`, `terminated`.
"""

from __future__ import annotations

from actorkube.kube import Controller, Views, Watches
from actorkube.kube.alike import looks_at
from actorkube.kube.writes import Confirm, Delete, RequeueAfter, UpdateStatus, Write
from actors.controllers.indexes import BY_NODE, by_node
from actors.controllers.pod_summary import POD, PodSummary, summarise_pod
from actors.controllers.settings import Settings
from actors.controllers.taint_eviction import with_disruption
from protocols.objects import Object, name_of
from protocols.rules.pods import is_terminated

TERMINATED = "terminated"
SPACING_S = 1.0


def controller(settings: Settings) -> Controller:
    def reconcile(key: str, views: Views, now: float) -> list[Write]:
        kind, _, name = key.partition("/")
        match kind:
            case "node":
                return pods_of_gone_node(name, views, now, settings.node_gone_quarantine_s)
            case "pod":
                return pod_never_bound(name, views, now)
            case _:
                return too_many_terminated(views, settings.terminated_pods_max)

    indexes = {BY_NODE: by_node, TERMINATED: by_termination}
    return Controller(
        "pod-garbage-collector-controller",
        (
            Watches("nodes", lambda node, views: (f"node/{name_of(node)}",), summaries={"name": name_of}, when="name"),
            Watches("pods", concerns_of_pod, indexes=indexes, summaries={POD: summarise_pod}, when=POD, told_by=POD),
        ),
        reconcile,
        spacing_s=SPACING_S,
    )


@looks_at("status")
def by_termination(pod: Object) -> tuple[str, ...]:
    return (TERMINATED,) if is_terminated(pod) else ()


def concerns_of_pod(pod: PodSummary, views: Views) -> list[str]:
    keys = [TERMINATED] if pod.terminated else []
    if pod.node and pod.node not in views["nodes"]:
        keys.append(f"node/{pod.node}")
    if not pod.node and pod.deleting:
        keys.append(f"pod/{pod.key}")
    return keys


def pods_of_gone_node(name: str, views: Views, now: float, quarantine_s: float) -> list[Write]:
    pods = views["pods"]
    if name in views["nodes"] or not pods.count(BY_NODE, name):
        return []
    wait = views["nodes"].absent_since(name) + quarantine_s - now
    if wait > 0:
        return [RequeueAfter(wait)]
    writes: list[Write] = [Confirm("nodes", "", name)]
    for key in pods.keys(BY_NODE, name):
        writes += _remove(key, views, now, "PodGC: node no longer exists")
    return writes


def pod_never_bound(key: str, views: Views, now: float) -> list[Write]:
    pod: PodSummary | None = views["pods"].summary(POD, key)
    return [_deletion(pod)] if pod is not None and pod.deleting and not pod.node else []


def too_many_terminated(views: Views, most: int) -> list[Write]:
    surplus = views["pods"].count(TERMINATED, TERMINATED) - most
    if surplus <= 0:
        return []
    pods: list[PodSummary] = views["pods"].summaries(POD, TERMINATED, TERMINATED)
    return [_deletion(pod) for pod in sorted(pods, key=lambda pod: (pod.created, pod.key))[:surplus]]


def _remove(key: str, views: Views, now: float, message: str) -> list[Write]:
    """Mark it as failed, since nobody will ever say how it ended, and delete it without grace."""
    summary = views["pods"].summary(POD, key)
    pod = views["pods"].get(key)
    if summary is None or pod is None or summary.terminated:
        return [_deletion(summary)] if summary is not None else []
    failed = with_disruption(pod, "DeletionByPodGC", message, now)
    failed["status"]["phase"] = "Failed"
    return [UpdateStatus("pods", failed), _deletion(summary)]


def _deletion(pod: PodSummary) -> Delete:
    return Delete("pods", pod.namespace, pod.name, pod.uid, grace_s=0)
