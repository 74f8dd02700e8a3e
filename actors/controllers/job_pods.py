"""The pods of a Job: what its controller needs to know of each, and what it makes them of.

A pod carries the finalizer `batch.kubernetes.io/job-tracking` until the Job's status has counted it, so none can go
uncounted, and one without it has been counted (or will never be).
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from actorkube.kube.alike import BELONGS, Joined, looks_at
from actorkube.kube.view import View
from actorkube.kube.writes import Patch
from actors.controllers.pod_summary import PodSummary, summarise_pod
from protocols.objects import Object, labels_of, meta, name_of, namespace_of, revision_of, uid_of
from protocols.rules.conditions import find_condition
from protocols.rules.names import child_name, suffix
from protocols.rules.owners import controller_of, controller_reference
from protocols.rules.times import seconds_of

API_VERSION = "batch/v1"
KIND = "Job"
FINALIZER = "batch.kubernetes.io/job-tracking"
INDEX = "batch.kubernetes.io/job-completion-index"  # an annotation, and a label
INDEX_FAILURES = "batch.kubernetes.io/job-index-failure-count"
INDEX_IGNORED_FAILURES = "batch.kubernetes.io/job-index-ignored-failure-count"
INDEX_VARIABLE = "JOB_COMPLETION_INDEX"
UNKNOWN_INDEX = -1
JOB_POD = "job pod"  # summaries and index of the view of pods
JOB_BELONGING = "job belonging"
TRACKED = "tracked for a job"
_NAME_MAX = 63
_COUNT_MAX = 2**31 - 1


class JobBelonging(NamedTuple):
    """`controlled_by`: kind, name and uid."""

    namespace: str
    labels: dict[str, str]
    controlled_by: tuple[str, str, str] | None
    tracked: bool


class JobPod(NamedTuple):
    pod: PodSummary
    tracked: bool
    completion_index: int
    failures: int  # of the index, before this pod
    ignored_failures: int
    finished_at: float  # when it ended, or as good as that is known
    restarts: int  # of all its containers
    exits: tuple[tuple[str, int], ...]  # containers that have failed, and how
    conditions: tuple[tuple[str, str], ...]

    @property
    def uid(self) -> str:
        return self.pod.uid

    @property
    def phase(self) -> str:
        return self.pod.phase

    @property
    def deleting(self) -> bool:
        return self.pod.deleting

    @property
    def active(self) -> bool:
        return self.pod.active

    @property
    def terminating(self) -> bool:
        return self.pod.deleting and not self.pod.terminated

    @property
    def succeeded(self) -> bool:
        return self.pod.phase == "Succeeded"


@looks_at(*BELONGS)
def job_belonging(pod: Object) -> JobBelonging:
    controller = controller_of(pod)
    owner = (controller["kind"], controller["name"], controller["uid"]) if controller is not None else None
    return JobBelonging(namespace_of(pod), labels_of(pod), owner, FINALIZER in (meta(pod).get("finalizers") or ()))


@looks_at(*BELONGS)
def tracked_for(pod: Object) -> tuple[str, ...]:
    """The key of the Job whose status is to count it, `namespace/` where nobody controls it."""
    _, _, controlled_by, tracked = job_belonging(pod)
    if not tracked or (controlled_by is not None and controlled_by[0] != KIND):
        return ()
    return (f"{namespace_of(pod)}/{controlled_by[1] if controlled_by else ''}",)


@looks_at("metadata.annotations")
def _marks(pod: Object) -> tuple[int, int, int]:
    annotations = meta(pod).get("annotations") or {}
    index = annotations.get(INDEX) or ""
    known = int(index) if index.isdigit() else UNKNOWN_INDEX
    return known, _count(annotations.get(INDEX_FAILURES)), _count(annotations.get(INDEX_IGNORED_FAILURES))


class _End(NamedTuple):
    finished_at: float | None
    restarts: int
    exits: tuple[tuple[str, int], ...]
    conditions: tuple[tuple[str, str], ...]


@looks_at("status")
def _end(pod: Object) -> _End:
    status = pod.get("status") or {}
    mains = status.get("containerStatuses") or ()
    both = (*mains, *(status.get("initContainerStatuses") or ()))
    conditions = tuple((c.get("type") or "", c.get("status") or "") for c in status.get("conditions") or ())
    restarts = sum(int(container.get("restartCount") or 0) for container in both)
    return _End(_finished_at(status, mains), restarts, tuple(_failed_exits(both)), conditions)


@looks_at("metadata.deletionTimestamp", "metadata.deletionGracePeriodSeconds")
def _asked_to_go_at(pod: Object) -> float | None:
    metadata = meta(pod)
    at = metadata.get("deletionTimestamp")
    return seconds_of(at) - int(metadata.get("deletionGracePeriodSeconds") or 0) if at else None


def _summary(
    key: str,
    uid: str,
    belonging: JobBelonging,
    marks: tuple[int, int, int],
    end: _End,
    asked_to_go_at: float | None,
    *summary: Any,
) -> JobPod | None:
    if belonging.controlled_by is not None and belonging.controlled_by[0] != KIND:
        return None  # most pods: no Job has, or will have, to do with them
    pod: PodSummary = summarise_pod.join(key, uid, *summary)
    times = (end.finished_at, asked_to_go_at, pod.created)
    finished_at = next(at for at in times if at is not None)
    return JobPod(pod, belonging.tracked, *marks, finished_at, end.restarts, end.exits, end.conditions)


summarise_job_pod = Joined(_summary, job_belonging, _marks, _end, _asked_to_go_at, *summarise_pod.facets)


def _finished_at(status: dict[str, Any], containers: Any) -> float | None:
    """When the last of its containers ended, or else since when it is not ready."""
    ends = [((container.get("state") or {}).get("terminated") or {}).get("finishedAt") for container in containers]
    if ends and all(ends):
        return max(seconds_of(end) for end in ends)
    ready = find_condition(status.get("conditions"), "Ready")
    if ready is not None and ready.get("status") == "False" and ready.get("lastTransitionTime"):
        return seconds_of(ready["lastTransitionTime"])
    return None


def _failed_exits(containers: Any) -> Iterator[tuple[str, int]]:
    for container in containers:
        terminated = (container.get("state") or {}).get("terminated")
        if terminated is not None and terminated.get("exitCode"):
            yield container.get("name") or "", int(terminated["exitCode"])


def _count(text: str | None) -> int:
    """What somebody may have changed by hand counts as 0 where it is no number."""
    count = int(text) if text is not None and text.isdigit() else 0
    return count if count <= _COUNT_MAX else 0


# -- new pods ---------------------------------------------------------------------------------------------------------


def pod_from(job: Object, name: str, index: int = UNKNOWN_INDEX, failures: tuple[int, int] | None = None) -> Object:
    """`failures` of its index before it, counted and ignored, where they are limited for each index."""
    template = job["spec"]["template"]
    metadata: dict[str, Any] = {
        "name": name,
        "generateName": f"{_stem(name_of(job), index)}-",
        "namespace": namespace_of(job),
        "ownerReferences": [controller_reference(job, API_VERSION, KIND)],
        "finalizers": [*(f for f in meta(template).get("finalizers") or () if f != FINALIZER), FINALIZER],
    }
    for field in ("labels", "annotations"):
        if meta(template).get(field):
            metadata[field] = dict(meta(template)[field])
    spec = template["spec"]
    if index != UNKNOWN_INDEX:
        spec = _indexed_spec(spec, f"{name_of(job)}-{index}")
        metadata["labels"] = {**metadata.get("labels", {}), INDEX: str(index)}
        metadata["annotations"] = {**metadata.get("annotations", {}), INDEX: str(index), **_failure_marks(failures)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def free_names(job: Object, pods: View) -> Iterator[str]:
    """Names for new pods, none of them in use or used lately, always the same ones for the same job and pods."""
    parent, uid = name_of(job), uid_of(job)
    number = 0
    while True:
        name = child_name(parent, f"{uid}/{number}", _NAME_MAX)
        number += 1
        if _is_free(job, name, pods):
            yield name


def free_name_of_index(job: Object, index: int, pods: View) -> str:
    stem, uid = _stem(name_of(job), index), uid_of(job)
    number = 0
    while True:
        name = f"{stem}-{suffix(f'{uid}/{index}/{number}')}"
        number += 1
        if _is_free(job, name, pods):
            return name


def _is_free(job: Object, name: str, pods: View) -> bool:
    key = f"{namespace_of(job)}/{name}"
    return key not in pods and not pods.was_used(key)


def _stem(parent: str, index: int) -> str:
    """What is generated is six characters longer."""
    if index == UNKNOWN_INDEX:
        return parent
    return f"{parent[: _NAME_MAX - 7 - len(str(index))]}-{index}"


def _failure_marks(failures: tuple[int, int] | None) -> dict[str, str]:
    if failures is None:
        return {}
    counted, ignored = failures
    return {INDEX_FAILURES: str(counted), **({INDEX_IGNORED_FAILURES: str(ignored)} if ignored else {})}


def _indexed_spec(spec: dict[str, Any], hostname: str) -> dict[str, Any]:
    told = {
        field: [_told_index(c) for c in spec[field]] for field in ("initContainers", "containers") if spec.get(field)
    }
    return {**spec, **told, "hostname": hostname}


def _told_index(container: dict[str, Any]) -> dict[str, Any]:
    env = container.get("env") or []
    if any(variable["name"] == INDEX_VARIABLE for variable in env):
        return container
    source = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
    return {**container, "env": [*env, {"name": INDEX_VARIABLE, "valueFrom": source}]}


# -- old pods ---------------------------------------------------------------------------------------------------------


def release(key: str, pods: View) -> Patch:
    """Take the finalizer from the pod as it is known: one that has changed meanwhile is looked at again."""
    pod = pods.get(key)
    assert pod is not None
    kept = [finalizer for finalizer in meta(pod)["finalizers"] if finalizer != FINALIZER]
    exactly = {"uid": uid_of(pod), "resourceVersion": str(revision_of(pod))}
    return Patch("pods", namespace_of(pod), name_of(pod), {"metadata": {**exactly, "finalizers": kept or None}})
