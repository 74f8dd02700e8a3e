"""The root CA publisher: every namespace has a config map by which its pods can know the API server.

It restores the config map when somebody changes or deletes it. Without a CA there is nothing to publish: leave it out.
"""

from __future__ import annotations

from typing import Any

from actorkube.kube import Controller, Views, Watches
from actorkube.kube.writes import Create, Update, Write
from actors.controllers.essence import ROOT_CA, essence
from protocols.objects import Object, name_of, namespace_of
from protocols.rules.owners import is_deleting

RESOURCE = "configmaps"
_DESCRIPTION = (
    "Contains a CA bundle that can be used to verify the kube-apiserver when using internal endpoints such as the "
    "internal service IP or kubernetes.default.svc. No other usage is guaranteed across distributions of Kubernetes "
    "clusters."
)


def controller(root_ca: str) -> Controller:
    """`root_ca`: the PEM to publish."""
    assert root_ca, "there is no CA to publish"

    def reconcile(key: str, views: Views, now: float) -> list[Write]:
        return publish(key, {"ca.crt": root_ca}, views)

    return Controller(
        "root-ca-certificate-publisher-controller",
        (Watches("namespaces"), Watches(RESOURCE, namespace_of_published, trim=essence)),
        reconcile,
    )


def namespace_of_published(config_map: Object, views: Views) -> tuple[str, ...]:
    return (namespace_of(config_map),) if name_of(config_map) == ROOT_CA else ()


def publish(namespace: str, data: dict[str, str], views: Views) -> list[Write]:
    entry = views["namespaces"].entry(namespace)
    if entry is None or is_deleting(entry.peek()):
        return []
    published = views[RESOURCE].get(f"{namespace}/{ROOT_CA}")
    if published is None:
        annotations = {"kubernetes.io/description": _DESCRIPTION}
        metadata: dict[str, Any] = {"name": ROOT_CA, "namespace": namespace, "annotations": annotations}
        return [Create(RESOURCE, {"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": data})]
    return [] if published.get("data") == data else [Update(RESOURCE, {**published, "data": data})]
