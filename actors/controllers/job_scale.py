"""Which pods of a Job to create and which to delete, while it goes on: never both in one pass."""

from __future__ import annotations

from collections.abc import Sequence

from actorkube.kube.view import View
from actorkube.kube.writes import Create, Delete, Event, RequeueAfter, Write, reference_to
from actors.controllers import job_backoff
from actors.controllers.job_indexes import first_missing, union, with_indexes
from actors.controllers.job_pods import (
    API_VERSION,
    KIND,
    JobPod,
    free_name_of_index,
    free_names,
    pod_from,
    release,
)
from actors.controllers.job_state import (
    JobState,
    has_index,
    indexes_of,
    is_failed,
    is_indexed,
    is_suspended,
    limits_each_index,
    replaces_only_failed,
)
from actors.controllers.scale_down import pods_to_delete
from protocols.objects import Object, meta, namespace_of
from protocols.rules.owners import is_deleting

BURST = 500  # pods created or deleted in one pass


def scale(state: JobState, pods: View, now: float) -> list[Write]:
    """Creations, or deletions, or when to look again."""
    if is_deleting(state.job):
        return []
    wanted = 0 if is_suspended(state.job) else wanted_active(state)
    if doomed := superfluous(state, len(state.active) - wanted, now)[:BURST]:
        return [*(release(pod.pod.key, pods) for pod in doomed if pod.tracked), *deletions(state.job, doomed)]
    going = state.terminating if replaces_only_failed(state.job) else 0
    missing = min(wanted - going - len(state.active), BURST)
    return _creations(state, missing, pods, now) if missing > 0 else []


def wanted_active(state: JobState) -> int:
    """Without a number of completions, the first success ends it: nobody new starts, who runs may finish."""
    spec = state.job["spec"]
    completions, parallelism = spec.get("completions"), int(spec["parallelism"])
    if completions is None:
        return len(state.active) if state.succeeded else parallelism
    return max(0, min(int(completions) - state.succeeded, parallelism))


def superfluous(state: JobState, at_least: int, now: float) -> list[JobPod]:
    """Those that share an index, or have none that is asked for; then as many more as must go, the least useful."""
    ranked = pods_to_delete([pod.pod for pod in state.active], len(state.active), {}, now)
    by_uid = {pod.uid: pod for pod in state.active}
    order = [by_uid[pod.uid] for pod in ranked]
    doomed = _misplaced(state, order) if is_indexed(state.job) else []
    gone = {pod.uid for pod in doomed}
    left = [pod for pod in order if pod.uid not in gone]
    return [*doomed, *left[: max(0, at_least - len(doomed))]]


def _misplaced(state: JobState, order: Sequence[JobPod]) -> list[JobPod]:
    best: dict[int, str] = {
        pod.completion_index: pod.uid for pod in order if has_index(state.job, pod)
    }  # the most useful is last
    return [pod for pod in order if best.get(pod.completion_index) != pod.uid]


def deletions(job: Object, pods: Sequence[JobPod]) -> list[Write]:
    about = reference_to(job, API_VERSION, KIND)
    return [
        Delete(
            "pods",
            namespace_of(job),
            pod.pod.name,
            pod.uid,
            announce=Event(about, "Normal", "SuccessfulDelete", f"Deleted pod: {pod.pod.name}"),
            lament=Event(about, "Warning", "FailedDelete", "Error deleting: "),
        )
        for pod in pods
    ]


def _creations(state: JobState, missing: int, pods: View, now: float) -> list[Write]:
    if not limits_each_index(state.job):
        failed = [pod for pod in state.pods if is_failed(state.job, pod)]
        wait_s = job_backoff.wait_s(failed, (pod for pod in state.pods if pod.succeeded), now)
        if wait_s > 0:
            return [RequeueAfter(wait_s)]
    if is_indexed(state.job):
        return _indexed_creations(state, missing, pods, now)
    names = free_names(state.job, pods)
    return [_creation(state.job, pod_from(state.job, next(names))) for _ in range(missing)]


def _indexed_creations(state: JobState, missing: int, pods: View, now: float) -> list[Write]:
    indexes = first_missing(_taken(state), missing, state.job["spec"]["completions"])
    waits = {index: job_backoff.wait_of_index_s(state.awaiting_replacement.get(index), now) for index in indexes}
    due = [index for index in indexes if waits[index] <= 0]
    later = [wait_s for wait_s in waits.values() if wait_s > 0]
    created = [
        _creation(
            state.job,
            pod_from(state.job, free_name_of_index(state.job, index, pods), index, _failures_before(state, index)),
        )
        for index in due
    ]
    return [*created, *([RequeueAfter(min(later))] if later else [])]


def _taken(state: JobState) -> tuple[tuple[int, int], ...]:
    """Indexes that need no pod (any more)."""
    held = indexes_of(state.active)
    if replaces_only_failed(state.job):
        held |= indexes_of(pod for pod in state.pods if pod.terminating)
    return with_indexes(union(state.succeeded_indexes, state.failed_indexes), sorted(held))


def _failures_before(state: JobState, index: int) -> tuple[int, int] | None:
    if not limits_each_index(state.job):
        return None
    last = state.awaiting_replacement.get(index)
    if last is None:
        return 0, 0
    is_counted = state.verdicts[last.uid].counts
    return last.failures + is_counted, last.ignored_failures + (not is_counted)


def _creation(job: Object, pod: Object) -> Create:
    about = reference_to(job, API_VERSION, KIND)
    return Create(
        "pods",
        pod,
        Event(about, "Normal", "SuccessfulCreate", f"Created pod: {meta(pod)['name']}"),
        Event(about, "Warning", "FailedCreate", "Error creating: "),
    )
