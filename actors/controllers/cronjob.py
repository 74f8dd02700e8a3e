"""The CronJob controller: a job at each time of a schedule, and the old ones go.

A job is named after its cron job and the minute of its time. So deciding twice asks for the same job, and a pass that
finds it there knows that its time has been met, whatever became of the status.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from actorkube.kube import Controller, View, Views, Watches
from actorkube.kube.writes import Confirm, Create, Delete, Event, RequeueAfter, UpdateStatus, Write, reference_to
from actors.controllers.cronjob_times import MISSED_MAX, NeverComes, missed, wait_s
from actors.controllers.indexes import BY_CONTROLLER, by_controller
from protocols.objects import Object, meta, name_of, namespace_of, uid_of
from protocols.rules.conditions import condition_is
from protocols.rules.owners import controller_of, controller_reference, is_deleting
from protocols.rules.schedules import InvalidSchedule, parse, zone
from protocols.rules.times import seconds_of, time_of

RESOURCE = "cronjobs.batch"
JOBS = "jobs.batch"
API_VERSION = "batch/v1"
KIND = "CronJob"
SCHEDULED_AT = "batch.kubernetes.io/cronjob-scheduled-timestamp"
CHILD = "child of a cron job"


class Child(NamedTuple):
    """What a cron job needs to know of a job. `end`: the condition that it has ended with, "" before."""

    namespace: str
    name: str
    uid: str
    parent: str
    deleting: bool
    end: str
    started: str
    completed: str
    scheduled_at: str

    @property
    def key(self) -> str:
        return f"{self.namespace}/{self.name}"


def controller() -> Controller:
    return Controller(
        "cronjob-controller",
        (
            Watches(RESOURCE),
            Watches(
                JOBS,
                parent_of,
                indexes={BY_CONTROLLER: by_controller},
                summaries={CHILD: child},
                when=CHILD,
                told_by=CHILD,
            ),
        ),
        reconcile,
    )


def child(job: Object) -> Child | None:
    """None for what no cron job controls."""
    parent = controller_of(job)
    if parent is None or parent["kind"] != KIND:
        return None
    status = job.get("status") or {}
    return Child(
        namespace_of(job),
        name_of(job),
        uid_of(job),
        parent["name"],
        is_deleting(job),
        next((type for type in ("Complete", "Failed") if condition_is(job, type)), ""),
        status.get("startTime") or "",
        status.get("completionTime") or "",
        (meta(job).get("annotations") or {}).get(SCHEDULED_AT) or "",
    )


def parent_of(job: Child | None, views: Views) -> list[str]:
    return [f"{job.namespace}/{job.parent}"] if job is not None else []


def reconcile(key: str, views: Views, now: float) -> list[Write]:
    cron_job, jobs = views[RESOURCE].get(key), views[JOBS]
    if cron_job is None:
        return []
    children: list[Child] = [
        found for found in jobs.summaries(CHILD, BY_CONTROLLER, uid_of(cron_job)) if found is not None
    ]
    status = dict(cron_job.get("status") or {})
    told = list(_take_stock(cron_job, status, children, jobs))
    cleanup = [_deletion(cron_job, old) for old in surplus(cron_job, children)]
    started = [] if is_deleting(cron_job) else list(_start_what_is_due(cron_job, status, views, now))
    status = {field: value for field, value in status.items() if value}
    if status == {field: value for field, value in (cron_job.get("status") or {}).items() if value}:
        return [*told, *cleanup, *started]
    deletions = [write for write in started if isinstance(write, Delete)]
    others = [write for write in started if not isinstance(write, Delete)]
    return [*told, *cleanup, *deletions, UpdateStatus(RESOURCE, {**cron_job, "status": status}), *others]


# -- what there is ----------------------------------------------------------------------------------------------------


def _take_stock(cron_job: Object, status: dict[str, Any], children: Sequence[Child], jobs: View) -> Iterator[Write]:
    """Brings the status up to date with the jobs; what is to be told, or made sure of, before it is written."""
    by_uid = {each.uid: each for each in children}
    active: list[dict[str, Any]] = []
    for reference in status.get("active") or ():
        listed = by_uid.get(reference["uid"])
        if listed is None:
            yield Confirm(JOBS, namespace_of(cron_job), reference["name"], reference["uid"], gone=True)
            yield _event(cron_job, "Normal", "MissingJob", f"Active job went missing: {reference['name']}")
        elif listed.end:
            message = f"Saw completed job: {listed.name}, condition: {listed.end}"
            yield _event(cron_job, "Normal", "SawCompletedJob", message)
        else:
            active.append(reference)
    known = {reference["uid"] for reference in status.get("active") or ()}
    for each in children:
        if each.uid in known or each.end or each.deleting:
            continue
        if each.scheduled_at:
            active.append(_reference(each, jobs))
        else:
            message = f"Saw a job that the controller did not create or forgot: {each.name}"
            yield _event(cron_job, "Warning", "UnexpectedJob", message)
    status["active"] = active
    times = [seconds_of(each.scheduled_at) for each in children if each.scheduled_at]
    _note_latest(status, "lastScheduleTime", times)
    completed = [seconds_of(each.completed) for each in children if each.end == "Complete" and each.completed]
    _note_latest(status, "lastSuccessfulTime", completed)


def _note_latest(status: dict[str, Any], field: str, times: Sequence[float]) -> None:
    before = [seconds_of(status[field])] if status.get(field) else []
    if times and (not before or max(times) > before[0]):
        status[field] = time_of(max(times))


def _reference(job: Child, jobs: View) -> dict[str, Any]:
    entry = jobs.entry(job.key)
    assert entry is not None
    return {
        "apiVersion": "batch/v1",
        "kind": "Job",
        "name": job.name,
        "namespace": job.namespace,
        "resourceVersion": str(entry.revision),
        "uid": job.uid,
    }


def surplus(cron_job: Object, children: Sequence[Child]) -> Iterator[Child]:
    """The oldest of those that have ended, beyond what is to be kept of them."""
    for end, field in (("Complete", "successfulJobsHistoryLimit"), ("Failed", "failedJobsHistoryLimit")):
        limit = cron_job["spec"].get(field)
        ended = sorted((c for c in children if c.end == end), key=lambda c: (not c.started, c.started, c.name))
        if limit is not None:
            yield from (each for each in ended[: max(0, len(ended) - limit)] if not each.deleting)


# -- what is due ------------------------------------------------------------------------------------------------------


def _start_what_is_due(cron_job: Object, status: dict[str, Any], views: Views, now: float) -> Iterator[Write]:
    spec = cron_job["spec"]
    time_zone = spec.get("timeZone")
    if time_zone is not None and (problem := _zone_problem(time_zone)):
        yield _event(cron_job, "Warning", "UnknownTimeZone", f'invalid timeZone: "{time_zone}": {problem}')
        return
    if spec.get("suspend"):
        return
    cron_job = {**cron_job, "status": status}
    try:
        schedule = parse(spec["schedule"], time_zone or "UTC")
        last = missed(cron_job, schedule, now, within_deadline=True)
    except InvalidSchedule as error:
        message = f'unparseable schedule: "{spec["schedule"]}" : {error}'
        yield _event(cron_job, "Warning", "UnparseableSchedule", message)
        return
    except NeverComes as error:
        yield _event(cron_job, "Warning", "InvalidSchedule", f"invalid schedule: {spec['schedule']} : {error}")
        return
    if last.at is not None:
        if last.number > MISSED_MAX:
            advice = "Set or decrease .spec.startingDeadlineSeconds or check clock skew"
            yield _event(cron_job, "Warning", "TooManyMissedTimes", f"too many missed start times. {advice}")
        yield from _start(cron_job, status, last.at, views, now)
    if (seconds := wait_s(cron_job, schedule, now)) is not None:
        yield RequeueAfter(seconds)


def _start(cron_job: Object, status: dict[str, Any], at: float, views: Views, now: float) -> Iterator[Write]:
    spec, jobs = cron_job["spec"], views[JOBS]
    deadline_s = spec.get("startingDeadlineSeconds")
    if deadline_s is not None and at + deadline_s < now:
        when = datetime.datetime.fromtimestamp(at, datetime.UTC).strftime("%a, %d %b %Y %H:%M:%S +0000")
        yield _event(cron_job, "Warning", "MissSchedule", f"Missed scheduled time to start a job: {when}")
        return
    name = f"{name_of(cron_job)}-{int(at) // 60}"
    key = f"{namespace_of(cron_job)}/{name}"
    if key in jobs or jobs.was_used(key) or status.get("lastScheduleTime") == time_of(at):
        _note_latest(status, "lastScheduleTime", [at])
        return
    active = status["active"]
    if active and spec.get("concurrencyPolicy") == "Forbid":
        message = "Not starting job because prior execution is running and concurrency policy is Forbid"
        yield _event(cron_job, "Normal", "JobAlreadyActive", message)
        return
    if spec.get("concurrencyPolicy") == "Replace":
        yield from (_deletion(cron_job, each) for each in _children_at(active, jobs))
        status["active"] = []
    yield Create(
        JOBS,
        job_from(cron_job, name, at),
        _event(cron_job, "Normal", "SuccessfulCreate", f"Created job {name}"),
        _event(cron_job, "Warning", "FailedCreate", "Error creating job: "),
    )


def _children_at(references: Sequence[dict[str, Any]], jobs: View) -> Iterator[Child]:
    for reference in references:
        found: Child | None = jobs.summary(CHILD, f"{reference['namespace']}/{reference['name']}")
        if found is not None and found.uid == reference["uid"]:
            yield found


def job_from(cron_job: Object, name: str, at: float) -> Object:
    template = cron_job["spec"]["jobTemplate"]
    zone_name = cron_job["spec"].get("timeZone") or "UTC"
    when = datetime.datetime.fromtimestamp(at, zone(zone_name)).isoformat().replace("+00:00", "Z")
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": namespace_of(cron_job),
        "annotations": {**(meta(template).get("annotations") or {}), SCHEDULED_AT: when},
        "ownerReferences": [controller_reference(cron_job, API_VERSION, KIND)],
    }
    if meta(template).get("labels"):
        metadata["labels"] = meta(template)["labels"]
    return {"apiVersion": API_VERSION, "kind": "Job", "metadata": metadata, "spec": template["spec"]}


def _zone_problem(name: str) -> str:
    try:
        zone(name)
    except ValueError as error:
        return str(error)
    return ""


def _deletion(cron_job: Object, job: Child) -> Delete:
    return Delete(
        JOBS,
        job.namespace,
        job.name,
        job.uid,
        "Background",
        announce=_event(cron_job, "Normal", "SuccessfulDelete", f"Deleted job {job.name}"),
        lament=_event(cron_job, "Warning", "FailedDelete", "Deleted job: "),
    )


def _event(cron_job: Object, type: Any, reason: str, message: str) -> Event:
    return Event(reference_to(cron_job, API_VERSION, KIND), type, reason, message)
