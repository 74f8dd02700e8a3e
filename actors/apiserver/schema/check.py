"""Whether an object has the structure of its type, in the words that Kubernetes' decoder uses.

Kubernetes decodes into Go structs, and that is what clients see: a value of the wrong type is an error that names the
field by its Go path (no list indexes), a field that is not there is dropped, and mentioned as far as the client asked
for it (fieldValidation), null is the same as absent, and so is each zero that Go leaves out ("", false, an empty list),
and quantities and times come out in their one spelling. `check` does all that in one walk; nothing is allocated for
what is right, and what another object may share is not changed.
"""

from __future__ import annotations

import datetime
import functools
import operator
import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from actors.apiserver.alike import REMEMBERED, again, exactly
from actors.apiserver.schema.strict import strict_problem, with_repeated
from actors.apiserver.schema.times import LAYOUTS, time_problem
from actors.apiserver.schema.types import ZEROS, Type, Types
from protocols.rules.quantity import InvalidQuantity, canonical_quantity

FieldValidation = Literal["Ignore", "Warn", "Strict"]

# Where a value stands: its parent's place and its own step, a field or map key, or an index. None is the root.
_Place = tuple["_Place | None", str | int, bool]

_POD = "io.k8s.api.core.v1.Pod"
_OBJECT_META = "io.k8s.apimachinery.pkg.apis.meta.v1.ObjectMeta"
_UNKNOWN_MAX = 100  # as many as Kubernetes lists
_BOUNDS = {"int32": (-(2**31), 2**31 - 1), "": (-(2**63), 2**63 - 1), "int64": (-(2**63), 2**63 - 1)}
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,9})?(Z|[+-]\d\d:\d\d)", re.ASCII)
_TIME_LENGTH_MAX = 35
_BASE64 = re.compile(r"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")


@dataclass(slots=True)
class Checked:
    """What was found: each error is a decoder's sentence, each unknown field `unknown field "spec.foo"`."""

    errors: list[str] = field(default_factory=list)
    unknown: list[str] = field(default_factory=list)

    def problem(self, validation: FieldValidation, repeated: Sequence[str] = (), *, patched: bool = False) -> str:
        """Why the object is refused; "" when it is not. Kubernetes' decoder stops at the first error, so does this.
        `repeated`: what was found before, of the document that the object comes from, or of the patch that made it."""
        if self.errors:
            return self.errors[0]
        if validation == "Strict" and (repeated or self.unknown):
            return f"strict decoding error: {strict_problem(with_repeated(self.unknown, repeated, patched=patched))}"
        return ""

    def warnings(self, validation: FieldValidation) -> list[str]:
        """What the answer's Warning headers say."""
        return self.unknown if validation == "Warn" else []


def check(obj: dict[str, Any], type_: Type, *, settled: bool = False) -> Checked:
    """Check `obj` against its type: unknown fields and nulls go, quantities and times become canonical. What changes
    below it takes the place of what was there. `settled`: the spec is known to be as it should."""
    if type_.name == _POD and obj.__class__ is dict and not settled:
        settled = is_as_it_should(obj.get("spec"), type_.fields["spec"])
    if not settled:
        return _walked(obj, type_)
    spec, obj["spec"] = obj["spec"], {}
    checked = _walked(obj, type_)
    obj["spec"] = spec
    return checked


def _walked(obj: dict[str, Any], type_: Type) -> Checked:
    walk = _Walk()
    made = walk.object(obj, type_, None, "")
    if made is not obj:
        obj.clear()
        obj.update(made)
    return walk.checked


def is_as_it_should(value: object, type_: Type) -> bool:
    encoded = exactly(value)
    return encoded is not None and was_as_it_should(encoded, type_)


@functools.lru_cache(REMEMBERED)
def was_as_it_should(encoded: bytes, type_: Type) -> bool:
    """Whether there was nothing to say about such a value, and nothing to change."""
    value = again(encoded)
    if value.__class__ is not dict:
        return False
    checked = _walked(value, type_)
    return not checked.errors and not checked.unknown and exactly(value) == encoded


def check_metadata(types: Types, obj: dict[str, Any]) -> Checked:
    """Check the metadata of `obj`, whatever else it is."""
    walk = _Walk(apart=1)
    if obj.get("metadata") is None:
        obj["metadata"] = {}
    obj["metadata"] = walk.object(obj["metadata"], types.definition(_OBJECT_META), (None, "metadata", True), "")
    return walk.checked


def cannot_be_handled(api_version: str, kind: str, problem: str) -> str:
    """The sentence in which a create or update is refused as BadRequest for a `problem`."""
    version = api_version.rpartition("/")[2]
    return f'{kind} in version "{version}" cannot be handled as a {kind}: {problem}'


