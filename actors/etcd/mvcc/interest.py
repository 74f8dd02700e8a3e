"""Who wants to hear of a key, found without asking everybody: most watch one key, or all keys with one prefix.

Those that watch the same are found together. Ranges that are neither one key nor a prefix are looked at one by one.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Generic, TypeVar

from actors.etcd.mvcc.span import Span

T = TypeVar("T")

Group = dict[T, None]


class Interest(Generic[T]):
    def __init__(self) -> None:
        self._keys: dict[bytes, Group[T]] = {}
        self._prefixes: dict[bytes, Group[T]] = {}
        self._lengths: dict[int, int] = {}  # of the prefixes that there are -> how many
        self._ranges: dict[Span, Group[T]] = {}

    def add(self, span: Span, who: T) -> None:
        if span.is_key:
            self._keys.setdefault(span.low, {})[who] = None
        elif span.is_prefix:
            if span.low not in self._prefixes:
                self._lengths[len(span.low)] = self._lengths.get(len(span.low), 0) + 1
            self._prefixes.setdefault(span.low, {})[who] = None
        else:
            self._ranges.setdefault(span, {})[who] = None

    def remove(self, span: Span, who: T) -> None:
        if span.is_key:
            _leave(self._keys, span.low, who)
        elif not span.is_prefix:
            _leave(self._ranges, span, who)
        elif _leave(self._prefixes, span.low, who):
            self._lengths[len(span.low)] -= 1
            if not self._lengths[len(span.low)]:
                del self._lengths[len(span.low)]

    def find(self, key: bytes) -> Iterator[T]:
        """Each once; nobody may come or go meanwhile."""
        yield from self._keys.get(key, ())
        for length in self._lengths:
            if length > len(key):
                continue
            yield from self._prefixes.get(key[:length], ())
        for span, group in self._ranges.items():
            if span.holds(key):
                yield from group


K = TypeVar("K")


def _leave(groups: dict[K, Group[T]], name: K, who: T) -> bool:
    """Whether nobody is left."""
    group = groups.get(name, {})
    group.pop(who, None)
    if not group:
        groups.pop(name, None)
    return not group
