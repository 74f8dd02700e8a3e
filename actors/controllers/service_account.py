"""The service account controller: every namespace has an account `default`, for pods that name no other."""

from __future__ import annotations

from actorkube.kube import Controller, Views, Watches
from actorkube.kube.writes import Create, Write
from actors.controllers.essence import essence
from protocols.objects import Object, name_of, namespace_of
from protocols.rules.owners import is_deleting

NAME = "default"
RESOURCE = "serviceaccounts"


def controller() -> Controller:
    return Controller(
        "serviceaccount-controller",
        (Watches("namespaces"), Watches(RESOURCE, namespace_of_default, trim=essence)),
        reconcile,
    )


def namespace_of_default(account: Object, views: Views) -> tuple[str, ...]:
    return (namespace_of(account),) if name_of(account) == NAME else ()


def reconcile(key: str, views: Views, now: float) -> list[Write]:
    namespace = views["namespaces"].entry(key)
    if namespace is None or is_deleting(namespace.peek()) or f"{key}/{NAME}" in views[RESOURCE]:
        return []
    metadata = {"name": NAME, "namespace": key}
    return [Create(RESOURCE, {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})]
