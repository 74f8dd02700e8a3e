"""Lists that a schema declares as sets, or as maps by keys: they are equal in any order, and added they are merged.

A sum keeps the places of what stands on its left. Of a set, what is not there yet is appended; of a map, an item of the
right takes the place of the one with its keys. A `Shape` says where in a value such lists are. In an evaluation values
are plain, so what compares or adds is told the shape as a text.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Any

import orjson

EQUALS, DIFFERS, SUM, HOLDS = (f"kubernetes.{name}" for name in ("equals", "differs", "sum", "holds"))
_KEPT_MAX = 1024


@dataclass(frozen=True, slots=True)
class Shape:
    """`list_type`: "set", "map" or "". `rest` is the shape of a list's items, or of a map's values."""

    list_type: str = ""
    keys: tuple[str, ...] = ()
    rest: Shape | None = None
    fields: Mapping[str, Shape] = field(default_factory=dict)

    @property
    def text(self) -> str:
        return orjson.dumps(_written(self)).decode()


def equal(one: Any, other: Any, shape: Shape | None) -> bool:
    """As CEL, but for the lists of the shape, which is that of `one`."""
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and _items_equal(one, other, shape)
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(
            equal(value, other[name], _below(shape, name)) for name, value in one.items()
        )
    # To Python, True is 1.
    return isinstance(one, bool) == isinstance(other, bool) and bool(one == other)


def merged(one: list[Any], other: list[Any], shape: Shape) -> list[Any]:
    """What `one + other` is."""
    found = {_identity(item, shape): item for item in one}
    for item in other:
        key = _identity(item, shape)
        if shape.list_type == "map" or key not in found:
            found[key] = item
    return list(found.values())


def _items_equal(one: list[Any], other: list[Any], shape: Shape | None) -> bool:
    rest = shape.rest if shape is not None else None
    if shape is None or not shape.list_type:
        return all(equal(*pair, rest) for pair in zip(one, other, strict=True))
    known = {_identity(item, shape): item for item in one}
    for item in other:
        key = _identity(item, shape)
        if key not in known or (shape.list_type == "map" and not equal(known[key], item, rest)):
            return False
    return True


def _identity(item: Any, shape: Shape) -> Any:
    if shape.list_type == "map" and isinstance(item, dict):
        return tuple(_hashable(item.get(key)) for key in shape.keys)
    return _hashable(item)


def _hashable(value: Any) -> Any:
    if isinstance(value, dict):
        return frozenset((key, _hashable(each)) for key, each in value.items())
    if isinstance(value, list):
        return tuple(map(_hashable, value))
    return isinstance(value, bool), value


def _below(shape: Shape | None, name: Any) -> Shape | None:
    return (shape.fields.get(name) or shape.rest) if shape is not None else None


def _written(shape: Shape) -> dict[str, Any]:
    found: dict[str, Any] = {"type": shape.list_type} if shape.list_type else {}
    if shape.list_type == "map":
        found["keys"] = list(shape.keys)
    if shape.rest is not None:
        found["rest"] = _written(shape.rest)
    if shape.fields:
        found["fields"] = {name: _written(below) for name, below in shape.fields.items()}
    return found


@lru_cache(maxsize=_KEPT_MAX)
def _read(text: str) -> Shape:
    return _made(orjson.loads(text))


def _made(written: Mapping[str, Any]) -> Shape:
    rest = _made(written["rest"]) if "rest" in written else None
    fields = {name: _made(below) for name, below in (written.get("fields") or {}).items()}
    return Shape(written.get("type", ""), tuple(written.get("keys") or ()), rest, fields)


FUNCTIONS: dict[str, Callable[..., Any]] = {  # what operators become (provenance.py)
    f"{EQUALS}(dyn, dyn, string) -> bool": lambda one, other, shape: equal(one, other, _read(shape)),
    f"{DIFFERS}(dyn, dyn, string) -> bool": lambda one, other, shape: not equal(one, other, _read(shape)),
    f"{SUM}(list, list, string) -> list": lambda one, other, shape: merged(one, other, _read(shape)),
    f"{HOLDS}(dyn, list, string) -> bool": lambda value, values, shape: any(
        equal(each, value, _read(shape)) for each in values
    ),
}
