"""Workloads: how many there should be, how many there are."""

from __future__ import annotations

from typing import Any

from actors.apiserver.elapsed import Elapsed, human_duration, since
from actors.apiserver.tables.cells import (
    NONE,
    Columns,
    Printer,
    age,
    containers_and_images,
    name_of_row,
    shown_labels,
    shown_selector,
)
from protocols.objects import Object
from protocols.rules.conditions import condition_is
from protocols.rules.owners import controller_of
from protocols.rules.times import seconds_of

_JOB_STATES = {"Complete": "Complete", "Failed": "Failed"}
_UNFINISHED_JOB_STATES = {"Suspended": "Suspended", "FailureTarget": "FailureTarget"}


def _deployment(obj: Object) -> list[Any]:
    spec, status = _parts(obj)
    return [
        name_of_row(obj),
        f"{status.get('readyReplicas') or 0}/{spec.get('replicas') or 0}",
        status.get("updatedReplicas") or 0,
        status.get("availableReplicas") or 0,
        age(obj),
        *_wide(spec),
    ]


def _scale(obj: Object) -> list[Any]:
    spec, status = _parts(obj)
    return [name_of_row(obj), spec.get("replicas") or 0, status.get("replicas") or 0, age(obj)]


def _replica_set(obj: Object) -> list[Any]:
    return [*_replica_counts(obj), *_wide(obj.get("spec") or {})]


def _replication_controller(obj: Object) -> list[Any]:
    spec = obj.get("spec") or {}
    template, selector = containers_and_images(spec.get("template")), shown_labels(spec.get("selector"))
    return [*_replica_counts(obj), *template, selector]


def _stateful_set(obj: Object) -> list[Any]:
    spec, status = _parts(obj)
    ready = f"{status.get('readyReplicas') or 0}/{spec.get('replicas') or 0}"
    return [name_of_row(obj), ready, age(obj), *containers_and_images(spec.get("template"))]


def _daemon_set(obj: Object) -> list[Any]:
    spec, status = _parts(obj)
    counts = (
        "desiredNumberScheduled",
        "currentNumberScheduled",
        "numberReady",
        "updatedNumberScheduled",
        "numberAvailable",
    )
    node_selector = ((spec.get("template") or {}).get("spec") or {}).get("nodeSelector")
    return [
        name_of_row(obj),
        *(status.get(count) or 0 for count in counts),
        shown_labels(node_selector),
        age(obj),
        *_wide(spec),
    ]


def _job(obj: Object) -> list[Any]:
    spec, status = _parts(obj)
    return [
        name_of_row(obj),
        _job_state(obj),
        _completions(spec, status),
        _job_duration(status),
        age(obj),
        *_wide(spec),
    ]


def _cron_job(obj: Object) -> list[Any]:
    spec, status = _parts(obj)
    last = status.get("lastScheduleTime")
    return [
        name_of_row(obj),
        spec.get("schedule") or "",
        spec.get("timeZone") or NONE,
        str(bool(spec.get("suspend"))),
        len(status.get("active") or ()),
        since(last) if last else NONE,
        age(obj),
        *_wide((spec.get("jobTemplate") or {}).get("spec") or {}),
    ]


def _pod_template(obj: Object) -> list[Any]:
    template = obj.get("template") or {}
    labels = (template.get("metadata") or {}).get("labels")
    return [name_of_row(obj), *containers_and_images(template), shown_labels(labels)]


def _controller_revision(obj: Object) -> list[Any]:
    owner = controller_of(obj)
    return [name_of_row(obj), _controller(owner), obj.get("revision") or 0, age(obj)]


_WIDE = ("+Containers", "+Images", "+Selector")
_REPLICAS = Columns("Name", "Desired:integer", "Current:integer", "Ready:integer", "Age", *_WIDE)

DEPLOYMENT = Printer(Columns("Name", "Ready", "Up-to-date", "Available", "Age", *_WIDE), _deployment)
SCALE = Printer(Columns("Name", "Desired:integer", "Available:integer", "Age"), _scale)
REPLICA_SET = Printer(_REPLICAS, _replica_set)
REPLICATION_CONTROLLER = Printer(_REPLICAS, _replication_controller)
STATEFUL_SET = Printer(Columns("Name", "Ready", "Age", "+Containers", "+Images"), _stateful_set)
DAEMON_SET = Printer(
    Columns(
        "Name",
        "Desired:integer",
        "Current:integer",
        "Ready:integer",
        "Up-to-date:integer",
        "Available:integer",
        "Node Selector",
        "Age",
        *_WIDE,
    ),
    _daemon_set,
)
JOB = Printer(Columns("Name", "Status", "Completions", "Duration", "Age", *_WIDE), _job)
CRON_JOB = Printer(
    Columns(
        "Name",
        "Schedule",
        "Timezone",
        "Suspend:boolean",
        "Active:integer",
        "Last Schedule",
        "Age",
        *_WIDE,
    ),
    _cron_job,
)
POD_TEMPLATE = Printer(Columns("Name", "Containers", "Images", "Pod Labels"), _pod_template)
CONTROLLER_REVISION = Printer(Columns("Name", "Controller", "Revision", "Age"), _controller_revision)


def _parts(obj: Object) -> tuple[dict[str, Any], dict[str, Any]]:
    return obj.get("spec") or {}, obj.get("status") or {}


def _wide(spec: dict[str, Any]) -> list[Any]:
    return [*containers_and_images(spec.get("template")), shown_selector(spec.get("selector"))]


def _replica_counts(obj: Object) -> list[Any]:
    spec, status = _parts(obj)
    return [
        name_of_row(obj),
        spec.get("replicas") or 0,
        status.get("replicas") or 0,
        status.get("readyReplicas") or 0,
        age(obj),
    ]


def _job_state(obj: Object) -> str:
    for condition, shown in _JOB_STATES.items():
        if condition_is(obj, condition):
            return shown
    if (obj.get("metadata") or {}).get("deletionTimestamp"):
        return "Terminating"
    for condition, shown in _UNFINISHED_JOB_STATES.items():
        if condition_is(obj, condition):
            return shown
    return "Running"


def _completions(spec: dict[str, Any], status: dict[str, Any]) -> str:
    succeeded, parallelism = status.get("succeeded") or 0, spec.get("parallelism") or 0
    if spec.get("completions") is not None:
        return f"{succeeded}/{spec['completions']}"
    return f"{succeeded}/1 of {parallelism}" if parallelism > 1 else f"{succeeded}/1"


def _job_duration(status: dict[str, Any]) -> Elapsed | str:
    if not status.get("startTime"):
        return ""
    began = seconds_of(status["startTime"])
    if not status.get("completionTime"):
        return Elapsed(began)
    return human_duration(seconds_of(status["completionTime"]) - began)


def _controller(owner: dict[str, Any] | None) -> str:
    if owner is None:
        return NONE
    group = owner.get("apiVersion", "").rpartition("/")[0]
    kind = f"{owner.get('kind', '')}.{group}" if group else owner.get("kind", "")
    return f"{kind.lower()}/{owner.get('name', '')}"
