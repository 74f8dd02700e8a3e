"""What an autoscaler scales: the object that its scaleTargetRef names, as its scale subresource would show it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from actorkube.kube import View, Views, Watches
from actorkube.kube.controller import no_keys
from actors.controllers.indexes import labelled
from actors.controllers.pod_summary import BELONGING
from protocols.objects import Object, name_of, namespace_of
from protocols.rules.selectors import selector_matches

BY_TARGET = "target"
_SCALABLE = {
    ("apps", "Deployment"): "deployments.apps",
    ("apps", "ReplicaSet"): "replicasets.apps",
    ("apps", "StatefulSet"): "statefulsets.apps",
    ("", "ReplicationController"): "replicationcontrollers",
}


class Target(NamedTuple):
    """`selector` is a LabelSelector; empty where it selects nothing in particular."""

    resource: str
    obj: Object
    replicas: int
    selector: dict[str, Any]

    @property
    def name(self) -> str:
        return name_of(self.obj)


class Untargeted(NamedTuple):
    """There is no such thing, or nothing that can be scaled."""

    why: str


def watched_targets() -> list[Watches]:
    return [Watches(resource, no_keys) for resource in _SCALABLE.values()]


def by_target(hpa: Object) -> tuple[str, ...]:
    """The index of autoscalers by what they scale."""
    reference = hpa["spec"]["scaleTargetRef"]
    return (f"{namespace_of(hpa)}/{reference['kind']}/{reference['name']}",)


def find_target(hpa: Object, views: Views) -> Target | Untargeted:
    reference = hpa["spec"]["scaleTargetRef"]
    group, slash, _ = (reference.get("apiVersion") or "").partition("/")
    group = group if slash else ""
    resource = _SCALABLE.get((group, reference["kind"]))
    if resource is None:
        return Untargeted(f'no matches for kind "{reference["kind"]}" in group "{group}"')
    obj = views[resource].get(f"{namespace_of(hpa)}/{reference['name']}")
    if obj is None:
        return Untargeted(f'{resource} "{reference["name"]}" not found')
    spec = obj.get("spec") or {}
    selector = spec.get("selector") or {}
    if resource == "replicationcontrollers":  # a plain map
        selector = {"matchLabels": selector} if selector else {}
    replicas = spec.get("replicas")
    return Target(resource, obj, 1 if replicas is None else int(replicas), selector)


def pods_of(target: Target, namespace: str, pods: View) -> Iterator[Object]:
    """Those that the target selects, whoever controls them."""
    pairs = target.selector.get("matchLabels") or {}
    keys = labelled(namespace, pairs, pods) if pairs else pods.keys("namespace", namespace)
    for key in list(keys):
        if selector_matches(target.selector, pods.summary(BELONGING, key).labels):
            pod = pods.get(key)
            assert pod is not None
            yield pod
