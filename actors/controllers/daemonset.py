"""The daemon set controller: a pod of one template on each node that the template may run on.

A pass claims revisions and pods, makes sure of the template's revision, puts each node in order, and when all are, goes
on with the rolling update. It looks at all nodes once: its cost grows with the number of nodes, and bursts of changes
share a pass. A pod wakes its own set only, and a node the sets that fit it, when its labels or taints change.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Any, NamedTuple

from actorkube.kube import Controller, View, Views, Watches
from actorkube.kube.view import IndexFunction
from actorkube.kube.writes import Event, RequeueAfter, Rest, UpdateStatus, Write, reference_to
from actors.controllers import history
from actors.controllers.claim import Owner, claim
from actors.controllers.claimants import claimants_of, claimants_of_pod
from actors.controllers.daemon_pods import (
    NEEDS,
    PLACE,
    bound_to,
    fit,
    named_node,
    needs_of,
    place_of,
)
from actors.controllers.daemonset_history import RESOURCE, History, history_of, surplus
from actors.controllers.daemonset_names import back_off_s, free_name
from actors.controllers.daemonset_nodes import Daemons, by_node, change_of, of_nowhere
from actors.controllers.daemonset_rollout import limits_of, roll, rolls
from actors.controllers.daemonset_status import new_status, seconds_to_availability
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
from protocols.objects import Object, meta, name_of, namespace_of
from protocols.rules.owners import controller_reference, is_deleting

API_VERSION = "apps/v1"
KIND = "DaemonSet"
GENERATION = "deprecated.daemonset.template.generation"  # the API server counts templates in this annotation
GENERATION_LABEL = "pod-template-generation"
BURST = 250  # pods created, and pods deleted, in one pass
SPACING_S = 0.02
REST_PER_NODE_S = 0.0001  # a set on 1,000 nodes is looked at ten times a second at most


def controller() -> Controller:
    claimed: dict[str, IndexFunction] = {BY_CONTROLLER: by_controller, ORPHAN_BY_LABEL: orphan_by_label}
    return Controller(
        "daemonset-controller",
        (
            Watches(RESOURCE, indexes={BY_SELECTOR: by_selector}, summaries={NEEDS: needs_of}),
            Watches(
                history.RESOURCE,
                claimants_of(RESOURCE, KIND),
                indexes=claimed,
                summaries={history.REVISION: history.summarise_revision},
            ),
            Watches(
                "pods",
                claimants_of_pod(RESOURCE, KIND),
                indexes=claimed,
                summaries={POD: summarise_pod, BELONGING: belonging},
                when=POD,
                told_by=BELONGING,
            ),
            Watches("nodes", sets_of_node, summaries={PLACE: place_of}, when=PLACE, told_by=PLACE),
        ),
        reconcile,
        spacing_s=SPACING_S,
    )


def sets_of_node(place: Object, views: Views) -> list[str]:
    """Those that its pods may be of, before a change or after it."""
    sets = views[RESOURCE]
    return [key for key in sets if any(fit(sets.summary(NEEDS, key), place))]


def reconcile(key: str, views: Views, now: float) -> list[Write]:
    daemon_set = views[RESOURCE].get(key)
    if daemon_set is None or is_deleting(daemon_set):
        return []
    owner = Owner(daemon_set, RESOURCE, API_VERSION, KIND)
    revisions = claim(owner, views[history.RESOURCE], history.REVISION)
    claimed = claim(owner, views["pods"], POD, adoptable=lambda pod: not pod.deleting)  # if over, to be removed
    if revisions.writes or claimed.writes:
        return [*revisions.writes, *claimed.writes]
    pods: list[PodSummary] = [views["pods"].summary(POD, pod_key) for pod_key in claimed.keys]
    kept = [revision for each in revisions.keys if (revision := views[history.RESOURCE].get(each)) is not None]
    known = history_of(daemon_set, kept, views[history.RESOURCE], pods)
    if known.writes:
        return list(known.writes)
    return _put_in_order(daemon_set, known, pods, views, now)


def _put_in_order(
    daemon_set: Object, known: History, pods: Sequence[PodSummary], views: Views, now: float
) -> list[Write]:
    it = daemons_of(daemon_set, known.digest, pods, views, now)
    work = work_on(daemon_set, it, views)
    changes = [*work.told, *_creations(daemon_set, it, work.nodes, views), *_deletions(daemon_set, work.doomed)]
    writes: list[Write] = [Rest(len(it.fits) * REST_PER_NODE_S), *_waits(it, work)]
    status = new_status(daemon_set, it)
    is_long = max(len(work.nodes), len(work.doomed)) > BURST
    if status != daemon_set.get("status") and (views.failure or is_long or not changes):
        writes.append(UpdateStatus(RESOURCE, {**daemon_set, "status": status}))
    return [*writes, *(changes or surplus(daemon_set, known.old, pods))]


def daemons_of(daemon_set: Object, digest: str, pods: Iterable[PodSummary], views: Views, now: float) -> Daemons:
    nodes, view = views["nodes"], views["pods"]
    needs = views[RESOURCE].summary(NEEDS, f"{namespace_of(daemon_set)}/{name_of(daemon_set)}")
    return Daemons(
        digest,
        {name: fit(needs, nodes.summary(PLACE, name)) for name in sorted(nodes)},
        by_node((pod.node or _promised(view, pod), pod) for pod in pods),
        limits_of(daemon_set, 1).surge > 0,
        daemon_set["spec"].get("minReadySeconds") or 0,
        now,
    )


def _promised(pods: View, pod: PodSummary) -> str:
    """The node of a pod that is not bound yet. Few are, so it is no summary, which all pods would have to have."""
    entry = pods.entry(pod.key)
    return named_node(entry.peek()) if entry is not None else ""


# -- what is to be done -----------------------------------------------------------------------------------------------


class Work(NamedTuple):
    nodes: list[str]  # that need a pod
    doomed: list[PodSummary]
    told: list[Event]
    waits: list[float]  # until pods that failed may go


def work_on(daemon_set: Object, it: Daemons, views: Views) -> Work:
    """First each node as it should be at all times; when all are, the next step of the rolling update."""
    work = Work([], [], [], [])
    for node in it.fits:
        change = change_of(it, node)
        if change.creates:
            work.nodes.append(node)
        work.doomed.extend(change.doomed)
        for pod in change.over:
            _end(daemon_set, it, node, pod, work, views)
    work.doomed.extend(of_nowhere(it))
    if rolls(daemon_set) and not work.nodes and not work.doomed:
        step = roll(it, limits_of(daemon_set, it.desired))
        work.nodes.extend(step.nodes)
        work.doomed.extend(step.doomed)
    return work


def _end(daemon_set: Object, it: Daemons, node: str, pod: PodSummary, work: Work, views: Views) -> None:
    """A pod that is over is replaced; a kubelet that refuses each one is not asked again and again."""
    failed = pod.phase == "Failed"
    wait = back_off_s(daemon_set, it.digest, node, views["pods"], it.now) if failed else 0.0
    if wait > 0:
        work.waits.append(wait)
        return
    where = f"daemon pod {pod.namespace}/{pod.name} on node {node}, will try to"
    about = reference_to(daemon_set, API_VERSION, KIND)
    if failed:
        work.told.append(Event(about, "Warning", "FailedDaemonPod", f"Found failed {where} kill it"))
    else:
        work.told.append(Event(about, "Normal", "SucceededDaemonPod", f"Found succeeded {where} delete it"))
    work.doomed.append(pod)


def _creations(daemon_set: Object, it: Daemons, nodes: Sequence[str], views: Views) -> Iterator[Write]:
    about = reference_to(daemon_set, API_VERSION, KIND)
    given: dict[str, None] = {}
    for node in nodes[:BURST]:
        name = free_name(daemon_set, it.digest, node, views["pods"], given)
        given[name] = None
        yield creation(about, pod_for(daemon_set, it.digest, node, name))


def _deletions(daemon_set: Object, doomed: Sequence[PodSummary]) -> list[Write]:
    about = reference_to(daemon_set, API_VERSION, KIND)
    return [deletion(about, pod) for pod in doomed[:BURST]]


def _waits(it: Daemons, work: Work) -> list[Write]:
    waits = [*work.waits, *filter(None, [seconds_to_availability(it)])]
    return [RequeueAfter(min(waits))] if waits else []


def pod_for(daemon_set: Object, digest: str, node: str, name: str) -> Object:
    template = daemon_set["spec"]["template"]
    labels = {**(meta(template).get("labels") or {}), history.HASH_LABEL: digest}
    if generation := (meta(daemon_set).get("annotations") or {}).get(GENERATION):
        labels[GENERATION_LABEL] = generation
    metadata: dict[str, Any] = {
        "name": name,
        "generateName": f"{name_of(daemon_set)}-",
        "namespace": namespace_of(daemon_set),
        "labels": labels,
        "ownerReferences": [controller_reference(daemon_set, API_VERSION, KIND)],
    }
    for field in ("annotations", "finalizers"):
        if meta(template).get(field):
            metadata[field] = meta(template)[field]
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": bound_to(template["spec"], node)}
