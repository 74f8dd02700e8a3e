"""What a delete does to an object: remove it, mark it, or nothing.

An object with finalizers, a running pod within its grace period, and a namespace with content only get a
deletionTimestamp; whoever has to clean up removes the finalizer, or deletes again with no grace, and then it goes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

from actors.apiserver.admission.priority import SYSTEM_PRIORITIES
from actors.apiserver.answers import forbidden, not_in_record, wrong_revision, wrong_uid
from actors.apiserver.rules.field import FieldErrors, invalid_value, not_supported, refusal
from actors.apiserver.schema.resources import Resource
from protocols.objects import Object, meta, name_of, revision_of, uid_of
from protocols.rules.owners import FOREGROUND, ORPHAN
from protocols.rules.times import seconds_of, time_of

Propagation = Literal["", "Background", "Foreground", "Orphan"]

_POLICIES = ("Foreground", "Background", "Orphan")
_DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
# What belongs to them is left where nobody says otherwise: so it was before there were garbage collectors.
_ORPHANING = ("jobs.batch", "replicationcontrollers")
_UNCOLLECTED = ("events", _DEFINITIONS)  # nobody waits for what belongs to them
_OUT_OF_GRACE = ("namespaces", _DEFINITIONS)  # which end in a way of their own
_PRIORITIES = "priorityclasses.scheduling.k8s.io"
_KEPT_NAMESPACES = ("default", "kube-system", "kube-public")


@dataclass(frozen=True, slots=True)
class Deletion:
    """What was asked for. grace_s -1: the object's own grace period; preconditions None: whichever it has."""

    uid: str | None = None
    revision: str | None = None
    grace_s: int = -1
    propagation: Propagation = ""


@dataclass(frozen=True, slots=True)
class Remove:
    """Take it out of the store; this is its last state."""

    obj: Object


@dataclass(frozen=True, slots=True)
class Mark:
    """Store this: it lives on with a deletionTimestamp. The same object as before means that nothing changes."""

    obj: Object


def deletion_of(options: Object) -> Deletion:
    """What DeleteOptions, of the right structure, ask for. Raises Invalid for a policy that there is not."""
    errors = [*_problems(options)]
    if errors:
        raise refusal("DeleteOptions.meta.k8s.io", "meta.k8s.io", "DeleteOptions", "", errors)
    preconditions = options.get("preconditions") or {}
    propagation: Any = options.get("propagationPolicy") or ""
    if not propagation and options.get("orphanDependents") is not None:
        propagation = "Orphan" if options["orphanDependents"] else "Background"
    grace_s = options.get("gracePeriodSeconds")
    return Deletion(
        uid=preconditions.get("uid"),
        revision=preconditions.get("resourceVersion"),
        grace_s=-1 if grace_s is None else 1 if grace_s < 0 else grace_s,
        propagation=propagation,
    )


def _problems(options: Object) -> FieldErrors:
    policy = options.get("propagationPolicy")
    if policy is not None and options.get("orphanDependents") is not None:
        problem = "orphanDependents and deletionPropagation cannot be both set"
        yield invalid_value("propagationPolicy", policy, problem)
    if policy is not None and policy not in _POLICIES:
        yield not_supported("propagationPolicy", policy, (*_POLICIES, "nil"))
    dry_run = options.get("dryRun") or []
    if set(dry_run) - {"All"}:
        yield not_supported("dryRun", dry_run, ("All",))


def dry_run_of(options: Object) -> bool:
    """Whether DeleteOptions want nothing to be deleted."""
    return bool(options.get("dryRun"))


def decide_deletion(resource: Resource, obj: Object, deletion: Deletion, now: float) -> Remove | Mark:
    """Raises Conflict when a precondition does not hold, Forbidden for what may not be deleted."""
    _check_preconditions(resource, obj, deletion)
    if resource.group_resource == "namespaces":
        return _delete_namespace(resource, obj, deletion, now)
    if resource.group_resource == _PRIORITIES and name_of(obj) in SYSTEM_PRIORITIES:
        raise forbidden(resource, name_of(obj), "this is a system priority class and cannot be deleted")
    finalizers = _finalizers(obj, _propagation(resource, deletion.propagation))
    if resource.group_resource in _OUT_OF_GRACE:
        return Mark(_dated(obj, finalizers, now)) if finalizers else Remove(obj)
    grace_s = _grace_s(resource, obj, deletion.grace_s)
    if finalizers or grace_s:
        return Mark(_marked(obj, finalizers, grace_s, now))
    return Remove(_marked(obj, finalizers, 0, now) if resource.group_resource == "pods" else obj)


