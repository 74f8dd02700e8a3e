"""The cloud's node controller: tells a new node what it is (zone, type, addresses), and then lets pods onto it.

A kubelet that runs in a cloud registers its node with the taint `uninitialized`; until it is removed here, nothing is
scheduled there, so no pod can see a node without its zone.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actorkube.kube.controller import Controller, Views, Watches
from actorkube.kube.writes import Event, Patch, Update, Write, reference_to
from actors.cloud.provider import Instance, Provider
from protocols.objects import Object, labels_of, name_of, uid_of
from protocols.rules.taints import UNINITIALIZED

_INSTANCE_TYPE_LABELS = ("node.kubernetes.io/instance-type", "beta.kubernetes.io/instance-type")
_ZONE_LABELS = ("topology.kubernetes.io/zone", "failure-domain.beta.kubernetes.io/zone")
_REGION_LABELS = ("topology.kubernetes.io/region", "failure-domain.beta.kubernetes.io/region")


def node_controller(provider: Provider) -> Controller:
    def reconcile(key: str, views: Views, now: float) -> Sequence[Write]:
        node = views["nodes"].get(key)
        if node is None or not is_uninitialized(node):
            return ()
        instance = provider.instance(node)
        return () if instance is None else initialise(node, instance)

    watches = Watches("nodes", summaries={"cloud-node": summarise}, when="cloud-node")
    return Controller("cloud-node-controller", (watches,), reconcile)


def summarise(node: Object) -> Any:
    """What decides here: heartbeats do not."""
    return (is_uninitialized(node), (node.get("status") or {}).get("addresses"))


def is_uninitialized(node: Object) -> bool:
    return any(taint.get("key") == UNINITIALIZED for taint in (node.get("spec") or {}).get("taints") or ())


def initialise(node: Object, instance: Instance) -> list[Write]:
    """First the addresses; when the node shows them, everything else together with the end of the taint."""
    synced = Event(reference_to(node, "v1", "Node"), "Normal", "Synced", "Node synced successfully")
    return _address_writes(node, instance) or [Update("nodes", initialised(node, instance), announce=synced)]


def initialised(node: Object, instance: Instance) -> Object:
    """The node with its labels and providerID (which, once set, never changes), without the taint."""
    spec = node.get("spec") or {}
    taints = [taint for taint in spec.get("taints") or () if taint.get("key") != UNINITIALIZED]
    return {
        **node,
        "metadata": {**node["metadata"], "labels": {**labels_of(node), **_labels(instance)}},
        "spec": {**spec, "providerID": spec.get("providerID") or instance.provider_id, "taints": taints},
    }


def _labels(instance: Instance) -> dict[str, str]:
    values = (
        (_INSTANCE_TYPE_LABELS, instance.instance_type),
        (_ZONE_LABELS, instance.zone),
        (_REGION_LABELS, instance.region),
    )
    return {label: value for labels, value in values for label in labels if value}


def _address_writes(node: Object, instance: Instance) -> list[Write]:
    wanted = [{"type": type, "address": address} for type, address in instance.addresses]
    if wanted == ((node.get("status") or {}).get("addresses") or []):
        return []
    patch = {"metadata": {"uid": uid_of(node)}, "status": {"addresses": wanted}}
    return [Patch("nodes", "", name_of(node), patch, subresource="status")]
