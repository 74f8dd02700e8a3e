"""What functions make of objects that are alike where they look is made once for all of them.

A thousand pods of one template differ in names, uids, nodes and times, and a dozen functions (indexes and summaries of
a view) look at each of them anew. One that says which fields it looks at is asked with these fields alone, decoded
from their bytes, and its answer is kept for the next object that has the same bytes there. So it cannot look at more
than it says, and the rest of the object is not even decoded.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Sequence
from operator import attrgetter
from typing import Any, Generic, TypeVar

import msgspec

from protocols.objects import Object, key_of, uid_of

T = TypeVar("T")

BELONGS = (  # where an object's metadata say to whom it belongs
    "metadata.namespace",
    "metadata.labels",
    "metadata.ownerReferences",
    "metadata.finalizers",
    "metadata.deletionTimestamp",
)
MADE = ("metadata.creationTimestamp", "metadata.annotations")  # when it was made, and what is noted on it
KEPT_MAX = 1024  # answers of functions that look at the same fields; the oldest half goes when there are more
_BYTES_MAX = 4096  # of these fields: what is larger is hardly that of another object too
_NOTHING = b"\xc1"  # never begins a value of MessagePack: what stands between fields


class Facet(Generic[T]):
    """A function that looks at `fields` of an object only. Those who have equal fields share its answers, which
    nobody may change."""

    def __init__(self, function: Callable[[Object], T], fields: tuple[str, ...]) -> None:
        self.function = function
        self.fields = fields

    def __call__(self, obj: Object) -> T:
        return self.function(obj)


class Joined(Generic[T]):
    """`join(key, uid, *answers)`: what is an object's own, and what it shares with others."""

    def __init__(self, join: Callable[..., T], *facets: Facet[Any]) -> None:
        self.join = join
        self.facets = facets

    def __call__(self, obj: Object) -> T:
        return self.of(key_of(obj), uid_of(obj), obj)

    def of(self, key: str, uid: str, obj: Object) -> T:
        """The same, where key and uid are known."""
        return self.join(key, uid, *[facet(obj) for facet in self.facets])


def looks_at(*fields: str) -> Callable[[Callable[[Object], T]], Facet[T]]:
    """Fields by name or `parent.name`; what is absent in the object is absent in what the function is asked with."""

    def mark(function: Callable[[Object], T]) -> Facet[T]:
        return Facet(function, fields)

    return mark


class Reader:
    """Asks functions, all of which are a `Facet` or `Joined`, about objects that are still encoded."""

    def __init__(self, functions: Sequence[Callable[[Object], Any]]) -> None:
        facets: dict[Facet[Any], None] = {}
        for function in functions:
            assert isinstance(function, Facet | Joined), function
            facets.update(dict.fromkeys((function,) if isinstance(function, Facet) else function.facets))
        grouped: dict[tuple[str, ...], list[Facet[Any]]] = {}
        for facet in facets:
            grouped.setdefault(facet.fields, []).append(facet)
        self._groups = [_Group(fields, group) for fields, group in grouped.items()]
        places = {facet: n for n, facet in enumerate(facet for group in grouped.values() for facet in group)}
        self._recipes: list[tuple[Callable[..., Any] | None, tuple[int, ...]]] = [
            (None, (places[function],))
            if isinstance(function, Facet)
            else (function.join, tuple(places[facet] for facet in function.facets))
            for function in functions
            if isinstance(function, Facet | Joined)
        ]
        self._decode = _decoder_for(tuple(field for fields in grouped for field in fields))

    def read(self, key: str, uid: str, body: bytes) -> list[Any] | None:
        """The answers in the order of the functions; None about an object that is to be decoded as a whole."""
        try:
            parts = self._decode(body)
        except msgspec.ValidationError:
            return None
        answers: list[Any] = []
        for group in self._groups:
            answers += group.answers(parts)
        return [
            answers[places[0]] if join is None else join(key, uid, *[answers[n] for n in places])
            for join, places in self._recipes
        ]


class _Group:
    """Functions that look at the same fields."""

    def __init__(self, fields: tuple[str, ...], facets: Sequence[Facet[Any]]) -> None:
        self._paths = [field.split(".") for field in fields]
        self._raw = attrgetter(*fields)
        self._only = len(fields) == 1
        self._functions = [facet.function for facet in facets]
        self._kept: dict[bytes, list[Any]] = {}

    def answers(self, parts: Any) -> list[Any]:
        raw = self._raw(parts)
        seen = bytes(raw) if self._only else _NOTHING.join(raw)
        found = self._kept.get(seen)
        return self._ask(seen, (raw,) if self._only else raw) if found is None else found

    def _ask(self, seen: bytes, raw: Sequence[msgspec.Raw]) -> list[Any]:
        obj: Object = {}
        for path, value in zip(self._paths, raw, strict=True):
            if bytes(value):
                inner = obj.setdefault(path[0], {}) if len(path) == 2 else obj
                inner[path[-1]] = msgspec.msgpack.decode(value)
        answers = [function(obj) for function in self._functions]
        if len(seen) <= _BYTES_MAX:
            if len(self._kept) >= KEPT_MAX:
                for oldest in list(self._kept)[: KEPT_MAX // 2]:
                    del self._kept[oldest]
            self._kept[seen] = answers
        return answers


@functools.lru_cache(256)  # it makes classes, which takes longer than all else that a view begins with
def _decoder_for(fields: tuple[str, ...]) -> Callable[[bytes], Any]:
    """Of an object's fields, undecoded; those that are absent are empty."""
    tree: dict[str, dict[str, None]] = {}
    for field in fields:
        parent, _, name = field.partition(".")
        tree.setdefault(parent, {}).update({name: None} if name else {})
    members = [
        (parent, struct, msgspec.field(default_factory=struct)) if (struct := _struct(names)) else _raw(parent)
        for parent, names in tree.items()
    ]
    return msgspec.msgpack.Decoder(msgspec.defstruct("Parts", members)).decode


def _struct(names: Iterable[str]) -> Any:
    members = [_raw(name) for name in names]
    return msgspec.defstruct("Part", members) if members else None


def _raw(name: str) -> tuple[str, Any, Any]:
    return name, msgspec.Raw, msgspec.Raw(b"")
