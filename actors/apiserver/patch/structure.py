"""How a value of some type divides into fields that can have owners (KEP-555).

Objects and maps divide into their fields, lists of type "map" and "set" into their items; everything else is a leaf and
has one owner: scalars, atomic lists and maps, and what has no schema. Of what is kept without one, maps divide.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from actors.apiserver.patch.fields import LEAF, FieldSet, key_step, make_node, show_path, value_step
from actors.apiserver.schema.types import Type

# Keys of list items that have a default in the schema: an item may leave them out.
_KEY_DEFAULTS = {"protocol": "TCP"}
MAPS = ("object", "map", "unknown")


class NotOfItsType(ValueError):
    """The value cannot be divided as its type says; each problem begins with the path."""

    def __init__(self, *problems: str) -> None:
        super().__init__(problems[0] if len(problems) == 1 else "\n  ".join(("errors:", *problems)))
        self.problems = problems

    def below(self, path: str) -> NotOfItsType:
        """The same of what has this one at the path."""
        return NotOfItsType(*(f"{path}{problem}" for problem in self.problems))


def divides(type: Type, value: Any) -> bool:
    """Whether the value consists of fields or items with owners of their own."""
    if isinstance(value, dict):
        return type.kind in MAPS and type.map_type != "atomic"
    return isinstance(value, list) and type.kind == "array" and type.list_type in ("map", "set")


def field_type(type: Type, key: str) -> Type | None:
    """The type of a field or map value; None where there is no such field."""
    return type.values if type.kind in ("map", "unknown") else type.fields.get(key)


def declares(type: Type, key: str) -> bool:
    """Whether it is a field, and not an entry of a map or one of what is kept beside the fields."""
    return type.kind == "object" and key in type.fields


def must_be_map(type: Type) -> bool:
    return type.kind != "unknown" and divides(type, {})


def step_of(type: Type, item: Any) -> str:
    """What tells this item of a list of type "map" or "set" from the others."""
    if type.list_type == "set":
        if isinstance(item, dict | list) or item is None:
            raise NotOfItsType(": associative list without keys has an element that's a map or list type")
        return value_step(item)
    if not isinstance(item, dict):
        raise NotOfItsType(": associative list with keys may not have non-map elements")
    keys = {key: item.get(key, _KEY_DEFAULTS.get(key)) for key in type.list_map_keys}
    given = {key: value for key, value in keys.items() if value is not None}
    if not given:
        shown = " ".join(f'"{key}"' for key in type.list_map_keys)
        detail = f"omits all key fields [{shown}] (and doesn't have default values for any key fields)"
        raise NotOfItsType(f": associative list with keys has an element that {detail}")
    return key_step(given)


def by_step(type: Type, value: list[Any]) -> dict[str, list[Any]]:
    """The items of a list that divides, by what tells them apart; several with one key are together."""
    groups: dict[str, list[Any]] = {}
    for item in value:
        groups.setdefault(step_of(type, item), []).append(item)
    return groups


def field_set(type: Type, value: dict[str, Any], *, duplicates: bool = False) -> FieldSet:
    """All fields of an object. Raises NotOfItsType; two items with one key are an error unless `duplicates` may be.

    An object's own fields do not count as set by what is set below them, but map entries and list items do: applying
    `{name: web, image: x}` in a list says that there is such an item.
    """
    return dict(_fields(type, value, duplicates))


def _fields(type: Type, value: dict[str, Any], duplicates: bool) -> Iterator[tuple[str, FieldSet]]:
    problems: list[str] = []
    for key, item in value.items():
        kind = field_type(type, key)
        if kind is None:
            problems.append(f".{key}: field not declared in schema")
            continue
        try:
            below = _below(f".{key}", kind, item, duplicates)
        except NotOfItsType as error:
            problems += error.problems
            continue
        node = LEAF if below is None else make_node(not declares(type, key) or item == {}, below)
        if node is not None:  # an empty list of items says nothing
            yield f"f:{key}", node
    if problems:
        raise NotOfItsType(*problems)


def _items(type: Type, value: list[Any], duplicates: bool) -> FieldSet:
    found: FieldSet = {}
    for index, item in enumerate(value):
        step = _step_at(type, index, item)
        if step not in found:
            found[step] = make_node(True, _below(_shown(step), type.items, item, duplicates) or LEAF)
        elif duplicates:
            found[step] = LEAF  # as a whole: which of them a field belongs to cannot be said
        else:
            raise NotOfItsType(f": duplicate entries for key {_shown(step)}")
    return found


def _below(prefix: str, type: Type, value: Any, duplicates: bool) -> FieldSet | None:
    """The fields or items of a value that divides; None for a leaf."""
    if not divides(type, value):
        if value is not None and (divides(type, []) or must_be_map(type)):
            raise NotOfItsType(f"{prefix}: expected {'list' if type.kind == 'array' else 'map'}, got {value!r}")
        return None
    try:
        return dict(_fields(type, value, duplicates)) if isinstance(value, dict) else _items(type, value, duplicates)
    except NotOfItsType as error:
        raise error.below(prefix) from None


def _step_at(type: Type, index: int, item: Any) -> str:
    try:
        return step_of(type, item)
    except NotOfItsType as error:
        raise NotOfItsType(f": element {index}{error}") from None


def _shown(step: str) -> str:
    return show_path((step,))
