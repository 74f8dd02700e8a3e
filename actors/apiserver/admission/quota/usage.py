"""What one object counts as: names of quota resources with amounts in nanos, and what scopes look at.

The sums of a quota are sums of these, whether they are added one by one or all over again.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

from protocols.objects import Object
from protocols.rules.quantity import NANOS, InvalidQuantity, format_quantity, parse_quantity
from protocols.rules.resources import qos_class

Amounts = dict[str, int]

PODS, PVCS, SERVICES = "pods", "persistentvolumeclaims", "services"
# Kinds that may be counted by their bare name, beside `count/<resource>.<group>`.
_BARE = frozenset({"configmaps", PVCS, "replicationcontrollers", "resourcequotas", "secrets", SERVICES})
_STORAGE_CLASS = ".storageclass.storage.k8s.io/"
_COMPUTE = ("cpu", "memory", "ephemeral-storage")
_ENDED = ("Succeeded", "Failed")


class Facts(NamedTuple):
    """What scopes ask about a pod."""

    terminating: bool = False
    best_effort: bool = False
    priority_class: str = ""
    cross_namespace_affinity: bool = False


class Usage(NamedTuple):
    """`facts` None: of a kind that no scope is about."""

    amounts: Amounts
    facts: Facts | None = None


NOTHING = Usage({})


def usage_of(group_resource: str, obj: Object) -> Usage:
    """A quantity that cannot be read counts nothing: validation refuses the object."""
    amounts = {f"count/{group_resource}": NANOS}
    if group_resource in _BARE:
        amounts[group_resource] = NANOS
    look = _LOOKS.get(group_resource)
    if look is None:
        return Usage(amounts)
    try:
        return look(obj, amounts)
    except InvalidQuantity:
        return Usage(amounts)


def kinds_counted(name: str) -> str:
    """The group resource whose objects count as the quota resource `name`."""
    if name.startswith("count/"):
        return name.removeprefix("count/")
    if name.startswith("services"):
        return SERVICES
    if name == "requests.storage" or _STORAGE_CLASS in name:
        return PVCS
    return name if name in _BARE else PODS


def shown(name: str, nanos: int) -> str:
    binary = any(word in name for word in ("memory", "storage", "hugepages"))
    return format_quantity(nanos, "BinarySI" if binary else "DecimalSI")


def missing_resources(pod: Object, wanted: set[str]) -> str:
    """What a quota insists that every container says, and does not: `limits.cpu for: main; ...`, or ""."""
    spec = pod.get("spec") or {}
    missing: dict[str, set[str]] = {}
    whole = _said(spec)
    for container in (*(spec.get("containers") or ()), *(spec.get("initContainers") or ())):
        for name in (wanted & _INSISTED) - _said(container) - whole:
            missing.setdefault(name, set()).add(container["name"])
    return "; ".join(f"{name} for: {','.join(sorted(missing[name]))}" for name in sorted(missing))


_INSISTED = frozenset({"cpu", "memory", "requests.cpu", "requests.memory", "limits.cpu", "limits.memory"})


def _said(container: Mapping[str, Any]) -> set[str]:
    resources = container.get("resources") or {}
    requests, limits = resources.get("requests") or {}, resources.get("limits") or {}
    return {*requests, *(f"requests.{name}" for name in requests), *(f"limits.{name}" for name in limits)}


def _pod(pod: Object, amounts: Amounts) -> Usage:
    spec = pod.get("spec") or {}
    facts = Facts(
        spec.get("activeDeadlineSeconds") is not None,
        qos_class(pod) == "BestEffort",
        spec.get("priorityClassName") or "",
        _is_affine_to_others(spec),
    )
    if (pod.get("status") or {}).get("phase") in _ENDED:
        return Usage(amounts, facts)  # it holds nothing any more, but still exists
    amounts[PODS] = NANOS
    for name, nanos in _effective(spec, "requests").items():
        amounts[f"requests.{name}"] = nanos
        if name in _COMPUTE or name.startswith("hugepages-"):
            amounts[name] = nanos
    for name, nanos in _effective(spec, "limits").items():
        amounts[f"limits.{name}"] = nanos
    return Usage(amounts, facts)


def _effective(spec: Mapping[str, Any], field: str) -> Amounts:
    """Init containers count by their maximum, sidecars with everything that starts after them (KEP-753)."""
    running: Amounts = {}
    starting: Amounts = {}
    for container in spec.get("initContainers") or ():
        own = _amounts(container, field)
        if container.get("restartPolicy") == "Always":
            _add(running, own)
            own = {}
        for name in {*own, *running}:
            starting[name] = max(starting.get(name, 0), own.get(name, 0) + running.get(name, 0))
    for container in spec.get("containers") or ():
        _add(running, _amounts(container, field))
    total = {name: max(running.get(name, 0), starting.get(name, 0)) for name in {*running, *starting}}
    total.update(_amounts(spec, field))
    for name, value in (spec.get("overhead") or {}).items():
        if field == "requests" or name in total:
            total[name] = total.get(name, 0) + parse_quantity(value)
    return total


def _amounts(container: Mapping[str, Any], field: str) -> Amounts:
    values = (container.get("resources") or {}).get(field) or {}
    return {name: parse_quantity(value) for name, value in values.items()}


def _add(total: Amounts, part: Amounts) -> None:
    for name, value in part.items():
        total[name] = total.get(name, 0) + value


def _is_affine_to_others(spec: Mapping[str, Any]) -> bool:
    affinity = spec.get("affinity") or {}
    for side in ("podAffinity", "podAntiAffinity"):
        terms = affinity.get(side) or {}
        preferred = terms.get("preferredDuringSchedulingIgnoredDuringExecution") or ()
        required = terms.get("requiredDuringSchedulingIgnoredDuringExecution") or ()
        for term in (*required, *(each.get("podAffinityTerm") or {} for each in preferred)):
            if term.get("namespaces") or term.get("namespaceSelector") is not None:
                return True
    return False


def _claim(claim: Object, amounts: Amounts) -> Usage:
    spec = claim.get("spec") or {}
    asked = ((spec.get("resources") or {}).get("requests") or {}).get("storage")
    had = ((claim.get("status") or {}).get("allocatedResources") or {}).get("storage")
    storage = max((parse_quantity(value) for value in (asked, had) if value is not None), default=0)
    amounts["requests.storage"] = storage
    storage_class = spec.get("storageClassName")
    if storage_class:
        amounts[f"{storage_class}{_STORAGE_CLASS}{PVCS}"] = NANOS
        amounts[f"{storage_class}{_STORAGE_CLASS}requests.storage"] = storage
    return Usage(amounts)


def _service(service: Object, amounts: Amounts) -> Usage:
    spec = service.get("spec") or {}
    type, ports = spec.get("type"), len(spec.get("ports") or ())
    if type == "LoadBalancer":
        amounts["services.loadbalancers"] = NANOS
        if spec.get("allocateLoadBalancerNodePorts") is False:
            ports = sum(1 for port in spec.get("ports") or () if port.get("nodePort"))
    if type in ("NodePort", "LoadBalancer"):
        amounts["services.nodeports"] = ports * NANOS
    return Usage(amounts)


_LOOKS: dict[str, Callable[[Object, Amounts], Usage]] = {PODS: _pod, PVCS: _claim, SERVICES: _service}
