"""What is wrong with an object of a custom resource, by its schema, in the words of Kubernetes' validation.

Each kind of check looks at the value's own type, not at the schema's: a text where a number should be is of the wrong
type, and may be too long as well. On an update a part that is as it was is not looked at again: so a schema that became
stricter does not stand in the way of changing something else (KEP-4008).
"""

from __future__ import annotations

import json
from typing import Any

from actors.apiserver.custom.formats import CHECKS
from actors.apiserver.custom.numbers import as_number, is_whole, number_errors
from actors.apiserver.custom.structural import Node
from actors.apiserver.rules.field import (
    FieldError,
    FieldErrors,
    invalid_value,
    not_supported,
    required,
    too_long,
    too_many,
    wrong_type,
)

ABSENT: Any = object()
NOWHERE = "<nil>"  # the field of what is said of a combination of schemas
_WEIGHTS: dict[type, int] = {bool: 7, str: 8, dict: 8, int: 9, float: 9, list: 9}
_FORMAT_OF = {"integer": "int64", "number": "float64"}


def errors(node: Node, value: Any, old: Any = ABSENT, path: str = "", *, within: str = "") -> FieldErrors:
    """`old`: what stood here before. `within`: the field whose own schema this is; messages begin there."""
    found = _Judge().value(node, value, old, path)
    if not found:
        return
    once = {(error.type, str(error)): error for error in reversed(found)}  # the same is not said twice
    for error in reversed(once.values()):
        yield error if not within else _moved(error, within)


def _moved(error: FieldError, within: str) -> FieldError:
    field = within if error.field in ("", NOWHERE) else f"{within}.{error.field}"
    return FieldError(error.type, field, error.value, error.detail)


class _Judge:
    """One look at an object. `matched` counts what was checked: of several schemas none of which fits, the one with
    most of it is taken for the one that was meant."""

    def __init__(self) -> None:
        self.matched = 0

    def value(self, node: Node, value: Any, old: Any, path: str) -> list[FieldError]:
        if old is not ABSENT and _same(value, old):
            return []
        kind: type = value.__class__
        if kind is node.exact and (kind is not int or as_number(value).__class__ is int):
            return self._errors_within(node, value, old, path)
        found = self._type_errors(node, value, path)
        if value is None:
            return found + _choice_errors(node, value, path)
        if isinstance(value, int | float) and not isinstance(value, bool):
            value = as_number(value)
        found += self._combined_errors(node, value, old, path)
        found += self._own_errors(node, value, old, path)
        self.matched += 3
        return found

    def _errors_within(self, node: Node, value: Any, old: Any, path: str) -> list[FieldError]:
        """Of a value that has nothing wrong of its own; what is checked of others counts as if it had been."""
        self.matched += _WEIGHTS[value.__class__]
        if value.__class__ is dict:
            return self._object_errors(node, value, old, path)
        return self._array_errors(node, value, old, path) if value.__class__ is list else []

    def _own_errors(self, node: Node, value: Any, old: Any, path: str) -> list[FieldError]:
        """By what the value is."""
        match value:
            case bool():
                return _choice_errors(node, value, path)
            case str():
                found = [*_text_errors(node, value, path), *_format_errors(node, value, path)]
                self.matched += 1 + (node.format in CHECKS)
                return found + _choice_errors(node, value, path)
            case int() | float():
                self.matched += 2
                kind = "" if node.int_or_string else node.type if node.type in _FORMAT_OF else ""
                found = list(number_errors(node.schema, kind, node.format if kind else "", value, path))
                return found + _choice_errors(node, value, path)
            case list():
                self.matched += 2
                return self._array_errors(node, value, old, path) + _choice_errors(node, value, path)
        self.matched += 1
        return _choice_errors(node, value, path) + self._object_errors(node, value, old, path)

    def _object_errors(self, node: Node, value: dict[str, Any], old: Any, path: str) -> list[FieldError]:
        before = old if isinstance(old, dict) else {}
        found = _size_errors(node.schema, len(value), path, "Properties")
        for name, item in value.items():
            below = node.below(name)
            if below is not None:
                found += self.value(below, item, before.get(name, ABSENT), _below(path, name))
        found += [required(_below(path, name)) for name in node.required if name not in value]
        return found

    def _array_errors(self, node: Node, value: list[Any], old: Any, path: str) -> list[FieldError]:
        found: list[FieldError] = []
        if node.items is not None:
            known = isinstance(old, list) and node.list_type == "map"
            before = {identity(node, item): item for item in old} if known else {}
            for index, item in enumerate(value):
                was = before.get(identity(node, item), ABSENT) if before else ABSENT
                found += self.value(node.items, item, was, f"{path}[{index}]")
        return found + _size_errors(node.schema, len(value), path, "Items")

    def _type_errors(self, node: Node, value: Any, path: str) -> list[FieldError]:
        expected = ("integer", "string") if node.int_or_string else (node.type,) if node.type else ()
        if not expected and not node.format:
            return []
        error = _null_error(node, expected, path) if value is None else _type_error(node, expected, value, path)
        self.matched += 1 + (error is None)
        return [error] if error is not None else []

    # -- combinations -------------------------------------------------------------------------------------------------

    def _combined_errors(self, node: Node, value: Any, old: Any, path: str) -> list[FieldError]:
        found: list[FieldError] = []
        self.matched += 2
        if node.any_of:
            fitting, nearest = self._alternatives(node.any_of, value, old, path, until_one=True)
            if not fitting:
                found += [_nowhere(f'"{path}" must validate at least one schema (anyOf)'), *nearest]
        if node.one_of:
            fitting, nearest = self._alternatives(node.one_of, value, old, path)
            if fitting != 1:
                said = f"{fitting} valid alternatives" if fitting else "none valid"
                found.append(_nowhere(f'"{path}" must validate one and only one schema (oneOf). Found {said}'))
                found += nearest
        if node.all_of:
            each = [self.value(below, value, old, path) for below in node.all_of]
            found += [error for of_one in each for error in of_one]
            if any(each):
                none = "" if not all(each) else ". None validated"
                found.append(_nowhere(f'"{path}" must validate all the schemas (allOf){none}'))
        if node.negated is not None and not self._apart(node.negated, value, old, path)[0]:
            found.append(_nowhere(f'"{path}" must not validate the schema (not)'))
        return found

    def _alternatives(
        self, nodes: list[Node], value: Any, old: Any, path: str, *, until_one: bool = False
    ) -> tuple[int, list[FieldError]]:
        """How many fit, and if none does what is wrong by the one that is nearest."""
        nearest: list[FieldError] = []
        fitting, most = 0, -1
        for node in nodes:
            found, matched = self._apart(node, value, old, path)
            if not found:
                fitting += 1
                if until_one or fitting == 1:
                    nearest, most = [], matched
                if until_one:
                    break
            elif not fitting and matched > most:
                nearest, most = found, matched
        self.matched += max(most, 0)
        return fitting, nearest

    def _apart(self, node: Node, value: Any, old: Any, path: str) -> tuple[list[FieldError], int]:
        before, self.matched = self.matched, 0
        found = self.value(node, value, old, path)
        matched, self.matched = self.matched, before
        return found, matched


