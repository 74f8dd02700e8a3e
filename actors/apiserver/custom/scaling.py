"""What the scale subresource of a custom resource asks of the fields that it names."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from actors.apiserver.custom.numbers import as_number
from actors.apiserver.rules.field import FieldErrors, go_number, invalid_value

INT32_MAX = 2**31 - 1
_NUMBERS = ("specReplicasPath", "statusReplicasPath")


def scale_errors(paths: Mapping[str, str], obj: Mapping[str, Any], subresource: str) -> FieldErrors:
    """`paths`: the scale subresource of a definition's version, {} without one. A status leaves the spec alone."""
    for name in _NUMBERS[1:] if subresource == "status" else _NUMBERS:
        if name in paths:
            yield from _number_errors(paths[name], obj)
    if paths.get("labelSelectorPath"):
        _, problem = _at(paths["labelSelectorPath"], obj, str, "string")
        if problem:
            yield invalid_value(paths["labelSelectorPath"], "", problem)


def _number_errors(path: str, obj: Mapping[str, Any]) -> FieldErrors:
    value, problem = _at(path, obj, int, "int64")
    if problem:
        yield invalid_value(path, 0, problem)
    elif value is not None and value < 0:
        yield invalid_value(path, value, "should be a non-negative integer")
    elif value is not None and value > INT32_MAX:
        yield invalid_value(path, value, f"should be less than or equal to {INT32_MAX}")


def _at(path: str, obj: Mapping[str, Any], expected: type, go_type: str) -> tuple[Any, str]:
    """The value, None if it is not there, and what is wrong with it or with what it is in."""
    steps, value = path.removeprefix(".").split("."), obj
    for step in steps:
        if not isinstance(value, dict):
            return None, _accessor_error(path, value, "map[string]interface{}")
        if step not in value:
            return None, ""
        value = value[step]
    if isinstance(value, bool) or not isinstance(as_number(value) if isinstance(value, int) else value, expected):
        return None, _accessor_error(path, value, go_type)
    return value, ""


def _accessor_error(path: str, value: Any, expected: str) -> str:
    shown, found = _go_value(value)
    return f".{path.removeprefix('.')} accessor error: {shown} is of the type {found}, expected {expected}"


def _go_value(value: Any) -> tuple[str, str]:
    match value:
        case None:
            return "<nil>", "<nil>"
        case bool():
            return str(value).lower(), "bool"
        case int() | float():
            number = as_number(value)
            return go_number(number), "int64" if isinstance(number, int) else "float64"
        case str():
            return value, "string"
        case list():
            return f"[{' '.join(_go_value(item)[0] for item in value)}]", "[]interface {}"
        case dict():
            pairs = (f"{key}:{_go_value(value[key])[0]}" for key in sorted(value))
            return f"map[{' '.join(pairs)}]", "map[string]interface {}"
    raise TypeError(value)
