"""What controllers need to know of every node, and where its conditions and taints come together."""

from __future__ import annotations

from typing import Any, NamedTuple

from protocols.objects import Object, labels_of, meta, name_of
from protocols.rules.conditions import find_condition
from protocols.rules.taints import NO_EXECUTE, NO_SCHEDULE, NOT_READY, UNREACHABLE, UNSCHEDULABLE
from protocols.rules.times import seconds_of, time_of

NODE = "node"  # the summary's name in the view of nodes
HEARTBEAT = "heartbeat"
BY_ZONE = "zone"
BY_ZONE_HEALTH = "zone and health"

Taint = dict[str, Any]

# Condition type -> its status -> the taint that keeps pods from being scheduled to the node.
_CONDITION_TAINTS: dict[str, dict[str, str]] = {
    "Ready": {"False": NOT_READY, "Unknown": UNREACHABLE},
    "MemoryPressure": {"True": "node.kubernetes.io/memory-pressure"},
    "DiskPressure": {"True": "node.kubernetes.io/disk-pressure"},
    "NetworkUnavailable": {"True": "node.kubernetes.io/network-unavailable"},
    "PIDPressure": {"True": "node.kubernetes.io/pid-pressure"},
}
_OWN_NO_SCHEDULE = {*(key for keys in _CONDITION_TAINTS.values() for key in keys.values()), UNSCHEDULABLE}


class NodeState(NamedTuple):
    name: str
    zone: str
    ready: str  # True, False, Unknown; "" before it ever said so
    evicting: str  # the key of its NoExecute taint for being not ready or unreachable
    evicting_since: float

    @property
    def healthy(self) -> bool:
        return self.ready == "True"

    @property
    def wanted_eviction(self) -> str:
        """The NoExecute taint that the node should have, as far as evictions are let through."""
        return _CONDITION_TAINTS["Ready"].get(self.ready, "")


def summarise_node(node: Object) -> NodeState:
    ready = ready_condition(node) or {}
    eviction = next((t for t in taints_of(node) if is_eviction(t)), {})
    since = seconds_of(eviction["timeAdded"]) if eviction.get("timeAdded") else 0.0
    return NodeState(
        name_of(node),
        zone_of(node),
        ready.get("status", ""),
        eviction.get("key", ""),
        since,
    )


def heartbeat_of(node: Object) -> str:
    return (ready_condition(node) or {}).get("lastHeartbeatTime") or ""


def by_zone(node: Object) -> tuple[str, ...]:
    return (zone_of(node),)


def by_zone_health(node: Object) -> tuple[str, ...]:
    return (health_key(zone_of(node), (ready_condition(node) or {}).get("status") == "True"),)


def health_key(zone: str, healthy: bool) -> str:
    return f"{zone} {'healthy' if healthy else 'unhealthy'}"


def zone_of(node: Object) -> str:
    labels = labels_of(node)
    return f"{labels.get('topology.kubernetes.io/region', '')}/{labels.get('topology.kubernetes.io/zone', '')}"


def ready_condition(node: Object) -> dict[str, Any] | None:
    return find_condition((node.get("status") or {}).get("conditions"), "Ready")


def taints_of(node: Object) -> list[Taint]:
    return (node.get("spec") or {}).get("taints") or []


def is_eviction(taint: Taint) -> bool:
    return taint.get("effect") == NO_EXECUTE and taint.get("key") in (NOT_READY, UNREACHABLE)


def no_schedule_taints(node: Object, now: float) -> list[Taint]:
    """The node's taints, with those that follow from its conditions and from being cordoned brought up to date."""
    wanted = [
        key
        for condition in (node.get("status") or {}).get("conditions") or ()
        if (key := _CONDITION_TAINTS.get(condition["type"], {}).get(condition.get("status", "")))
    ]
    if (node.get("spec") or {}).get("unschedulable"):
        wanted.append(UNSCHEDULABLE)
    kept = [t for t in taints_of(node) if not _is_own_no_schedule(t) or t["key"] in wanted]
    present = {t["key"] for t in kept if _is_own_no_schedule(t)}
    return [*kept, *(_taint(key, NO_SCHEDULE, now) for key in wanted if key not in present)]


def with_eviction(taints: list[Taint], key: str, now: float) -> list[Taint]:
    """The taints with this NoExecute taint in place of any other of its kind; "" for none."""
    kept = [taint for taint in taints if not is_eviction(taint) or taint["key"] == key]
    if not key or any(is_eviction(taint) for taint in kept):
        return kept
    return [*kept, _taint(key, NO_EXECUTE, now)]


def with_taints(node: Object, taints: list[Taint]) -> Object:
    spec = {field: value for field, value in (node.get("spec") or {}).items() if field != "taints"}
    return {**node, "metadata": meta(node), "spec": {**spec, **({"taints": taints} if taints else {})}}


def _is_own_no_schedule(taint: Taint) -> bool:
    return taint.get("effect") == NO_SCHEDULE and taint.get("key") in _OWN_NO_SCHEDULE


def _taint(key: str, effect: str, now: float) -> Taint:
    return {"key": key, "effect": effect, "timeAdded": time_of(now)}
