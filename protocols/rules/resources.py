"""What a pod asks of a node: effective requests, and the quality-of-service class that follows from them.

Amounts are plain integers: CPU in thousandths of a core, everything else in whole units (bytes, devices), rounded up.
Init containers run one after another before the others, so they count by their maximum; those that restart always
("sidecars") keep running, so they add to everything that starts after them (KEP-753).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Literal, NamedTuple

from protocols.objects import Object
from protocols.rules.conditions import find_condition
from protocols.rules.quantity import bytes_of, cpu_milli, parse_quantity

Amounts = dict[str, int]
QosClass = Literal["Guaranteed", "Burstable", "BestEffort"]

# What the scheduler's scores assume of a container that asks for nothing, so that such pods spread too.
ASSUMED_REQUESTS: Amounts = {"cpu": 100, "memory": 200 * 1024 * 1024}
_QOS_RESOURCES = ("cpu", "memory")
_POD_LEVEL_RESOURCES = ("cpu", "memory")


def is_extended(resource: str) -> bool:
    """`example.com/gpu`: with a domain that is not Kubernetes' own."""
    domain, slash, _ = resource.partition("/")
    return bool(slash) and "kubernetes.io" not in domain and not resource.startswith("requests.")


def amount(resource: str, quantity: str | float) -> int:
    return cpu_milli(quantity) if resource == "cpu" else bytes_of(quantity)


def amounts(quantities: Mapping[str, Any] | None) -> Amounts:
    """A ResourceList (`{"cpu": "100m"}`) as integers."""
    return {resource: amount(resource, quantity) for resource, quantity in (quantities or {}).items()}


def container_requests(container: Mapping[str, Any]) -> Amounts:
    """Requests; where one is missing but limited, its limit."""
    resources = container.get("resources") or {}
    return amounts({**(resources.get("limits") or {}), **(resources.get("requests") or {})})


def pod_requests(pod: Object, assumed: Mapping[str, int] | None = None, *, pod_level: bool = True) -> Amounts:
    """The pod's effective requests, overhead included; `assumed` stands in where a container asks for nothing.
    Without `pod_level` what the pod asks for as a whole does not count.

    While a running pod is resized (KEP-1287) it counts with the most of what it asks for, was allocated and has; with
    what it has alone where its node cannot do what it asks for."""
    spec = pod.get("spec") or {}
    resized = {each.name: each for each in resizes(pod)}
    total = _containers_requests(spec, assumed or {}, resized)
    whole = _counted("", spec, resized) if pod_level else {}
    total.update({resource: whole[resource] for resource in whole if _is_pod_level(resource)})
    _add(total, amounts(spec.get("overhead")))
    return total


def pod_limits(pod: Object) -> Amounts:
    """The pod's effective limits; overhead adds to what is limited at all."""
    spec = pod.get("spec") or {}

    def limits(container: Mapping[str, Any]) -> Amounts:
        return amounts((container.get("resources") or {}).get("limits"))

    total = _together(spec, limits)
    total.update({resource: each for resource, each in limits(spec).items() if _is_pod_level(resource)})
    _add(total, {r: each for r, each in amounts(spec.get("overhead")).items() if total.get(r)})
    return total


class Resize(NamedTuple):
    """What a container has ("" is the pod itself), where it asks for something else; `wanted`: it will get that."""

    name: str
    has: Mapping[str, Any]
    allocated: Mapping[str, Any]
    wanted: bool


def resizes(pod: Object) -> list[Resize]:
    """Mostly none, as for each pod that has not started."""
    spec, status = pod.get("spec") or {}, pod.get("status") or {}
    statuses = [*(status.get("containerStatuses") or ()), *(status.get("initContainerStatuses") or ())]
    told = [(each.get("name") or "", each) for each in statuses if each.get("resources") is not None]
    if status.get("resources") is not None:
        told.append(("", status))
    if not told:
        return []
    listed = [*(spec.get("containers") or ()), *(spec.get("initContainers") or ())]
    containers = {"": spec, **{each.get("name") or "": each for each in listed}}
    pending: Mapping[str, Any] = find_condition(status.get("conditions"), "PodResizePending") or {}
    found = []
    for name, each in told:
        asked = ((containers.get(name) or {}).get("resources") or {}).get("requests") or {}
        has, allocated = each["resources"].get("requests") or {}, each.get("allocatedResources") or {}
        if not asked == has == allocated:
            found.append(Resize(name, has, allocated, pending.get("reason") != "Infeasible"))
    return found


