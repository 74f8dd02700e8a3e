"""What one API server serves: the built-in resources, and those of the definitions that its watch cache holds now.

A look-up costs the same however many definitions there are. When definitions have changed, the next look-up compiles
those that did, and only those.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from actors.apiserver.cache import Cache
from actors.apiserver.custom.names import DEFINITIONS
from actors.apiserver.custom.version import priority, resources_of
from actors.apiserver.schema import resources as builtin
from actors.apiserver.schema.resources import RESOURCES, Resource
from actors.apiserver.schema.types import Types


class Served:
    """`edition` grows with every change of what is served: documents made of it are as new as it is."""

    def __init__(self, cache: Cache, types: Types) -> None:
        self.edition = 0
        self._definitions = cache.of(DEFINITIONS)
        self._types = types
        self._seen = -1
        self._compiled: dict[str, tuple[int, list[Resource]]] = {}  # by definition: its revision, what it serves
        self._by_group_resource: dict[str, Resource] = {}
        self._by_path: dict[tuple[str, str, str], Resource] = {}
        self._all: tuple[Resource, ...] = RESOURCES

    def find(self, group_resource: str) -> Resource | None:
        """The resource by kubectl's notation; of several versions the preferred one."""
        found = builtin.find(group_resource)
        if found is None:
            self._look()
            found = self._by_group_resource.get(group_resource)
        return found

    def named(self, word: str) -> Resource | None:
        """The resource that a person means, as kubectl takes it."""
        word = word.lower()
        plain = (each for each in self.all() if word in (each.plural, each.singular, *each.short_names))
        return self.find(word) or next(plain, None)

    def by_path(self, group: str, version: str, plural: str) -> Resource | None:
        found = builtin.by_path(group, version, plural)
        if found is None:
            self._look()
            found = self._by_path.get((group, version, plural))
        return found

    def all(self) -> Sequence[Resource]:
        """Built-in resources in the order of their table, then custom ones by group, the newest version first."""
        self._look()
        return self._all

    def _look(self) -> None:
        if self._seen == self._definitions.changes:
            return
        self._seen = self._definitions.changes
        items = self._definitions.items
        for name in [name for name in self._compiled if name not in items]:
            del self._compiled[name]
        for name, item in items.items():
            before = self._compiled.get(name)
            if before is None or before[0] != item.revision:
                self._compiled[name] = (item.revision, resources_of(item.object(), self._types))
        self._arrange()

    def _arrange(self) -> None:
        custom = list(self._custom())
        self._by_path = {(each.group, each.version, each.plural): each for each in custom}
        self._by_group_resource = {each.group_resource: each for each in reversed(custom)}
        self._all = (*RESOURCES, *custom)
        self.edition += 1

    def _custom(self) -> Iterator[Resource]:
        resources = [resource for _, served in self._compiled.values() for resource in served]
        resources.sort(key=lambda each: each.plural)
        resources.sort(key=lambda each: priority(each.version), reverse=True)
        yield from sorted(resources, key=lambda each: each.group)
