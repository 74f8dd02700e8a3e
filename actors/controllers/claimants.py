"""Who looks again when something that can be claimed changes: what controls it, or whatever would adopt it."""

from __future__ import annotations

from collections.abc import Callable

from actorkube.kube import Views
from actors.controllers.indexes import selecting
from actors.controllers.pod_summary import Belonging
from protocols.objects import Object, labels_of, namespace_of
from protocols.rules.owners import controller_of


def claimants_of_pod(resource: str, kind: str) -> Callable[[Belonging, Views], list[str]]:
    """For objects of that kind, whose view has the index BY_SELECTOR."""

    def keys(pod: Belonging, views: Views) -> list[str]:
        if pod.controlled_by is None:
            return list(selecting(pod.namespace, pod.labels, views[resource]))
        controller, name = pod.controlled_by
        return [f"{pod.namespace}/{name}"] if controller == kind else []

    return keys


def claimants_of(resource: str, kind: str) -> Callable[[Object, Views], list[str]]:
    """As `claimants_of_pod`, of what is told whole."""

    def keys(obj: Object, views: Views) -> list[str]:
        reference = controller_of(obj)
        if reference is None:
            return list(selecting(namespace_of(obj), labels_of(obj), views[resource]))
        return [f"{namespace_of(obj)}/{reference['name']}"] if reference["kind"] == kind else []

    return keys
