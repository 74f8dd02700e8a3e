"""What a node has to do with: the pods that are bound to it, and what those refer to.

The watch cache knows which pods are on which node, and it is what decides here: there is no second graph to be kept.
What a pod refers to is read off it when somebody first asks, and the pod that an answer was found by is remembered, so
an allowed question costs the same however many pods there are. One that is refused looks at all pods of that one node.
"""

from __future__ import annotations

from collections import OrderedDict
from typing import Any

from actors.apiserver.access.references import CLAIMS, SECRETS, Thing, references, volume_secrets
from actors.apiserver.cache import Cache
from protocols.objects import Object

_PODS, _VOLUMES, _ATTACHMENTS = "pods", "persistentvolumes", "volumeattachments.storage.k8s.io"
_REMEMBERED_MAX = 8192


class NodeGraph:
    def __init__(self, cache: Cache) -> None:
        self._cache = cache
        self._references: OrderedDict[str, tuple[int, frozenset[Thing]]] = OrderedDict()  # by pod, as of a revision
        self._found_by: OrderedDict[tuple[str, Thing], str] = OrderedDict()

    def reaches(self, node: str, thing: Thing) -> bool:
        """Whether the node has a path to it, as of now."""
        match thing.resource:
            case "pods":
                return self._on_node(f"{thing.namespace}/{thing.name}", node)
            case "persistentvolumes":
                return self._reaches_volume(node, thing.name)
            case "volumeattachments.storage.k8s.io":
                return bool((self._spec(_ATTACHMENTS, thing.name) or {}).get("nodeName") == node)
        key = self._found_by.get((node, thing))
        if key is not None and self._on_node(key, node) and self._leads_to(key, thing):
            return True
        found = next((key for key in self._cache.of(_PODS).indexed_by(node) if self._leads_to(key, thing)), None)
        if found is not None:
            _remember(self._found_by, (node, thing), found)
        return found is not None

    def _on_node(self, pod: str, node: str) -> bool:
        return pod in self._cache.of(_PODS).indexed_by(node)

    def _leads_to(self, pod: str, thing: Thing) -> bool:
        named = self._named_by(pod)
        if thing in named:
            return True
        claims = (each for each in named if each.resource == CLAIMS) if thing.resource == SECRETS else ()
        return any(thing in self._secrets_of(claim) for claim in claims)

    def _named_by(self, pod: str) -> frozenset[Thing]:
        item = self._cache.get(_PODS, pod)
        if item is None:
            return frozenset()
        known = self._references.get(pod)
        if known is None or known[0] != item.revision:
            known = item.revision, references(item.object())
            _remember(self._references, pod, known)
        return known[1]

    def _secrets_of(self, claim: Thing) -> frozenset[Thing]:
        name = (self._spec(CLAIMS, f"{claim.namespace}/{claim.name}") or {}).get("volumeName")
        item = self._cache.get(_VOLUMES, str(name)) if name else None
        return volume_secrets(item.object(), claim.namespace) if item is not None else frozenset()

    def _reaches_volume(self, node: str, volume: str) -> bool:
        claim = (self._spec(_VOLUMES, volume) or {}).get("claimRef") or {}
        namespace, name = str(claim.get("namespace")), str(claim.get("name"))
        bound = (self._spec(CLAIMS, f"{namespace}/{name}") or {}).get("volumeName") == volume
        return bound and self.reaches(node, Thing(CLAIMS, namespace, name))

    def _spec(self, group_resource: str, key: str) -> Object | None:
        item = self._cache.get(group_resource, key)
        return item.object().get("spec") if item is not None else None


def _remember(known: OrderedDict[Any, Any], key: object, value: object) -> None:
    known[key] = value
    if len(known) > _REMEMBERED_MAX:
        known.popitem(last=False)