def missing(obj: dict[str, Any], type_: Type, prefix: str = "") -> list[str]:
    """The paths of required fields that are absent, as in `spec.template.spec.containers[0].name`.

    Kubernetes requires less than its schema says (defaults and empty values count), so this is for kinds that have no
    rules of their own.
    """
    paths = [f"{prefix}{name}" for name in type_.required if obj.get(name) is None]
    for name, value in obj.items():
        below = type_.fields.get(name)
        if below is not None:
            paths += _missing_below(value, below, f"{prefix}{name}")
    return paths


def _missing_below(value: object, type_: Type, path: str) -> list[str]:
    if type_.kind == "object" and isinstance(value, dict):
        return missing(value, type_, f"{path}.")
    if type_.kind == "array" and isinstance(value, list):
        elements = ((f"{path}[{index}]", item, type_.items) for index, item in enumerate(value))
    elif type_.kind == "map" and isinstance(value, dict):
        elements = ((f"{path}.{key}", item, type_.values) for key, item in value.items())
    else:
        return []
    return [below for at, item, element in elements for below in _missing_below(item, element, at)]


def is_time(text: str) -> bool:
    """Whether it is a time in its one spelling."""
    return len(text) <= _TIME_LENGTH_MAX and _canonical_time(text, "date-time") == text


class _Walk:
    """One check under way. Every method answers the value that belongs in the place."""

    def __init__(self, apart: int = 0) -> None:
        """`apart`: Go decodes what is that many fields below by itself, and does not name those."""
        self.checked, self._apart = Checked(), apart

    def object(self, value: Any, type_: Type, place: _Place | None, struct: str) -> Any:
        if value.__class__ is not dict:
            return self._wrong(value, place, struct, _go_type(type_))
        fields, omitted = type_.fields, type_.omitted
        struct = type_.name.rpartition(".")[2] or struct
        gone, found = [], {}
        for name, below in value.items():
            expected = fields.get(name)
            if expected is None or below is None:
                gone.append(name)
                if expected is None:
                    self._unknown((place, name, True))
            elif not below and name in omitted and below.__class__ in ZEROS[expected.kind]:
                gone.append(name)
            elif below.__class__ is not str or expected.kind != "string" or expected.format:
                made = _METHODS[expected.kind](self, below, expected, (place, name, True), struct)
                if made is not below:
                    found[name] = made
        if type_.dropped:
            gone += [name for name in value if name in type_.dropped]
        if not (gone or found):
            return value
        return {name: found.get(name, below) for name, below in value.items() if name not in gone}

    def map(self, value: Any, type_: Type, place: _Place | None, struct: str) -> Any:
        if value.__class__ is not dict:
            return self._wrong(value, place, struct, _go_type(type_))
        expected = type_.values
        plain = expected.kind == "string" and not expected.format
        found = {}
        for key, below in value.items():
            if not (plain and below.__class__ is str):
                made = self._element(below, expected, (place, key, False), struct)
                if made is not below:
                    found[key] = made
        return {**value, **found} if found else value

    def array(self, value: Any, type_: Type, place: _Place | None, struct: str) -> Any:
        if value.__class__ is not list:
            return self._wrong(value, place, struct, _go_type(type_))
        expected = type_.items
        made = [self._element(below, expected, (place, index, False), struct) for index, below in enumerate(value)]
        return made if any(map(operator.is_not, made, value)) else value

    def string(self, value: Any, type_: Type, place: _Place | None, struct: str) -> Any:
        if value.__class__ is not str:
            return self._wrong(value, place, struct, _go_type(type_))
        if type_.format == "byte":
            return self._base64(value)
        return self._time(value, type_) if type_.format in LAYOUTS else value

    def integer(self, value: Any, type_: Type, place: _Place | None, struct: str) -> Any:
        lowest, highest = _BOUNDS.get(type_.format, _BOUNDS["int64"])
        if value.__class__ is int and lowest <= value <= highest:
            return value
        return self._wrong(value, place, struct, _go_type(type_))

    def number(self, value: Any, type_: Type, place: _Place | None, struct: str) -> Any:
        return value if value.__class__ in (int, float) else self._wrong(value, place, struct, _go_type(type_))

    def boolean(self, value: Any, type_: Type, place: _Place | None, struct: str) -> Any:
        return value if value.__class__ is bool else self._wrong(value, place, struct, _go_type(type_))

    def quantity(self, value: Any, type_: Type, place: _Place | None, struct: str) -> Any:
        try:
            spelt = canonical_quantity(value if value.__class__ in (str, int, float) else "")
            return value if spelt == value else spelt
        except InvalidQuantity as error:
            self.checked.errors.append(f"{error} ({_path(place)})")
            return value

    def int_or_string(self, value: Any, type_: Type, place: _Place | None, struct: str) -> Any:
        if value.__class__ is str or (value.__class__ is int and -(2**31) <= value < 2**31):
            return value
        return self._wrong(value, place, struct, _go_type(type_))

    def any(self, value: Any, type_: Type, place: _Place | None, struct: str) -> Any:
        return value

    def _element(self, value: Any, type_: Type, place: _Place, struct: str) -> Any:
        """As a field's value, but null cannot go: it becomes the empty value, as in Go."""
        if value is None:
            return _EMPTY[type_.kind]()
        return _METHODS[type_.kind](self, value, type_, place, struct)

    def _wrong(self, value: Any, place: _Place | None, struct: str, go_type: str) -> Any:
        way = _go_path(place)[self._apart :]
        into = f"struct field {struct}.{'.'.join(way)}" if way else "value"
        self.checked.errors.append(
            f"json: cannot unmarshal {_json_type(value, go_type)} into Go {into} of type {go_type}"
        )
        return value

    def _unknown(self, place: _Place) -> None:
        if len(self.checked.unknown) < _UNKNOWN_MAX:
            self.checked.unknown.append(f'unknown field "{_path(place)}"')

    def _base64(self, value: str) -> str:
        text = value.replace("\n", "").replace("\r", "")
        if not _BASE64.fullmatch(text):
            bad = _NOT_BASE64.search(text.rstrip("="))
            self.checked.errors.append(f"illegal base64 data at input byte {bad.start() if bad else len(text)}")
        return text

    def _time(self, value: str, type_: Type) -> str:
        spelt = _canonical_time(value, type_.format) if len(value) <= _TIME_LENGTH_MAX else ""
        if not spelt:
            self.checked.errors.append(time_problem(value, type_.format))
        return value if spelt == value else spelt or value


