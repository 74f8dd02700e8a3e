"""What one API server serves: the built-in resources, and those of the definitions that its watch cache holds now.

A look-up costs the same however many definitions there are. When definitions have changed, the next look-up compiles
those that did, and changes indexes by what they serve; only the list of all is made anew, once somebody asks for it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from actors.apiserver.cache import Cache
from actors.apiserver.custom.names import DEFINITIONS
from actors.apiserver.custom.version import priority, resources_of
from actors.apiserver.schema import resources as builtin
from actors.apiserver.schema.resources import RESOURCES, Resource
from actors.apiserver.schema.types import Types, minor_of

_NONE: tuple[int, list[Resource]] = (0, [])


class Served:
    """`edition` grows with every change of what is served: documents made of it are as new as it is."""

    def __init__(self, cache: Cache, types: Types) -> None:
        self.edition = 0
        self._definitions = cache.of(DEFINITIONS)
        self._types = types
        self._seen = -1
        self._compiled: dict[str, tuple[int, list[Resource]]] = {}  # by definition: its revision, what it serves
        minor = minor_of(types.version)
        self.builtin = tuple(builtin.as_of(resource, minor) for resource in RESOURCES if types.has(resource))
        self._builtin_by_path = {(each.group, each.version, each.plural): each for each in self.builtin}
        self._by_path: dict[tuple[str, str, str], Resource] = {}  # custom ones alone
        self._by_kind = {(each.api_version, each.kind): each for each in reversed(self.builtin)}
        self._by_name = {each.group_resource: each for each in reversed(self.builtin)}
        self._by_storage: dict[str, list[Resource]] = {}
        for resource in self.builtin:
            self._by_storage.setdefault(resource.storage, []).append(resource)
        self._all: tuple[Resource, ...] | None = self.builtin

    def find(self, group_resource: str) -> Resource | None:
        """The resource by kubectl's notation; of several versions the preferred one."""
        if builtin.find(group_resource) is not None:
            return self._by_name.get(group_resource)
        self._look()
        _, served = self._compiled.get(group_resource, _NONE)
        return served[0] if served else None

    def named(self, word: str) -> Resource | None:
        """The resource that a person means, as kubectl takes it."""
        word = word.lower()
        plain = (each for each in self.all() if word in (each.plural, each.singular, *each.short_names))
        return self.find(word) or next(plain, None)

    def by_path(self, group: str, version: str, plural: str) -> Resource | None:
        found = builtin.by_path(group, version, plural)
        if found is None:
            self._look()
            return self._by_path.get((group, version, plural))
        return self._builtin_by_path.get((group, version, plural))

    def by_kind(self, api_version: str, kind: str) -> Resource | None:
        """The resource that an object's own apiVersion and kind name."""
        self._look()
        return self._by_kind.get((api_version, kind))

    def versions(self, resource: Resource) -> Iterator[Resource]:
        """All that serve the same objects as this one."""
        self._look()
        return iter(self._by_storage.get(resource.storage, ()))

    def all(self) -> Sequence[Resource]:
        """Built-in resources in the order of their table, then custom ones by group, the newest version first."""
        self._look()
        if self._all is None:
            self._all = (*self.builtin, *self._custom())
        return self._all

    def _look(self) -> None:
        if self._seen == self._definitions.changes:
            return
        self._seen = self._definitions.changes
        items = self._definitions.items
        for name in [name for name in self._compiled if name not in items]:
            self._forget(name)
        for name, item in items.items():
            if self._compiled.get(name, _NONE)[0] != item.revision:
                self._forget(name)
                self._serve(name, item.revision, resources_of(item.object(), self._types))
        self._all = None
        self.edition += 1

    def _serve(self, name: str, revision: int, resources: list[Resource]) -> None:
        resources.sort(key=lambda each: priority(each.version), reverse=True)
        self._compiled[name] = (revision, resources)
        for each in resources:
            self._by_path[each.group, each.version, each.plural] = each
            self._by_kind.setdefault((each.api_version, each.kind), each)
            self._by_storage.setdefault(each.storage, []).append(each)

    def _forget(self, name: str) -> None:
        _, resources = self._compiled.pop(name, _NONE)
        for each in resources:
            self._by_path.pop((each.group, each.version, each.plural), None)
            if self._by_kind.get((each.api_version, each.kind)) is each:
                del self._by_kind[each.api_version, each.kind]
            self._by_storage.pop(each.storage, None)

    def _custom(self) -> Iterator[Resource]:
        resources = [resource for _, served in self._compiled.values() for resource in served]
        resources.sort(key=lambda each: each.plural)
        resources.sort(key=lambda each: priority(each.version), reverse=True)
        yield from sorted(resources, key=lambda each: each.group)
