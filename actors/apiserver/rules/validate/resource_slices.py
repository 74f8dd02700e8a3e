"""ResourceSlices: the devices that a driver has to give, on which nodes, with which attributes and capacities."""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import (
    FieldErrors,
    forbidden,
    invalid_value,
    matches,
    required,
    too_long,
    too_many,
    unchanged,
)
from actors.apiserver.rules.validate.device_parts import (
    DRIVER_MAX,
    binding_conditions,
    driver,
    each,
    each_once,
    label,
    name_of,
    pool,
    qualified,
    taint,
)
from actors.apiserver.rules.validate.scheduling import node_selector
from protocols.objects import Object
from protocols.rules.quantity import InvalidQuantity, parse_quantity

_DEVICES_MAX, _DEVICES_WITH_MORE_MAX = 128, 64
_PROPERTIES_MAX, _VALUES_MAX, _VALUE_BYTES_MAX = 32, 48, 64
_TAINTS_MAX = 16
_COUNTER_SETS_MAX, _COUNTERS_MAX, _CONSUMED_SETS_MAX = 8, 32, 2
_OPTIONS_MAX = 10
_PLACES = ("nodeName", "nodeSelector", "allNodes", "perDeviceNodeSelection")
_ONE_PLACE = "exactly one of `nodeName`, `nodeSelector`, `allNodes`, `perDeviceNodeSelection` is required"
_DEVICE_PLACE = (
    "exactly one of `nodeName`, `nodeSelector`, or `allNodes` is required when `perDeviceNodeSelection` is set to true "
    "in the ResourceSlice spec"
)
_LISTS = ("bools", "ints", "strings", "versions")
_NUMBER, _BUILD = r"(0|[1-9]\d*)", r"[0-9a-zA-Z-]+"
_PRE = r"(0|[1-9]\d*|\d*[a-zA-Z-][0-9a-zA-Z-]*)"
_semver = re.compile(rf"{_NUMBER}\.{_NUMBER}\.{_NUMBER}(-{_PRE}(\.{_PRE})*)?(\+{_BUILD}(\.{_BUILD})*)?", re.ASCII)


def resource_slice(obj: Object, old: Object | None) -> FieldErrors:
    spec: Object = obj.get("spec") or {}
    before: Object = (old or {}).get("spec") or {}
    yield from driver("spec.driver", spec.get("driver"))
    yield from _pool(spec.get("pool") or {})
    if old is not None:
        for key in ("driver", "nodeName"):
            yield from unchanged(f"spec.{key}", spec.get(key), before.get(key))
        yield from unchanged("spec.pool.name", name_of(spec.get("pool") or {}), name_of(before.get("pool") or {}))
    yield from _places("spec", spec, _PLACES, _ONE_PLACE, "must be either unset or set to a non-empty string")
    if spec.get("sharedCounters") is not None and spec.get("devices") is not None:
        yield invalid_value("spec", "", "only one of `sharedCounters` or `devices` is allowed")
    yield from _devices(spec, before)
    yield from each_once("spec.sharedCounters", spec.get("sharedCounters"), _COUNTER_SETS_MAX, _counter_set, name_of)


def _pool(value: Object) -> FieldErrors:
    yield from pool("spec.pool.name", value.get("name"))
    count, generation = value.get("resourceSliceCount") or 0, value.get("generation") or 0
    if count <= 0:
        yield invalid_value("spec.pool.resourceSliceCount", count, "must be greater than zero")
    if generation < 0:
        yield invalid_value("spec.pool.generation", generation, "must be greater than or equal to zero")


def _places(field: str, value: Object, keys: tuple[str, ...], one: str, empty: str) -> FieldErrors:
    """On which nodes: said in exactly one way."""
    chosen = [f"`{key}`" for key in keys if value.get(key) or (key == "nodeSelector" and value.get(key) is not None)]
    name, selector = value.get("nodeName"), value.get("nodeSelector")
    if name:
        yield from matches(f"{field}.nodeName", name, names.dns_subdomain(name))
    elif name is not None:
        yield invalid_value(f"{field}.nodeName", name, empty)
    if selector is not None:
        yield from node_selector(f"{field}.nodeSelector", selector)
        terms = selector.get("nodeSelectorTerms") or []
        if "perDeviceNodeSelection" in keys and len(terms) != 1:
            where = f"{field}.nodeSelector.nodeSelectorTerms"
            yield invalid_value(where, terms, "must have exactly one node selector term")
    for key in ("allNodes", "perDeviceNodeSelection"):
        if key in keys and value.get(key) is False:
            yield invalid_value(f"{field}.{key}", False, "must be either unset or set to true")
    if not chosen:
        yield required(field, one)
    elif len(chosen) > 1:
        detail = one if one is _DEVICE_PLACE else f"{one}, but multiple fields are set"
        yield invalid_value(field, f"{{{', '.join(chosen)}}}", detail)


