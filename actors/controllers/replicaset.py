"""The controllers of replica sets and of replication controllers, their elder: as many pods of a template as asked for.

Pods are named after their set and a number, lowest first, past every name that is taken or was used lately. So two
decisions from the same knowledge, or from older knowledge, ask for the same pods, and the second finds them there.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from actorkube.kube import Controller, View, Views, Watches
from actorkube.kube.controller import Failure
from actorkube.kube.writes import Create, Delete, RequeueAfter, Rest, UpdateStatus, Write, reference_to
from actors.controllers.claim import Owner, claim
from actors.controllers.claimants import claimants_of_pod
from actors.controllers.indexes import (
    BY_CONTROLLER,
    BY_SELECTOR,
    ORPHAN_BY_LABEL,
    by_controller,
    by_selector,
    orphan_by_label,
)
from actors.controllers.pod_control import creation, deletion
from actors.controllers.pod_summary import BELONGING, POD, PodSummary, belonging, summarise_pod
from actors.controllers.scale_down import pods_to_delete
from protocols.objects import Object, meta, name_of, namespace_of, uid_of
from protocols.rules.conditions import with_condition, without_condition
from protocols.rules.names import child_name
from protocols.rules.owners import controller_reference, controller_uid, is_deleting

BURST = 500  # pods created or deleted in one pass
SPACING_S = 0.02
REST_PER_POD_S = 0.0001  # a set of 1,000 pods is looked at ten times a second at most


class Sort(NamedTuple):
    """Which of the two."""

    name: str
    resource: str
    api_version: str
    kind: str


REPLICA_SET = Sort("replicaset-controller", "replicasets.apps", "apps/v1", "ReplicaSet")
REPLICATION_CONTROLLER = Sort("replication-controller", "replicationcontrollers", "v1", "ReplicationController")
SORTS = {sort.kind: sort for sort in (REPLICA_SET, REPLICATION_CONTROLLER)}


def controller(sort: Sort) -> Controller:
    return Controller(
        sort.name,
        (
            Watches(sort.resource, indexes={BY_CONTROLLER: by_controller, BY_SELECTOR: by_selector}),
            Watches(
                "pods",
                claimants_of_pod(sort.resource, sort.kind),
                indexes={BY_CONTROLLER: by_controller, ORPHAN_BY_LABEL: orphan_by_label},
                summaries={POD: summarise_pod, BELONGING: belonging},
                when=POD,
                told_by=BELONGING,
            ),
        ),
        partial(reconcile, sort),
        spacing_s=SPACING_S,
    )


def reconcile(sort: Sort, key: str, views: Views, now: float) -> list[Write]:
    replica_set = views[sort.resource].get(key)
    if replica_set is None:
        return []
    claimed = claim(Owner(replica_set, sort.resource, sort.api_version, sort.kind), views["pods"], POD)
    if claimed.writes:
        return claimed.writes
    pods = [views["pods"].summary(POD, pod_key) for pod_key in claimed.keys]
    active = [pod for pod in pods if pod.active]
    changes = [] if is_deleting(replica_set) else scale(sort, replica_set, active, views, now)
    status = new_status(replica_set, active, views.failure, now)
    if sort is REPLICA_SET:
        status["terminatingReplicas"] = terminating(replica_set, pods)
    writes: list[Write] = [Rest(len(pods) * REST_PER_POD_S)]
    if status != replica_set.get("status") and (views.failure or len(changes) in (0, BURST)):
        writes.append(UpdateStatus(sort.resource, {**replica_set, "status": status}))
    return [*writes, *changes, *_wait_for_availability(replica_set, active, now)]


# -- how many ---------------------------------------------------------------------------------------------------------


def scale(sort: Sort, replica_set: Object, active: Sequence[PodSummary], views: Views, now: float) -> list[Write]:
    missing = desired_replicas(replica_set) - len(active)
    about = reference_to(replica_set, sort.api_version, sort.kind)
    if missing > 0:
        names = free_names(replica_set, views["pods"])
        return [creation(about, pod_from(sort, replica_set, next(names))) for _ in range(min(missing, BURST))]
    if missing < 0:
        neighbours = related_pods_per_node(sort, replica_set, views)
        doomed = pods_to_delete(active, min(-missing, BURST), neighbours, now)
        return [deletion(about, pod) for pod in doomed]
    return []


def desired_replicas(obj: Object) -> int:
    replicas = (obj.get("spec") or {}).get("replicas")
    return 1 if replicas is None else int(replicas)


def free_names(replica_set: Object, pods: View) -> Iterator[str]:
    """Names for new pods, none of them in use or used lately, always the same ones for the same set and pods."""
    parent, namespace, uid = name_of(replica_set), namespace_of(replica_set), uid_of(replica_set)
    given: dict[str, None] = {}
    number = 0
    while True:
        name = child_name(parent, f"{uid}/{number}")
        number += 1
        key = f"{namespace}/{name}"
        if key not in pods and not pods.was_used(key) and name not in given:
            given[name] = None
            yield name


def related_pods_per_node(sort: Sort, replica_set: Object, views: Views) -> dict[str, int]:
    """How many active pods of this set and its siblings (sets of the same deployment) each node runs."""
    siblings = [uid_of(replica_set)]
    if owner := controller_uid(replica_set):
        sets = views[sort.resource]
        siblings = [entry.uid for key in sets.keys(BY_CONTROLLER, owner) if (entry := sets.entry(key))]
    counts: dict[str, int] = {}
    for uid in siblings:
        for pod in views["pods"].summaries(POD, BY_CONTROLLER, uid):
            if pod.active:
                counts[pod.node] = counts.get(pod.node, 0) + 1
    return counts


def pod_from(sort: Sort, replica_set: Object, name: str) -> Object:
    template = replica_set["spec"]["template"]
    metadata: dict[str, Any] = {
        "name": name,
        "generateName": f"{name_of(replica_set)}-",
        "namespace": namespace_of(replica_set),
        "ownerReferences": [controller_reference(replica_set, sort.api_version, sort.kind)],
    }
    for field in ("labels", "annotations", "finalizers"):
        if meta(template).get(field):
            metadata[field] = meta(template)[field]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": template["spec"]}


# -- status -----------------------------------------------------------------------------------------------------------


class Counts(NamedTuple):
    replicas: int
    fully_labelled: int
    ready: int
    available: int


def new_status(replica_set: Object, active: Sequence[PodSummary], failure: Failure | None, now: float) -> Object:
    old = replica_set.get("status") or {}
    counts = count(replica_set, active, now)
    status: dict[str, Any] = {"replicas": counts.replicas}
    for field, number in (
        ("fullyLabeledReplicas", counts.fully_labelled),
        ("readyReplicas", counts.ready),
        ("availableReplicas", counts.available),
    ):
        if number:
            status[field] = number
    status["observedGeneration"] = meta(replica_set).get("generation", 0)
    if conditions := _conditions(old.get("conditions"), failure, now):
        status["conditions"] = conditions
    return status


def count(replica_set: Object, active: Sequence[PodSummary], now: float) -> Counts:
    spec = replica_set["spec"]
    wanted = (meta(spec.get("template") or {}).get("labels") or {}).items()
    min_ready_s = spec.get("minReadySeconds") or 0
    return Counts(
        len(active),
        sum(wanted <= pod.labels.items() for pod in active),
        sum(pod.ready for pod in active),
        sum(pod.available(min_ready_s, now) for pod in active),
    )


def terminating(replica_set: Object, pods: Sequence[PodSummary]) -> int:
    """That are to go and have not ended yet (KEP-3973)."""
    wanted = (replica_set["spec"].get("selector") or {}).get("matchLabels") or {}
    return sum(pod.deleting and not pod.terminated and wanted.items() <= pod.labels.items() for pod in pods)


def _conditions(old: Any, failure: Failure | None, now: float) -> list[dict[str, Any]]:
    if failure is None or not isinstance(failure.write, Create | Delete):
        return without_condition(old, "ReplicaFailure")
    reason = "FailedCreate" if isinstance(failure.write, Create) else "FailedDelete"
    return with_condition(old, "ReplicaFailure", "True", reason, failure.error.message, now)


def _wait_for_availability(replica_set: Object, active: Sequence[PodSummary], now: float) -> list[Write]:
    """A ready pod becomes available by the mere passing of time."""
    min_ready_s = replica_set["spec"].get("minReadySeconds") or 0
    if not min_ready_s:
        return []
    waits = [pod.ready_since + min_ready_s - now for pod in active if pod.ready_since is not None]
    return [RequeueAfter(min(wait for wait in waits if wait > 0))] if any(wait > 0 for wait in waits) else []
