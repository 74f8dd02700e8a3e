"""Which pods of a daemon set each node has, and what is to be changed on a node: pods in, changes out.

A node that the set runs on has one pod; while it surges two, the old one ready and the new one not yet. Pods that are
over go, too many go, and all go from a node that the set may not stay on (podsShouldBeOnNode).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from actors.controllers.daemon_pods import NOWHERE, Fit
from actors.controllers.history import HASH_LABEL
from actors.controllers.pod_summary import PodSummary


@dataclass(frozen=True, slots=True)
class Daemons:
    """A daemon set's pods, node by node.

    digest: of its present template, as the pods' label says it. fits: of each node, by name, in the order of names.
    pods: by node, the oldest first. surges: a node may have two.
    """

    digest: str
    fits: Mapping[str, Fit]
    pods: Mapping[str, Sequence[PodSummary]]
    surges: bool
    min_ready_s: float
    now: float

    @property
    def desired(self) -> int:
        return sum(fit.runs for fit in self.fits.values())

    def is_updated(self, pod: PodSummary) -> bool:
        return pod.labels.get(HASH_LABEL) == self.digest

    def is_available(self, pod: PodSummary) -> bool:
        return pod.available(self.min_ready_s, self.now)


class Change(NamedTuple):
    """Of one node. `over`: pods that ended by themselves, which are to go as well."""

    creates: bool = False
    doomed: Sequence[PodSummary] = ()
    over: Sequence[PodSummary] = ()


def by_node(pods: Iterable[tuple[str, PodSummary]]) -> dict[str, list[PodSummary]]:
    """Pods with the node of each. What has ended and is being deleted is nobody's business any more."""
    found: dict[str, list[PodSummary]] = {}
    for node, pod in pods:
        if node and not (pod.terminated and pod.deleting):
            found.setdefault(node, []).append(pod)
    for there in found.values():
        if len(there) > 1:
            there.sort(key=lambda pod: (not pod.node, pod.created, pod.name))
    return found


def change_of(it: Daemons, node: str) -> Change:
    fit, pods = it.fits[node], it.pods.get(node, ())
    if not pods:
        return Change(creates=fit.runs)
    if not fit.stays:
        return Change(doomed=[pod for pod in pods if not pod.deleting])
    over = [pod for pod in pods if pod.terminated]
    running = [pod for pod in pods if pod.active]
    if not it.surges:
        return Change(doomed=running[1:], over=over)
    if running:
        return Change(doomed=_too_many(it, running), over=over)
    return Change(creates=fit.runs and not over, over=over)  # one that failed may wait for its time to go


def of_nowhere(it: Daemons) -> list[PodSummary]:
    """Pods for nodes that are gone, and that were never bound: nobody else would ever remove them."""
    return [
        pod
        for node, pods in it.pods.items()
        if it.fits.get(node) is None
        for pod in pods
        if not pod.node and not pod.deleting
    ]


def old_and_new(it: Daemons, node: str) -> tuple[PodSummary | None, PodSummary | None] | None:
    """The node's pod of an older template and that of the present one; None if there are several of either."""
    there = [pod for pod in it.pods.get(node, ()) if not pod.deleting]
    new = [pod for pod in there if it.is_updated(pod)]
    old = [pod for pod in there if not it.is_updated(pod)]
    if len(old) > 1 or len(new) > 1:
        return None
    return old[0] if old else None, new[0] if new else None


def runs_on(it: Daemons, node: str) -> bool:
    return it.fits.get(node, NOWHERE).runs


def _too_many(it: Daemons, running: Sequence[PodSummary]) -> list[PodSummary]:
    """All but the oldest of the new and of the old; the old one too when it serves nobody or is replaced."""
    if len(running) == 1:
        return []
    new = [pod for pod in running if it.is_updated(pod)]
    old = [pod for pod in running if not it.is_updated(pod)]
    doomed = [*new[1:], *old[1:]]
    if new and old and (not old[0].ready or it.is_available(new[0])):
        doomed.append(old[0])
    return doomed
