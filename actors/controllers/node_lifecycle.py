"""The node lifecycle controller: nodes that fall silent are marked, shunned, and evicted at a bounded rate.

A node gives a sign of life when its lease or its heartbeat changes, by the clock of whoever sees it: clocks of others
do not matter, and after a restart every node gets its full grace again. Keys are node names, and `zone/REGION/ZONE` for
evictions, which are let through one node at a time, fewer where much of a zone is unhealthy, and none where all is.
"""

from __future__ import annotations

from typing import Any

from actorkube.kube import Controller, Views, Watches
from actorkube.kube.controller import no_keys
from actorkube.kube.writes import Event, RequeueAfter, Update, UpdateStatus, Write, reference_to
from actors.controllers.indexes import BY_NODE, by_node
from actors.controllers.node_state import (
    BY_ZONE,
    BY_ZONE_HEALTH,
    HEARTBEAT,
    NODE,
    NodeState,
    by_zone,
    by_zone_health,
    health_key,
    heartbeat_of,
    no_schedule_taints,
    ready_condition,
    summarise_node,
    taints_of,
    with_eviction,
    with_taints,
    zone_of,
)
from actors.controllers.pod_summary import POD, PodSummary, summarise_pod
from actors.controllers.settings import Settings
from protocols.objects import Object, meta, name_of
from protocols.rules.conditions import Condition, find_condition, with_condition
from protocols.rules.times import time_of

LEASES = "leases.coordination.k8s.io"
_ZONE_PREFIX = "zone/"
_SILENCED = ("Ready", "MemoryPressure", "DiskPressure", "PIDPressure")


def controller(settings: Settings) -> Controller:
    known: dict[str, str] = {}  # uids of the nodes that this controller manager has met, by name

    def reconcile(key: str, views: Views, now: float) -> list[Write]:
        if key.startswith(_ZONE_PREFIX):
            return reconcile_zone(key.removeprefix(_ZONE_PREFIX), views, now, settings)
        return [*meet(key, views, known), *reconcile_node(key, views, now, settings)]

    return Controller(
        "node-lifecycle-controller",
        (
            Watches(
                "nodes",
                node_and_zones,
                indexes={BY_ZONE: by_zone, BY_ZONE_HEALTH: by_zone_health},
                summaries={NODE: summarise_node, HEARTBEAT: heartbeat_of},
            ),
            Watches(LEASES, no_keys),
            Watches(
                "pods",
                silent_node_of_pod,
                indexes={BY_NODE: by_node},
                summaries={POD: summarise_pod},
                when=POD,
                told_by=POD,
            ),
        ),
        reconcile,
        told_by="node-controller",
    )


def meet(name: str, views: Views, known: dict[str, str]) -> list[Write]:
    """Of a node that is met for the first time users are told, which costs no write of the node: who starts again meets
    all of them again, as Kubernetes' controller does."""
    entry = views["nodes"].entry(name)
    if entry is None:
        known.pop(name, None)
        return []
    if known.get(name) == entry.uid:
        return []
    known[name] = entry.uid
    message = f"Node {name} event: Registered Node {name} in Controller"
    return [Event(reference_to(entry.peek(), "v1", "Node"), "Normal", "RegisteredNode", message)]


def node_and_zones(node: Object, views: Views) -> list[str]:
    """The node, and every zone: whether anything may be evicted depends on all of them."""
    zones = dict.fromkeys([zone_of(node), *views["nodes"].values(BY_ZONE)])
    return [name_of(node), *(f"{_ZONE_PREFIX}{zone}" for zone in zones)]


def silent_node_of_pod(pod: PodSummary, views: Views) -> tuple[str, ...]:
    """News of a pod on a node that nobody hears from: they are older than its silence."""
    state: NodeState | None = views["nodes"].summary(NODE, pod.node)
    return (pod.node,) if state is not None and state.ready == "Unknown" else ()


# -- a node -----------------------------------------------------------------------------------------------------------


def reconcile_node(name: str, views: Views, now: float, settings: Settings) -> list[Write]:
    node = views["nodes"].get(name)
    if node is None:
        return []
    wait = silent_at(node, views, settings) - now
    if wait <= 0 and (writes := _silence(node, now)):
        return writes
    state = summarise_node(node)
    taints = no_schedule_taints(node, now)
    if state.evicting != state.wanted_eviction and (state.healthy or state.evicting):
        taints = with_eviction(taints, state.wanted_eviction, now)
    writes = [Update("nodes", with_taints(node, taints))] if taints != taints_of(node) else []
    if state.ready == "Unknown":
        writes += _mark_pods_not_ready(node, views, now)
    return [*writes, *([RequeueAfter(wait)] if wait > 0 else [])]


def silent_at(node: Object, views: Views, settings: Settings) -> float:
    """When the node counts as silent, unless it gives another sign of life until then."""
    lease = views[LEASES].entry(f"kube-node-lease/{name_of(node)}")
    last_heartbeat = views["nodes"].since(HEARTBEAT, name_of(node)) or 0.0
    last_sign = max(last_heartbeat, lease.since if lease is not None else 0.0)
    is_new = ready_condition(node) is None
    return last_sign + (settings.node_startup_grace_s if is_new else settings.node_monitor_grace_s)


