"""What a schema says of a number, in the order and with the arithmetic of Kubernetes' validation.

A bound or a factor that a whole number is held against counts as a whole number, too: a multiple of 2.5 is one of 2.
Bounds that are none of the schema's own type are an error of every object, as they are there.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from typing import Any

from actors.apiserver.rules.field import FieldError, FieldErrors, go_number, invalid_value

INT64_MAX = 2**63 - 1
_WHOLE_MAX = float(2**53 - 1)
_NEARLY = 1e-9
_FLOAT32_MAX = (2 - 2**-23) * 2.0**127
_INT_BITS = {"int32": 31, "int64": 63}


def as_number(value: float) -> float:
    """A whole number of more than 64 bits is a float in Go."""
    return float(value) if isinstance(value, int) and not -INT64_MAX - 1 <= value <= INT64_MAX else value


def is_whole(value: float) -> bool:
    """Whether a JSON reader may take it for an integer, with some room for what floats lose."""
    if math.isnan(value) or abs(value) > _WHOLE_MAX:
        return False
    size = abs(value)
    whole = math.floor(size)
    return size == whole or (whole > 0 and abs(size - whole) / (size + whole) < _NEARLY)


def number_errors(schema: Mapping[str, Any], type: str, format: str, value: float, path: str) -> FieldErrors:
    """`type` and `format`: of the schema, "" where they do not say what the number is."""
    yield from _out_of_range("Checked", value, type, format, path)
    factor, low, high = schema.get("multipleOf"), schema.get("minimum"), schema.get("maximum")
    if factor is not None:
        yield from _factor_errors(factor, type, format, value, path)
    if low is not None:
        exclusive = bool(schema.get("exclusiveMinimum"))
        yield from _bound_errors(_Bound("Minimum", low, exclusive), type, format, value, path)
    if high is not None:
        exclusive = bool(schema.get("exclusiveMaximum"))
        yield from _bound_errors(_Bound("Maximum", high, exclusive), type, format, value, path)


def _factor_errors(factor: float, type: str, format: str, value: float, path: str) -> FieldErrors:
    strange = list(_out_of_range("MultipleOf", factor, type, format, path))
    yield from strange
    whole = isinstance(value, int) and not strange
    factor = int(factor) if whole else float(factor)
    if factor <= 0:
        detail = f"factor MultipleOf declared for {path} must be positive: {go_number(factor)}"
        yield invalid_value(path, factor, detail)
        return
    fits = value % factor == 0 if whole else is_whole(1 / factor * value if factor < 1 else value / factor)
    if not fits:
        yield invalid_value(path, value, f"{path} in body should be a multiple of {go_number(factor)}")


class _Bound:
    def __init__(self, name: str, at: float, exclusive: bool) -> None:
        self.name, self.at, self.exclusive = name, at, exclusive

    def excludes(self, value: float, at: float) -> bool:
        if value == at:
            return self.exclusive
        return value < at if self.name == "Minimum" else value > at

    @property
    def words(self) -> str:
        words = "greater than" if self.name == "Minimum" else "less than"
        return words if self.exclusive else f"{words} or equal to"


def _bound_errors(bound: _Bound, type: str, format: str, value: float, path: str) -> FieldErrors:
    strange = list(_out_of_range(f"{bound.name} boundary", bound.at, type, format, path))
    yield from strange
    at = int(bound.at) if isinstance(value, int) and not strange else float(bound.at)
    if bound.excludes(value, at):
        yield invalid_value(path, value, f"{path} in body should be {bound.words} {go_number(at)}")


def _out_of_range(what: str, value: float, type: str, format: str, path: str) -> Iterator[FieldError]:
    match type, format:
        case "integer", _:
            bits = _INT_BITS.get(format, 63)
            fits = float(value).is_integer() and -(2**bits) <= value < 2**bits
        case "number", "float":
            fits = abs(value) <= _FLOAT32_MAX
        case _:
            fits = True
    if not fits:
        form = f"with format {format}" if format else "(default format)"
        yield invalid_value("<nil>", "", f"{what} value must be of type {type} {form} in {path}")
