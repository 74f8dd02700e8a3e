"""PodTopologyLabels: a pod gets the zone and region of its node as labels, with the node itself (KEP-4742).

On by default since Kubernetes 1.35. A binding is labelled, and its labels become the pod's, over those that it has; so
webhooks that label bindings label pods. A pod that is created with a node keeps the labels that it brings.
"""

from __future__ import annotations

from collections.abc import Mapping

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.stored import Stored
from protocols.objects import Object, labels_of
from protocols.rules.pods import node_of

KEYS = ("topology.kubernetes.io/zone", "topology.kubernetes.io/region")
_SINCE = (1, 35)


def is_on(version: str) -> bool:
    """Whether the API of a version such as "1.36" has it."""
    return tuple(map(int, version.split("."))) >= _SINCE


def label_pod(attributes: Attributes, stored: Stored) -> None:
    if node := node_of(attributes.obj):
        _label(attributes.obj, stored.labels("nodes", node))


def label_binding(attributes: Attributes, stored: Stored) -> None:
    target = attributes.obj.get("target") or {}
    if target.get("kind") == "Node" and target.get("name"):
        _label(attributes.obj, stored.labels("nodes", target["name"]))


def _label(obj: Object, node: Mapping[str, str]) -> None:
    """What it is labelled with already stays."""
    found = {key: node[key] for key in KEYS if key in node}
    if found:
        obj["metadata"]["labels"] = {**found, **labels_of(obj)}
