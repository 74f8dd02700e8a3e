"""What a pod was given of what it asks for, while it runs (KEP-1287). Pure.

A pod that was admitted has been given what it asked for then. When it asks for something else, its node either gives it
that as a whole, or says why not: never (Infeasible), or not while others have it (Deferred). What was given is then
made so in each container: by an update, or by a restart where the container's resizePolicy wants one.

What is given is written in the pod's status, where a kubelet that starts again finds it.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import orjson

from protocols.objects import Object, meta
from protocols.rules.conditions import find_condition, with_condition, without_condition
from protocols.rules.resources import Amounts, pod_requests, qos_class

Resources = dict[str, Any]  # a container's `resources`: requests and limits

PENDING, IN_PROGRESS = "PodResizePending", "PodResizeInProgress"
DEFERRED, INFEASIBLE = "Deferred", "Infeasible"
RESIZABLE = ("cpu", "memory")
_LISTS = ("initContainers", "containers")


@dataclass(frozen=True, slots=True)
class Pending:
    """Why the node does not give what is asked for. `generation`: of the pod that asks."""

    reason: str  # Deferred or Infeasible
    message: str
    generation: int


@dataclass(slots=True)
class PodResize:
    """`given`: generation of the pod whose amounts were given and are not in force everywhere yet, 0 for none.

    `shown`: the pod's status may say something about it. Of most pods it never does.
    """

    pending: Pending | None = None
    given: int = 0
    error: str = ""
    shown: bool = True

    @classmethod
    def of(cls, pod: Object) -> PodResize:
        """As the pod's status says."""
        conditions = (pod.get("status") or {}).get("conditions")
        told = find_condition(conditions, IN_PROGRESS)
        if told is not None:
            return cls(given=max(1, int(told.get("observedGeneration") or 0)))
        return cls(shown=find_condition(conditions, PENDING) is not None)

    def conditions(self, conditions: list[dict[str, Any]], now: float) -> list[dict[str, Any]]:
        """With those about resizing as they should be."""
        if not self.shown:
            return conditions
        if self.pending is not None:
            pending = self.pending
            conditions = with_condition(conditions, PENDING, "True", pending.reason, pending.message, now)
            conditions = _observed(conditions, PENDING, pending.generation)
        elif find_condition(conditions, PENDING) is not None:
            conditions = without_condition(conditions, PENDING)
        if self.given:
            reason = "Error" if self.error else ""
            conditions = with_condition(conditions, IN_PROGRESS, "True", reason, self.error, now)
            conditions = _observed(conditions, IN_PROGRESS, self.given)
        elif find_condition(conditions, IN_PROGRESS) is not None:
            conditions = without_condition(conditions, IN_PROGRESS)
        return conditions


def pending_told(pod: Object) -> Pending | None:
    """As the pod's status says."""
    entry = find_condition((pod.get("status") or {}).get("conditions"), PENDING)
    if entry is None:
        return None
    return Pending(entry.get("reason", ""), entry.get("message", ""), int(entry.get("observedGeneration") or 0))


def is_resizable(container: Mapping[str, Any], field: str) -> bool:
    """One that goes on running."""
    return field == "containers" or container.get("restartPolicy") == "Always"


def with_given(pod: Object, given: Mapping[str, Resources]) -> Object:
    """The pod as it is with the resources that were given to its containers, by name."""
    spec = dict(pod.get("spec") or {})
    for field in _LISTS:
        if spec.get(field):
            spec[field] = [_with_given(container, given) for container in spec[field]]
    return {**pod, "spec": spec}


def told(pod: Object) -> dict[str, Mapping[str, Any]]:
    """What the pod's status says of its containers' amounts, by name; of none that has not begun."""
    status = pod.get("status") or {}
    entries = [*(status.get("initContainerStatuses") or ()), *(status.get("containerStatuses") or ())]
    return {entry["name"]: entry for entry in entries if entry.get("resources") is not None}


def given_before(pod: Object) -> dict[str, Resources]:
    """What an earlier kubelet gave the containers of a pod that asks for something else now; mostly nothing."""
    entries, spec, given = told(pod), pod.get("spec") or {}, PodResize.of(pod).given
    if not entries:
        return {}
    asked = {each["name"]: each.get("resources") or {} for field in _LISTS for each in spec.get(field) or ()}
    if all(_is_given(asked.get(name) or {}, entry, given) for name, entry in entries.items()):
        return {}
    return {name: _as_told(entry) for name, entry in entries.items()}


