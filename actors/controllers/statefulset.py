"""The stateful set controller: pods that each have a name, and claims, of their own, in order.

A pass first sees to what belongs to the set and to the revision of its template; then it says how things stand, and
takes the steps that are next (statefulset_rollout.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from actorkube.kube import Controller, Views, Watches
from actorkube.kube.writes import Create, Delete, RequeueAfter, Rest, Update, UpdateStatus, Write
from actors.controllers import history
from actors.controllers.claim import Owner, claim
from actors.controllers.claimants import claimants_of, claimants_of_pod
from actors.controllers.indexes import (
    BY_CONTROLLER,
    BY_SELECTOR,
    ORPHAN_BY_LABEL,
    by_controller,
    by_selector,
    orphan_by_label,
)
from actors.controllers.pod_summary import BELONGING, POD, PodSummary, belonging, summarise_pod
from actors.controllers.statefulset_claims import (
    BY_CLAIMS,
    HELD,
    Place,
    blocked_by,
    by_claims,
    completed,
    held,
    owned,
    sets_of_claim,
)
from actors.controllers.statefulset_events import done, failed
from actors.controllers.statefulset_pods import (
    API_VERSION,
    KIND,
    Replica,
    conforming,
    first_ordinal,
    lacks_identity,
    lacks_storage,
    pod_from,
    pod_name,
    revision_of_pod,
    split_name,
    state_of,
)
from actors.controllers.statefulset_rollout import Rules, Step, fill, rules_of, steps
from actors.controllers.statefulset_status import desired_replicas, new_status
from actors.controllers.volume_views import BY_CLAIM, CLAIMS, claims_of_pod
from protocols.objects import Object, key_of, name_of, namespace_of, split_key, uid_of
from protocols.rules.owners import is_deleting

RESOURCE = "statefulsets.apps"
REVISION_HASH = "controller.kubernetes.io/hash"  # the label of a revision that says its hash
BURST = 500  # pods created in one pass
SPACING_S = 0.01
REST_PER_POD_S = 0.0001  # as the replica set controller's
TAKEN_S = 10.0  # a pod of somebody else has the name: nobody says when it goes


def controller() -> Controller:
    return Controller(
        "statefulset-controller",
        (
            Watches(RESOURCE, indexes={BY_SELECTOR: by_selector, BY_CLAIMS: by_claims}),
            Watches(
                history.RESOURCE,
                claimants_of(RESOURCE, KIND),
                indexes={BY_CONTROLLER: by_controller, ORPHAN_BY_LABEL: orphan_by_label},
                summaries={history.REVISION: history.summarise_revision},
            ),
            Watches(
                "pods",
                claimants_of_pod(RESOURCE, KIND),
                indexes={BY_CONTROLLER: by_controller, ORPHAN_BY_LABEL: orphan_by_label},
                summaries={POD: summarise_pod, BELONGING: belonging, BY_CLAIM: claims_of_pod},
                when=POD,
                told_by=BELONGING,
            ),
            Watches(CLAIMS, sets_of_claim, summaries={HELD: held}, when=HELD),
        ),
        reconcile,
        spacing_s=SPACING_S,
    )


@dataclass(frozen=True, slots=True)
class Pass:
    """What one pass knows. `revisions`: the oldest first; `pods`: by their number."""

    stateful_set: Object
    revisions: Sequence[Object]
    pods: dict[int, PodSummary]
    views: Views
    now: float

    @property
    def updated(self) -> str:
        """The revision of its template, once that is stored."""
        return name_of(self.revisions[-1])

    @property
    def current(self) -> str:
        """The one that pods below the partition have."""
        noted = str((self.stateful_set.get("status") or {}).get("currentRevision") or "")
        return noted if any(name_of(each) == noted for each in self.revisions) else self.updated

    def of_revision(self, name: str) -> Object:
        """The set as it was then."""
        revision = next(each for each in self.revisions if name_of(each) == name)
        return history.with_template(self.stateful_set, revision)


def reconcile(key: str, views: Views, now: float) -> list[Write]:
    stateful_set = views[RESOURCE].get(key)
    if stateful_set is None:
        return []
    owner = Owner(stateful_set, RESOURCE, API_VERSION, KIND)
    revisions = claim(owner, views[history.RESOURCE], history.REVISION)
    pods = claim(owner, views["pods"], POD, named=lambda key: is_member(key, stateful_set), adoptable=is_adoptable)
    if writes := [*revisions.writes, *pods.writes]:
        return writes
    known = sorted((views[history.RESOURCE].get(each) or {} for each in revisions.keys), key=history.oldest_first)
    by_ordinal = {split_name(pod.name)[1]: pod for each in pods.keys if (pod := views["pods"].summary(POD, each))}
    it = Pass(stateful_set, known, by_ordinal, views, now)
    if is_deleting(stateful_set):
        return _tell(it, *_noted_revisions(stateful_set))
    if writes := _keep_revision(it):
        return writes
    rest = Rest(len(it.pods) * REST_PER_POD_S)
    return [rest, *_tell(it, it.current, it.updated), *_proceed(it), *_forget(it), *_wait_for_availability(it)]


def is_member(key: str, stateful_set: Object) -> bool:
    """Whether it is a name that the set gives."""
    parent, ordinal = split_name(split_key(key)[1])
    return ordinal >= 0 and parent == name_of(stateful_set)


def is_adoptable(pod: PodSummary) -> bool:
    """Also one that is over: it has a name that is needed."""
    return not pod.deleting


# -- revisions --------------------------------------------------------------------------------------------------------


def _keep_revision(it: Pass) -> list[Write]:
    """What makes the newest revision that of the present template; nothing where it is."""
    number = history.next_number(it.revisions)
    same = history.same_template(it.stateful_set, it.revisions)
    if same:
        return [] if same[-1] is it.revisions[-1] else [Update(history.RESOURCE, {**same[-1], "revision": number})]
    obj = history.new_revision(it.stateful_set, KIND, number, REVISION_HASH)
    if key_of(obj) not in it.views[history.RESOURCE]:
        return [Create(history.RESOURCE, obj)]
    status = dict(it.stateful_set.get("status") or {"replicas": 0})
    status["collisionCount"] = (status.get("collisionCount") or 0) + 1
    return [UpdateStatus(RESOURCE, {**it.stateful_set, "status": status})]


def _forget(it: Pass) -> list[Write]:
    """The oldest revisions beyond the limit that no pod is of."""
    limit = it.stateful_set["spec"].get("revisionHistoryLimit")
    if limit is None:
        return []
    live = {it.current, it.updated, *map(revision_of_pod, it.pods.values())}
    past = [each for each in it.revisions if name_of(each) not in live]
    surplus = past[: max(0, len(past) - limit)]
    return [Delete(history.RESOURCE, namespace_of(each), name_of(each), uid_of(each)) for each in surplus]


# -- status -----------------------------------------------------------------------------------------------------------


def _tell(it: Pass, current: str, updated: str) -> list[Write]:
    status = new_status(it.stateful_set, list(it.pods.values()), current, updated, it.now)
    if status == it.stateful_set.get("status"):
        return []
    return [UpdateStatus(RESOURCE, {**it.stateful_set, "status": status})]


def _noted_revisions(stateful_set: Object) -> tuple[str, str]:
    status = stateful_set.get("status") or {}
    return str(status.get("currentRevision") or ""), str(status.get("updateRevision") or "")


def _wait_for_availability(it: Pass) -> list[Write]:
    """A ready pod becomes available by the mere passing of time."""
    min_ready_s = it.stateful_set["spec"].get("minReadySeconds") or 0
    if not min_ready_s:
        return []
    waits = [pod.ready_since + min_ready_s - it.now for pod in it.pods.values() if pod.ready_since is not None]
    return [RequeueAfter(min(wait for wait in waits if wait > 0))] if any(wait > 0 for wait in waits) else []


# -- pods and claims --------------------------------------------------------------------------------------------------


def _proceed(it: Pass) -> list[Write]:
    """In parallel, pods that lack nothing but themselves come first: no claim that is refused keeps them waiting."""
    rules = rules_of(it.stateful_set, desired_replicas(it.stateful_set))
    replicas, are_all = _places(it, rules)
    surplus = [_replica(it, ordinal, rules) for ordinal in it.pods if not _is_place(it, ordinal)]
    taken = steps(replicas, surplus, it.updated, rules) if are_all else fill(replicas, rules.ordered)[0]
    revisions = {each.ordinal: each.revision for each in replicas}
    creations = [_create(it, step.ordinal, revisions[step.ordinal]) for step in taken if step.verb == "create"]
    creations.sort(key=len)  # stable: otherwise in their order
    alone = [writes[-1] for writes in creations if len(writes) == 1]
    claims = [write for writes in creations for write in writes[:-1]]
    pods = [writes[-1] for writes in creations if len(writes) > 1]
    return [*alone, *claims, *pods, *(write for step in taken for write in _take(it, step))]


def _places(it: Pass, rules: Rules) -> tuple[list[Replica], bool]:
    """The places of the set from the first on, as far as one pass gets, and whether that is all of them."""
    first, count = first_ordinal(it.stateful_set), desired_replicas(it.stateful_set)
    room = 1 if rules.ordered else BURST
    replicas: list[Replica] = []
    for ordinal in range(first, first + count):
        if room == 0:
            return replicas, False
        replicas.append(_replica(it, ordinal, rules))
        room -= not replicas[-1].exists
    return replicas, True


def _is_place(it: Pass, ordinal: int) -> bool:
    first = first_ordinal(it.stateful_set)
    return first <= ordinal < first + desired_replicas(it.stateful_set)


def _replica(it: Pass, ordinal: int, rules: Rules) -> Replica:
    pod = it.pods.get(ordinal)
    if pod is not None:
        min_ready_s = it.stateful_set["spec"].get("minReadySeconds") or 0
        return Replica(ordinal, state_of(pod, min_ready_s, it.now), revision_of_pod(pod))
    is_kept = ordinal < first_ordinal(it.stateful_set) + rules.partition
    held_up = _key(it, ordinal) in it.views["pods"] or blocked_by(Place(it.stateful_set, ordinal), it.views[CLAIMS])
    return Replica(ordinal, "held up" if held_up else "absent", it.current if is_kept else it.updated)


def _key(it: Pass, ordinal: int) -> str:
    return f"{namespace_of(it.stateful_set)}/{pod_name(it.stateful_set, ordinal)}"


def _create(it: Pass, ordinal: int, revision: str) -> list[Write]:
    """The pod, and before it what its claims need."""
    stateful_set = it.of_revision(revision)
    name = pod_name(stateful_set, ordinal)
    return [
        *completed(Place(stateful_set, ordinal), it.views[CLAIMS]),
        Create(
            "pods",
            pod_from(stateful_set, ordinal, revision),
            done(stateful_set, "create", name),
            failed(stateful_set, "create", name),
        ),
    ]


def _take(it: Pass, step: Step) -> list[Write]:
    claims, pod = it.views[CLAIMS], it.pods.get(step.ordinal)
    place = Place(it.stateful_set, step.ordinal, pod.uid if pod else "", not _is_place(it, step.ordinal))
    match step.verb:
        case "wait":
            return _explain(it, place)
        case "complete" if pod is not None and pod.phase == "Pending":
            return completed(place, claims)
        case "keep" if pod is not None:
            return [*owned(place, claims), *_conform(it, place, pod)]
        case "hand over":
            return owned(place, claims)
        case "delete" if pod is not None:
            return [_deletion(it, pod)]
    return []


def _explain(it: Pass, place: Place) -> list[Write]:
    """Why a pod cannot be made now. Whoever has its name is waited for by the clock, and without a word if it goes."""
    holder = it.views["pods"].summary(POD, _key(it, place.ordinal))
    if holder is None:
        return [failed(it.stateful_set, "create", place.pod_name, blocked_by(place, it.views[CLAIMS]))]
    why = f'pods "{place.pod_name}" already exists'
    complaints = [] if holder.deleting else [failed(it.stateful_set, "create", place.pod_name, why)]
    return [*complaints, RequeueAfter(TAKEN_S)]


def _conform(it: Pass, place: Place, pod: PodSummary) -> list[Write]:
    """An adopted pod may lack the labels of its place, or the volumes: those cannot be changed, which is then told."""
    lacks = lacks_storage(it.stateful_set, place.ordinal, it.views["pods"].summary(BY_CLAIM, pod.key).claims)
    if not lacks and not lacks_identity(pod):
        return []
    obj = it.views["pods"].get(pod.key)
    assert obj is not None
    done_, failed_ = done(it.stateful_set, "update", pod.name), failed(it.stateful_set, "update", pod.name)
    update = Update("pods", conforming(it.stateful_set, obj), announce=done_, lament=failed_)
    return [*(completed(place, it.views[CLAIMS]) if lacks else []), update]


def _deletion(it: Pass, pod: PodSummary) -> Delete:
    return Delete(
        "pods",
        pod.namespace,
        pod.name,
        pod.uid,
        announce=done(it.stateful_set, "delete", pod.name),
        lament=failed(it.stateful_set, "delete", pod.name),
    )
