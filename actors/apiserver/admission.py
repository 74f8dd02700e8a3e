"""What Kubernetes' default admission plugins do to a new object: functions of it and of what else is stored.

NamespaceLifecycle, ServiceAccount (its name, not yet its token), DefaultTolerationSeconds, Priority. What refuses
raises a StatusError, what changes the object does so in place: it is the caller's own.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from actors.apiserver.answers import details, forbidden
from actors.apiserver.schema.resources import Resource, find
from protocols.errors import Forbidden, NotFound
from protocols.objects import Object, meta, name_of
from protocols.rules.owners import is_deleting
from protocols.rules.taints import NO_EXECUTE, NOT_READY, UNREACHABLE

# (group resource, key) -> the stored object, or None.
Lookup = Callable[[str, str], Object | None]

_SYSTEM_PRIORITIES = {"system-cluster-critical": 2_000_000_000, "system-node-critical": 2_000_001_000}
_PRIORITY_CLASSES = "priorityclasses.scheduling.k8s.io"


def admit_create(
    resource: Resource,
    obj: Object,
    namespace: str,
    lookup: Lookup,
    default_priority_class: Callable[[], Object | None],
    toleration_s: int,
) -> None:
    """`toleration_s`: how long a pod stays on a node that is not ready or reachable, unless it says so itself."""
    if resource.namespaced:
        check_namespace(resource, obj, namespace, lookup)
    if resource.group_resource == "pods":
        spec = obj.setdefault("spec", {})
        _default_service_account(spec)
        _default_tolerations(spec, toleration_s)
        _resolve_priority(obj, spec, lookup, default_priority_class)


def check_namespace(resource: Resource, obj: Object, namespace: str, lookup: Lookup) -> None:
    """Content can only be created in a namespace that exists and is not on its way out."""
    found = lookup("namespaces", namespace)
    if found is None:
        raise namespace_not_found(namespace)
    if is_deleting(found):
        name = name_of(obj) or str(meta(obj).get("generateName", ""))
        refusal = forbidden(
            resource, name, f"unable to create new content in namespace {namespace} because it is being terminated"
        )
        message = f"namespace {namespace} is being terminated"
        cause = {"reason": "NamespaceTerminating", "message": message, "field": "metadata.namespace"}
        raise Forbidden(refusal.message, {**refusal.details, "causes": [cause]})


def namespace_not_found(namespace: str) -> NotFound:
    resource = find("namespaces")
    assert resource is not None
    return NotFound(f'namespaces "{namespace}" not found', details(resource, namespace))


def _default_service_account(spec: dict[str, Any]) -> None:
    name = spec.get("serviceAccountName") or spec.get("serviceAccount") or "default"
    spec["serviceAccountName"] = spec["serviceAccount"] = name


def _default_tolerations(spec: dict[str, Any], seconds: int) -> None:
    tolerations = list(spec.get("tolerations") or ())
    for taint in (NOT_READY, UNREACHABLE):
        if not any(_covers(toleration, taint) for toleration in tolerations):
            tolerations.append({"key": taint, "operator": "Exists", "effect": NO_EXECUTE, "tolerationSeconds": seconds})
    spec["tolerations"] = tolerations


def _covers(toleration: dict[str, Any], taint: str) -> bool:
    return (toleration.get("key") or taint) == taint and (toleration.get("effect") or NO_EXECUTE) == NO_EXECUTE


def _resolve_priority(
    pod: Object, spec: dict[str, Any], lookup: Lookup, default_class: Callable[[], Object | None]
) -> None:
    name = spec.get("priorityClassName") or ""
    if name in _SYSTEM_PRIORITIES:
        priority_class: Object | None = {"value": _SYSTEM_PRIORITIES[name]}
    elif name:
        priority_class = lookup(_PRIORITY_CLASSES, name)
        if priority_class is None:
            pods = find("pods")
            assert pods is not None
            raise forbidden(pods, name_of(pod), f"no PriorityClass with name {name} was found")
    else:
        priority_class = default_class()
        if priority_class is not None:
            spec["priorityClassName"] = name_of(priority_class)
    spec["priority"] = int((priority_class or {}).get("value") or 0)
    spec.setdefault("preemptionPolicy", (priority_class or {}).get("preemptionPolicy") or "PreemptLowerPriority")
