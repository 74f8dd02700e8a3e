"""Services, replication controllers, replica sets and stateful sets: what they select is what spreads by default.

A pod without spread constraints of its own is spread by the profile's, over the pods that its services and its
controller select together.
"""

from __future__ import annotations

from typing import Any

from actors.scheduler.demand import Shape
from actors.scheduler.pod_terms import Selector, selector
from protocols.objects import Object, meta, name_of, namespace_of
from protocols.rules.selectors import InvalidSelector, map_matches

KINDS = {
    "services": "Service",
    "replicationcontrollers": "ReplicationController",
    "replicasets.apps": "ReplicaSet",
    "statefulsets.apps": "StatefulSet",
}
_KEPT_MAX = 4096


class Groups:
    def __init__(self) -> None:
        self._services: dict[str, dict[str, dict[str, str]]] = {}  # namespace -> name -> selector
        self._controllers: dict[tuple[str, str, str], Any] = {}  # namespace, kind, name -> selector
        self._kept: dict[bytes, Selector] = {}  # shape -> what was worked out for it

    def set(self, kind: str, group: Object) -> bool:
        """`kind` as objects name it: Service, ReplicaSet, ... Says whether it selects others than before."""
        namespace, name = namespace_of(group), name_of(group)
        chosen = (group.get("spec") or {}).get("selector")
        if kind == "Service":
            known: dict[Any, Any] = self._services.setdefault(namespace, {})
            key: Any = name
        else:
            known, key = self._controllers, (namespace, kind, name)
        changed = bool(known.get(key) != chosen)
        if changed:
            known[key] = chosen
            self._kept.clear()
        return changed

    def remove(self, kind: str, namespace: str, name: str) -> bool:
        if kind == "Service":
            selected = self._services.get(namespace, {}).pop(name, None)
        else:
            selected = self._controllers.pop((namespace, kind, name), None)
        self._kept.clear()
        return selected is not None

    def selector(self, shape: Shape) -> Selector:
        """What the pod is spread among; an empty selector if nobody selects it."""
        if shape.key not in self._kept:
            if len(self._kept) >= _KEPT_MAX:
                self._kept.clear()
            self._kept[shape.key] = self._work_out(shape)
        return self._kept[shape.key]

    def _work_out(self, shape: Shape) -> Selector:
        found: set[Any] = set()
        for labels in self._services.get(shape.namespace, {}).values():
            if map_matches(labels, shape.labels):
                found.update(selector({"matchLabels": labels}) or ())
        found.update(self._asked_by_controller(shape) or ())
        return tuple(sorted(found))

    def _asked_by_controller(self, shape: Shape) -> Selector:
        if shape.owner is None:
            return None
        chosen = self._controllers.get((shape.namespace, *shape.owner))
        if shape.owner[0] == KINDS["replicationcontrollers"]:
            chosen = {"matchLabels": chosen}
        try:
            return selector(chosen)
        except InvalidSelector:
            return None  # a controller that selects nothing sensible spreads nothing


def trim_group(obj: Object) -> Object:
    """What the scheduler keeps of an object that selects pods, or of a namespace."""
    metadata = meta(obj)
    kept = ("name", "namespace", "uid", "resourceVersion", "labels")
    spec = {"selector": (obj.get("spec") or {}).get("selector")}
    return {"metadata": {field: metadata[field] for field in kept if field in metadata}, "spec": spec}