def _nowhere(detail: str) -> FieldError:
    return invalid_value(NOWHERE, "", detail)


def identity(node: Node, item: Any) -> str:
    """What tells an item of a list that is a map from the others."""
    if node.list_type == "map" and isinstance(item, dict):
        item = {key: item[key] for key in node.keys if key in item}
    return json.dumps(item, sort_keys=True)


def _same(value: Any, old: Any) -> bool:
    """As JSON: True is not 1."""
    return bool(value == old) and json.dumps(value, sort_keys=True) == json.dumps(old, sort_keys=True)


# -- types ------------------------------------------------------------------------------------------------------------


def _null_error(node: Node, expected: tuple[str, ...], path: str) -> FieldError | None:
    return (
        wrong_type(path, "null", _of_type(path, ",".join(expected), "null")) if expected and not node.nullable else None
    )


def _type_error(node: Node, expected: tuple[str, ...], value: Any, path: str) -> FieldError | None:
    """A format is looked at before the type, and a text or a list with one is not looked at any further: it is the
    format's business, and that of a list nobody's."""
    found = _json_type(value)
    numeric = "integer" in expected or "number" in expected
    fits = found in expected or (found == "integer" and "number" in expected)
    fits = fits or (found == "number" and "integer" in expected and is_whole(as_number(value)))
    if node.format and found not in ("string", "array"):
        its_format = _FORMAT_OF.get(found, "")
        if not fits and its_format != node.format:
            return wrong_type(path, its_format, _of_type(path, node.format, its_format))
    elif node.format and not numeric:
        return None
    return None if fits else wrong_type(path, found, _of_type(path, ",".join(expected), found))


def _of_type(path: str, expected: str, found: str) -> str:
    return f"{path} in body must be of type {expected}: {json.dumps(found, ensure_ascii=False)}"


def _json_type(value: Any) -> str:
    match value:
        case bool():
            return "boolean"
        case int():
            return "integer" if isinstance(as_number(value), int) else "number"
        case float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "object"


# -- values -----------------------------------------------------------------------------------------------------------


def _choice_errors(node: Node, value: Any, path: str) -> list[FieldError]:
    """A null is none of the choices, even where one of them is null."""
    choices = node.schema.get("enum")
    if not choices or any(_is_choice(value, choice) for choice in choices):
        return []
    said = (each if isinstance(each, str) else json.dumps(each, separators=(",", ":")) for each in choices)
    return [not_supported(path, value, said)]


def _is_choice(value: Any, choice: Any) -> bool:
    numbers = (int, float)
    if type(value) in numbers and type(choice) in numbers:
        return bool(type(choice)(value) == choice)
    return choice is not None and _same(value, choice)


def _text_errors(node: Node, value: str, path: str) -> FieldErrors:
    """The first that is wrong."""
    schema = node.schema
    if schema.get("maxLength") is not None and len(value) > schema["maxLength"]:
        yield too_long(path, schema["maxLength"])
    elif len(value) < (schema.get("minLength") or 0):
        yield invalid_value(path, value, f"{path} in body should be at least {schema['minLength']} chars long")
    elif node.pattern is not None and not node.pattern.search(value):
        yield invalid_value(path, value, f"{path} in body should match '{schema['pattern']}'")


def _format_errors(node: Node, value: str, path: str) -> FieldErrors:
    check = CHECKS.get(node.format)
    if check is not None and not check(value):
        yield wrong_type(path, value, _of_type(path, str(node.schema["format"]), value))


def _size_errors(schema: dict[str, Any], size: int, path: str, what: str) -> list[FieldError]:
    found, low, high = [], schema.get(f"min{what}"), schema.get(f"max{what}")
    if low is not None and size < low:
        found.append(invalid_value(path, size, f"{path} in body should have at least {low} {what.lower()}"))
    if high is not None and size > high:
        found.append(too_many(path, size, high))
    return found


def _below(path: str, name: str) -> str:
    return f"{path}.{name}" if path else name
