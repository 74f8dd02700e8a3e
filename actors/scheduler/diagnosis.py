"""Why a pod is pending: the reasons of every node, and the sentence that `kubectl describe pod` shows.

`0/3 nodes are available: 1 Insufficient cpu, 2 node(s) had untolerated taint(s). preemption: ...`
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import NamedTuple

from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import Refusal
from actors.scheduler.node_state import NodeState

NO_NODES = "no nodes available to schedule pods"
_NO_VICTIMS = "No preemption victims found for incoming pod"
_NOT_HELPFUL = "Preemption is not helpful for scheduling"
_NOT_SUPPORTED = "Preemption of lower-priority pods is not supported"


class Unschedulable(NamedTuple):
    """`refusals`: node -> why not; `refused_by`: the plugins whose events may change that."""

    message: str
    refused_by: tuple[str, ...]
    refusals: Mapping[str, Refusal]


def explain(
    pod: PodDemand,
    nodes: Mapping[str, NodeState],
    refusals: Mapping[str, Refusal],
    refused_by: Iterable[str],
    altogether: Refusal | None = None,
) -> Unschedulable:
    """`altogether`: a plugin refused the pod before looking at nodes."""
    if altogether is not None:
        why = ", ".join(altogether.reasons)
    else:
        why = _count(reason for refusal in refusals.values() for reason in refusal.reasons)
    message = f"0/{len(nodes)} nodes are available: {why}. preemption: {_preemption(pod, nodes, refusals)}"
    return Unschedulable(message, tuple(sorted(set(refused_by))), refusals)


def _preemption(pod: PodDemand, nodes: Mapping[str, NodeState], refusals: Mapping[str, Refusal]) -> str:
    if pod.spec.get("preemptionPolicy") == "Never":
        return "not eligible due to preemptionPolicy=Never."
    why = _count(_why_not_preempt(pod, node, refusals.get(name)) for name, node in nodes.items())
    return f"0/{len(nodes)} nodes are available: {why}."


def _why_not_preempt(pod: PodDemand, node: NodeState, refusal: Refusal | None) -> str:
    if refusal is None or not refusal.resolvable:
        return _NOT_HELPFUL
    return _NOT_SUPPORTED if any(priority < pod.priority for priority in node.priorities) else _NO_VICTIMS


def _count(reasons: Iterable[str]) -> str:
    """Equal reasons counted; sorted as text, as kube-scheduler does ("1 a, 10 b, 2 c")."""
    return ", ".join(sorted(f"{count} {reason}" for reason, count in Counter(reasons).items()))
