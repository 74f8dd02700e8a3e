"""What a resource quota may limit, and of which pods: not every scope means something for every resource."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import FieldErrors, invalid_value, matches, required, unchanged
from actors.apiserver.rules.validate.resources import quantity
from protocols.objects import Object

_PODS = ("pods",)
_COMPUTE = ("cpu", "memory", "limits.cpu", "limits.memory", "requests.cpu", "requests.memory")
_CLAIMS = ("persistentvolumeclaims", "requests.storage")
_OTHERS = (
    "configmaps",
    "ephemeral-storage",
    "limits.ephemeral-storage",
    "replicationcontrollers",
    "requests.ephemeral-storage",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
)
_STANDARD = frozenset((*_PODS, *_COMPUTE, *_CLAIMS, *_OTHERS))
COUNTED = (
    "configmaps",
    "persistentvolumeclaims",
    "pods",
    "replicationcontrollers",
    "resourcequotas",
    "secrets",
    "services",
    "services.loadbalancers",
    "services.nodeports",
)
_HUGE_PAGES = ("hugepages-", "requests.hugepages-")

# Which of the standard resources a scope is about.
_SCOPES: Mapping[str, tuple[str, ...]] = {
    "BestEffort": _PODS,
    "CrossNamespacePodAffinity": (*_PODS, *_COMPUTE),
    "NotBestEffort": (*_PODS, *_COMPUTE),
    "NotTerminating": (*_PODS, *_COMPUTE),
    "PriorityClass": (*_PODS, *_COMPUTE),
    "Terminating": (*_PODS, *_COMPUTE),
    "VolumeAttributesClass": _CLAIMS,
}
_OPPOSITES = (("BestEffort", "NotBestEffort"), ("Terminating", "NotTerminating"))
_ONLY_EXIST = ("Terminating", "NotTerminating", "BestEffort", "NotBestEffort", "CrossNamespacePodAffinity")


def resource_quota(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    hard = spec.get("hard") or {}
    yield from limited("spec.hard", hard)
    scopes = spec.get("scopes") or []
    yield from _scopes("spec.scopes", scopes, scopes, hard)
    if (selector := spec.get("scopeSelector")) is not None:
        yield from _selector("spec.scopeSelector.matchExpressions", selector, hard)
    if old is not None:
        before = (old.get("spec") or {}).get("scopes") or []
        yield from unchanged("spec.scopes", sorted(scopes), sorted(before))


def limited(field: str, amounts: Mapping[str, Any]) -> FieldErrors:
    """What quotas limit, or count, by the names of resources."""
    for name, value in amounts.items():
        problems = list(names.label_key(name))
        yield from matches(f"{field}[{name}]", name, problems)
        if not _is_named_rightly(name):
            if not problems:
                yield invalid_value(f"{field}[{name}]", name, "must be a standard resource type or fully qualified")
            yield invalid_value(f"{field}[{name}]", name, "must be a standard resource for quota")
        yield from quantity(f"{field}[{name}]", value, whole=name in COUNTED)


def _is_named_rightly(name: str) -> bool:
    return "/" in name or name in _STANDARD or name.startswith(_HUGE_PAGES)


def _scopes(field: str, shown: object, scopes: Iterable[str], hard: Iterable[str]) -> FieldErrors:
    """`shown`: the value that errors name."""
    for scope in scopes:
        about = _SCOPES.get(scope)
        if about is None:
            yield invalid_value(field, shown, "unsupported scope")
            continue
        for _ in [name for name in hard if name in _STANDARD and name not in about]:
            yield invalid_value(field, shown, "unsupported scope applied to resource")
    for pair in _OPPOSITES:
        if {*pair} <= {*scopes}:
            yield invalid_value(field, shown, "conflicting scopes")


def _selector(field: str, selector: dict[str, Any], hard: Iterable[str]) -> FieldErrors:
    expressions = selector.get("matchExpressions") or []
    yield from _scopes(field, selector, [each.get("scopeName") or "" for each in expressions], hard)
    for each in expressions:
        operator, values = each.get("operator") or "", each.get("values") or []
        if each.get("scopeName") in _ONLY_EXIST and operator != "Exists":
            named = ", ".join(f"ResourceQuotaScope{scope}" for scope in _ONLY_EXIST[:-1])
            detail = f"must be 'Exist' when scope is any of {named} or ResourceQuotaScope{_ONLY_EXIST[-1]}"
            yield invalid_value(f"{field}.operator", operator, detail)
        yield from _values(field, operator, values)


def _values(field: str, operator: str, values: list[str]) -> FieldErrors:
    match operator:
        case "In" | "NotIn":
            if not values:
                detail = "must be at least one value when `operator` is 'In' or 'NotIn' for scope selector"
                yield required(f"{field}.values", detail)
        case "Exists" | "DoesNotExist":
            if values:
                detail = "must be no value when `operator` is 'Exist' or 'DoesNotExist' for scope selector"
                yield invalid_value(f"{field}.values", values, detail)
        case _:
            yield invalid_value(f"{field}.operator", operator, "not a valid selector operator")
