"""The garbage collector: what becomes of dependents when their owners go (metadata.ownerReferences).

Background: the owner is gone, its dependents follow. Foreground (the finalizer foregroundDeletion): the owner waits
until those that block it are gone. Orphan (the finalizer orphan): the dependents first lose the reference, and stay.

A dependent is only deleted when all its owners are gone or wait for it. That an owner is absent from a view may only
mean that the view is late, so its absence is confirmed by a read; and the deletion names the revision whose owners were
looked at. A uid never comes back: so whatever is late or lost, nothing is deleted that still had somebody to live for.

Keys are identities of owners (owner_graph.py).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import Any, NamedTuple

from actorkube.kube import Controller, Grows, Views, Watches
from actorkube.kube.view import SummaryFunction
from actorkube.kube.writes import Confirm, Delete, Patch, Propagation, RequeueAfter, Rest, Write
from actors.controllers.essence import api_service_essence, definition_essence, essence
from actors.controllers.owner_graph import (
    BY_OWNER,
    LINKED,
    LINKS,
    Graph,
    Identity,
    Linked,
    Links,
    by_owner,
    identity,
    linked,
    links_of,
)
from actors.controllers.resources import (
    DEFINED,
    DEFINITIONS,
    FAR,
    GROWING,
    RESOURCES,
    Kinds,
    Resource,
    defined,
    far,
    grown,
    kinds_of,
)
from protocols.objects import Object
from protocols.rules.api_services import API_SERVICES
from protocols.rules.owners import FOREGROUND, ORPHAN

BURST = 500  # dependents that one pass deletes or orphans
SPACING_S = 0.05
REST_PER_DEPENDENT_S = 0.0001  # a pass looks at all dependents: passes over many are rare
# What was created just before its owner was asked to go may still be on its way to a view: an owner is let go this much
# later, so that such a dependent is orphaned too. (Kubernetes does not wait.)
ORPHAN_PAUSE_S = 2.0

Dependents = Sequence[tuple[Identity, Links]]


def controller(resources: Sequence[Resource] = RESOURCES) -> Controller:
    """`resources`: what is watched, beside what users define; references to and from anything else are left alone."""
    kinds = dict(kinds_of(resources))

    def watched_beside(views: Views) -> list[Watches]:
        custom, others = grown(views)
        kinds.clear()
        kinds.update({**kinds_of(others), **kinds_of(custom), **kinds_of(resources)})
        beside = [replace(watch(resource, kinds), awaited=False) for resource in others]
        return [*(watch(resource, kinds) for resource in custom), *beside]

    def reconcile(key: str, views: Views, now: float) -> list[Write]:
        owner = identity(key)
        return collect(owner, Graph(kinds, views), now) if owner.resource in views else []

    watches = tuple(replace(watch(resource, kinds), may_be_absent=True) for resource in resources)
    growing = tuple(each.name for each in resources if each.name in GROWING)
    grows = Grows(growing, watched_beside) if growing else None
    return Controller("garbage-collector-controller", watches, reconcile, spacing_s=SPACING_S, grows=grows)


def watch(resource: Resource, kinds: Kinds) -> Watches:
    def concerned(changed: Linked, views: Views) -> list[str]:
        return Graph(kinds, views).concerned(resource, changed)

    indexes = {BY_OWNER: by_owner}
    summaries: dict[str, SummaryFunction] = {LINKS: links_of, LINKED: linked}
    trim: Callable[[Object], Object] = essence
    if resource.name == DEFINITIONS:
        summaries[DEFINED] = defined
        trim = definition_essence
    if resource.name == API_SERVICES:
        summaries[FAR] = far
        trim = api_service_essence
    return Watches(resource.name, concerned, indexes, summaries, when=LINKS, told_by=LINKED, trim=trim)


def collect(owner: Identity, graph: Graph, now: float) -> list[Write]:
    """What is to be done because of one owner."""
    links = graph.links(owner)
    if links is not None and not links.waiting and not links.orphaning:
        return []
    dependents = list(graph.dependents(owner))
    rest: list[Write] = [Rest(len(dependents) * REST_PER_DEPENDENT_S)] if dependents else []
    if links is None:
        return [*rest, *removals(dependents, graph)]
    if links.orphaning:
        return [*rest, *orphan(owner, links, dependents, graph, now)]
    held = any(each.blocks(owner.uid) and not waits_for(node, owner, graph) for node, each in dependents)
    release = [] if held else [_without_finalizer(owner, links, FOREGROUND, graph)]
    return [*rest, *removals(dependents, graph), *release]


def waits_for(node: Identity, owner: Identity, graph: Graph) -> bool:
    """Whether `node` itself is only waiting, perhaps through others, for `owner` to go: in a circle nobody waits."""
    front, seen = [node], {node: None}
    while front:
        node = front.pop()
        links = graph.links(node)
        for dependent, each in graph.dependents(node) if links is not None and links.waiting else ():
            if each.blocks(node.uid):
                if dependent == owner:
                    return True
                front += [] if dependent in seen else [dependent]
                seen[dependent] = None
    return False


def orphan(owner: Identity, links: Links, dependents: Dependents, graph: Graph, now: float) -> list[Write]:
    if dependents:
        return [_without_owners(node, {owner}, graph) for node, _ in dependents[:BURST]]
    wait = graph.links_since(owner) + ORPHAN_PAUSE_S - now
    return [RequeueAfter(wait)] if wait > 0 else [_without_finalizer(owner, links, ORPHAN, graph)]


# -- dependents of owners that are gone, or wait for them to go -------------------------------------------------------


class Owners(NamedTuple):
    """The owners of one dependent, by what they are to it."""

    solid: list[Identity | None]
    waiting: list[Identity]
    absent: list[Identity]


def removals(dependents: Dependents, graph: Graph) -> list[Write]:
    """The absent are confirmed first; the rest of the pass depends on it."""
    confirmations: dict[Write, None] = {}
    changes: list[Write] = []
    for node, links in dependents:
        if links.deleting:
            continue
        owners = owners_of(node, links, graph)
        confirmations.update((Confirm(*owner, gone=True), None) for owner in owners.absent)
        changes.append(removal(node, links, owners, graph))
        if len(changes) == BURST:
            break
    return [*confirmations, *changes]


def owners_of(node: Identity, links: Links, graph: Graph) -> Owners:
    owners = Owners([], [], [])
    for reference in links.owners:
        owner = graph.owner(reference, node.namespace)
        match graph.state(owner):
            case "solid":
                owners.solid.append(owner)
            case "waiting" if owner is not None:
                owners.waiting.append(owner)
            case "absent" if owner is not None:
                owners.absent.append(owner)
    return owners


def removal(node: Identity, links: Links, owners: Owners, graph: Graph) -> Write:
    """One that has somebody left to live for only loses the other references; else it goes, as its owners do."""
    if owners.solid:
        return _without_owners(node, {*owners.waiting, *owners.absent}, graph)
    if FOREGROUND in links.finalizers or (owners.waiting and graph.has_dependents(node.uid)):
        return _deletion(node, "Foreground", graph)
    return _deletion(node, "Orphan" if ORPHAN in links.finalizers else "Background", graph)


# -- writes -----------------------------------------------------------------------------------------------------------


def _deletion(node: Identity, propagation: Propagation, graph: Graph) -> Delete:
    return Delete(*node, propagation=propagation, revision=graph.revision(node))


def _without_owners(node: Identity, lost: set[Identity], graph: Graph) -> Patch:
    links = graph.links(node)
    assert links is not None
    owners = [graph.owner(reference, node.namespace) for reference in links.owners]
    references = zip(graph.references(node), owners, strict=True)
    return _patch(node, {"ownerReferences": [r for r, owner in references if owner not in lost]}, graph)


def _without_finalizer(node: Identity, links: Links, finalizer: str, graph: Graph) -> Patch:
    return _patch(node, {"finalizers": [other for other in links.finalizers if other != finalizer]}, graph)


def _patch(node: Identity, metadata: dict[str, Any], graph: Graph) -> Patch:
    """A change of exactly the revision that was looked at; the view need not have the whole object for it."""
    exactly = {"uid": node.uid, "resourceVersion": str(graph.revision(node))}
    return Patch(node.resource, node.namespace, node.name, {"metadata": {**exactly, **metadata}})
