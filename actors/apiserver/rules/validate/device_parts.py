"""What classes, claims and slices of devices have in common: names, bounded lists, taints, configuration."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import (
    OMITTED,
    FieldErrors,
    duplicate,
    invalid_value,
    matches,
    not_supported,
    one_of,
    required,
    too_long,
    too_many,
)
from protocols.objects import Object

DRIVER_MAX = 63
DATA_BYTES_MAX = 10 * 1024
_POOL_MAX = 253
_ID_MAX = 32
_CONDITIONS_MAX = 4
_TOLERATIONS_MAX = 16
_EFFECTS = ("NoExecute", "NoSchedule", "None")
_OPERATORS = ("Equal", "Exists")
_IDENTIFIER = "[A-Za-z_][A-Za-z0-9_]*"
_identifier = re.compile(_IDENTIFIER)

Item = Callable[[str, Any], FieldErrors]


def each(field: str, items: Sequence[Any] | None, most: int, item: Item) -> FieldErrors:
    """A list; nothing is said of the items of one that is too long."""
    items = items or ()
    if len(items) > most:
        yield too_many(field, len(items), most)
        return
    for index, value in enumerate(items):
        yield from item(f"{field}[{index}]", value)


def each_once(
    field: str, items: Sequence[Any] | None, most: int, item: Item, key: Callable[[Any], Any] = lambda value: value
) -> FieldErrors:
    """A list whose items differ by `key`."""
    yield from each(field, items, most, item)
    if len(items or ()) > most:
        return
    seen: list[Any] = []
    for index, value in enumerate(items or ()):
        if key(value) in seen:
            yield duplicate(f"{field}[{index}]", key(value))
        seen.append(key(value))


def name_of(value: Any) -> str:
    return value.get("name") or ""


def label(field: str, value: str | None) -> FieldErrors:
    yield from matches(field, value or "", names.dns_label(value or ""))


def driver(field: str, value: str | None) -> FieldErrors:
    value = value or ""
    if not value:
        yield required(field)
    if len(value) > DRIVER_MAX:
        yield too_long(field, DRIVER_MAX)
    yield from matches(field, value, names.dns_subdomain(value.lower()))


def pool(field: str, value: str | None) -> FieldErrors:
    if not value:
        yield required(field)
        return
    if len(value) > _POOL_MAX:
        yield too_long(field, _POOL_MAX)
    for part in value.split("/"):
        yield from matches(field, part, names.dns_subdomain(part))


def qualified(field: str, value: str) -> FieldErrors:
    """The name of an attribute or a capacity: `model`, `gpu.example.com/model`."""
    domain, slash, name = value.partition("/")
    if not slash:
        yield from _c_identifier(field, value)
        return
    if "/" in name:
        yield invalid_value(field, value, "must not contain more than one slash")
        return
    if domain:
        yield from driver(field, domain)
    else:
        yield invalid_value(field, "", "the domain must not be empty")
    if name:
        yield from _c_identifier(field, name)
    else:
        yield invalid_value(field, "", "the name must not be empty")


def fully_qualified(field: str, value: str) -> FieldErrors:
    yield from qualified(field, value)
    if "/" not in value:
        yield invalid_value(field, value, "a fully qualified name must be a domain and a name separated by a slash")


def configuration(field: str, config: Object) -> FieldErrors:
    opaque = config.get("opaque")
    if opaque is None:
        yield required(f"{field}.opaque")
        return
    yield from driver(f"{field}.opaque.driver", opaque.get("driver"))
    yield from data(f"{field}.opaque.parameters", opaque.get("parameters"))


def data(field: str, value: Any) -> FieldErrors:
    """What a driver understands: some JSON object."""
    if value is None:
        yield required(field)
    elif len(json.dumps(value, separators=(",", ":")).encode()) > DATA_BYTES_MAX:
        yield too_long(field, DATA_BYTES_MAX)
    elif not isinstance(value, Mapping):
        yield invalid_value(field, OMITTED, "must be a valid JSON object")


def taint(field: str, value: Object) -> FieldErrors:
    key = value.get("key") or ""
    yield from matches(f"{field}.key", key, names.label_key(key))
    if value.get("value"):
        yield from matches(f"{field}.value", value["value"], names.label_value(value["value"]))
    yield from one_of(f"{field}.effect", value.get("effect"), _EFFECTS)


def tolerations(field: str, listed: Sequence[Object] | None) -> FieldErrors:
    yield from each(field, listed, _TOLERATIONS_MAX, _toleration)


def binding_conditions(field: str, obj: Object) -> FieldErrors:
    """Conditions that must hold before a pod is bound, and those that end the wait for them: both, or neither."""
    good, bad = obj.get("bindingConditions") or [], obj.get("bindingFailureConditions") or []
    yield from each_once(f"{field}.bindingConditions", good, _CONDITIONS_MAX, _condition)
    yield from each_once(f"{field}.bindingFailureConditions", bad, _CONDITIONS_MAX, _condition)
    for index, condition in enumerate(bad):
        if condition in good:
            detail = "bindingFailureConditions must not overlap with bindingConditions"
            yield invalid_value(f"{field}.bindingFailureConditions[{index}]", condition, detail)
    if bad and not good:
        detail = "bindingConditions are required to use bindingFailureConditions"
        yield invalid_value(f"{field}.bindingConditions", good, detail)
    if good and not bad:
        detail = "bindingFailureConditions are required to use bindingConditions"
        yield invalid_value(f"{field}.bindingFailureConditions", bad, detail)


def _condition(field: str, value: str) -> FieldErrors:
    yield from matches(field, value, names.label_key(value))


def _toleration(field: str, value: Object) -> FieldErrors:
    operator, key, wanted = value.get("operator"), value.get("key"), value.get("value") or ""
    if key:
        yield from matches(f"{field}.key", key, names.label_key(key))
    yield from one_of(f"{field}.operator", operator, _OPERATORS)
    if operator == "Exists" and wanted:
        yield invalid_value(f"{field}.value", wanted, "must be empty for operator `Exists`")
    elif operator == "Equal":
        yield from matches(f"{field}.value", wanted, names.label_value(wanted))
    if value.get("effect") and value["effect"] not in _EFFECTS:
        yield not_supported(f"{field}.effect", value["effect"], _EFFECTS)


def _c_identifier(field: str, value: str) -> FieldErrors:
    if len(value) > _ID_MAX:
        yield too_long(field, _ID_MAX)
    if not _identifier.fullmatch(value):
        examples = "(e.g. 'my_name',  or 'MY_NAME',  or 'MyName', regex used for validation is "
        detail = "a valid C identifier must start with alphabetic character or '_', followed by a string of "
        yield invalid_value(field, value, f"{detail}alphanumeric characters or '_' {examples}'{_IDENTIFIER}')")
