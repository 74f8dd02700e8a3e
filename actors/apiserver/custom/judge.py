"""What is wrong with an object of a custom resource, by its schema, in the words of Kubernetes' validation.

On an update a part that is as it was is not looked at again: so a schema that became stricter does not stand in the way
of changing something else (KEP-4008).
"""

from __future__ import annotations

import base64
import binascii
import datetime
import ipaddress
import json
import re
from collections.abc import Callable
from typing import Any

from actors.apiserver.custom.structural import Node
from actors.apiserver.rules.field import (
    FieldError,
    FieldErrors,
    duplicate,
    invalid_value,
    not_supported,
    required,
    too_long,
)

ABSENT: Any = object()


def errors(node: Node, value: Any, old: Any = ABSENT, path: str = "", *, root: bool = True) -> FieldErrors:
    """`old`: what stood here before. `root`: here apiVersion, kind and metadata are not the schema's business."""
    if old is not ABSENT and value == old:
        return
    if value is None and node.nullable:
        return
    wrong = _type_error(node, value, path)
    if wrong is not None:
        yield wrong
        return
    yield from _value_errors(node, value, path)
    if isinstance(value, dict):
        yield from _object_errors(node, value, old if isinstance(old, dict) else {}, path, root)
    elif isinstance(value, list):
        yield from _array_errors(node, value, old, path)
    yield from _combined_errors(node, value, path)


def _object_errors(node: Node, value: dict[str, Any], old: dict[str, Any], path: str, root: bool) -> FieldErrors:
    for name in node.required:
        if name not in value:
            yield required(_below(path, name))
    if node.embedded and not root:
        for name in ("apiVersion", "kind"):
            if not value.get(name):
                yield required(_below(path, name), "must not be empty")
    own = root or node.embedded
    for name, item in value.items():
        below = node.below(name)
        if below is not None and not (own and name == "metadata"):
            yield from errors(below, item, old.get(name, ABSENT), _below(path, name), root=False)


def _array_errors(node: Node, value: list[Any], old: Any, path: str) -> FieldErrors:
    yield from _duplicates(node, value, path)
    if node.items is None:
        return
    before = {_identity(node, item): item for item in old} if isinstance(old, list) and node.list_type == "map" else {}
    for index, item in enumerate(value):
        was = before.get(_identity(node, item), ABSENT) if before else ABSENT
        yield from errors(node.items, item, was, f"{path}[{index}]", root=False)


def _duplicates(node: Node, value: list[Any], path: str) -> FieldErrors:
    if node.list_type not in ("set", "map"):
        return
    seen: set[str] = set()
    for index, item in enumerate(value):
        identity = _identity(node, item)
        if identity in seen:
            shown = {key: item.get(key) for key in node.keys} if isinstance(item, dict) and node.keys else item
            yield duplicate(f"{path}[{index}]", shown)
        seen.add(identity)


def _identity(node: Node, item: Any) -> str:
    if node.list_type == "map" and isinstance(item, dict):
        item = [item.get(key) for key in node.keys]
    return json.dumps(item, sort_keys=True)


def _type_error(node: Node, value: Any, path: str) -> FieldError | None:
    expected = ("integer", "string") if node.int_or_string else (node.type,) if node.type else ()
    found = _json_type(value)
    if not expected or found in expected or (found == "integer" and "number" in expected):
        return _format_range(node, value, path)
    if found == "number" and "integer" in expected and value == int(value):
        return None
    detail = f'{path} in body must be of type {",".join(expected)}: "{found}"'
    return invalid_value(path, found, detail)


def _format_range(node: Node, value: Any, path: str) -> FieldError | None:
    bits = {"int32": 32, "int64": 64}.get(node.schema.get("format") or "")
    if bits is None or not isinstance(value, int) or -(2 ** (bits - 1)) <= value < 2 ** (bits - 1):
        return None
    detail = f"Checked value must be of type integer with format int{bits} in body"
    return invalid_value(path, value, detail)


def _json_type(value: Any) -> str:
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "integer"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


# -- values -----------------------------------------------------------------------------------------------------------


def _value_errors(node: Node, value: Any, path: str) -> FieldErrors:
    choices = node.schema.get("enum")
    if choices and not any(choice == value and type(choice) is type(value) for choice in choices):
        yield not_supported(path, value, choices)
    match value:
        case bool():
            return
        case str():
            yield from _string_errors(node, value, path)
        case int() | float():
            yield from _number_errors(node.schema, value, path)
        case list():
            yield from _size_errors(node.schema, len(value), path, "Items")
        case dict():
            yield from _size_errors(node.schema, len(value), path, "Properties")


