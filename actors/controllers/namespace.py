"""The namespace controller: empties a namespace that is to go, and then lets it go.

What is in it is asked to go, pods last; what does not go says so in the namespace's conditions. When the views show
nothing any more, one sweep over the API server itself confirms that, and the finalizer `kubernetes` is removed. Nothing
new can be created meanwhile: the API server refuses it.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

from actorkube.kube import Controller, Grows, Views, Watches
from actorkube.kube.alike import Joined
from actorkube.kube.controller import Failure, no_keys
from actorkube.kube.view import SummaryFunction
from actorkube.kube.writes import Delete, DeleteAll, RequeueAfter, Update, UpdateStatus, Write
from actors.controllers.essence import api_service_essence, definition_essence, essence
from actors.controllers.owner_graph import LINKS, Links, links_of
from actors.controllers.resources import (
    DEFINED,
    DEFINITIONS,
    FAR,
    GROWING,
    NAMESPACED,
    Resource,
    defined,
    far,
    far_versions,
    grown,
)
from protocols.objects import Object, split_key
from protocols.rules.api_services import API_SERVICES
from protocols.rules.conditions import Condition, with_condition
from protocols.rules.owners import is_deleting

NAMESPACES = "namespaces"
EVENTS = "events"  # not watched, only swept
FINALIZER = "kubernetes"
TERMINATING = "terminating"
IN = "in"  # which namespace, of what is in one
BURST = 500  # deletions in one pass
SPACING_S = 0.5
SWEEP_AFTER_S = 1.0  # what was admitted just before the namespace ended may still be on its way into the store

Content = Mapping[str, Sequence[str]]  # resource -> keys of its objects


def controller(resources: Sequence[Resource] = NAMESPACED) -> Controller:
    """`resources`: what namespaces can contain, beside what users define."""

    def reconcile(key: str, views: Views, now: float) -> list[Write]:
        names = (name for name in views if name not in (NAMESPACES, *GROWING) and not views[name].is_absent)
        return terminate(key, sorted(names, key=lambda name: name == "pods"), views, now)

    def watched_beside(views: Views) -> list[Watches]:
        custom, others = ([watch(each) for each in some if each.namespaced] for some in grown(views))
        return [*custom, *(replace(watches, awaited=False) for watches in others)]

    namespaces = Watches(NAMESPACES, summaries={TERMINATING: is_deleting})
    definitions = Watches(DEFINITIONS, no_keys, summaries={LINKS: links_of, DEFINED: defined}, trim=definition_essence)
    summaries: dict[str, SummaryFunction] = {LINKS: links_of, FAR: far}
    services = Watches(API_SERVICES, terminating, summaries=summaries, when=FAR, trim=api_service_essence)
    content = (replace(watch(resource), may_be_absent=True) for resource in resources)
    watches = (namespaces, definitions, services, *content)
    grows = Grows(GROWING, watched_beside)
    return Controller("namespace-controller", watches, reconcile, spacing_s=SPACING_S, grows=grows)


def watch(resource: Resource) -> Watches:
    summaries: dict[str, SummaryFunction] = {LINKS: links_of, IN: Joined(lambda key, uid: split_key(key)[0])}
    return Watches(resource.name, terminating_namespace, {}, summaries, when=LINKS, told_by=IN, trim=essence)


def terminating(api_service: Object, views: Views) -> list[str]:
    """All namespaces that are to go: what is in them may be known now, or not any more."""
    namespaces = views[NAMESPACES]
    return [name for name in namespaces if namespaces.summary(TERMINATING, name)]


def terminating_namespace(namespace: str, views: Views) -> tuple[str, ...]:
    return (namespace,) if views[NAMESPACES].summary(TERMINATING, namespace) else ()


def terminate(name: str, resources: Sequence[str], views: Views, now: float) -> list[Write]:
    namespace = views[NAMESPACES].get(name)
    if namespace is None or not is_deleting(namespace) or FINALIZER not in _finalizers(namespace):
        return []
    content = {resource: keys for resource in resources if (keys := list(views[resource].keys("namespace", name)))}
    deletions = list(deletions_of(content, views))
    status = status_of(namespace, content, views, now)
    is_news = status != namespace.get("status") and (views.failure is not None or not deletions)
    news = [UpdateStatus(NAMESPACES, {**namespace, "status": status})] if is_news else []
    if content or news:
        return [*news, *_patiently(deletions[:BURST], views.failure)]
    if undiscovered(views):
        return []  # what their servers have is not known: the namespace waits for them
    wait = (views[NAMESPACES].since(TERMINATING, name) or 0.0) + SWEEP_AFTER_S - now
    if wait > 0:
        return [RequeueAfter(wait)]
    return [*(DeleteAll(resource, name) for resource in (EVENTS, *resources, *unwatched(views))), _finalized(namespace)]


def undiscovered(views: Views) -> list[str]:
    """The group versions of other API servers that cannot be asked now."""
    return sorted(f"{each.group}/{each.version}" for each in far_versions(views) if not each.available)


def unwatched(views: Views) -> list[str]:
    """What other API servers list and delete, but do not let anybody watch."""
    found = ((each, resource) for each in far_versions(views) for resource in each.resources)
    deleted = (each.named(resource) for each, resource in found if resource.can("list", "delete"))
    return sorted({each.name for each in deleted if each.namespaced and each.name not in views})


def deletions_of(content: Content, views: Views) -> Iterator[Delete]:
    """What was not asked to go yet."""
    for resource, keys in content.items():
        for key in keys:
            entry = views[resource].entry(key)
            if entry is not None and not entry.summaries[LINKS].deleting:
                yield Delete(resource, *split_key(key), entry.uid, propagation="Background")


def _patiently(deletions: list[Delete], failure: Failure | None) -> list[Delete]:
    """What was refused comes last, so that it does not keep the others from going."""
    refused = failure.write if failure is not None else None
    return sorted(deletions, key=lambda deletion: deletion == refused)


def _finalizers(namespace: Object) -> list[str]:
    return (namespace.get("spec") or {}).get("finalizers") or []


def _finalized(namespace: Object) -> Update:
    left = [finalizer for finalizer in _finalizers(namespace) if finalizer != FINALIZER]
    return Update(NAMESPACES, {**namespace, "spec": {**namespace["spec"], "finalizers": left}}, "finalize")


# -- status -----------------------------------------------------------------------------------------------------------


def status_of(namespace: Object, content: Content, views: Views, now: float) -> Object:
    """Terminating, and what it waits for; a namespace that goes at once says nothing more."""
    status = {**(namespace.get("status") or {}), "phase": "Terminating"}
    if content or status.get("conditions") or undiscovered(views):
        conditions: list[Condition] = status.get("conditions") or []
        for condition in _conditions(content, views):
            conditions = with_condition(conditions, *condition, now)
        status["conditions"] = conditions
    return status


def _conditions(content: Content, views: Views) -> list[tuple[str, str, str, str]]:
    """(type, status, reason, message), in Kubernetes' words."""
    parsed = ("False", "ParsedGroupVersions", "All legacy kube types successfully parsed")
    return [
        ("NamespaceDeletionDiscoveryFailure", *_discovered(undiscovered(views))),
        ("NamespaceDeletionGroupVersionParsingFailure", *parsed),
        ("NamespaceDeletionContentFailure", *_failed(views.failure)),
        ("NamespaceContentRemaining", *_remaining(content)),
        ("NamespaceFinalizersRemaining", *_held(content, views)),
    ]


