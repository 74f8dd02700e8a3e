"""Whether a Job is to end, and why: `FailureTarget` or `SuccessCriteriaMet` first, and when its pods have gone
`Failed` or `Complete` with the same reason. What has once been decided stays so."""

from __future__ import annotations

from typing import NamedTuple

from actors.controllers.job_indexes import total
from actors.controllers.job_state import FAILURE, SUCCESS, JobState, is_indexed, is_suspended, limits_each_index
from actors.controllers.job_success_policy import met
from protocols.objects import Object
from protocols.rules.conditions import find_condition
from protocols.rules.times import seconds_of


class End(NamedTuple):
    condition: str
    reason: str
    message: str

    @property
    def succeeded(self) -> bool:
        return self.condition == SUCCESS


COMPLETIONS_REACHED = End(SUCCESS, "CompletionsReached", "Reached expected number of succeeded pods")
_BACKOFF = End(FAILURE, "BackoffLimitExceeded", "Job has reached the specified backoff limit")
_DEADLINE = End(FAILURE, "DeadlineExceeded", "Job was active longer than specified deadline")
_MANY_INDEXES = End(
    FAILURE, "MaxFailedIndexesExceeded", "Job has exceeded the specified maximal number of failed indexes"
)
_INDEXES = End(FAILURE, "FailedIndexes", "Job has failed indexes")


def end_of(state: JobState, now: float) -> End | None:
    """Why it ends whatever its pods do; `reached` is the end that they come to by themselves."""
    job = state.job
    if decided := decided_end(job):
        return decided
    if message := next((verdict.message for verdict in state.verdicts.values() if verdict.message), ""):
        return End(FAILURE, "PodFailurePolicy", message)
    if state.failed > job["spec"]["backoffLimit"] or _restarted_too_often(state):
        return _BACKOFF
    if (deadline := deadline_of(job)) is not None and deadline <= now:
        return _DEADLINE
    return _end_of_indexes(state) if is_indexed(job) else None


def reached(state: JobState) -> bool:
    """All that was wanted is done, and nobody is at it any more."""
    completions = state.job["spec"].get("completions")
    wanted = 1 if completions is None else int(completions)
    return state.succeeded >= wanted and not state.active


def decided_end(job: Object) -> End | None:
    conditions = (job.get("status") or {}).get("conditions")
    for type in (SUCCESS, FAILURE):
        found = find_condition(conditions, type)
        if found is not None and found.get("status") == "True":
            return End(type, found.get("reason") or "", found.get("message") or "")
    return None


def deadline_of(job: Object) -> float | None:
    """When it will have been active for too long; no time runs while it is suspended, which takes its start away."""
    started, limit_s = (job.get("status") or {}).get("startTime"), job["spec"].get("activeDeadlineSeconds")
    if limit_s is None or not started or is_suspended(job):
        return None
    return seconds_of(started) + int(limit_s)


def _end_of_indexes(state: JobState) -> End | None:
    spec, failed = state.job["spec"], total(state.failed_indexes)
    if limits_each_index(state.job):
        most = spec.get("maxFailedIndexes")
        if most is not None and failed > most:
            return _MANY_INDEXES
        if failed and failed + total(state.succeeded_indexes) >= spec["completions"]:
            return _INDEXES
    message = met(state.job, state.succeeded_indexes)
    return End(SUCCESS, "SuccessPolicy", message) if message else None


def _restarted_too_often(state: JobState) -> bool:
    """Where containers are restarted in their pod, each restart is a failure."""
    spec = state.job["spec"]
    if spec["template"]["spec"].get("restartPolicy") != "OnFailure":
        return False
    restarts = sum(pod.restarts for pod in state.pods if pod.phase in ("Pending", "Running"))
    return restarts >= max(1, int(spec["backoffLimit"]))
