"""Lists, sets and maps.

A table of functions reads `owner.name(parameters) -> result`: the owner is what it is called on.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import pairwise
from typing import Any


def _is_sorted(values: list[Any]) -> bool:
    return all(left <= right for left, right in pairwise(values))


def _least(values: list[Any]) -> Any:
    if not values:
        raise ValueError("min called on empty list")
    return min(values)


def _greatest(values: list[Any]) -> Any:
    if not values:
        raise ValueError("max called on empty list")
    return max(values)


def _index(values: list[Any], value: Any) -> int:
    return values.index(value) if value in values else -1


def _last_index(values: list[Any], value: Any) -> int:
    return len(values) - 1 - values[::-1].index(value) if value in values else -1


def _contains(whole: list[Any], part: list[Any]) -> bool:
    return all(value in whole for value in part)


def _with_entry(entries: dict[Any, Any], key: Any, value: Any) -> dict[Any, Any]:
    if key in entries:
        raise ValueError(f"insert failed: key {key!r} already exists")
    return {**entries, key: value}


def _with_entries(entries: dict[Any, Any], more: dict[Any, Any]) -> dict[Any, Any]:
    for key, value in more.items():
        entries = _with_entry(entries, key, value)
    return entries


FUNCTIONS: dict[str, Callable[..., Any]] = {
    "kubernetes.mapInsert(map, dyn, dyn) -> map": _with_entry,  # what the macro transformMap becomes (rewriting.py)
    "kubernetes.mapInsert(map, map) -> map": _with_entries,  # and transformMapEntry
    "list.isSorted() -> bool": _is_sorted,
    "list.sum() -> dyn": sum,
    "list.min() -> dyn": _least,
    "list.max() -> dyn": _greatest,
    "list.indexOf(dyn) -> int": _index,
    "list.lastIndexOf(dyn) -> int": _last_index,
    "sets.contains(list, list) -> bool": _contains,
    "sets.equivalent(list, list) -> bool": lambda one, other: _contains(one, other) and _contains(other, one),
    "sets.intersects(list, list) -> bool": lambda one, other: any(value in other for value in one),
}
