"""Errors about one field of an object, in Kubernetes' words, and the answer that carries them.

Rules are generators of `FieldError`: they yield what is wrong and know nothing of what happens then. Field paths are
plain strings that grow on the way down (`spec.containers[0].image`, `spec.resources.limits[cpu]`).
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from decimal import Decimal
from typing import Literal

from actors.apiserver.schema.resources import Resource
from protocols.errors import Invalid

ErrorType = Literal[
    "FieldValueRequired",
    "FieldValueInvalid",
    "FieldValueNotSupported",
    "FieldValueDuplicate",
    "FieldValueForbidden",
    "FieldValueNotFound",
    "FieldValueTooLong",
    "FieldValueTooMany",
    "FieldValueTypeInvalid",
]

_WORDS: dict[ErrorType, str] = {
    "FieldValueRequired": "Required value",
    "FieldValueInvalid": "Invalid value",
    "FieldValueNotSupported": "Unsupported value",
    "FieldValueDuplicate": "Duplicate value",
    "FieldValueForbidden": "Forbidden",
    "FieldValueNotFound": "Not found",
    "FieldValueTooLong": "Too long",
    "FieldValueTooMany": "Too many",
    "FieldValueTypeInvalid": "Invalid value",
}
_VALUELESS: frozenset[ErrorType] = frozenset({"FieldValueRequired", "FieldValueForbidden", "FieldValueTooLong"})

OMITTED = object()  # a value that is too large to be shown, or says nothing
_PLACES_MIN, _PLACES_MAX = -4, 6  # of numbers that are written without an exponent
_ESCAPED = re.compile("[<>&\u2028\u2029]")  # by Go, within JSON
IMMUTABLE = "field is immutable"
NOT_NEGATIVE = "must be greater than or equal to 0"


@dataclass(frozen=True, slots=True)
class FieldError:
    """One thing that is wrong. `type` is the Status cause's reason; `value` is shown, where its type shows values."""

    type: ErrorType
    field: str
    value: object = None
    detail: str = ""

    @property
    def body(self) -> str:
        """The message without the field: `Invalid value: -1: must be greater than or equal to 0`."""
        words = _WORDS[self.type]
        if self.type not in _VALUELESS and self.value is not OMITTED:
            words = f"{words}: {_shown(self.value)}"
        return f"{words}: {self.detail}" if self.detail else words

    def __str__(self) -> str:
        return f"{self.field}: {self.body}"


FieldErrors = Iterator[FieldError]


def invalid(resource: Resource, name: str, errors: Iterable[FieldError]) -> Invalid:
    """The 422 answer: `Deployment.apps "web" is invalid: spec.replicas: Invalid value: -1: ...`, several as a list."""
    kind = f"{resource.kind}.{resource.group}" if resource.group else resource.kind
    return refusal(kind, resource.group, resource.kind, name, errors)


def refusal(what: str, group: str, kind: str, name: str, errors: Iterable[FieldError]) -> Invalid:
    """As `invalid`, of what is no object of a resource: the options of a request, say."""
    errors = list(errors)
    messages = list(dict.fromkeys(map(str, errors)))  # the same message twice says nothing more
    listed = messages[0] if len(messages) == 1 else f"[{', '.join(messages)}]"
    message = f'{what} "{name}" is invalid' + (f": {listed}" if messages else "")
    causes = [{"reason": error.type, "message": error.body, "field": error.field} for error in errors]
    details = {"name": name, "group": group, "kind": kind, "causes": causes}
    return Invalid(message, {key: value for key, value in details.items() if value})


def required(field: str, detail: str = "") -> FieldError:
    return FieldError("FieldValueRequired", field, "", detail)


def invalid_value(field: str, value: object, detail: str) -> FieldError:
    return FieldError("FieldValueInvalid", field, value, detail)


def wrong_type(field: str, value: object, detail: str) -> FieldError:
    return FieldError("FieldValueTypeInvalid", field, value, detail)


def not_supported(field: str, value: object, supported: Iterable[str]) -> FieldError:
    quoted = ", ".join(_shown(choice) for choice in supported)
    return FieldError("FieldValueNotSupported", field, value, f"supported values: {quoted}")


def duplicate(field: str, value: object, detail: str = "") -> FieldError:
    return FieldError("FieldValueDuplicate", field, value, detail)


def forbidden(field: str, detail: str) -> FieldError:
    return FieldError("FieldValueForbidden", field, "", detail)


def not_found(field: str, value: object) -> FieldError:
    return FieldError("FieldValueNotFound", field, value)


def too_long(field: str, bytes_max: int) -> FieldError:
    return FieldError("FieldValueTooLong", field, "", f"may not be more than {bytes_max} bytes")


def too_many(field: str, count: int, count_max: int) -> FieldError:
    items = "item" if count_max == 1 else "items"
    return FieldError("FieldValueTooMany", field, count, f"must have at most {count_max} {items}")


def one_of(field: str, value: object, supported: tuple[str, ...]) -> FieldErrors:
    """A required choice: nothing is `Required value`, anything else than the choices is unsupported."""
    if not value:
        yield required(field)
    elif value not in supported:
        yield not_supported(field, value, supported)


def not_negative(field: str, value: object) -> FieldErrors:
    if isinstance(value, int) and value < 0:
        yield invalid_value(field, value, NOT_NEGATIVE)


def unchanged(field: str, new: object, old: object) -> FieldErrors:
    if new != old:
        yield invalid_value(field, new, IMMUTABLE)


def matches(field: str, value: object, problems: Iterable[str]) -> FieldErrors:
    """One error for each problem that a check of the value's form (names.py) reports."""
    for problem in problems:
        yield invalid_value(field, value, problem)


def go_number(value: float) -> str:
    """As Go's `%v`: the shortest digits that mean it, with an exponent below 0.0001 and from a million on."""
    if isinstance(value, int):
        return str(value)
    if not math.isfinite(value):  # no JSON has them, but actors' messages may
        return "NaN" if math.isnan(value) else f"{'-' if value < 0 else '+'}Inf"
    sign, digits, exponent = Decimal(repr(value)).normalize().as_tuple()
    places = len(digits) + int(exponent) - 1
    if not value or _PLACES_MIN <= places < _PLACES_MAX:
        return format(Decimal(repr(value)), "f").removesuffix(".0")
    text = "".join(map(str, digits))
    mantissa = f"{text[0]}.{text[1:]}" if len(text) > 1 else text
    return f"{'-' if sign else ''}{mantissa}e{'-' if places < 0 else '+'}{abs(places):02d}"


def _shown(value: object) -> str:
    """As Go shows it: `"text"`, numbers and booleans bare, the rest as compact JSON."""
    if isinstance(value, float):
        return go_number(value)
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), default=str)
    return text if isinstance(value, str) else _ESCAPED.sub(lambda found: f"\\u{ord(found[0]):04x}", text)