def _discovered(failing: Sequence[str]) -> tuple[str, str, str]:
    if not failing:
        return "False", "ResourcesDiscovered", "All resources successfully discovered"
    each = ", ".join(f"{name}: stale GroupVersion discovery: {name}" for name in failing)
    why = f"unable to retrieve the complete list of server APIs: {each}"
    return "True", "DiscoveryFailed", f"Discovery failed for some groups, {len(failing)} failing: {why}"


def _failed(failure: Failure | None) -> tuple[str, str, str]:
    if failure is None or not isinstance(failure.write, Delete | DeleteAll):
        return "False", "ContentDeleted", "All content successfully deleted, may be waiting on finalization"
    message = f"Failed to delete all resource types, 1 remaining: {failure.error.message}"
    return "True", "ContentDeletionFailed", message


def _remaining(content: Content) -> tuple[str, str, str]:
    if not content:
        return "False", "ContentRemoved", "All content successfully removed"
    counts = sorted((resource if "." in resource else f"{resource}.", len(keys)) for resource, keys in content.items())
    shown = ", ".join(f"{resource} has {count} resource instances" for resource, count in counts)
    return "True", "SomeResourcesRemain", f"Some resources are remaining: {shown}"


def _held(content: Content, views: Views) -> tuple[str, str, str]:
    links: Iterator[Links] = (views[resource].summary(LINKS, key) for resource, keys in content.items() for key in keys)
    counts = Counter(finalizer for each in links for finalizer in each.finalizers)
    if not counts:
        return "False", "ContentHasNoFinalizers", "All content-preserving finalizers finished"
    shown = ", ".join(f"{finalizer} in {count} resource instances" for finalizer, count in sorted(counts.items()))
    return "True", "SomeFinalizersRemain", f"Some content in the namespace has finalizers remaining: {shown}"
