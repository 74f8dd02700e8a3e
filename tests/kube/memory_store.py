"""A slow, obviously right stand-in for what the API server promises: one dict, one revision, one log of events.

It knows only what controllers rely on: uids, generations, conflicts, graceful and finalized deletion, propagation,
status and finalize subresources, merge patches, namespaces that refuse to be filled while they end.
"""

from __future__ import annotations

import copy
import itertools
from collections.abc import Callable
from typing import Any

from protocols.api import Stored, WatchEvent
from protocols.errors import AlreadyExists, Conflict, Forbidden, Invalid, NotFound
from protocols.objects import Object, decode_object, encode_object, meta, name_of, namespace_of, revision_of
from protocols.rules.times import time_of

CLUSTER_ROLES = "clusterroles.rbac.authorization.k8s.io"
CLUSTER_SCOPED = ("namespaces", "nodes", "persistentvolumes", CLUSTER_ROLES, "leases-of-nothing")
Key = tuple[str, str, str]  # resource, namespace, name


class MemoryStore:
    def __init__(self, *, pod_grace_s: int = 0) -> None:
        self.clock: Callable[[], float] = lambda: 1_700_000_000.0
        self.on_commit: Callable[[], object] = lambda: None
        self.revision = 1
        self.objects: dict[Key, tuple[Object, int]] = {}
        self.log: list[tuple[str, WatchEvent]] = []
        self.pod_grace_s = pod_grace_s
        self.refusals: dict[str, str] = {}  # resource -> why creating it is refused
        self._uids = itertools.count(1)

    # -- reading --------------------------------------------------------------------------------------------------

    def get(self, resource: str, namespace: str, name: str) -> Stored:
        return self._stored(self._at(resource, namespace, name))

    def read(self, resource: str, namespace: str, name: str) -> Object:
        obj, revision = self._at(resource, namespace, name)
        return decode_object(encode_object(obj), revision)

    def find(self, resource: str, namespace: str, name: str) -> Object | None:
        return self.read(resource, namespace, name) if (resource, namespace, name) in self.objects else None

    def list(self, resource: str, namespace: str = "") -> list[Object]:
        return [
            decode_object(encode_object(obj), revision)
            for (kind, where, _), (obj, revision) in sorted(self.objects.items(), key=lambda item: item[0])
            if kind == resource and namespace in ("", where)
        ]

    # -- writing --------------------------------------------------------------------------------------------------

    def create(self, resource: str, obj: Object) -> Stored:
        obj = copy.deepcopy(obj)
        namespace, name = namespace_of(obj), name_of(obj)
        if resource in self.refusals:
            raise Forbidden(self.refusals[resource])
        if not name:
            raise Invalid(f"{resource}: metadata.name: Required value")
        self._check_namespace(resource, namespace, name)
        if (resource, namespace, name) in self.objects:
            raise AlreadyExists(f'{resource} "{name}" already exists')
        metadata = meta(obj)
        metadata["uid"] = f"uid-{next(self._uids)}"
        metadata["creationTimestamp"] = time_of(self.clock())
        metadata["generation"] = 1
        if resource == "namespaces":
            obj.setdefault("spec", {}).setdefault("finalizers", ["kubernetes"])
            obj["status"] = {"phase": "Active"}
        return self._commit("ADDED", resource, obj)

    def update(self, resource: str, obj: Object, revision: int = 0, subresource: str = "") -> Stored:
        old, at = self._at(resource, namespace_of(obj), name_of(obj))
        if revision and revision != at:
            raise Conflict(
                f'Operation cannot be fulfilled on {resource} "{name_of(obj)}": the object has been modified'
            )
        new = copy.deepcopy(obj)
        if subresource == "status":
            told = {"annotations": meta(new)["annotations"]} if "annotations" in meta(new) else {}
            new = {**copy.deepcopy(old), "status": new.get("status"), "metadata": {**meta(old), **told}}
        elif subresource == "finalize":
            new = {**copy.deepcopy(old), "spec": new.get("spec")}
        elif "status" in old:
            new["status"] = copy.deepcopy(old["status"])
        for field in ("uid", "creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation"):
            if field in meta(old):
                meta(new)[field] = meta(old)[field]
        if resource == "deployments.apps" and not subresource and _annotations(new) != _annotations(old):
            meta(new)["generation"] += 1
        return self._replace(resource, old, new)

    def patch(self, resource: str, namespace: str, name: str, patch: Any, subresource: str = "") -> Stored:
        old, at = self._at(resource, namespace, name)
        expected = (patch.get("metadata") or {}).get("uid")
        if expected and expected != meta(old)["uid"]:
            raise Conflict(f'{resource} "{name}": the uid in the precondition is another')
        new = merged(copy.deepcopy(old), patch)
        return self.update(resource, new, revision_of(new) or at, subresource)

    def delete(
        self,
        resource: str,
        namespace: str,
        name: str,
        uid: str = "",
        revision: int = 0,
        grace: int = -1,
        propagation: str = "",
    ) -> Stored:
        old, at = self._at(resource, namespace, name)
        if (uid and uid != meta(old)["uid"]) or (revision and revision != at):
            raise Conflict(f'{resource} "{name}": the precondition does not hold')
        new = copy.deepcopy(old)
        metadata = meta(new)
        finalizers = [f for f in metadata.get("finalizers") or [] if f not in ("orphan", "foregroundDeletion")]
        if propagation == "Orphan":
            finalizers.append("orphan")
        elif propagation == "Foreground":
            finalizers.append("foregroundDeletion")
        elif not propagation:
            finalizers = metadata.get("finalizers") or []
        if "deletionTimestamp" not in metadata:
            metadata["finalizers"] = finalizers
        seconds = self._grace(resource, new, grace)
        holds = finalizers or seconds or (resource == "namespaces" and new["spec"]["finalizers"])
        if not holds:
            return self._remove(resource, new)
        metadata.setdefault("deletionTimestamp", time_of(self.clock() + seconds))
        metadata["deletionGracePeriodSeconds"] = min(seconds, metadata.get("deletionGracePeriodSeconds", seconds))
        if resource == "namespaces":
            new["status"]["phase"] = "Terminating"
        return (
            self._stored(self.objects[self._key(resource, old)])
            if new == old
            else self._commit("MODIFIED", resource, new)
        )

    def delete_all(self, resource: str, namespace: str) -> list[Stored]:
        return [self.delete(resource, namespace, name_of(obj)) for obj in self.list(resource, namespace)]

    # -- below ----------------------------------------------------------------------------------------------------

    def _at(self, resource: str, namespace: str, name: str) -> tuple[Object, int]:
        found = self.objects.get((resource, namespace, name))
        if found is None:
            raise NotFound(f'{resource} "{name}" not found')
        return found

    def _key(self, resource: str, obj: Object) -> Key:
        return resource, namespace_of(obj), name_of(obj)

    def _check_namespace(self, resource: str, namespace: str, name: str) -> None:
        if not namespace or ("namespaces", "", namespace) not in self.objects:
            return
        if "deletionTimestamp" in meta(self._at("namespaces", "", namespace)[0]):
            raise Forbidden(
                f'{resource} "{name}" is forbidden: unable to create new content in namespace {namespace}',
                {"causes": [{"reason": "NamespaceTerminating", "field": "metadata.namespace"}]},
            )

    def _grace(self, resource: str, obj: Object, grace: int) -> int:
        if resource != "pods" or not obj.get("spec", {}).get("nodeName"):
            return 0
        if (obj.get("status") or {}).get("phase") in ("Succeeded", "Failed"):
            return 0
        return self.pod_grace_s if grace < 0 else grace

    def _replace(self, resource: str, old: Object, new: Object) -> Stored:
        if meta(new).get("finalizers") == []:
            del meta(new)["finalizers"]
        if new.get("spec") != old.get("spec") or new.get("subsets") != old.get("subsets"):
            meta(new)["generation"] = meta(old)["generation"] + 1
        meta(new).pop("resourceVersion", None)
        metadata = meta(new)
        gone = (
            "deletionTimestamp" in metadata
            and not metadata.get("finalizers")
            and not metadata.get("deletionGracePeriodSeconds")
            and not (resource == "namespaces" and new["spec"].get("finalizers"))
        )
        if gone:
            return self._remove(resource, new)
        if new == old:
            return self._stored(self.objects[self._key(resource, old)])
        return self._commit("MODIFIED", resource, new)

    def _commit(self, type: Any, resource: str, obj: Object) -> Stored:
        self.revision += 1
        meta(obj).pop("resourceVersion", None)
        self.objects[self._key(resource, obj)] = (obj, self.revision)
        self.log.append((resource, WatchEvent(type, encode_object(obj), self.revision)))
        self.on_commit()
        return self._stored((obj, self.revision))

    def _remove(self, resource: str, obj: Object) -> Stored:
        self.revision += 1
        del self.objects[self._key(resource, obj)]
        self.log.append((resource, WatchEvent("DELETED", encode_object(obj), self.revision)))
        self.on_commit()
        return Stored(encode_object(obj), self.revision)

    def _stored(self, at: tuple[Object, int]) -> Stored:
        return Stored(encode_object(at[0]), at[1])


def merged(target: Any, patch: Any) -> Any:
    """RFC 7386."""
    if not isinstance(patch, dict):
        return patch
    result = dict(target) if isinstance(target, dict) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def _annotations(obj: Object) -> dict[str, str]:
    return meta(obj).get("annotations") or {}