def _devices(spec: Object, before: Object) -> FieldErrors:
    devices = spec.get("devices") or ()
    more = any(device.get("taints") or device.get("consumesCounters") or _has_lists(device) for device in devices)
    most = _DEVICES_WITH_MORE_MAX if more else _DEVICES_MAX
    known = {name_of(device): device for device in before.get("devices") or ()}
    item = partial(_device, bool(spec.get("perDeviceNodeSelection")), known)
    yield from each_once("spec.devices", devices, most, item, name_of)


def _device(placed: bool, known: dict[str, Object], field: str, device: Object) -> FieldErrors:
    """What did not change since the slice was written before is not judged again where bounds became tighter."""
    old = known.get(name_of(device), {})
    attributes, capacity = device.get("attributes") or {}, device.get("capacity") or {}
    yield from label(f"{field}.name", device.get("name"))
    count, values = len(attributes) + len(capacity), sum(map(_values, attributes.values()))
    if count > _PROPERTIES_MAX:
        detail = f"the total number of attributes and capacities must not exceed {_PROPERTIES_MAX}"
        yield invalid_value(field, count, detail)
    if values > _VALUES_MAX:
        yield invalid_value(field, values, f"the total number of attribute values must not exceed {_VALUES_MAX}")
    yield from _map(f"{field}.attributes", attributes, _attribute)
    if not old or capacity != (old.get("capacity") or {}):
        shared = bool(device.get("allowMultipleAllocations"))
        yield from _map(f"{field}.capacity", capacity, partial(_capacity, shared))
    if not old or device.get("taints") != old.get("taints"):
        yield from each(f"{field}.taints", device.get("taints"), _TAINTS_MAX, taint)
    consumed = device.get("consumesCounters")
    yield from each_once(
        f"{field}.consumesCounters", consumed, _CONSUMED_SETS_MAX, _consumption, lambda value: value.get("counterSet")
    )
    yield from _place_of(placed, field, device)
    yield from binding_conditions(field, device)


def _place_of(placed: bool, field: str, device: Object) -> FieldErrors:
    if placed:
        yield from _places(field, device, _PLACES[:3], _DEVICE_PLACE, "must not be empty")
    elif any(device.get(key) is not None for key in _PLACES[:3]):
        detail = (
            "`nodeName`, `nodeSelector` and `allNodes` can only be set if `perDeviceNodeSelection` is set to true in "
        )
        yield invalid_value(field, None, f"{detail}the ResourceSlice spec")


def _map(field: str, values: Mapping[str, Any], item: Any) -> FieldErrors:
    for key, value in values.items():
        yield from qualified(field, key)
        yield from item(f"{field}[{_cut(key, DRIVER_MAX + 33)}]", value)


def _attribute(field: str, attribute: Object) -> FieldErrors:
    chosen = [key for key in ("bool", "int", "string", "version", *_LISTS) if attribute.get(key) is not None]
    for key in chosen:
        if key in _LISTS and not attribute[key]:
            yield invalid_value(f"{field}.{key}", attribute[key], "must not be empty if specified")
    for key in ("string", "version"):
        if attribute.get(key) is not None:
            yield from _value(f"{field}.{key}", attribute[key], key)
        for index, value in enumerate(attribute.get(f"{key}s") or ()):
            yield from _value(f"{field}.{key}s[{index}]", value, key)
    if len(chosen) != 1:
        yield invalid_value(field, attribute if chosen else "", "exactly one value must be specified")


def _value(field: str, value: str, kind: str) -> FieldErrors:
    if kind == "version" and not _semver.fullmatch(value):
        yield invalid_value(field, value, "must be a string compatible with semver.org spec 2.0.0")
    if len(value.encode()) > _VALUE_BYTES_MAX:
        yield too_long(field, _VALUE_BYTES_MAX)


