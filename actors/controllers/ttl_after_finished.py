"""The TTL-after-finished controller: jobs that want it go some time after they have ended, and their pods with them."""

from __future__ import annotations

from actorkube.kube import Controller, Views, Watches
from actorkube.kube.writes import Delete, RequeueAfter, Write
from actors.controllers.job_state import is_finished
from protocols.objects import Object, name_of, namespace_of, revision_of, uid_of
from protocols.rules.conditions import condition_is, find_condition
from protocols.rules.owners import is_deleting
from protocols.rules.times import seconds_of

RESOURCE = "jobs.batch"
EXPIRES = "expires"


def controller() -> Controller:
    watches = Watches(RESOURCE, summaries={EXPIRES: expires_at}, when=EXPIRES)
    return Controller("ttl-after-finished-controller", (watches,), reconcile)


def reconcile(key: str, views: Views, now: float) -> list[Write]:
    expires = views[RESOURCE].summary(EXPIRES, key)
    if expires is None:
        return []
    if expires > now:
        return [RequeueAfter(expires - now)]
    job = views[RESOURCE].get(key)
    assert job is not None
    exactly = revision_of(job)  # who has just been given more time keeps it
    return [Delete(RESOURCE, namespace_of(job), name_of(job), uid_of(job), "Foreground", revision=exactly)]


def expires_at(job: Object) -> float | None:
    """None for a job that has not ended, is going, or is to stay."""
    ttl_s = job["spec"].get("ttlSecondsAfterFinished")
    if ttl_s is None or not is_finished(job) or is_deleting(job):
        return None
    end = next(type for type in ("Complete", "Failed") if condition_is(job, type))
    condition = find_condition(job["status"]["conditions"], end)
    assert condition is not None
    return seconds_of(condition["lastTransitionTime"]) + int(ttl_s)
