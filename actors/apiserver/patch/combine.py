"""Taking two objects together, and taking fields out of one: what apply does to values. Results are new values that
may share unchanged parts with the arguments.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from actors.apiserver.patch.fields import MEMBER, FieldSet, is_member, make_node
from actors.apiserver.patch.structure import MAPS, by_step, declares, divides, field_type, step_of
from actors.apiserver.schema.types import Type
from protocols.rules.quantity import InvalidQuantity, parse_quantity

_NOTHING: Any = object()


def merge(type: Type, live: dict[str, Any], config: dict[str, Any]) -> dict[str, Any]:
    """The live object with everything that the configuration says; null where something goes, to count as changed."""
    merged = dict(live)
    for key, value in config.items():
        if value is not None or key in live:
            merged[key] = _merge_value(field_type(type, key), live.get(key, _NOTHING), value)
    return merged


def without_nulls(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_nulls(item) for key, item in value.items() if item is not None}
    return [without_nulls(item) for item in value] if isinstance(value, list) else value


def remove(type: Type, value: dict[str, Any], fields: FieldSet) -> dict[str, Any]:
    """The object without the fields of a set. What they leave empty stays, unless it belongs to the set itself."""
    kept: dict[str, Any] = {}
    for key, item in value.items():
        node = fields.get(f"f:{key}")
        left = item if node is None else _remove_below(field_type(type, key), item, node)
        if left is not _NOTHING:
            kept[key] = left
    return kept


def with_named_fields(type: Type, fields: FieldSet) -> FieldSet:
    """The set, and also every field of an object (not map entries, not items) that something of the set is below."""
    return dict(_named(type, fields))


def _merge_value(type: Type | None, live: Any, config: Any) -> Any:
    if type is None or live is _NOTHING:
        return without_nulls(config)
    if config is None:
        return live if divides(type, live) else None
    if not (divides(type, live) and divides(type, config)):
        return live if type.kind == "quantity" and _same_amount(live, config) else config
    if isinstance(config, dict):
        return merge(type, live, config)
    return _merge_lists(type, live, config)


def _same_amount(live: Any, config: Any) -> bool:
    """`0.5` says nothing new where `500m` is."""
    try:
        return parse_quantity(live) == parse_quantity(config)
    except InvalidQuantity:
        return False


def _merge_lists(type: Type, live: list[Any], config: list[Any]) -> list[Any]:
    """Items of the configuration in its order; the others where they stand before those that both have."""
    mine = {step_of(type, item): item for item in config}
    theirs = by_step(type, live)
    waiting = iter(mine)
    shared = [step for step in mine if step in theirs]
    merged: list[Any] = []
    for item in live:
        step = step_of(type, item)
        if step not in mine:
            merged.append(item)
        elif shared and step == shared[0]:
            shared.pop(0)
            merged.extend(_merge_item(type, theirs, mine, each) for each in _up_to(step, waiting))
    merged.extend(_merge_item(type, theirs, mine, each) for each in waiting)
    return merged


def _merge_item(type: Type, theirs: dict[str, list[Any]], mine: dict[str, Any], step: str) -> Any:
    live = theirs.get(step, ())
    return _merge_value(type.items, live[0] if len(live) == 1 else _NOTHING, mine[step])


def _up_to(step: str, waiting: Iterator[str]) -> Iterator[str]:
    """Takes from `waiting`, up to and with `step`."""
    for each in waiting:
        yield each
        if each == step:
            return


def _remove_below(type: Type | None, value: Any, node: FieldSet) -> Any:
    if is_member(node):
        return _NOTHING
    if type is None or not divides(type, value):
        return _NOTHING  # what is below a leaf is the leaf
    return remove(type, value, node) if isinstance(value, dict) else _remove_items(type, value, node)


def _remove_items(type: Type, value: list[Any], fields: FieldSet) -> list[Any]:
    kept = []
    for item in value:
        node = fields.get(step_of(type, item))
        left = item if node is None else _remove_below(type.items, item, node)
        if left is not _NOTHING:
            kept.append(left)
    return kept


def _named(type: Type | None, fields: FieldSet) -> Iterator[tuple[str, FieldSet]]:
    for step, node in fields.items():
        if step == MEMBER:
            continue
        below = _type_at(type, step)
        named = type is not None and declares(type, step.removeprefix("f:"))
        children = dict(_named(below, node))
        made = make_node(is_member(node) or named, children)
        if made is not None:
            yield step, made


def _type_at(type: Type | None, step: str) -> Type | None:
    if type is None:
        return None
    if step.startswith("f:"):
        return field_type(type, step[2:]) if type.kind in MAPS else None
    return type.items if type.kind == "array" else None
