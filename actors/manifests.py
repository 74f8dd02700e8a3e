"""Manifests as the API server would store them, and the pods that controllers would make of them.

Nothing is stored and nobody asked: the API server's own check, defaults, admission and validation, and the
controllers' own way from a workload to its pods, applied to what a file says.
"""

from __future__ import annotations

import copy
import uuid
from collections.abc import Iterable, Iterator, Mapping, Sequence
from functools import cache
from typing import Any, NamedTuple

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.chain import Chain
from actors.apiserver.admission.priority import CLASSES
from actors.apiserver.callers import SELF
from actors.apiserver.rules.defaults import apply_defaults
from actors.apiserver.rules.prepare import prepare_create
from actors.apiserver.rules.validate import invalid, validate
from actors.apiserver.schema.check import check
from actors.apiserver.schema.resources import Resource, by_kind
from actors.apiserver.schema.types import Types
from actors.controllers import replicaset
from actors.controllers.daemon_pods import bound_to, nodes_of
from actors.controllers.revisions import new_set
from actors.controllers.rollout import limits_of
from protocols.errors import StatusError
from protocols.objects import Object, key_of, meta, name_of, namespace_of
from protocols.rules.names import child_name, suffix
from protocols.rules.owners import controller_reference

PODS_MAX = 200_000
_TOLERATION_S = 300
_KINDS = ("Pod", "Deployment", "ReplicaSet", "ReplicationController", "StatefulSet", "DaemonSet", "Job", "CronJob")
_LOOKED_AT = ("Node", "Namespace", "Service", "PodGroup", "Workload")
_CLASS = "PriorityClass"


class BadManifest(ValueError):
    """Which object, and what is wrong with it, in the API server's words."""


class FromManifest(NamedTuple):
    pod: Object
    origin: str  # Deployment/web


class Read(NamedTuple):
    """`others`: objects that the scheduler looks at (nodes, services, sets that were made). `left_out`: kind/name of
    what neither is nor makes pods."""

    pods: list[FromManifest]
    others: list[Object]
    left_out: list[str]


def check_structure(obj: Object) -> None:
    """Raises BadManifest where the object is none of its kind, in place made canonical; unknown fields go."""
    resource = _resource(obj)
    if resource is None:
        return
    problem = check(obj, _types().of(resource)).problem("Ignore")
    if problem:
        raise BadManifest(f"{_named(obj)}: {problem}")
    if not name_of(obj):
        raise BadManifest(f"{_named(obj)}: metadata.name: Required value")


def read(objects: Iterable[Object], namespace: str, known: Sequence[Object], nodes: Sequence[Object] = ()) -> Read:
    """`namespace`: of what names none. `known`: of the cluster; its priority classes count. `nodes`: those that
    DaemonSets run on, beside the ones that are given. Raises BadManifest."""
    given = [copy.deepcopy(obj) for obj in objects]
    nodes = [*nodes, *(obj for obj in given if obj.get("kind") == "Node")]
    classes = {name_of(each): each for each in (*known, *given) if each.get("kind") == _CLASS}
    found, number = Read([], [], []), 0
    for obj in given:
        resource = _resource(obj)
        if resource is None:
            found.left_out.append(_named(obj))
            continue
        stored = admitted(resource, obj, namespace, classes)
        if obj["kind"] in _LOOKED_AT:
            found.others.append(stored)
        if obj["kind"] not in _KINDS:
            found.left_out.extend([] if obj["kind"] in (*_LOOKED_AT, _CLASS) else [_named(obj)])
            continue
        number += len(nodes) if obj["kind"] == "DaemonSet" else replicas_of(stored)
        if number > PODS_MAX:
            raise BadManifest(f"{_named(obj)}: these are more than {PODS_MAX:,} pods")
        found.others.extend(_sets(stored))
        if obj["kind"] == "Pod":  # whose selectors have the requirements of its label keys by now: twice is refused
            found.pods.append(FromManifest(stored, _named(obj)))
            continue
        found.pods.extend(
            FromManifest(admitted(_pods(), pod, namespace, classes), _named(obj)) for pod in pods_of(stored, nodes)
        )
    return found


def _resource(obj: Object) -> Resource | None:
    """What the object is, if this version of the API has it."""
    resource = by_kind(str(obj.get("apiVersion", "")), obj["kind"])
    return resource if resource is not None and _types().has(resource) else None


def admitted(resource: Resource, obj: Object, namespace: str, classes: Mapping[str, Object]) -> Object:
    """As it would be stored by a create. Raises BadManifest."""
    name = _named(obj)
    problem = check(obj, _types().of(resource)).problem("Strict")
    if problem:
        raise BadManifest(f"{name}: {problem}")
    if resource.namespaced:
        obj.setdefault("metadata", {}).setdefault("namespace", namespace)
    apply_defaults(resource, obj)
    try:
        Chain(_Given(classes), _TOLERATION_S, pod_tokens=False).complete(
            Attributes("CREATE", resource, namespace_of(obj), SELF, obj)
        )
        uid = _uid(resource.kind, obj)
        stored = prepare_create(resource, obj, now=0.0, uid=uid, suffix=suffix(uid))
        errors = validate(resource, stored)
        if errors:
            raise invalid(resource, name_of(stored), errors)
    except StatusError as refusal:
        raise BadManifest(f"{name}: {refusal.message}") from None
    return stored


