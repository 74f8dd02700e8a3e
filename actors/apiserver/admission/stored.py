"""What plugins read of what is stored: objects of the watch cache, decoded once for as long as they stay as they are.

Nobody may change what is handed out. Kinds that are read whole (classes, limits, quotas) have few objects; single
objects of any kind are kept decoded up to a bound.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Protocol

from actors.apiserver.cache import Cache
from actors.apiserver.selectors import reader
from protocols.objects import Object

_KEPT_MAX = 512


class Stored(Protocol):
    def get(self, group_resource: str, key: str) -> Object | None: ...

    def of(self, group_resource: str, namespace: str = "") -> list[Object]:
        """All objects of a kind, of one namespace where one is named, in the order of their names; they are kept."""

    def each(self, group_resource: str, namespace: str) -> Iterable[Object]:
        """The same for kinds that have many objects: decoded for the caller alone."""

    def labels(self, group_resource: str, key: str) -> Mapping[str, str]:
        """Those of an object, for kinds that have many: the rest of it is not decoded. No object: none."""


class StoredInCache:
    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._noted: dict[str, None] | None = None
        self._objects: OrderedDict[tuple[str, str], tuple[int, Object]] = OrderedDict()
        self._lists: OrderedDict[tuple[str, str], tuple[int, list[Object]]] = OrderedDict()

    @contextmanager
    def noting(self) -> Iterator[dict[str, None]]:
        """The kinds that are read meanwhile; nothing may be awaited."""
        noted: dict[str, None] = {}
        self._noted = noted
        try:
            yield noted
        finally:
            self._noted = None

    def _note(self, group_resource: str) -> None:
        if self._noted is not None:
            self._noted[group_resource] = None

    def get(self, group_resource: str, key: str) -> Object | None:
        self._note(group_resource)
        item = self._cache.get(group_resource, key)
        if item is None:
            return None
        kept = self._objects.get((group_resource, key))
        if kept is None or kept[0] != item.revision:
            kept = self._objects[group_resource, key] = (item.revision, item.object())
            if len(self._objects) > _KEPT_MAX:
                self._objects.popitem(last=False)
        return kept[1]

    def of(self, group_resource: str, namespace: str = "") -> list[Object]:
        self._note(group_resource)
        cached = self._cache.of(group_resource)
        if not cached.items:
            return []
        kept = self._lists.get((group_resource, namespace))
        if kept is None or kept[0] != cached.changes:
            found = [*self.each(group_resource, namespace)]
            kept = self._lists[group_resource, namespace] = (cached.changes, found)
            if len(self._lists) > _KEPT_MAX:
                self._lists.popitem(last=False)
        return kept[1]

    def labels(self, group_resource: str, key: str) -> Mapping[str, str]:
        self._note(group_resource)
        item = self._cache.get(group_resource, key)
        return item.head(reader(group_resource)).labels if item is not None else {}

    def each(self, group_resource: str, namespace: str) -> Iterator[Object]:
        self._note(group_resource)
        return (item.object() for item in self._cache.of(group_resource).of(namespace))
