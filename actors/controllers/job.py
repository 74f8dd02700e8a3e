"""The Job controller: pods of one template that run until enough of them have succeeded, or too many have failed.

Each pass does one thing first: while the job goes on, it creates or deletes pods; then, with nothing to change, it
writes what has ended into the status and lets the pods go that are accounted for in it (`job_state.py` says why in that
order). A job that ends says so before its pods are deleted, so no crash lets it think otherwise.
"""

from __future__ import annotations

from collections.abc import Sequence

from actorkube.kube import Controller, View, Views, Watches
from actorkube.kube.writes import Confirm, ConfirmNone, RequeueAfter, Rest, Update, Write
from actors.controllers.claim import Owner, claim
from actors.controllers.indexes import (
    BY_CONTROLLER,
    BY_SELECTOR,
    ORPHAN_BY_LABEL,
    by_controller,
    by_selector,
    orphan_by_label,
    selecting,
)
from actors.controllers.job_end import COMPLETIONS_REACHED, deadline_of, end_of, reached
from actors.controllers.job_pods import (
    API_VERSION,
    FINALIZER,
    JOB_BELONGING,
    JOB_POD,
    KIND,
    TRACKED,
    JobBelonging,
    JobPod,
    job_belonging,
    release,
    summarise_job_pod,
    tracked_for,
)
from actors.controllers.job_scale import BURST, deletions, scale
from actors.controllers.job_state import JobState, is_finished, look
from actors.controllers.job_status import new_status
from actors.controllers.pod_summary import POD, summarise_pod
from protocols.objects import Object, meta, namespace_of, split_key, uid_of

RESOURCE = "jobs.batch"
MANAGER = "kubernetes.io/job-controller"
SPACING_S = 0.02
REST_PER_POD_S = 0.001  # a job of 1,000 pods is looked at once a second at most, and what has ended is written together
REST_MAX_S = 1.0  # as Kubernetes, which always waits that long


def controller() -> Controller:
    return Controller(
        "job-controller",
        (
            Watches(RESOURCE, indexes={BY_SELECTOR: by_selector}),
            Watches(
                "pods",
                jobs_of_pod,
                indexes={BY_CONTROLLER: by_controller, ORPHAN_BY_LABEL: orphan_by_label, TRACKED: tracked_for},
                summaries={POD: summarise_pod, JOB_POD: summarise_job_pod, JOB_BELONGING: job_belonging},
                when=JOB_POD,
                told_by=JOB_BELONGING,
            ),
        ),
        reconcile,
        spacing_s=SPACING_S,
    )


def jobs_of_pod(pod: JobBelonging, views: Views) -> list[str]:
    """The job that controls it, or those that would adopt it; `namespace/` where the finalizer outlived the owner."""
    if pod.controlled_by is not None:
        kind, name, _ = pod.controlled_by
        return [f"{pod.namespace}/{name}"] if kind == KIND else []
    left = [f"{pod.namespace}/"] if pod.tracked else []
    return [*selecting(pod.namespace, pod.labels, views[RESOURCE]), *left]


def reconcile(key: str, views: Views, now: float) -> list[Write]:
    job, pods = views[RESOURCE].get(key), views["pods"]
    if strays := release_strays(key, job, pods):
        return strays
    if job is None or (job["spec"].get("managedBy") or MANAGER) != MANAGER:
        return []
    claimed = claim(Owner(job, RESOURCE, API_VERSION, KIND), pods, POD)
    if claimed.writes:
        return claimed.writes
    own: list[JobPod] = [pods.summary(JOB_POD, pod_key) for pod_key in claimed.keys]
    if is_finished(job):
        return _let_go(own, pods)
    return [Rest(min(len(own) * REST_PER_POD_S, REST_MAX_S)), *_go_on(look(job, own, pods), views, now)]


def release_strays(key: str, job: Object | None, pods: View) -> list[Write]:
    """No status will ever count pods whose job has gone, so nothing is to hold them."""
    strays: dict[str, str] = {}  # by their keys, the uids of their owners
    for pod_key in pods.keys(TRACKED, key):
        belonging: JobBelonging = pods.summary(JOB_BELONGING, pod_key)
        owner = belonging.controlled_by[2] if belonging.controlled_by is not None else ""
        if job is None or owner != uid_of(job):
            strays[pod_key] = owner
    namespace, name = split_key(key)
    owners = dict.fromkeys(owner for owner in strays.values() if owner)
    gone = [Confirm(RESOURCE, namespace, name, owner, gone=True) for owner in owners]
    return [*gone, *(release(pod_key, pods) for pod_key in strays)]


def _go_on(state: JobState, views: Views, now: float) -> list[Write]:
    end = end_of(state, now)
    changes = scale(state, views["pods"], now) if end is None else deletions(state.job, state.active[:BURST])
    is_changing = any(not isinstance(write, RequeueAfter) for write in changes)
    if end is None and is_changing and views.failure is None:
        return changes  # and then another pass, which sees what has come of them
    if end is None and not is_changing and reached(state):
        end = COMPLETIONS_REACHED
    told = new_status(state, end, now)
    return [
        *_status_write(state, told.status, told.events),
        *_let_go(told.letting_go, views["pods"]),
        *changes,
        *_wake_at_deadline(state.job, now),
    ]


def _status_write(state: JobState, status: Object, events: Sequence[Write]) -> list[Write]:
    if status == state.job.get("status"):
        return []
    return [*_proof(state), Update(RESOURCE, {**state.job, "status": status}, "status"), *events]


def _proof(state: JobState) -> list[Write]:
    """Pods that were noted by a controller before this one, and that it does not see: are they gone, or unseen yet?"""
    unproved = state.unproved
    if not unproved:
        return []

    def is_held(pod: Object) -> bool:
        return uid_of(pod) in unproved and FINALIZER in (meta(pod).get("finalizers") or ())

    return [ConfirmNone("pods", namespace_of(state.job), is_held)]


def _let_go(own: Sequence[JobPod], pods: View) -> list[Write]:
    return [release(pod.pod.key, pods) for pod in own if pod.tracked]


def _wake_at_deadline(job: Object, now: float) -> list[Write]:
    deadline = deadline_of(job)
    return [RequeueAfter(deadline - now)] if deadline is not None and deadline > now else []