def _is_given(asked: Resources, entry: Mapping[str, Any], given: int) -> bool:
    """While something is given that is not in force yet, limits are not told; they take no room."""
    if (entry.get("allocatedResources") or {}) != (asked.get("requests") or {}):
        return False
    return bool(given) or (entry["resources"].get("limits") or {}) == (asked.get("limits") or {})


def problem(pod: Object, allocatable: Amounts, used: Collection[Amounts]) -> Pending | None:
    """Why a node where others have `used` of what it has cannot give what the pod asks for."""
    wanted, generation = pod_requests({"spec": pod.get("spec")}), int(meta(pod).get("generation") or 0)
    for resource in ("memory", "cpu"):
        capacity = allocatable.get(resource, 0)
        if wanted.get(resource, 0) > capacity:
            amounts = f"{resource}, requested: {wanted[resource]}, capacity: {capacity}"
            return Pending(INFEASIBLE, f"Node didn't have enough capacity: {amounts}", generation)
    for resource in RESIZABLE:
        taken, capacity = sum(each.get(resource, 0) for each in used), allocatable.get(resource, 0)
        if wanted.get(resource, 0) + taken > capacity:
            amounts = f"{resource}, requested: {wanted.get(resource, 0)}, used: {taken}, capacity: {capacity}"
            return Pending(DEFERRED, f"Node didn't have enough resource: {amounts}", generation)
    return None


def needs_restart(container: Mapping[str, Any], old: Resources, new: Resources) -> bool:
    """Whether a changed amount is one that the container's resizePolicy restarts it for."""
    policies = {each.get("resourceName"): each.get("restartPolicy") for each in container.get("resizePolicy") or ()}
    changed = [name for name in RESIZABLE if _in_force(old, name) != _in_force(new, name)]
    return any(policies.get(name) == "RestartContainer" for name in changed)


def order(pod: Object, has: Amounts, since: float) -> tuple[bool, int, bool, float]:
    """Who is looked at first: who wants no more, then by priority, then guaranteed ones, then who began earlier."""
    wanted = pod_requests({"spec": pod.get("spec")})
    increases = any(wanted.get(name, 0) > has.get(name, 0) for name in RESIZABLE)
    priority = int((pod.get("spec") or {}).get("priority") or 0)
    return increases, -priority, qos_class(pod) != "Guaranteed", since


def message(what: str, pod: Object, generation: int, error: str = "") -> str:
    """An event's: `Pod resize started: {"containers":[...],"generation":2}`."""
    spec, summary = pod.get("spec") or {}, {}
    for field in _LISTS:
        if listed := [_summed_up(each) for each in spec.get(field) or () if is_resizable(each, field)]:
            summary[field] = listed
    said = {**summary, "generation": generation, **({"error": error} if error else {})}
    return f"Pod resize {what}: {orjson.dumps(said).decode()}"


def _observed(conditions: Iterable[dict[str, Any]], type: str, generation: int) -> list[dict[str, Any]]:
    return [{**each, "observedGeneration": generation} if each["type"] == type else each for each in conditions]


def _with_given(container: dict[str, Any], given: Mapping[str, Resources]) -> dict[str, Any]:
    resources = given.get(container["name"])
    return container if resources is None else {**container, "resources": resources}


def _as_told(entry: Mapping[str, Any]) -> Resources:
    resources = {key: value for key, value in entry["resources"].items() if key != "requests"}
    return {**resources, "requests": entry["allocatedResources"]} if entry.get("allocatedResources") else resources


def _in_force(resources: Resources, name: str) -> tuple[Any, Any]:
    """What a container feels of an amount: a request of memory only counts where pods are placed."""
    request = (resources.get("requests") or {}).get(name) if name == "cpu" else None
    return request, (resources.get("limits") or {}).get(name)


def _summed_up(container: Mapping[str, Any]) -> dict[str, Any]:
    resources = container.get("resources") or {}
    kept = {kind: dict(sorted(resources[kind].items())) for kind in ("limits", "requests") if resources.get(kind)}
    return {"name": container["name"], "resources": kept}
