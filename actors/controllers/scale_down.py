"""Which pods go first when there are too many: Kubernetes' order (`ActivePodsWithRanks`), least useful first.

Not bound before bound; Pending before Unknown before Running; not ready before ready; cheap (pod-deletion-cost) before
dear; where many related pods share the node; ready for a short time before ready for long, and young before old, each
only as far as their logarithms differ; restarted often before seldom.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence

from actors.controllers.pod_summary import PodSummary

_PHASES = {"Pending": 0, "Unknown": 1, "Running": 2}


def pods_to_delete(
    active: Sequence[PodSummary], number: int, related_per_node: Mapping[str, int], now: float
) -> list[PodSummary]:
    """The `number` pods to delete, in the order of deletion."""

    def compare(one: PodSummary, other: PodSummary) -> int:
        return _compare(one, other, related_per_node, now)

    return sorted(active, key=functools.cmp_to_key(compare))[:number]


def _compare(one: PodSummary, other: PodSummary, related: Mapping[str, int], now: float) -> int:
    rank_one, rank_other = _rank(one, related), _rank(other, related)
    if rank_one != rank_other:
        return -1 if rank_one < rank_other else 1
    if one.ready_since is not None and other.ready_since is not None and one.ready_since != other.ready_since:
        return _younger_first(one, other, one.ready_since, other.ready_since, now)
    if one.restarts != other.restarts:
        return other.restarts - one.restarts
    if one.created != other.created:
        return _younger_first(one, other, one.created, other.created, now)
    return _by_uid(one, other)


def _rank(pod: PodSummary, related: Mapping[str, int]) -> tuple[bool, int, bool, int, int]:
    return bool(pod.node), _PHASES.get(pod.phase, 0), pod.ready, pod.deletion_cost, -related.get(pod.node, 0)


def _younger_first(one: PodSummary, other: PodSummary, since_one: float, since_other: float, now: float) -> int:
    """By the order of magnitude of their ages; within one, the uid decides, which is as good as chance."""
    difference = _magnitude(now - since_one) - _magnitude(now - since_other)
    return difference or _by_uid(one, other)


def _magnitude(age_s: float) -> int:
    """The logarithm of an age in nanoseconds to base 2, -1 for none."""
    return int(math.log2(age_s * 1e9)) if age_s > 0 else -1


def _by_uid(one: PodSummary, other: PodSummary) -> int:
    return -1 if one.uid < other.uid else 1
