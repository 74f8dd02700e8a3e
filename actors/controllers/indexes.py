"""How controllers find objects without scanning: the indexes of the views they share."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from actorkube.kube.alike import BELONGS, looks_at
from actorkube.kube.view import View
from protocols.objects import Object, labels_of, namespace_of
from protocols.rules.owners import controller_of
from protocols.rules.pods import node_of
from protocols.rules.selectors import InvalidSelector, Requirement, labels_match, map_matches, selector_requirements

BY_CONTROLLER = "controller"
BY_LABEL = "label"
BY_NODE = "node"
ORPHAN_BY_LABEL = "orphan by label"
BY_SELECTOR = "selector"
SELECTOR = "selector"  # a summary of services


@looks_at(*BELONGS)
def by_controller(obj: Object) -> tuple[str, ...]:
    controller = controller_of(obj)
    return (controller["uid"],) if controller else ()


@looks_at(*BELONGS)
def by_label(obj: Object) -> list[str]:
    """`namespace/key=value` for each label."""
    namespace = namespace_of(obj)
    return [f"{namespace}/{key}={value}" for key, value in labels_of(obj).items()]


@looks_at(*BELONGS)
def orphan_by_label(obj: Object) -> list[str]:
    """Objects that nobody controls: as by_label, and `namespace/` for all of them."""
    return [] if controller_of(obj) else [f"{namespace_of(obj)}/", *by_label(obj)]


@looks_at("spec.nodeName")
def by_node(pod: Object) -> tuple[str, ...]:
    node = node_of(pod)
    return (node,) if node else ()


def by_selector(selecting: Object) -> tuple[str, ...]:
    """Where an object that is selected looks for those that may select it: under one pair that they ask for."""
    pairs = _pairs(selecting)
    key = min(pairs, default="")
    return (f"{namespace_of(selecting)}/{key}={pairs[key]}" if pairs else f"{namespace_of(selecting)}/",)


def by_service_selector(service: Object) -> tuple[str, ...]:
    """As by_selector; but a service without a selector selects nothing."""
    return by_selector(service) if service_selector(service) else ()


def service_selector(service: Object) -> dict[str, str]:
    """The summary SELECTOR of services."""
    return (service.get("spec") or {}).get("selector") or {}


def requirements_of(selecting: Object) -> list[Requirement] | None:
    """The requirements of its selector; None when it has none, or none that can be understood."""
    selector = _label_selector(selecting)
    try:
        return selector_requirements(selector) if selector else None
    except InvalidSelector:
        return None


def selecting(namespace: str, labels: dict[str, str], view: View) -> Iterator[str]:
    """The keys of the objects of a namespace with a selector that matches the labels."""
    for key in candidates(namespace, labels, view):
        entry = view.entry(key)
        requirements = requirements_of(entry.peek()) if entry is not None else None
        if requirements and labels_match(requirements, labels):
            yield key


def services_selecting(namespace: str, labels: dict[str, str], view: View) -> Iterator[str]:
    """The keys of the services of a namespace whose selector matches a pod's labels."""
    for key in candidates(namespace, labels, view):
        if map_matches(view.summary(SELECTOR, key), labels):
            yield key


def labelled(namespace: str, pairs: Mapping[str, str], view: View, index: str = BY_LABEL) -> Iterable[str]:
    """The keys under the rarest of the pairs: a superset of what has all of them, as small as one look-up can give."""
    values = [f"{namespace}/{key}={value}" for key, value in pairs.items()] or [f"{namespace}/"]
    return view.keys(index, min(values, key=lambda value: view.count(index, value)))


def candidates(namespace: str, labels: dict[str, str], view: View) -> list[str]:
    """The keys of what may select objects with these labels, filed by `by_selector`."""
    found: list[str] = []
    for key, value in labels.items():
        found += view.keys(BY_SELECTOR, f"{namespace}/{key}={value}")
    return [*found, *view.keys(BY_SELECTOR, f"{namespace}/")]


def _pairs(selecting: Object) -> Mapping[str, str]:
    """The key=value pairs that its selector asks for."""
    pairs = _label_selector(selecting).get("matchLabels")
    return pairs if isinstance(pairs, dict) else {}


def _label_selector(selecting: Object) -> Mapping[str, Any]:
    """A LabelSelector; for a Service or ReplicationController, which have a plain map, one that asks for the same."""
    selector = (selecting.get("spec") or {}).get("selector") or {}
    is_plain = any(isinstance(value, str) for value in selector.values())
    return {"matchLabels": selector} if is_plain else selector