def _capacity(shared: bool, field: str, capacity: Object) -> FieldErrors:
    """How much of a device that several claims share each of them gets."""
    policy = capacity.get("requestPolicy")
    if policy is None:
        return
    if not shared:
        yield forbidden(f"{field}.requestPolicy", "allowMultipleAllocations must be true")
        return
    where, allowed, range_ = f"{field}.requestPolicy", policy.get("validValues") or [], policy.get("validRange")
    if allowed and range_ is not None:
        what = 'exactly one policy can be specified, cannot specify "validValues" and "validRange" at the same time'
        yield forbidden(where, what)
    elif (allowed or range_ is not None) and policy.get("default") is None:
        yield required(f"{where}.default", f"required when {'validValues' if allowed else 'validRange'} is defined")
    elif allowed:
        yield from _options(f"{where}.validValues", allowed, policy["default"], capacity.get("value"))
    elif range_ is not None:
        yield from _range(f"{where}.validRange", range_, policy["default"], capacity.get("value"))


def _options(field: str, options: list[Any], default: Any, whole: Any) -> FieldErrors:
    if len(options) > _OPTIONS_MAX:
        yield too_many(field, len(options), _OPTIONS_MAX)
        return
    sizes, wanted, most = [_size(option) for option in options], _size(default), _size(whole)
    for index, (option, size) in enumerate(zip(options, sizes, strict=True)):
        if index and size < sizes[index - 1]:
            yield invalid_value(f"{field}[{index}]", option, "values must be sorted in ascending order")
        if size > most:
            yield invalid_value(f"{field}[{index}]", option, f"option is larger than capacity value: {whole}")
    if wanted not in sizes:
        yield invalid_value(field, default, "default value is not valid according to the requestPolicy")


def _range(field: str, value: Object, default: Any, whole: Any) -> FieldErrors:
    low, high, step = value.get("min"), value.get("max"), value.get("step")
    if low is None:
        yield required(f"{field}.min", "required when validRange is defined")
        return
    most, least = _size(whole), _size(low)
    if least > most:
        yield invalid_value(f"{field}.min", low, f"min is larger than capacity value: {whole}")
    if _size(default) < least:
        yield invalid_value(f"{field}.default", default, f"default is less than min: {low}")
    if high is not None:
        if least > _size(high):
            yield invalid_value(f"{field}.max", low, f"min is larger than max: {high}")
        if _size(high) > most:
            yield invalid_value(f"{field}.max", high, f"max is larger than capacity value: {whole}")
        if _size(default) > _size(high):
            yield invalid_value(f"{field}.default", default, f"default is more than max: {high}")
    if step is not None:
        yield from _step(f"{field}.step", step, low, [default] if high is None else [default, high])


def _step(field: str, step: Any, low: Any, reached: list[Any]) -> FieldErrors:
    if _size(step) <= 0:
        yield invalid_value(field, step, "must be greater than zero")
        return
    for value in reached:
        if (_size(value) - _size(low)) % _size(step):
            yield invalid_value(field, value, f"value is not a multiple of a given step ({step}) from ({low})")


def _counter_set(field: str, value: Object) -> FieldErrors:
    yield from _counters(field, "name", value)


def _consumption(field: str, value: Object) -> FieldErrors:
    yield from _counters(field, "counterSet", value)


def _counters(field: str, key: str, value: Object) -> FieldErrors:
    name, counters = value.get(key), value.get("counters") or {}
    if name:
        yield from label(f"{field}.{key}", name)
    else:
        yield required(f"{field}.{key}")
    if not counters:
        yield required(f"{field}.counters")
    elif len(counters) > _COUNTERS_MAX:
        yield too_many(f"{field}.counters", len(counters), _COUNTERS_MAX)
    else:
        for counter in counters:
            yield from label(f"{field}.counters", counter)


def _values(attribute: Object) -> int:
    return sum(len(attribute.get(key) or ()) for key in _LISTS) or 1


def _has_lists(device: Object) -> bool:
    attributes = (device.get("attributes") or {}).values()
    return any(attribute.get(key) is not None for attribute in attributes for key in _LISTS)


def _size(quantity: Any) -> int:
    try:
        return parse_quantity(quantity)
    except InvalidQuantity:
        return 0  # the schema has said so


def _cut(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    rest = most - 3
    return f"{text[: (rest + 1) // 2]}...{text[len(text) - rest // 2 :]}"