def _counted(name: str, container: Mapping[str, Any], resized: Mapping[str, Resize]) -> Amounts:
    wanted, resize = container_requests(container), resized.get(name)
    if resize is None:
        return wanted
    total = amounts(resize.has)
    _raise_to(total, amounts(resize.allocated))
    if resize.wanted:
        _raise_to(total, wanted)
    return total


def _is_pod_level(resource: str) -> bool:
    return resource in _POD_LEVEL_RESOURCES or resource.startswith("hugepages-")


def scoring_requests(pod: Object) -> Amounts:
    """The requests that scores count: a container that names no CPU or memory is taken for a small one; where the pod
    asks for something as a whole, only if none of it names that."""
    if not ((pod.get("spec") or {}).get("resources") or {}).get("requests"):
        return pod_requests(pod, ASSUMED_REQUESTS)
    asked = pod_requests(pod)
    return pod_requests(pod, {name: small for name, small in ASSUMED_REQUESTS.items() if not asked.get(name)})


def rated_requests(pod: Object) -> Amounts:
    """What kube-scheduler 1.36 counts of the pod that it rates nodes for: its containers, though it asks for something
    as a whole; as soon as it is placed, that counts."""
    return pod_requests(pod, ASSUMED_REQUESTS, pod_level=False)


def qos_class(pod: Object) -> QosClass:
    """Guaranteed: every container limits CPU and memory, and requests the same. BestEffort: nobody asks anything."""
    spec = pod.get("spec") or {}
    containers = [*(spec.get("initContainers") or ()), *(spec.get("containers") or ())]
    if container_requests(spec):
        containers = [spec]
    if not any(_asks(container) for container in containers):
        return "BestEffort"
    return "Guaranteed" if all(_is_guaranteed(container) for container in containers) else "Burstable"


def _containers_requests(spec: Mapping[str, Any], assumed: Mapping[str, int], resized: Mapping[str, Resize]) -> Amounts:
    return _together(spec, lambda container: {**assumed, **_counted(container.get("name") or "", container, resized)})


def _together(spec: Mapping[str, Any], counted: Callable[[Mapping[str, Any]], Amounts]) -> Amounts:
    """What all containers take at most at once."""
    sidecars: Amounts = {}
    starting: Amounts = {}
    for container in spec.get("initContainers") or ():
        wanted = counted(container)
        if container.get("restartPolicy") == "Always":
            _add(sidecars, wanted)
            _raise_to(starting, sidecars)
        else:
            _raise_to(starting, _sum((sidecars, wanted)))
    running = _sum([counted(container) for container in spec.get("containers") or ()])
    _add(running, sidecars)
    _raise_to(running, starting)
    return running


def _asks(container: Mapping[str, Any]) -> bool:
    resources = container.get("resources") or {}
    asked = [*(resources.get("requests") or {}).items(), *(resources.get("limits") or {}).items()]
    return any(resource in _QOS_RESOURCES and parse_quantity(quantity) > 0 for resource, quantity in asked)


def _is_guaranteed(container: Mapping[str, Any]) -> bool:
    limits = (container.get("resources") or {}).get("limits") or {}
    if any(resource not in limits for resource in _QOS_RESOURCES):
        return False
    requests = container_requests(container)
    return all(amount(resource, limits[resource]) == requests[resource] > 0 for resource in _QOS_RESOURCES)


def _sum(parts: Iterable[Mapping[str, int]]) -> Amounts:
    total: Amounts = {}
    for part in parts:
        _add(total, part)
    return total


def _add(total: Amounts, part: Mapping[str, int]) -> None:
    for resource, count in part.items():
        total[resource] = total.get(resource, 0) + count


def _raise_to(total: Amounts, floor: Mapping[str, int]) -> None:
    for resource, count in floor.items():
        total[resource] = max(total.get(resource, 0), count)
