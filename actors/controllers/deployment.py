"""The deployment controller: replica sets that follow a template, one rollout at a time.

A pass is a list of steps; the first one that wants to write something ends it, and the next pass goes on from there:
claim the sets, honour a pause, make sure of the new set and its revision, scale or roll, tidy the history, tell.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from actorkube.kube import Controller, View, Views, Watches
from actorkube.kube.controller import Failure
from actorkube.kube.writes import Create, Delete, Event, RequeueAfter, Update, UpdateStatus, Write, reference_to
from actors.controllers import deployment_status as told
from actors.controllers.claim import Owner, claim
from actors.controllers.claimants import claimants_of
from actors.controllers.indexes import (
    BY_CONTROLLER,
    BY_SELECTOR,
    ORPHAN_BY_LABEL,
    by_controller,
    by_selector,
    orphan_by_label,
)
from actors.controllers.pod_summary import BELONGING, POD, Belonging, belonging, summarise_pod
from actors.controllers.replicaset import desired_replicas
from actors.controllers.revisions import (
    DESIRED,
    MOST,
    REVISION,
    age_order,
    annotations_of,
    find_new,
    int_annotation,
    new_set,
    next_revision,
    revision_number,
    size_annotations,
    updated_set,
)
from actors.controllers.rollout import Limits, SetSize, Sizes, limits_of, new_set_size, roll_new, roll_old, scale
from actors.controllers.set_summary import SET, summarise_set
from protocols.objects import Object, key_of, meta, name_of, namespace_of, uid_of
from protocols.rules.conditions import find_condition
from protocols.rules.owners import is_deleting
from protocols.rules.times import seconds_of

RESOURCE = "deployments.apps"
SETS = "replicasets.apps"
STRATEGY = "strategy"
SPACING_S = 0.01


def controller() -> Controller:
    return Controller(
        "deployment-controller",
        (
            Watches(RESOURCE, indexes={BY_SELECTOR: by_selector}, summaries={STRATEGY: strategy_of}),
            Watches(
                SETS,
                claimants_of(RESOURCE, "Deployment"),
                indexes={BY_CONTROLLER: by_controller, ORPHAN_BY_LABEL: orphan_by_label},
                summaries={SET: summarise_set},
            ),
            Watches(
                "pods",
                recreated_of_pod,
                indexes={BY_CONTROLLER: by_controller},
                summaries={POD: summarise_pod, BELONGING: belonging},
                when=POD,
                told_by=BELONGING,
            ),
        ),
        reconcile,
        spacing_s=SPACING_S,
    )


def recreated_of_pod(pod: Belonging, views: Views) -> list[str]:
    """Only a Recreate deployment waits for pods as such: until the old ones are gone."""
    kind, name = pod.controlled_by or ("", "")
    if kind != "ReplicaSet":
        return []
    summary = views[SETS].summary(SET, f"{pod.namespace}/{name}")
    key = f"{pod.namespace}/{summary.controller_name}" if summary is not None else ""
    return [key] if views[RESOURCE].summary(STRATEGY, key) == "Recreate" else []


@dataclass(frozen=True, slots=True)
class Rollout:
    """What one pass knows."""

    deployment: Object
    new: Object | None
    old: Sequence[Object]
    views: Views
    limits: Limits
    now: float

    @property
    def sets(self) -> list[Object]:
        return [*self.old, *([self.new] if self.new is not None else [])]

    @property
    def about(self) -> dict[str, object]:
        return reference_to(self.deployment, "apps/v1", "Deployment")


def reconcile(key: str, views: Views, now: float) -> list[Write]:
    deployment = views[RESOURCE].get(key)
    if deployment is None:
        return []
    claimed = claim(Owner(deployment, RESOURCE, "apps/v1", "Deployment"), views[SETS], SET)
    if claimed.writes:
        return claimed.writes
    sets = sorted((s for k in claimed.keys if (s := views[SETS].get(k)) is not None), key=age_order)
    new = find_new(deployment, sets)
    rollout = Rollout(deployment, new, [s for s in sets if s is not new], views, limits_of(deployment), now)
    for step in _steps(rollout):
        if (writes := step(rollout)) is not None:
            return list(writes)
    return []


Step = Callable[[Rollout], Sequence[Write] | None]  # None: go on with the next step


def _steps(it: Rollout) -> list[Step]:
    if is_deleting(it.deployment):
        return [tell_numbers]
    if it.deployment["spec"].get("paused"):
        return [note_pause, keep_revision, keep_proportions, tidy, tell_numbers]
    if is_scaling(it):
        return [note_pause, keep_revision, keep_proportions, tell_numbers]
    if strategy_of(it.deployment) == "Recreate":
        return [note_pause, keep_revision, stop_old, ensure_new, start_new, tidy, tell]
    return [note_pause, keep_revision, ensure_new, grow_new, shrink_old, tidy, tell]


# -- steps ------------------------------------------------------------------------------------------------------------


def note_pause(it: Rollout) -> Sequence[Write] | None:
    """While it is paused the progress deadline does not run; it starts anew afterwards."""
    if not told.has_deadline(it.deployment):
        return None
    current = find_condition(told.conditions_of(it.deployment), "Progressing")
    if current is not None and current.get("reason") == told.TIMED_OUT:
        return None
    noted = current is not None and current.get("reason") == told.PAUSED
    paused = bool(it.deployment["spec"].get("paused"))
    if paused and not noted:
        return [_progress(it, "Unknown", told.PAUSED, "Deployment is paused")]
    if not paused and noted:
        return [_progress(it, "Unknown", "DeploymentResumed", "Deployment is resumed")]
    return None


def keep_revision(it: Rollout) -> Sequence[Write] | None:
    """The new set has the highest revision, and the deployment says which that is."""
    new = it.new
    if new is None:
        return None
    updated = updated_set(it.deployment, new, next_revision(it.old))
    if updated != new:
        return [Update(SETS, updated)]
    if annotations_of(it.deployment).get(REVISION) != annotations_of(new).get(REVISION):
        return [_with_revision(it.deployment, revision_number(new))]
    if told.has_deadline(it.deployment) and find_condition(told.conditions_of(it.deployment), "Progressing") is None:
        return [_progress(it, "True", "FoundNewReplicaSet", f'Found new replica set "{name_of(new)}"')]
    return None


def ensure_new(it: Rollout) -> Sequence[Write] | None:
    """Create the set for the template. A name that is taken by something else is a collision of hashes: count it."""
    if it.new is not None:
        return None
    timed = told.has_deadline(it.deployment)
    revision = next_revision(it.old)
    total = sum(desired_replicas(each) for each in it.old)
    size = it.limits.replicas if strategy_of(it.deployment) == "Recreate" else new_set_size(it.limits, total, 0)
    obj = new_set(it.deployment, size, revision, it.limits)
    if key_of(obj) in it.views[SETS]:
        status = dict(it.deployment.get("status") or {})
        status["collisionCount"] = (status.get("collisionCount") or 0) + 1
        return [UpdateStatus(RESOURCE, {**it.deployment, "status": status})]
    if complaint := _note_failure(it, obj, it.views.failure):
        return [complaint, _creation(it, obj, size)]
    return [_creation(it, obj, size), *([_begun(it, obj)] if timed else [])]


def keep_proportions(it: Rollout) -> Sequence[Write] | None:
    rolling = strategy_of(it.deployment) != "Recreate"
    new = _size(it.new) if it.new is not None else None
    sizes = scale(it.limits, new, [_size(s) for s in it.old], rolling=rolling, saturated=_is_saturated(it))
    return _resize(it, sizes) or _note_sizes(it) or None


def grow_new(it: Rollout) -> Sequence[Write] | None:
    assert it.new is not None  # ensure_new came before
    return _resize(it, roll_new(it.limits, _size(it.new), [_size(s) for s in it.old])) or None


def shrink_old(it: Rollout) -> Sequence[Write] | None:
    assert it.new is not None
    return _resize(it, roll_old(it.limits, _size(it.new), [_size(s) for s in it.old])) or None


def stop_old(it: Rollout) -> Sequence[Write] | None:
    """Recreate: first all old pods go, then the new ones come. Until then there is nothing to do but tell."""
    sizes = {key_of(s): 0 for s in it.old if desired_replicas(s) > 0}
    if sizes:
        return _resize(it, sizes)
    if _old_pods_run(it):
        return tell(it)
    return None


def start_new(it: Rollout) -> Sequence[Write] | None:
    assert it.new is not None
    if desired_replicas(it.new) == it.limits.replicas:
        return None
    return _resize(it, {key_of(it.new): it.limits.replicas})


def tidy(it: Rollout) -> Sequence[Write] | None:
    """Forget the oldest revisions beyond the limit, once the rollout is complete."""
    limit = it.deployment["spec"].get("revisionHistoryLimit")
    if limit is None or not (it.deployment["spec"].get("paused") or _is_complete(it)):
        return None
    alive = sorted((s for s in it.old if not is_deleting(s)), key=lambda s: (revision_number(s), age_order(s)))
    surplus = alive[: max(0, len(alive) - limit)]
    return [Delete(SETS, namespace_of(s), name_of(s), uid_of(s)) for s in surplus if _is_idle(s)] or None


def tell(it: Rollout) -> Sequence[Write]:
    status = told.new_status(it.deployment, it.new, it.old, it.limits, it.now)
    wait = told.seconds_to_deadline(it.deployment, status, it.now)
    writes: list[Write] = [RequeueAfter(wait)] if wait is not None else []
    if status != it.deployment.get("status"):
        writes.append(UpdateStatus(RESOURCE, {**it.deployment, "status": status}))
    return writes


def tell_numbers(it: Rollout) -> Sequence[Write]:
    """Only the counts: nothing is being rolled out, so nothing is said about progress."""
    status = told.counted(it.deployment, it.new, it.old, it.limits, it.now)
    return (
        [UpdateStatus(RESOURCE, {**it.deployment, "status": status})] if status != it.deployment.get("status") else []
    )


# -- what they lean on ------------------------------------------------------------------------------------------------


def is_scaling(it: Rollout) -> bool:
    """Some set was last sized for another number of replicas."""
    sized = [s for s in it.sets if desired_replicas(s) > 0 and DESIRED in annotations_of(s)]
    return any(int_annotation(s, DESIRED) != it.limits.replicas for s in sized)


def _resize(it: Rollout, sizes: Sizes) -> list[Write]:
    writes: list[Write] = []
    for each in it.sets:
        if key_of(each) in sizes:
            before, after = desired_replicas(each), sizes[key_of(each)]
            direction = "up" if after > before else "down"
            message = f"Scaled {direction} replica set {name_of(each)} from {before} to {after}"
            event = Event(it.about, "Normal", "ScalingReplicaSet", message)
            writes.append(Update(SETS, _sized(each, after, it.limits), announce=event))
    return writes


def _note_sizes(it: Rollout) -> list[Write]:
    """All parts have their proportion: let them say for which size, so that the scaling counts as done."""
    active = [s for s in it.sets if desired_replicas(s) > 0]
    noted = [(s, _sized(s, desired_replicas(s), it.limits)) for s in active]
    return [Update(SETS, sized) for s, sized in noted if sized != s]


def _sized(replica_set: Object, replicas: int, limits: Limits) -> Object:
    annotations = {**annotations_of(replica_set), **size_annotations(limits)}
    metadata = {**meta(replica_set), "annotations": annotations}
    return {**replica_set, "metadata": metadata, "spec": {**replica_set["spec"], "replicas": replicas}}


def _creation(it: Rollout, obj: Object, size: int) -> Create:
    announce = None
    if size:
        message = f"Scaled up replica set {name_of(obj)} from 0 to {size}"
        announce = Event(it.about, "Normal", "ScalingReplicaSet", message)
    failed = f'Failed to create new replica set "{name_of(obj)}": '
    return Create(SETS, obj, announce, Event(it.about, "Warning", "ReplicaSetCreateError", failed))


def _note_failure(it: Rollout, obj: Object, failure: Failure | None) -> Write | None:
    if failure is None or not isinstance(failure.write, Create) or not told.has_deadline(it.deployment):
        return None
    message = f'Failed to create new replica set "{name_of(obj)}": {failure.error.message}'
    complaint = _progress(it, "False", "ReplicaSetCreateError", message)
    return complaint if complaint.obj["status"] != it.deployment.get("status") else None


def _progress(it: Rollout, status: str, reason: str, message: str) -> Update:
    new = told.with_progress(it.deployment, status, reason, message, it.now)
    return UpdateStatus(RESOURCE, {**it.deployment, "status": new})


def _begun(it: Rollout, obj: Object) -> Update:
    """None of its pods is of the new set yet: so the first that is counts as progress, however soon it is seen."""
    now = told.counted(it.deployment, None, it.old, it.limits, it.now)
    created = f'Created new replica set "{name_of(obj)}"'
    status = told.with_progress({**it.deployment, "status": now}, "True", "NewReplicaSetCreated", created, it.now)
    return UpdateStatus(RESOURCE, {**it.deployment, "status": status})


def _with_revision(deployment: Object, revision: int) -> Update:
    """With the status: told with the deployment itself it would count as a change of it (`metadata.generation`)."""
    annotations = {**annotations_of(deployment), REVISION: str(revision)}
    return UpdateStatus(RESOURCE, {**deployment, "metadata": {**meta(deployment), "annotations": annotations}})


def _size(replica_set: Object) -> SetSize:
    created = meta(replica_set).get("creationTimestamp")
    return SetSize(
        key_of(replica_set),
        desired_replicas(replica_set),
        (replica_set.get("status") or {}).get("availableReplicas") or 0,
        seconds_of(created) if created else 0.0,
        int_annotation(replica_set, MOST),
    )


def _is_saturated(it: Rollout) -> bool:
    """The new set is all there is to be: the old ones need not be scaled in proportion."""
    new = it.new
    if new is None:
        return False
    size = _size(new)
    counts = (size.replicas, size.available, int_annotation(new, DESIRED))
    return counts == (it.limits.replicas,) * 3


def _is_complete(it: Rollout) -> bool:
    return told.is_complete(it.deployment, it.deployment.get("status") or {})


def _is_idle(replica_set: Object) -> bool:
    status = replica_set.get("status") or {}
    seen = status.get("observedGeneration", 0) >= meta(replica_set).get("generation", 0)
    return seen and not status.get("replicas") and desired_replicas(replica_set) == 0


def _old_pods_run(it: Rollout) -> bool:
    if any((s.get("status") or {}).get("replicas") for s in it.old):
        return True
    pods: View = it.views["pods"]
    return any(not pod.terminated for s in it.old for pod in pods.summaries(POD, BY_CONTROLLER, uid_of(s)))


def strategy_of(deployment: Object) -> str:
    return str((deployment["spec"].get("strategy") or {}).get("type") or "RollingUpdate")
