"""What a Job has come to: its counts, and its pods in the roles they play for it.

A pod is counted in three steps, each of which may be the last before a crash. Its uid is written into
`status.uncountedTerminatedPods`; then its finalizer is taken; then the uid, whose pod has no finalizer, is written off
and the count goes up with it. (Of an indexed job that succeeds, the index is all that needs to be remembered.)
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from actorkube.kube.view import View
from actors.controllers.job_failure_policy import COUNT, Verdict, judge
from actors.controllers.job_indexes import Intervals, contains, parse, total, with_indexes
from actors.controllers.job_pods import UNKNOWN_INDEX, JobPod
from protocols.objects import Object
from protocols.rules.conditions import condition_is
from protocols.rules.owners import is_deleting

Uids = tuple[str, ...]
FAILURE, SUCCESS = "FailureTarget", "SuccessCriteriaMet"  # conditions of a job that ends, and waits for its pods


@dataclass(frozen=True, slots=True)
class JobState:
    """`succeeded` and `failed` have in them all that have ended; the counted ones are those of the status so far."""

    job: Object
    pods: Sequence[JobPod]
    active: Sequence[JobPod]
    terminating: int
    counted_succeeded: int
    counted_failed: int
    uncounted_succeeded: Uids
    uncounted_failed: Uids
    unproved: frozenset[str]  # written off, and this view has never seen them go
    verdicts: dict[str, Verdict]  # of the pods that have failed and are not yet counted, by uid
    completed: Intervals  # indexes in the status
    succeeded_indexes: Intervals
    failed_indexes: Intervals
    succeeded: int
    failed: int
    awaiting_replacement: dict[int, JobPod]  # the failed pods that new ones of their index are to know of


def look(job: Object, pods: Sequence[JobPod], view: View) -> JobState:
    status = job.get("status") or {}
    uncounted = status.get("uncountedTerminatedPods") or {}
    listed = {outcome: tuple(uncounted.get(outcome) or ()) for outcome in ("succeeded", "failed")}
    held = {pod.uid for pod in pods if pod.tracked}
    left = {outcome: tuple(uid for uid in uids if uid in held) for outcome, uids in listed.items()}
    present = {pod.uid for pod in pods}
    off = [uid for outcome, uids in listed.items() for uid in uids if uid not in held]
    verdicts = {pod.uid: _verdict(job, pod) for pod in pods if pod.tracked and is_failed(job, pod)}
    counted_succeeded = int(status.get("succeeded") or 0) + len(listed["succeeded"]) - len(left["succeeded"])
    counted_failed = int(status.get("failed") or 0) + len(listed["failed"]) - len(left["failed"])
    new = [pod for pod in pods if counts(job, pod) and pod.uid not in left["failed"]]
    failures = [pod for pod in new if pod.uid in verdicts and verdicts[pod.uid].counts]
    successes = [pod for pod in new if pod.succeeded and pod.uid not in left["succeeded"]]
    completed = _indexes_in(job, status.get("completedIndexes"))
    succeeded_indexes = with_indexes(completed, (p.completion_index for p in successes)) if is_indexed(job) else ()
    failed_indexes = _failed_indexes(job, pods, verdicts)
    succeeded = counted_succeeded + len(left["succeeded"]) + len(successes)
    active = [pod for pod in pods if pod.active]
    return JobState(
        job,
        pods,
        active,
        sum(pod.terminating for pod in pods),
        counted_succeeded,
        counted_failed,
        left["succeeded"],
        left["failed"],
        frozenset(uid for uid in off if uid not in present and not view.is_gone(uid)),
        verdicts,
        completed,
        succeeded_indexes,
        failed_indexes,
        total(succeeded_indexes) if is_indexed(job) else succeeded,
        counted_failed + len(left["failed"]) + len(failures),
        _awaiting_replacement(job, pods, active, succeeded_indexes, failed_indexes),
    )


# -- what the spec says -----------------------------------------------------------------------------------------------


def is_indexed(job: Object) -> bool:
    return bool(job["spec"].get("completionMode") == "Indexed")


def is_suspended(job: Object) -> bool:
    return bool(job["spec"].get("suspend"))


def limits_each_index(job: Object) -> bool:
    return job["spec"].get("backoffLimitPerIndex") is not None


def replaces_only_failed(job: Object) -> bool:
    """It waits until a pod that is going has gone (`podReplacementPolicy`)."""
    return bool(job["spec"].get("podReplacementPolicy") == "Failed")


def is_ending(job: Object) -> bool:
    return condition_is(job, FAILURE) or condition_is(job, SUCCESS)


def is_finished(job: Object) -> bool:
    return condition_is(job, "Complete") or condition_is(job, "Failed")


# -- what a pod is to it ----------------------------------------------------------------------------------------------


def is_failed(job: Object, pod: JobPod) -> bool:
    """Also one that is going, where such are replaced at once: it may never have the chance to say how it ended."""
    if pod.phase == "Failed":
        return True
    return pod.deleting and not pod.succeeded and not replaces_only_failed(job)


def counts(job: Object, pod: JobPod) -> bool:
    """Whether its end is one that the status is to count."""
    return pod.tracked and (not is_indexed(job) or has_index(job, pod))


def has_index(job: Object, pod: JobPod) -> bool:
    return UNKNOWN_INDEX < pod.completion_index < int(job["spec"]["completions"])


def indexes_of(pods: Iterable[JobPod]) -> set[int]:
    return {pod.completion_index for pod in pods if pod.completion_index != UNKNOWN_INDEX}


def accountable(state: JobState, pod: JobPod, *, ending: bool) -> bool:
    """Whether it is to be counted (or written off) and let go now. `ending`: the job has failed or succeeded."""
    if not pod.tracked:
        return False
    if pod.succeeded or is_deleting(state.job):
        return True
    if ending:
        return not pod.active
    awaited = state.awaiting_replacement.get(pod.completion_index)
    return pod.uid in state.verdicts and (awaited is None or awaited.uid != pod.uid)


def _verdict(job: Object, pod: JobPod) -> Verdict:
    return judge(job, pod) if job["spec"].get("podFailurePolicy") else COUNT


def _indexes_in(job: Object, text: str | None) -> Intervals:
    return parse(text or "", job["spec"]["completions"]) if is_indexed(job) else ()


def _failed_indexes(job: Object, pods: Iterable[JobPod], verdicts: dict[str, Verdict]) -> Intervals:
    if not limits_each_index(job):
        return ()
    most = job["spec"]["backoffLimitPerIndex"]
    before = _indexes_in(job, (job.get("status") or {}).get("failedIndexes"))
    if is_ending(job):
        return before  # it is the job that deletes the others' pods
    lost = [
        pod.completion_index
        for pod in pods
        if counts(job, pod)
        and (verdict := verdicts.get(pod.uid)) is not None
        and (verdict.action == "FailIndex" or (verdict.counts and pod.failures >= most))
    ]
    return with_indexes(before, lost)


def _awaiting_replacement(
    job: Object, pods: Iterable[JobPod], active: Iterable[JobPod], succeeded: Intervals, failed: Intervals
) -> dict[int, JobPod]:
    """Of each index that will get another pod the last that failed; it is kept until the other takes over its count."""
    if not limits_each_index(job):
        return {}
    running = indexes_of(active)
    last: dict[int, JobPod] = {}
    for pod in pods:
        index = pod.completion_index
        if not counts(job, pod) or not is_failed(job, pod):
            continue
        if index in running or contains(succeeded, index) or contains(failed, index):
            continue
        if index not in last or _order(pod) >= _order(last[index]):
            last[index] = pod
    return last


def _order(pod: JobPod) -> tuple[int, float]:
    return pod.failures + pod.ignored_failures, pod.finished_at