def _string_errors(node: Node, value: str, path: str) -> FieldErrors:
    schema = node.schema
    if schema.get("maxLength") is not None and len(value) > schema["maxLength"]:
        yield too_long(path, schema["maxLength"])
    if len(value) < (schema.get("minLength") or 0):
        yield _bad(path, value, f"should be at least {schema['minLength']} chars long")
    if node.pattern is not None and not node.pattern.search(value):
        yield _bad(path, value, f"should match '{schema['pattern']}'")
    form = schema.get("format") or ""
    check = _FORMATS.get(form)
    if check is not None and not check(value):
        yield _bad(path, value, f'must be of type {form}: "{value}"')


def _number_errors(schema: dict[str, Any], value: float, path: str) -> FieldErrors:
    low, high, factor = schema.get("minimum"), schema.get("maximum"), schema.get("multipleOf")
    if low is not None and (value <= low if schema.get("exclusiveMinimum") else value < low):
        words = "greater than" if schema.get("exclusiveMinimum") else "greater than or equal to"
        yield _bad(path, value, f"should be {words} {_number(low)}")
    if high is not None and (value >= high if schema.get("exclusiveMaximum") else value > high):
        words = "less than" if schema.get("exclusiveMaximum") else "less than or equal to"
        yield _bad(path, value, f"should be {words} {_number(high)}")
    if factor and abs(value / factor - round(value / factor)) > 1e-9:
        yield _bad(path, value, f"should be a multiple of {_number(factor)}")


def _size_errors(schema: dict[str, Any], size: int, path: str, what: str) -> FieldErrors:
    low, high = schema.get(f"min{what}"), schema.get(f"max{what}")
    if high is not None and size > high:
        yield FieldError("FieldValueTooMany", path, size, f"must have at most {high} items")
    if low is not None and size < low:
        yield _bad(path, size, f"should have at least {low} {what.lower()}")


def _bad(path: str, value: Any, what: str) -> FieldError:
    return invalid_value(path, value, f"{path} in body {what}")


def _number(value: float) -> str:
    return str(int(value)) if value == int(value) else str(value)


# -- combinations -----------------------------------------------------------------------------------------------------


def _combined_errors(node: Node, value: Any, path: str) -> FieldErrors:
    for each in node.all_of:
        yield from errors(each, value, path=path)
    if node.any_of and not node.int_or_string and not any(_fits(each, value) for each in node.any_of):
        yield invalid_value(path, "", f'"{path}" must validate at least one schema (anyOf)')
    if node.one_of:
        valid = sum(_fits(each, value) for each in node.one_of)
        if valid != 1:
            found = "none valid" if not valid else f"{valid} valid alternatives"
            yield invalid_value(path, "", f'"{path}" must validate one and only one schema (oneOf). Found {found}')
    if node.negated is not None and _fits(node.negated, value):
        yield invalid_value(path, "", f'"{path}" must not validate the schema (not)')


def _fits(node: Node, value: Any) -> bool:
    return next(errors(node, value), None) is None


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name


# -- formats: those that Kubernetes knows; any other is a comment -----------------------------------------------------


def _parses(parse: Callable[[str], object]) -> Callable[[str], bool]:
    def check(value: str) -> bool:
        try:
            parse(value)
        except (ValueError, binascii.Error):
            return False
        return True

    return check


def _cidr(value: str) -> object:
    if "/" not in value:
        raise ValueError(value)
    return ipaddress.ip_network(value, strict=False)


def _date_time(value: str) -> object:
    if not re.match(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:?\d\d)$", value):
        raise ValueError(value)
    return datetime.date.fromisoformat(value[:10])


_FORMATS: dict[str, Callable[[str], bool]] = {
    "byte": _parses(lambda value: base64.b64decode(value, validate=True)),
    "cidr": _parses(_cidr),
    "date": _parses(datetime.date.fromisoformat),
    "date-time": _parses(_date_time),
    "ipv4": _parses(ipaddress.IPv4Address),
    "ipv6": _parses(ipaddress.IPv6Address),
    "mac": lambda value: re.fullmatch(r"([0-9A-Fa-f]{2}[:-]){5}[0-9A-Fa-f]{2}", value) is not None,
    "uuid": lambda value: re.fullmatch(r"[0-9a-fA-F]{8}-?([0-9a-fA-F]{4}-?){3}[0-9a-fA-F]{12}", value) is not None,
}
