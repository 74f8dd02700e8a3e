"""Which resource a user means: `deploy/web`, `pods`, `deployments.apps`, or an object itself."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

from protocols.objects import Object, name_of, namespace_of


class Resource(Protocol):
    """What the composition root says of each resource that its API server serves."""

    @property
    def group_resource(self) -> str: ...
    @property
    def api_version(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def plural(self) -> str: ...
    @property
    def singular(self) -> str: ...
    @property
    def namespaced(self) -> bool: ...
    @property
    def short_names(self) -> tuple[str, ...]: ...


@dataclass(frozen=True)
class Target:
    """One object by name. `namespace` is empty for what has none."""

    resource: str
    name: str
    namespace: str

    def __str__(self) -> str:
        return "/".join(part for part in (self.resource, self.namespace, self.name) if part)


@dataclass(frozen=True)
class Defined:
    """A resource that a CustomResourceDefinition says."""

    group_resource: str
    api_version: str
    kind: str
    plural: str
    singular: str
    namespaced: bool
    short_names: tuple[str, ...]


def defined(definition: Object) -> Iterator[Defined]:
    """One for each version that the definition, as it is stored, serves."""
    spec = definition["spec"]
    names = spec["names"]
    for version in spec["versions"]:
        if version["served"]:
            yield Defined(
                f"{names['plural']}.{spec['group']}",
                f"{spec['group']}/{version['name']}",
                names["kind"],
                names["plural"],
                names["singular"],
                spec["scope"] == "Namespaced",
                tuple(names.get("shortNames") or ()),
            )


class UnknownResource(ValueError):
    """The API server serves none of that name or kind, as far as is known."""


class Resources:
    """Finds them by every name that kubectl knows."""

    def __init__(self, served: Sequence[Resource]) -> None:
        self._by_kind: dict[tuple[str, str], Resource] = {}
        self._by_name: dict[str, Resource] = {}
        self.add(served)

    def add(self, served: Sequence[Resource]) -> None:
        """As kubectl does, a name is that of the first one: core before the groups, and what was there before."""
        for resource in served:
            self._by_kind[resource.api_version, resource.kind] = resource
            for name in (resource.group_resource, resource.plural, resource.singular, *resource.short_names):
                self._by_name.setdefault(name, resource)

    def named(self, word: str) -> Resource:
        """Raises UnknownResource."""
        resource = self._by_name.get(word.lower())
        if resource is None:
            raise UnknownResource(
                f"the API server has no resource {word!r}; it has such as pods, deploy, deployments.apps"
            )
        return resource

    def of(self, obj: Object) -> Resource:
        resource = self._by_kind.get((obj["apiVersion"], obj["kind"]))
        if resource is None:
            raise UnknownResource(f"the API server has no kind {obj['kind']} in {obj['apiVersion']}")
        return resource

    def target(self, what: str | Object, name: str, namespace: str) -> Target:
        """`what` is "deploy/web", or "deploy" beside a name, or an object. Raises UnknownResource, and ValueError
        where no name is said."""
        if isinstance(what, str):
            word, slash, inner = what.partition("/")
            name = inner if slash else name
            resource = self.named(word)
        else:
            resource, name = self.of(what), name_of(what)
            namespace = namespace_of(what) or namespace
        if not name:
            raise ValueError(f"which one of the {resource.plural}? Write {resource.singular}/NAME")
        return Target(resource.group_resource, name, namespace if resource.namespaced else "")
