"""Quantities of resources: their names, their values, and requests that fit into limits."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import NOT_NEGATIVE, FieldErrors, forbidden, invalid_value, matches, required
from protocols.rules.quantity import NANOS, InvalidQuantity, bytes_of, parse_quantity

# Without a domain only these are resources of containers; everything else is an extended resource: `example.com/gpu`.
_STANDARD = ("cpu", "memory", "ephemeral-storage")
# Resources of quotas, volumes and nodes, which no container has.
_ELSEWHERE = (
    "storage",
    "requests.cpu",
    "requests.memory",
    "requests.ephemeral-storage",
    "limits.cpu",
    "limits.memory",
    "limits.ephemeral-storage",
    "pods",
    "resourcequotas",
    "services",
    "replicationcontrollers",
    "secrets",
    "configmaps",
    "persistentvolumeclaims",
    "services.nodeports",
    "services.loadbalancers",
)
_HUGEPAGES = "hugepages-"


def resource_requirements(field: str, resources: Mapping[str, Any]) -> FieldErrors:
    limits, requests = resources.get("limits") or {}, resources.get("requests") or {}
    for name, value in limits.items():
        yield from resource_name(f"{field}.limits[{name}]", name)
        yield from _amount(f"{field}.limits[{name}]", name, value)
    for name, value in requests.items():
        yield from resource_name(f"{field}.requests[{name}]", name)
        yield from _amount(f"{field}.requests[{name}]", name, value)
        if name in limits:
            yield from _fits(f"{field}.requests", name, value, limits[name])
        elif _is_whole(name):
            yield required(f"{field}.limits", "Limit must be set for non overcommitable resources")
    asked = {*limits, *requests}
    if any(name.startswith(_HUGEPAGES) for name in asked) and not asked & {"cpu", "memory"}:
        yield forbidden(field, "HugePages require cpu or memory")


def quantity(field: str, value: Any, *, whole: bool = False, positive: bool = False) -> FieldErrors:
    """A quantity that is not negative (`positive`: and not zero; `whole`: and an integer)."""
    try:
        nanos = parse_quantity(value)
    except InvalidQuantity as error:
        yield invalid_value(field, value, str(error))
        return
    if positive and nanos <= 0:
        yield invalid_value(field, value, "must be greater than zero")
    elif nanos < 0:
        yield invalid_value(field, value, NOT_NEGATIVE)
    elif whole and nanos % NANOS:
        yield invalid_value(field, value, "must be an integer")


def basic_quantity(field: str, value: Any) -> FieldErrors:
    """One that is shown as a number where it is none that can be."""
    try:
        whole = bytes_of(value)
    except InvalidQuantity:
        return  # said by whoever looks at its form
    if whole < 0:
        yield invalid_value(field, whole, "must be a valid resource quantity")


def _amount(field: str, name: str, value: Any) -> FieldErrors:
    problems = list(quantity(field, value, whole=_is_whole(name)))
    yield from problems
    if not problems and name.startswith(_HUGEPAGES):
        try:
            page = parse_quantity(name.removeprefix(_HUGEPAGES))
        except InvalidQuantity:
            return
        if page <= 0 or parse_quantity(value) % page:
            yield invalid_value(field, value, f"{value} is not positive integer multiple of {name}")


def _fits(field: str, name: str, request: Any, limit: Any) -> FieldErrors:
    try:
        asked, allowed = parse_quantity(request), parse_quantity(limit)
    except InvalidQuantity:
        return  # said already
    if _is_whole(name) and asked != allowed:
        yield invalid_value(field, request, f"must be equal to {name} limit of {limit}")
    elif asked > allowed:
        yield invalid_value(field, request, f"must be less than or equal to {name} limit of {limit}")


def resource_name(field: str, name: str, *, of_containers: bool = True) -> FieldErrors:
    problems = list(names.label_key(name))
    yield from matches(field, name, problems)
    if not problems and "/" not in name and name not in _STANDARD and not name.startswith(_HUGEPAGES):
        if name not in _ELSEWHERE:
            yield invalid_value(field, name, "must be a standard resource type or fully qualified")
        if of_containers:
            yield invalid_value(field, name, "must be a standard resource for containers")


def _is_whole(name: str) -> bool:
    """Devices come whole, and cannot be overcommitted."""
    return "/" in name or name.startswith(_HUGEPAGES)
