"""What a limit range may say: bounds that leave room between them, and defaults within them."""

from __future__ import annotations

from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import FieldErrors, duplicate, forbidden, invalid_value, matches, required
from actors.apiserver.rules.validate.resources import resource_name
from protocols.objects import Object
from protocols.rules.quantity import NANOS, InvalidQuantity, canonical_quantity, parse_quantity

_TYPES = ("Pod", "Container", "PersistentVolumeClaim")
_BOUNDS = ("max", "min", "default", "defaultRequest", "maxLimitRequestRatio")


def limit_range(obj: Object, old: Object | None) -> FieldErrors:
    seen: set[str] = set()
    for index, item in enumerate((obj.get("spec") or {}).get("limits") or ()):
        where, kind = f"spec.limits[{index}]", item.get("type") or ""
        problems = list(names.label_key(kind))
        yield from matches(f"{where}.type", kind, problems)
        if not problems and "/" not in kind and kind not in _TYPES:
            yield invalid_value(f"{where}.type", kind, "must be a standard limit type or fully qualified")
        if kind in seen:
            yield duplicate(f"{where}.type", kind)
        seen.add(kind)
        yield from _item(where, kind, item)


def _item(field: str, kind: str, item: dict[str, Any]) -> FieldErrors:
    for bound in ("max", "min"):
        for name in item.get(bound) or ():
            yield from resource_name(f"{field}.{bound}[{name}]", name, of_containers=kind == "Container")
    if kind == "Pod":
        for bound in ("default", "defaultRequest"):
            if item.get(bound):
                yield forbidden(f"{field}.{bound}", "may not be specified when `type` is 'Pod'")
    elif kind == "PersistentVolumeClaim":
        if not any("storage" in (item.get(bound) or {}) for bound in ("max", "min")):
            detail = "either minimum or maximum storage value is required, but neither was provided"
            yield required(f"{field}.limits", detail)
    for name in dict.fromkeys(name for bound in _BOUNDS for name in item.get(bound) or ()):
        given = {bound: (item.get(bound) or {}).get(name) for bound in _BOUNDS}
        try:
            yield from _in_order(field, name, given)
        except InvalidQuantity:
            continue  # the decoder has said so


def _in_order(field: str, name: str, given: dict[str, Any]) -> FieldErrors:
    shown = {bound: canonical_quantity(value) for bound, value in given.items() if value is not None}
    nanos = {bound: parse_quantity(value) for bound, value in shown.items()}

    def too_large(low: str, high: str, at: str, detail: str) -> FieldErrors:
        if low in nanos and high in nanos and nanos[low] > nanos[high]:
            where = f"{field}.{at}[{name}]"
            yield invalid_value(where, shown[at], detail.format(shown[low], shown[high]))

    yield from too_large("min", "max", "min", "min value {} is greater than max value {}")
    least = "min value {} is greater than default request value {}"
    yield from too_large("min", "defaultRequest", "defaultRequest", least)
    most = "default request value {} is greater than max value {}"
    yield from too_large("defaultRequest", "max", "defaultRequest", most)
    among = "default request value {} is greater than default limit value {}"
    yield from too_large("defaultRequest", "default", "defaultRequest", among)
    yield from _default_within(field, name, shown, nanos)
    yield from _ratio(field, name, shown, nanos)


def _default_within(field: str, name: str, shown: dict[str, str], nanos: dict[str, int]) -> FieldErrors:
    """Kubernetes shows the bound, and not the default, as the value that is wrong."""
    if "default" not in nanos:
        return
    where, value = f"{field}.default[{name}]", shown["default"]
    if "min" in nanos and nanos["min"] > nanos["default"]:
        yield invalid_value(where, shown["min"], f"min value {shown['min']} is greater than default value {value}")
    if "max" in nanos and nanos["default"] > nanos["max"]:
        yield invalid_value(where, shown["max"], f"default value {value} is greater than max value {shown['max']}")


def _ratio(field: str, name: str, shown: dict[str, str], nanos: dict[str, int]) -> FieldErrors:
    if "maxLimitRequestRatio" not in nanos:
        return
    where, ratio = f"{field}.maxLimitRequestRatio[{name}]", shown["maxLimitRequestRatio"]
    if nanos["maxLimitRequestRatio"] < NANOS:
        yield invalid_value(where, ratio, f"ratio {ratio} is less than 1")
    if nanos.get("min") and nanos.get("max"):
        most = nanos["max"] / nanos["min"]
        if nanos["maxLimitRequestRatio"] / NANOS > most:
            yield invalid_value(where, ratio, f"ratio {ratio} is greater than max/min = {most:f}")
