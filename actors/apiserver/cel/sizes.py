"""How large the values below a variable can be: by the schema that allows them, or by the values that are there.

A size is what size() says: characters, bytes, items, entries. A path goes from a variable over fields, `@items` of a
list, `@keys` and `@values` of a map; `@each` is what a loop with one variable goes over: a list's items, a map's keys.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Protocol

from actors.apiserver.cel.declared import fields_of, spellings
from actors.apiserver.custom.structural import Node

Path = tuple[str, ...]
REQUEST_BYTES_MAX = 3 * 1024 * 1024  # as Kubernetes assumes when it estimates
_FORMATS_MAX = {"duration": 32, "date": 10, "date-time": 32}
_SMALLEST = {"boolean": 4, "integer": 1, "number": 1, "string": 2}  # bytes of JSON
_SMALLEST_FORMATS = {"byte": 2, "duration": 3, "date": 12, "date-time": 21}


class Sizes(Protocol):
    def of(self, path: Path) -> int | None:
        """The largest size that a value at a path can have; None where nothing is known of it."""


class SchemaSizes:
    """Of `self` and `oldSelf`, which have the schema of a node; where it has no limit, what fits into a request.

    Any other name counts like these, as it does for Kubernetes: that of a type (`type(self) == int`).
    """

    def __init__(self, node: Node, root: bool) -> None:
        self._node = node
        self._root = root

    def of(self, path: Path) -> int | None:
        if not path:
            return None
        node, root = self._node, self._root
        for step in path[1:]:
            if step in ("@keys", "@each") and isinstance(node.rest, Node):
                return 0  # of keys Kubernetes knows no size, and takes none
            below = _below(node, step, root)
            if below is None:
                return None
            node, root = below, False
        return elements_max(node)


def _below(node: Node, step: str, root: bool) -> Node | None:
    if step in ("@items", "@each") and node.type == "array":
        return node.items
    if step == "@values":
        return node.rest if isinstance(node.rest, Node) else None
    return next((below for name, below in fields_of(node, root) if step in spellings(name)), None)


def elements_max(node: Node) -> int:
    """0 of what has no size: numbers, and objects with fields."""
    schema = node.schema
    if node.type == "array" and node.items is not None:
        most: int | None = schema.get("maxItems")
        return (REQUEST_BYTES_MAX - 2) // (smallest(node.items) + 1) if most is None else max(most, 0)
    if isinstance(node.rest, Node):
        entries: int | None = schema.get("maxProperties")
        return (REQUEST_BYTES_MAX - 2) // (smallest(node.rest) + 6) if entries is None else max(entries, 0)
    if node.type != "string" and not node.int_or_string:
        return 0
    limit: int | None = schema.get("maxLength")
    format = schema.get("format") or ""
    if format in _FORMATS_MAX:
        return _FORMATS_MAX[format]
    if limit is not None:  # in characters, which may take four bytes each
        return max(limit, 0) * (1 if format == "byte" else 4)
    if schema.get("enum") and not node.int_or_string and format != "byte":
        return max((len(each.encode()) for each in schema["enum"] if isinstance(each, str)), default=0)
    return REQUEST_BYTES_MAX - 2


def smallest(node: Node) -> int:
    """The bytes of the smallest JSON that is valid: how many of them fit into a request depends on it."""
    if node.int_or_string or not node.type:
        return 1
    if node.type == "string":
        return _SMALLEST_FORMATS.get(node.schema.get("format") or "", 2)
    if node.type == "object" and not isinstance(node.rest, Node):
        needed = (name for name in node.required if name in node.properties and not node.properties[name].has_default)
        return 2 + sum(len(name) + smallest(node.properties[name]) + 4 for name in needed)
    return _SMALLEST.get(node.type, 2)


class SameSize:
    """Of values of which only the weight is known: each could be all of it."""

    def __init__(self, weight: int) -> None:
        self._weight = weight

    def of(self, path: Path) -> int | None:
        return self._weight if path else None


class ValueSizes:
    """Of the values that an expression is about to see; what is not there has no size.

    `weight`: the characters, entries and numbers that all of them consist of.
    """

    def __init__(self, values: Mapping[str, Any]) -> None:
        self._root = _Place()
        self.weight = sum(self._root.field(name).add(value) for name, value in values.items())

    def of(self, path: Path) -> int | None:
        if not path:
            return None
        places = [self._root]
        for step in path[:-1]:
            places = [below for place in places for below in place.below(step)]
        return max((size for place in places for size in place.sizes(path[-1])), default=0)


class _Place:
    """All values at one path: how large the largest is, and what is below them."""

    __slots__ = ("fields", "items", "keys_max", "size")

    def __init__(self) -> None:
        self.size = self.keys_max = 0
        self.fields: dict[str, _Place] = {}
        self.items: _Place | None = None

    def field(self, name: str) -> _Place:
        return self.fields.setdefault(name, _Place())

    def add(self, value: Any) -> int:
        """Takes a value in; the answer is its weight."""
        size = weight = 1
        if isinstance(value, str | bytes):
            size = weight = len(value)
        elif isinstance(value, list):
            size = len(value)
            self.items = self.items or _Place()
            weight += sum(map(self.items.add, value))
        elif isinstance(value, dict):
            size = len(value)
            self.keys_max = max(self.keys_max, *map(len, value), 0)
            weight += sum(len(key) + self.field(key).add(each) for key, each in value.items())
        self.size = max(self.size, size)
        return weight + 1

    def below(self, step: str) -> Iterable[_Place]:
        if step in ("@items", "@each"):
            return [self.items] if self.items is not None else []
        if step == "@values":
            return self.fields.values()
        return [self.fields[step]] if step in self.fields else []

    def sizes(self, step: str) -> Iterator[int]:
        if step in ("@keys", "@each"):
            yield self.keys_max
        yield from (place.size for place in self.below(step))