def _silence(node: Object, now: float) -> list[Write]:
    """Nobody knows how the node is any more, and that is what its conditions say."""
    status = node.get("status") or {}
    conditions: list[Condition] = status.get("conditions") or []
    for type in _SILENCED:
        conditions = _unknown(conditions, type, node, now)
    if conditions == (status.get("conditions") or []):
        return []
    was_ready = (find_condition(status.get("conditions"), "Ready") or {}).get("status") == "True"
    message = f"Node {name_of(node)} status is now: NodeNotReady"
    event = Event(reference_to(node, "v1", "Node"), "Normal", "NodeNotReady", message) if was_ready else None
    return [Update("nodes", {**node, "status": {**status, "conditions": conditions}}, "status", event)]


def _unknown(conditions: list[Condition], type: str, node: Object, now: float) -> list[Condition]:
    current = find_condition(conditions, type)
    if current is None:
        heartbeat = meta(node).get("creationTimestamp") or time_of(now)
        new = with_condition(
            conditions, type, "Unknown", "NodeStatusNeverUpdated", "Kubelet never posted node status.", now
        )
        return [{**c, "lastHeartbeatTime": heartbeat} if c["type"] == type else c for c in new]
    if current.get("status") == "Unknown":
        return conditions
    message = "Kubelet stopped posting node status."
    return with_condition(conditions, type, "Unknown", "NodeStatusUnknown", message, now)


def _mark_pods_not_ready(node: Object, views: Views, now: float) -> list[Write]:
    """Nobody vouches for the pods of a silent node: they answer for no service.

    A pod that became ready after the silence began has a kubelet that lives: contradicting it would begin a quarrel.
    """
    pods = views["pods"]
    silent_since = (ready_condition(node) or {}).get("lastTransitionTime", "")
    writes: list[Write] = []
    for key in pods.keys(BY_NODE, name_of(node)):
        if not pods.summary(POD, key).ready or (pod := pods.get(key)) is None:
            continue
        if ready_since(pod) < silent_since:
            writes.append(UpdateStatus("pods", _not_ready(pod, now)))
            about = reference_to(pod, "v1", "Pod")
            writes.append(Event(about, "Warning", "NodeNotReady", "Node is not ready"))
    return writes


def ready_since(pod: Object) -> str:
    """When the pod's readiness last changed; times in this form sort as they are."""
    condition = find_condition((pod.get("status") or {}).get("conditions"), "Ready")
    return (condition or {}).get("lastTransitionTime") or ""


def _not_ready(pod: Object, now: float) -> Object:
    status: dict[str, Any] = pod.get("status") or {}
    ready = find_condition(status.get("conditions"), "Ready") or {}
    reason, message = ready.get("reason", ""), ready.get("message", "")
    conditions = with_condition(status.get("conditions"), "Ready", "False", reason, message, now)
    return {**pod, "status": {**status, "conditions": conditions}}


# -- a zone -----------------------------------------------------------------------------------------------------------


def reconcile_zone(zone: str, views: Views, now: float, settings: Settings) -> list[Write]:
    """Let the next node of the zone be evicted, when it is time."""
    view = views["nodes"]
    nodes: list[NodeState] = view.summaries(NODE, BY_ZONE, zone)
    if all(not view.count(BY_ZONE_HEALTH, health_key(z, True)) for z in view.values(BY_ZONE)):
        return _spare(nodes, views)
    waiting = [node for node in nodes if node.wanted_eviction and not node.evicting]
    rate = eviction_rate(len(nodes), view.count(BY_ZONE_HEALTH, health_key(zone, False)), settings)
    if not waiting or rate <= 0:
        return []
    wait = max((node.evicting_since for node in nodes), default=0.0) + 1 / rate - now
    if wait > 0:
        return [RequeueAfter(wait)]
    node = view.get(waiting[0].name)
    assert node is not None
    taints = with_eviction(taints_of(node), waiting[0].wanted_eviction, now)
    return [Update("nodes", with_taints(node, taints)), RequeueAfter(1 / rate)]


def eviction_rate(size: int, unhealthy: int, settings: Settings) -> float:
    """Nodes a second. A zone that is largely (but not wholly) unhealthy may have lost its network, not its nodes."""
    healthy = size - unhealthy
    if healthy and unhealthy > 2 and unhealthy / size >= settings.unhealthy_zone_share:
        return settings.secondary_node_eviction_rate if size > settings.large_zone_size else 0.0
    return settings.node_eviction_rate


def _spare(nodes: list[NodeState], views: Views) -> list[Write]:
    """No node anywhere is healthy: the fault is more likely here, so nobody is evicted."""
    objects = (views["nodes"].get(node.name) for node in nodes if node.evicting)
    return [Update("nodes", with_taints(o, with_eviction(taints_of(o), "", 0.0))) for o in objects if o is not None]
