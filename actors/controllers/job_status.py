"""The status of a Job: what it counts now, and the conditions that follow."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from actorkube.kube.writes import Event, reference_to
from actors.controllers.job_end import End, decided_end
from actors.controllers.job_indexes import render, total, with_indexes
from actors.controllers.job_pods import API_VERSION, KIND, JobPod
from actors.controllers.job_state import JobState, accountable, counts, is_indexed, is_suspended, limits_each_index
from protocols.objects import Object
from protocols.rules.conditions import condition_is, find_condition
from protocols.rules.owners import is_deleting
from protocols.rules.times import time_of

UNCOUNTED_MAX = 500  # uids in a status, which must not grow without bound


class Told(NamedTuple):
    """`letting_go`: the pods that this status has accounted for."""

    status: Object
    events: list[Event]
    letting_go: list[JobPod]


def new_status(state: JobState, end: End | None, now: float) -> Told:
    room = UNCOUNTED_MAX - len(state.uncounted_succeeded) - len(state.uncounted_failed)
    listed = {*state.uncounted_succeeded, *state.uncounted_failed}
    due = [pod for pod in state.pods if accountable(state, pod, ending=end is not None)]
    known = [pod for pod in due if pod.uid in listed]
    fresh = [pod for pod in due if pod.uid not in listed][: max(0, room)]
    status = {**(state.job.get("status") or {}), **_counts(state, fresh, end)}
    status = {key: value for key, value in status.items() if value is not None}
    events = _conditions(state, status, end, now)
    return Told(status, events, [*known, *fresh])


def _counts(state: JobState, fresh: Sequence[JobPod], end: End | None) -> dict[str, Any]:
    """None is what the status does not mention."""
    job = state.job
    successes = [pod for pod in fresh if pod.succeeded and counts(job, pod)]
    failures = [pod.uid for pod in fresh if _counts_as_failed(state, pod, end)]
    completed = with_indexes(state.completed, (pod.completion_index for pod in successes)) if is_indexed(job) else ()
    done = [] if is_indexed(job) else [pod.uid for pod in successes]
    uncounted = {"succeeded": [*state.uncounted_succeeded, *done], "failed": [*state.uncounted_failed, *failures]}
    return {
        "active": len(state.active) or None,
        "ready": sum(pod.pod.ready for pod in state.active),
        "terminating": state.terminating,
        "succeeded": (total(completed) if is_indexed(job) else state.counted_succeeded) or None,
        "failed": state.counted_failed or None,
        "uncountedTerminatedPods": {outcome: uids for outcome, uids in uncounted.items() if uids},
        "completedIndexes": render(completed) or None,
        "failedIndexes": render(state.failed_indexes) if limits_each_index(job) else None,
    }


def _counts_as_failed(state: JobState, pod: JobPod, end: End | None) -> bool:
    """Of a job that has failed, whoever did not succeed has; who is stopped because it has succeeded has not failed."""
    if pod.succeeded or not counts(state.job, pod):
        return False
    if end is not None and end.succeeded and pod.phase != "Failed":
        return False
    verdict = state.verdicts.get(pod.uid)
    if verdict is not None:
        return verdict.counts
    return end is not None and not pod.active


# -- conditions -------------------------------------------------------------------------------------------------------


def _conditions(state: JobState, status: dict[str, Any], end: End | None, now: float) -> list[Event]:
    """Puts them, and the times that go with them, into the status; what is to be told about it."""
    if not status.get("startTime") and not is_suspended(state.job):
        status["startTime"] = time_of(now)
    if end is not None:
        return list(_ending(state, status, end, now))
    if is_deleting(state.job):
        return []
    if is_suspended(state.job):
        status.pop("startTime", None)  # it starts when it is resumed
        return _set(state, status, "Suspended", "True", "JobSuspended", "Job suspended", now)
    if find_condition(status.get("conditions"), "Suspended") is None:
        return []
    events = _set(state, status, "Suspended", "False", "JobResumed", "Job resumed", now)
    if events:
        status["startTime"] = time_of(now)  # the deadline counts the time since it was last resumed
    return events


def _set(
    state: JobState, status: dict[str, Any], type: str, value: str, reason: str, message: str, now: float
) -> list[Event]:
    if condition_is({"status": status}, type, value):
        return []
    _put(status, type, value, reason, message, now)
    return [Event(_about(state), "Normal", reason.removeprefix("Job"), message)]


def _ending(state: JobState, status: dict[str, Any], end: End, now: float) -> Iterator[Event]:
    if decided_end(state.job) is None:
        _put(status, end.condition, "True", end.reason, end.message, now)
    elif not _is_quiet(state, status):
        return
    elif end.succeeded:
        _put(status, "Complete", "True", end.reason, end.message, now)
        status["completionTime"] = time_of(now)
        completions = state.job["spec"].get("completions")
        if completions is not None and status.get("succeeded", 0) > completions:
            message = "Too many succeeded pods running after completion count reached"
            yield Event(_about(state), "Warning", "TooManySucceededPods", message)
        yield Event(_about(state), "Normal", "Completed", "Job completed")
    else:
        _put(status, "Failed", "True", end.reason, end.message, now)
        yield Event(_about(state), "Warning", end.reason, end.message)


def _is_quiet(state: JobState, status: dict[str, Any]) -> bool:
    """Everybody is counted, and gone."""
    busy = state.active or state.terminating or status["uncountedTerminatedPods"]
    return not busy and not any(pod.tracked for pod in state.pods)


def _put(status: dict[str, Any], type: str, value: str, reason: str, message: str, now: float) -> None:
    at = time_of(now)
    condition = {
        "type": type,
        "status": value,
        "lastProbeTime": at,
        "lastTransitionTime": at,
        "reason": reason,
        "message": message,
    }
    others = [each for each in status.get("conditions") or () if each.get("type") != type]
    status["conditions"] = [*others, condition]


def _about(state: JobState) -> dict[str, Any]:
    return reference_to(state.job, API_VERSION, KIND)
