"""A daemon set's rolling update: which old pods may go now, and which nodes get a new pod beside the old one.

Without surge old pods are deleted, and the nodes get new ones as any node without a pod does; no more than
maxUnavailable nodes are without an available pod because of that. With surge the new pod comes first, on at most
maxSurge nodes at a time, and the old one goes when the new one is available (KEP-1591).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

from actors.controllers.daemonset_nodes import Daemons, old_and_new, runs_on
from actors.controllers.pod_summary import PodSummary
from actors.controllers.rollout import resolve
from protocols.objects import Object


class Limits(NamedTuple):
    unavailable: int
    surge: int


class Step(NamedTuple):
    doomed: Sequence[PodSummary] = ()
    nodes: Sequence[str] = ()  # that get a new pod


def rolls(daemon_set: Object) -> bool:
    return bool((daemon_set["spec"].get("updateStrategy") or {}).get("type", "RollingUpdate") == "RollingUpdate")


def limits_of(daemon_set: Object, desired: int) -> Limits:
    """Percentages of the nodes that it runs on are rounded up. Were both 0, nothing could ever move."""
    if not rolls(daemon_set):
        return Limits(0, 0)
    rolling = (daemon_set["spec"].get("updateStrategy") or {}).get("rollingUpdate") or {}
    unavailable = resolve(rolling.get("maxUnavailable", 1), desired, math.ceil)
    surge = resolve(rolling.get("maxSurge", 0), desired, math.ceil)
    return Limits(unavailable or int(not surge), surge)


def roll(it: Daemons, limits: Limits) -> Step:
    return _beside(it, limits.surge) if limits.surge else Step(doomed=_in_place(it, limits.unavailable))


def _in_place(it: Daemons, most: int) -> list[PodSummary]:
    """Old pods that nobody can use go at once; of the others as many as may be unavailable beside all that is."""
    replaced: list[PodSummary] = []
    candidates: list[PodSummary] = []
    unavailable = 0
    for node in _nodes(it):
        match old_and_new(it, node):
            case (None, new) if new is not None:
                unavailable += not it.is_available(new)
            case (old, None) if old is not None and it.is_available(old):
                candidates.append(old)
            case (old, None) if old is not None:
                replaced.append(old)
                unavailable += 1
            case _:
                unavailable += 1  # none, or too many: the node is being put in order
    return [*replaced, *candidates[: max(0, most - unavailable)]]


def _beside(it: Daemons, most: int) -> Step:
    """Where the old pod is of no use the new one comes at once, and elsewhere as far as the surge allows.

    Where the set should not run any more its old pod goes once enough others are available.
    """
    doomed: list[PodSummary] = []
    leaving: list[PodSummary] = []
    replaced: list[str] = []
    candidates: list[str] = []
    surging = available = 0
    for node in _nodes(it):
        pair = old_and_new(it, node)
        if pair is None:
            surging += 1
            continue
        old, new = pair
        first = old or new
        available += first is not None and it.is_available(first)
        if old is None:
            continue
        if new is not None:
            if it.is_available(new):
                doomed.append(old)
            else:
                surging += 1
        elif not runs_on(it, node):
            (leaving if it.is_available(old) else doomed).append(old)
        else:
            (candidates if it.is_available(old) else replaced).append(node)
    doomed += leaving[: max(0, available - it.desired)]
    return Step(doomed, [*replaced, *candidates[: max(0, most - surging)]])


def _nodes(it: Daemons) -> list[str]:
    return [node for node, fit in it.fits.items() if fit.runs or node in it.pods]