def is_finished(resource: Resource, obj: Object) -> bool:
    """Whether an object that is being deleted waits for nobody any more: an update that leaves it so removes it."""
    metadata = meta(obj)
    if not metadata.get("deletionTimestamp") or metadata.get("finalizers"):
        return False
    if resource.group_resource == "namespaces":
        return not (obj.get("spec") or {}).get("finalizers")
    return not metadata.get("deletionGracePeriodSeconds")


def _check_preconditions(resource: Resource, obj: Object, deletion: Deletion) -> None:
    name, uid, revision = name_of(obj), uid_of(obj), revision_of(obj)
    is_namespace = resource.group_resource == "namespaces"
    if deletion.uid is not None and deletion.uid != uid:
        if is_namespace:
            raise wrong_uid(resource, name, deletion.uid, uid)
        why = "The object might have been deleted and then recreated"
        raise not_in_record(resource, name, "UID", deletion.uid, uid, why)
    if deletion.revision is not None and deletion.revision != str(revision):
        if is_namespace:
            raise wrong_revision(resource, name, deletion.revision, revision)
        why = "The object might have been modified"
        raise not_in_record(resource, name, "ResourceVersion", deletion.revision, revision, why)


def _delete_namespace(resource: Resource, obj: Object, deletion: Deletion, now: float) -> Remove | Mark:
    """It ends when the namespace controller has emptied it and taken its own finalizer out of spec.finalizers."""
    name = name_of(obj)
    if name in _KEPT_NAMESPACES:
        raise forbidden(resource, name, "this namespace may not be deleted")
    finalizers = _finalizers(obj, deletion.propagation)
    if not finalizers and not (obj.get("spec") or {}).get("finalizers"):
        return Remove(obj)
    status = {**(obj.get("status") or {}), "phase": "Terminating"}
    return Mark({**_dated(obj, finalizers, now), "status": status})


def _propagation(resource: Resource, asked: Propagation) -> Propagation:
    if resource.group_resource in _UNCOLLECTED:
        return ""
    return asked or ("Orphan" if resource.group_resource in _ORPHANING else "")


def _finalizers(obj: Object, propagation: Propagation) -> list[str]:
    """The finalizers with the garbage collector's own as the propagation policy says; "" changes none."""
    finalizers: list[str] = list(meta(obj).get("finalizers") or ())
    if not propagation:
        return finalizers
    wanted = {"Foreground": [FOREGROUND], "Orphan": [ORPHAN]}.get(propagation, [])
    if [finalizer for finalizer in finalizers if finalizer in (FOREGROUND, ORPHAN)] == wanted:
        return finalizers
    return [finalizer for finalizer in finalizers if finalizer not in (FOREGROUND, ORPHAN)] + wanted


def _grace_s(resource: Resource, obj: Object, asked_s: int) -> int:
    """Only pods end gracefully, and only where there is a kubelet to wait for."""
    if resource.group_resource != "pods":
        return 0
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    if not spec.get("nodeName") or status.get("phase") in ("Succeeded", "Failed"):
        return 0
    own_s = spec.get("terminationGracePeriodSeconds")
    grace_s = asked_s if asked_s >= 0 else 30 if own_s is None else int(own_s)
    return grace_s if grace_s >= 0 else 1


def _dated(obj: Object, finalizers: list[str], now: float) -> Object:
    """Marked, without a period of grace: what ends so has nothing that could use it."""
    metadata = {**meta(obj)}
    metadata.setdefault("deletionTimestamp", time_of(now))
    if finalizers:
        metadata["finalizers"] = finalizers
    return {**obj, "metadata": metadata}


def _marked(obj: Object, finalizers: list[str], grace_s: int, now: float) -> Object:
    metadata = {**meta(obj)}
    if finalizers != (metadata.get("finalizers") or []):
        metadata["finalizers"] = finalizers
    if "deletionTimestamp" not in metadata:
        metadata["deletionTimestamp"] = time_of(now + grace_s)
        metadata["deletionGracePeriodSeconds"] = grace_s
        if metadata.get("generation"):
            metadata["generation"] += 1
    elif grace_s < (metadata.get("deletionGracePeriodSeconds") or 0):
        began = seconds_of(metadata["deletionTimestamp"]) - metadata["deletionGracePeriodSeconds"]
        metadata["deletionTimestamp"] = time_of(began + grace_s)
        metadata["deletionGracePeriodSeconds"] = grace_s
    if not finalizers:
        metadata.pop("finalizers", None)
    return {**obj, "metadata": metadata}