def replicas_of(workload: Object) -> int:
    """How many pods it has at a time; a CronJob: those of one job. A DaemonSet's are as many as there are nodes."""
    spec = workload.get("spec") or {}
    match workload["kind"]:
        case "Pod":
            return 1
        case "Job":
            parallel, completions = spec.get("parallelism"), spec.get("completions")
            several = 1 if parallel is None else int(parallel)
            return several if completions is None else min(several, int(completions))
        case "CronJob":
            return 0 if spec.get("suspend") else replicas_of(_job_of(workload))
        case "DaemonSet":
            return 0
    return replicaset.desired_replicas(workload)


def pods_of(workload: Object, nodes: Sequence[Object] = ()) -> Iterator[Object]:
    """The pods that its controller would create, with the names that follow from it."""
    number = replicas_of(workload)
    match workload["kind"]:
        case "Pod":
            yield workload
        case "DaemonSet":
            for node in nodes_of(workload["spec"]["template"], nodes):
                made = _pod(workload, child_name(name_of(workload), f"{meta(workload)['uid']}/{node}"))
                yield {**made, "spec": bound_to(made["spec"], node)}
        case "CronJob" if number:
            yield from pods_of(_job_of(workload))
        case "Deployment":
            yield from pods_of(_set_of(workload))
        case "ReplicaSet" | "ReplicationController":
            uid, sort = meta(workload)["uid"], replicaset.SORTS[workload["kind"]]
            for index in range(number):
                yield replicaset.pod_from(sort, workload, child_name(name_of(workload), f"{uid}/{index}"))
        case "StatefulSet":
            first = ((workload["spec"].get("ordinals")) or {}).get("start") or 0
            for index in range(first, first + number):
                yield _pod(workload, f"{name_of(workload)}-{index}")
        case "Job":
            for index in range(number):
                yield _pod(workload, child_name(name_of(workload), f"{meta(workload)['uid']}/{index}"))


def _job_of(cron_job: Object) -> Object:
    """One job, as each time of its schedule makes one."""
    template = cron_job["spec"]["jobTemplate"]
    metadata = {
        "name": child_name(name_of(cron_job), meta(cron_job)["uid"]),
        "namespace": namespace_of(cron_job),
        "ownerReferences": [controller_reference(cron_job, cron_job["apiVersion"], cron_job["kind"])],
    }
    job: Object = {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": template["spec"]}
    return {**job, "metadata": {**metadata, "uid": _uid("Job", job)}}


def _set_of(deployment: Object) -> Object:
    made = new_set(deployment, replicas_of(deployment), 1, limits_of(deployment))
    return {**made, "metadata": {**made["metadata"], "uid": _uid("ReplicaSet", made)}}


def _sets(workload: Object) -> list[Object]:
    """What selects its pods, and so spreads them by default."""
    match workload["kind"]:
        case "Deployment":
            return [_set_of(workload)]
        case "ReplicaSet" | "ReplicationController" | "StatefulSet":
            return [workload]
    return []


def _pod(owner: Object, name: str) -> Object:
    template = owner["spec"]["template"]
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace_of(owner),
        "ownerReferences": [controller_reference(owner, owner["apiVersion"], owner["kind"])],
    }
    metadata |= {field: value for field, value in meta(template).items() if field in ("labels", "annotations")}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": copy.deepcopy(template["spec"])}


@cache
def _types() -> Types:
    return Types.load()


def _pods() -> Resource:
    found = by_kind("v1", "Pod")
    assert found is not None
    return found


class _Given:
    """What admission finds: each namespace and runtime class is there, and asks nothing; these are the priorities."""

    def __init__(self, classes: Mapping[str, Object]) -> None:
        self._classes = classes

    def get(self, group_resource: str, key: str) -> Object | None:
        return self._classes.get(key) if group_resource == CLASSES else {}

    def of(self, group_resource: str, namespace: str = "") -> list[Object]:
        return list(self._classes.values()) if group_resource == CLASSES else []

    def each(self, group_resource: str, namespace: str) -> list[Object]:
        return self.of(group_resource, namespace)

    def labels(self, group_resource: str, key: str) -> Mapping[str, str]:
        return {}


def _uid(kind: str, obj: Object) -> str:
    """One that follows from who it is: the same names of pods every time."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"{kind}/{key_of(obj)}"))


def _named(obj: Object) -> str:
    return f"{obj['kind']}/{name_of(obj) or '?'}"