_METHODS = {
    "object": _Walk.object,
    "map": _Walk.map,
    "array": _Walk.array,
    "string": _Walk.string,
    "integer": _Walk.integer,
    "number": _Walk.number,
    "boolean": _Walk.boolean,
    "quantity": _Walk.quantity,
    "int-or-string": _Walk.int_or_string,
    "any": _Walk.any,
}
_EMPTY: dict[str, Any] = {
    "object": dict,
    "map": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": int,
    "boolean": bool,
    "quantity": lambda: "0",
    "int-or-string": int,
    "any": lambda: None,
}


@functools.lru_cache(maxsize=1024)  # an object holds a dozen times, most of them the same, and is written often
def _canonical_time(value: str, format_: str) -> str:
    """UTC, with whole seconds or six digits; "" for what is no time."""
    if not _TIME.fullmatch(value):
        return ""
    try:
        moment = datetime.datetime.fromisoformat(value).astimezone(datetime.UTC)
    except (ValueError, OverflowError):
        return ""
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%fZ" if format_ == "micro-time" else "%Y-%m-%dT%H:%M:%SZ")


def _go_path(place: _Place | None) -> list[str]:
    """The fields on the way; list indexes and map keys are not part of it."""
    steps = []
    while place is not None:
        place, step, is_field = place
        if is_field:
            steps.append(str(step))
    return steps[::-1]


def _path(place: _Place | None) -> str:
    """The whole way, as in `spec.containers[0].image`."""
    text = ""
    while place is not None:
        place, step, _ = place
        text = f"[{step}]{text}" if isinstance(step, int) else f".{step}{text}"
    return text.removeprefix(".")


def _json_type(value: object, go_type: str) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return f"number {value}" if go_type.startswith("int") else "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


def _go_type(type_: Type) -> str:
    """How Go names the type: `int32`, `[]v1.Container`, `map[string]string`."""
    match type_.kind:
        case "array":
            return f"[]{_go_type(type_.items)}"
        case "map":
            return f"map[string]{_go_type(type_.values)}"
        case "object" | "any" if type_.name:
            return ".".join(type_.name.split(".")[-2:])
        case "integer" | "int-or-string":
            return type_.format if type_.format else "int32" if type_.kind == "int-or-string" else "int64"
        case "boolean":
            return "bool"
        case "number":
            return "float64"
        case "quantity":
            return "resource.Quantity"
    return {"date-time": "v1.Time", "micro-time": "v1.MicroTime", "byte": "[]uint8"}.get(type_.format, "string")
