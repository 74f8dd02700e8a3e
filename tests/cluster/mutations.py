"""An object with one thing wrong, or only different, for each field that its type has.

What stands in the object is taken away, emptied, doubled, made of the wrong type, negative, huge; what it leaves out
is filled in, down to a few levels.
"""

from __future__ import annotations

import copy
from collections.abc import Iterator
from typing import Any, NamedTuple

from actors.apiserver.schema.types import Type

Path = tuple[str | int, ...]

_SERVERS = ("metadata", "apiVersion", "kind", "status")  # not the schema's to vary, or looked at elsewhere
_ABSENT_DEPTH = 3  # so far down is filled in what is not there
_GONE: Any = object()
_LONG = "x" * 300

_OF_KIND: dict[str, tuple[Any, ...]] = {
    "string": ("", "a", "Bad Name!", _LONG, 5),
    "integer": (-1, 0, 1, 65536, 2**31, "x"),
    "number": (0.5, "x"),
    "boolean": (True, False, "x"),
    "quantity": ("0", "-1", "1.5", "x", 5),
    "int-or-string": (-1, 0, "50%", "-5%", "a", "Bad Name!", True),
    "any": ({}, "x"),
    "array": ([], "x"),
    "map": ({}, {"a": "b"}, {"Bad Key!": "b"}, "x"),
    "object": ({}, "x"),
}
_OF_FORMAT: dict[str, tuple[Any, ...]] = {
    "date-time": ("", "2026-01-01T00:00:00Z", "x"),
    "micro-time": ("2026-01-01T00:00:00.000000Z", "x"),
    "byte": ("", "YQ==", "?"),
}
_OF_ITEMS: dict[str, Any] = {"string": "a", "integer": 1, "object": {}, "map": {}, "quantity": "1", "array": []}


class Mutation(NamedTuple):
    """`what` was done; `obj` came of it."""

    what: str
    obj: dict[str, Any]


def mutations(obj: dict[str, Any], type_: Type) -> Iterator[Mutation]:
    for path, value in _changes(obj, type_, (), 0):
        yield Mutation(f"{_dotted(path)}={'gone' if value is _GONE else repr(value)[:40]}", changed(obj, path, value))


def _changes(value: Any, type_: Type, path: Path, depth: int) -> Iterator[tuple[Path, Any]]:
    if type_.kind == "object" and isinstance(value, dict):
        yield (*path, "fieldThatIsNot"), 1
        for name, below in type_.fields.items():
            if not path and name in _SERVERS:
                continue
            here = (*path, name)
            if name in value:
                yield here, _GONE
                yield from _values(below, here)
                yield from _changes(value[name], below, here, depth)
            elif depth < _ABSENT_DEPTH:
                yield from _values(below, here)
                yield from _below_absent(below, here, depth + 1)
    elif type_.kind == "array" and isinstance(value, list) and value:
        yield path, [*value, copy.deepcopy(value[0])]
        yield from _changes(value[0], type_.items, (*path, 0), depth)
    elif type_.kind == "map" and isinstance(value, dict) and value:
        first = next(iter(value))
        yield from _values(type_.values, (*path, first))


def _below_absent(type_: Type, path: Path, depth: int) -> Iterator[tuple[Path, Any]]:
    """With an empty object in its place, or a list of one, and a field of that filled in."""
    if type_.kind == "object":
        for below, value in _changes({}, type_, (), depth):
            if below != ("fieldThatIsNot",):
                yield path, changed({}, below, value)
    elif type_.kind == "array":
        yield path, [_OF_ITEMS.get(type_.items.kind, "a")]
        if type_.items.kind == "object":
            for below, value in _changes({}, type_.items, (), depth):
                if below != ("fieldThatIsNot",):
                    yield path, [changed({}, below, value)]


def _values(type_: Type, path: Path) -> Iterator[tuple[Path, Any]]:
    for value in _OF_FORMAT.get(type_.format, _OF_KIND[type_.kind]):
        yield path, value


def changed(obj: dict[str, Any], path: Path, value: Any) -> dict[str, Any]:
    new = copy.deepcopy(obj)
    here: Any = new
    for step in path[:-1]:
        here = here[step] if isinstance(here, list) else here.setdefault(step, {})
    if value is _GONE:
        del here[path[-1]]
    else:
        here[path[-1]] = copy.deepcopy(value)
    return new


def _dotted(path: Path) -> str:
    return ".".join(map(str, path))
