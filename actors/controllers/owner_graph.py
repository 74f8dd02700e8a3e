"""The graph of owners and dependents, kept by the indexes of views: every question is a look-up, nothing is scanned.

An owner is known by its identity: where a reference says it is, and its uid. A reference whose name and uid do not
belong together means nobody, as in Kubernetes. One that cannot be followed (a kind that is not watched, or a
namespaced owner of an object without a namespace) is left alone.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import lru_cache
from typing import Any, Literal, NamedTuple

from actorkube.kube import Views
from actorkube.kube.alike import BELONGS, Joined, looks_at
from actors.controllers.resources import Kinds, Resource
from protocols.objects import Object, meta, split_key
from protocols.rules.owners import FOREGROUND, ORPHAN, is_deleting, owner_references, owner_uids

BY_OWNER = "owner"
LINKS = "links"
LINKED = "linked"

State = Literal["solid", "waiting", "absent"]


class Reference(NamedTuple):
    group: str
    kind: str
    name: str
    uid: str
    blocking: bool


class Links(NamedTuple):
    """All that garbage collection looks at of an object. Equal ones are shared: a thousand pods of one set have one."""

    owners: tuple[Reference, ...]
    finalizers: tuple[str, ...]
    deleting: bool

    @property
    def waiting(self) -> bool:
        """It is being deleted, after its dependents."""
        return self.deleting and FOREGROUND in self.finalizers

    @property
    def orphaning(self) -> bool:
        """It is being deleted, and its dependents are to stay."""
        return self.deleting and ORPHAN in self.finalizers

    def blocks(self, owner: str) -> bool:
        """Whether the owner with that uid, when it waits for its dependents, waits for this one."""
        return any(reference.blocking and reference.uid == owner for reference in self.owners)


class Linked(NamedTuple):
    """An object of some resource, and its links."""

    key: str
    uid: str
    links: Links


class Identity(NamedTuple):
    """An object: a node of the graph. `str` of it is a key of the work queue."""

    resource: str
    namespace: str
    name: str
    uid: str

    def __str__(self) -> str:
        return "/".join(self)

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}" if self.namespace else self.name


def identity(text: str) -> Identity:
    """The other way round. Only the uid, which those who write references may make up, can contain a slash."""
    return Identity(*text.split("/", 3))


@looks_at(*BELONGS)
def links_of(obj: Object) -> Links:
    owners = tuple(
        (r["apiVersion"], r["kind"], r["name"], r["uid"], bool(r.get("blockOwnerDeletion")))
        for r in owner_references(obj)
    )
    return _shared(owners, tuple(meta(obj).get("finalizers") or ()), is_deleting(obj))


@looks_at(*BELONGS)
def by_owner(obj: Object) -> tuple[str, ...]:
    """An index: the uids of its owners."""
    return tuple(owner_uids(obj))


linked = Joined(Linked, links_of)  # a summary


class Graph:
    """Views seen as a graph; it keeps nothing itself."""

    def __init__(self, kinds: Kinds, views: Views) -> None:
        self._kinds = kinds
        self._views = views

    def concerned(self, resource: Resource, linked: Linked) -> list[str]:
        """The owners (also: itself) whose dependents need a look when this object changes."""
        namespace, name = split_key(linked.key)
        owners = (self.owner(reference, namespace) for reference in linked.links.owners)
        keys = [str(owner) for owner in owners if owner is not None]
        if linked.links.waiting or linked.links.orphaning or self.has_dependents(linked.uid):
            keys.append(str(Identity(resource.name, namespace, name, linked.uid)))
        return keys

    def links(self, node: Identity) -> Links | None:
        """None when the view has no such object of that uid."""
        entry = self._views[node.resource].entry(node.key)
        if entry is None or entry.uid != node.uid:
            return None
        links: Links = entry.summaries[LINKS]
        return links

    def links_since(self, node: Identity) -> float:
        """Since when its links are what they are, by our own clock."""
        return self._views[node.resource].since(LINKS, node.key) or 0.0

    def owner(self, reference: Reference, namespace: str) -> Identity | None:
        """Whom a reference of an object in `namespace` means; None when that cannot be known."""
        resource = self._kinds.get((reference.group, reference.kind))
        if resource is None or (resource.namespaced and not namespace) or "/" in reference.name:
            return None
        return Identity(resource.name, namespace if resource.namespaced else "", reference.name, reference.uid)

    def state(self, owner: Identity | None) -> State:
        """Whether an owner keeps its dependents alive. `absent` is only what the view says."""
        if owner is None:
            return "solid"
        links = self.links(owner)
        if links is None:
            return "absent"
        return "waiting" if links.waiting else "solid"

    def dependents(self, owner: Identity) -> Iterator[tuple[Identity, Links]]:
        for resource, view in self._views.items():
            for key in view.keys(BY_OWNER, owner.uid):
                entry = view.entry(key)
                assert entry is not None
                node, links = Identity(resource, *split_key(key), entry.uid), entry.summaries[LINKS]
                if self._means(links, node.namespace, owner):
                    yield node, links

    def has_dependents(self, uid: str) -> bool:
        for owners in self._views.indexes(BY_OWNER):  # noqa: SIM110  (it is asked of each pod; a generator takes twice as long)
            if uid in owners:
                return True
        return False

    def references(self, node: Identity) -> list[dict[str, Any]]:
        """The references as they stand in the object, in the order of its links."""
        entry = self._views[node.resource].entry(node.key)
        return [] if entry is None else owner_references(entry.peek())

    def revision(self, node: Identity) -> int:
        entry = self._views[node.resource].entry(node.key)
        return 0 if entry is None else entry.revision

    def _means(self, links: Links, namespace: str, owner: Identity) -> bool:
        return any(r.uid == owner.uid and self.owner(r, namespace) == owner for r in links.owners)


@lru_cache(maxsize=4096)
def _shared(owners: tuple[tuple[str, str, str, str, bool], ...], finalizers: tuple[str, ...], deleting: bool) -> Links:
    references = tuple(
        Reference(api_version.rpartition("/")[0], kind, name, uid, blocking)
        for api_version, kind, name, uid, blocking in owners
    )
    return Links(references, finalizers, deleting)
