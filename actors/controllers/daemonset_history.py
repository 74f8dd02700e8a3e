"""A daemon set's revisions: the present template has exactly one, with the highest number; old ones are forgotten."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from actorkube.kube import View
from actorkube.kube.writes import Create, Delete, Patch, Update, UpdateStatus, Write, delete
from actors.controllers import history
from actors.controllers.pod_summary import PodSummary
from protocols.objects import Object, key_of, labels_of, meta, name_of

RESOURCE = "daemonsets.apps"


class History(NamedTuple):
    """`digest`: the label of pods of the present template. Nothing is known before `writes` have been carried out."""

    digest: str
    old: Sequence[Object]
    writes: Sequence[Write]


def history_of(daemon_set: Object, revisions: Sequence[Object], view: View, pods: Iterable[PodSummary]) -> History:
    """`revisions`: those that it controls. `view`: of all, where a name may be taken. `pods`: its own."""
    unlabelled: list[Write] = [_labelled(each) for each in revisions if history.HASH_LABEL not in labels_of(each)]
    if unlabelled:
        return History("", (), unlabelled)
    same = history.same_template(daemon_set, revisions)
    names = {name_of(each) for each in same}
    old = sorted((each for each in revisions if name_of(each) not in names), key=history.oldest_first)
    number = history.next_number(old)
    if not same:
        return _first(daemon_set, number, view)
    present = same[-1]
    if len(same) > 1:
        return History("", (), _without_duplicates(present, same[:-1], pods))
    if history.number_of(present) < number:
        return History("", (), [Update(history.RESOURCE, {**present, "revision": number})])
    return History(labels_of(present)[history.HASH_LABEL], old, ())


def surplus(daemon_set: Object, old: Sequence[Object], pods: Iterable[PodSummary]) -> list[Write]:
    """The oldest beyond the limit; those that pods are still of stay, and the next ones go for them."""
    limit = daemon_set["spec"].get("revisionHistoryLimit")
    number = len(old) - (10 if limit is None else int(limit))
    if number <= 0:
        return []
    live = {pod.labels.get(history.HASH_LABEL) for pod in pods}
    idle = [each for each in old if labels_of(each).get(history.HASH_LABEL) not in live]
    return [delete(history.RESOURCE, each) for each in idle[:number]]


def _labelled(revision: Object) -> Update:
    labels = {**labels_of(revision), history.HASH_LABEL: name_of(revision)}
    return Update(history.RESOURCE, {**revision, "metadata": {**meta(revision), "labels": labels}})


def _first(daemon_set: Object, number: int, view: View) -> History:
    """A name that somebody else has is a collision: count it, and there will be another name."""
    made = history.new_revision(daemon_set, "DaemonSet", number, history.HASH_LABEL)
    if key_of(made) not in view:
        return History("", (), [Create(history.RESOURCE, made)])
    status = {**(daemon_set.get("status") or {})}
    status["collisionCount"] = (status.get("collisionCount") or 0) + 1
    return History("", (), [UpdateStatus(RESOURCE, {**daemon_set, "status": status})])


def _without_duplicates(present: Object, duplicates: Iterable[Object], pods: Iterable[PodSummary]) -> list[Write]:
    """Pods of the others become pods of the one that stays. (Kubernetes relabels pods of older templates, too: then
    they would pass for updated.)"""
    digest = labels_of(present)[history.HASH_LABEL]
    theirs = {labels_of(each)[history.HASH_LABEL] for each in duplicates}
    relabelled: list[Write] = [
        _patch(pod, digest) for pod in pods if not pod.deleting and pod.labels.get(history.HASH_LABEL) in theirs
    ]
    deletions: list[Delete] = [delete(history.RESOURCE, each) for each in duplicates]
    return [*relabelled, *deletions]


def _patch(pod: PodSummary, digest: str) -> Patch:
    patch = {"metadata": {"uid": pod.uid, "labels": {history.HASH_LABEL: digest}}}
    return Patch("pods", pod.namespace, pod.name, patch)
