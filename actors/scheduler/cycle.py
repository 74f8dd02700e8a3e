"""The scheduling cycle: one pod and the cluster in, a node with its scores out, or the reasons why there is none."""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.demand import PodDemand
from actors.scheduler.diagnosis import NO_NODES, Unschedulable, explain
from actors.scheduler.framework import (
    Cycle,
    Filter,
    NormalizeScore,
    OnlyNodes,
    Plugin,
    PreScore,
    Profile,
    Refusal,
    Skip,
)
from actors.scheduler.node_state import NodeState


class Decision(NamedTuple):
    """`totals` and each plugin's weighted scores are in the order of `feasible`; a single node is not scored."""

    node: str
    feasible: Sequence[str]
    totals: Sequence[int]
    by_plugin: Mapping[str, Sequence[int]]


def decide(pod: PodDemand, state: ClusterState, profile: Profile, chance: random.Random) -> Decision | Unschedulable:
    """The feasible node with the highest total; among equals, chance decides."""
    if not state.nodes:
        return Unschedulable(NO_NODES, tuple(plugin.name for plugin in profile.filter), {})
    cycle = Cycle(state)
    plan = _plan(cycle, pod, profile)
    if plan.refusal is not None:
        plugin, refusal = plan.refusal
        return explain(pod, state.nodes, {}, [plugin.name], refusal)
    filtered = _filter(cycle, pod, plan)
    if not filtered.feasible:
        return explain(pod, state.nodes, filtered.refusals, filtered.refused_by)
    return _choose(cycle, pod, filtered.feasible, profile, chance)


def fits(pod: PodDemand, state: ClusterState, profile: Profile, node: NodeState) -> bool:
    """Would every filter let the pod run on this one node now?"""
    cycle = Cycle(state)
    plan = _plan(cycle, pod, profile)
    if plan.refusal is not None or (plan.only is not None and node.name not in plan.only):
        return False
    return not any(plugin.filter(cycle, pod, (node,)) for plugin in plan.filters)


def gate(pod: PodDemand, profile: Profile) -> Refusal | None:
    """Why the pod may not enter the queue yet."""
    return next((refusal for plugin in profile.pre_enqueue if (refusal := plugin.pre_enqueue(pod))), None)


class _Plan(NamedTuple):
    """What PreFilter found: who has a say, the only nodes to look at (None: all), or who refuses altogether."""

    filters: Sequence[Filter]
    only: frozenset[str] | None = None
    narrowed_by: tuple[str, ...] = ()
    refusal: tuple[Plugin, Refusal] | None = None


def _plan(cycle: Cycle, pod: PodDemand, profile: Profile) -> _Plan:
    skipped: list[Plugin] = []
    only: frozenset[str] | None = None
    narrowed_by: list[str] = []
    for plugin in profile.pre_filter:
        match plugin.pre_filter(cycle, pod):
            case Skip():
                skipped.append(plugin)
            case OnlyNodes(names):
                only = names if only is None else only & names
                narrowed_by.append(plugin.name)
            case Refusal() as refusal:
                return _Plan((), refusal=(plugin, refusal))
    return _Plan([plugin for plugin in profile.filter if plugin not in skipped], only, tuple(narrowed_by))


class _Filtered(NamedTuple):
    """The feasible nodes; of the others, why not; and the plugins that refused them."""

    feasible: Sequence[NodeState]
    refusals: Mapping[str, Refusal]
    refused_by: tuple[str, ...]


def _filter(cycle: Cycle, pod: PodDemand, plan: _Plan) -> _Filtered:
    nodes: Sequence[NodeState] = list(cycle.state.nodes.values())
    refusals: dict[str, Refusal] = {}
    refused_by = list(plan.narrowed_by)
    if plan.only is not None:
        left_out = f"node(s) didn't satisfy plugin(s) [{' '.join(sorted(plan.narrowed_by))}]"
        absent = [node.name for node in nodes if node.name not in plan.only]
        refusals.update(dict.fromkeys(absent, Refusal((left_out,), resolvable=False)))
        nodes = [node for node in nodes if node.name in plan.only]
    for plugin in plan.filters:
        refused = plugin.filter(cycle, pod, nodes)
        if refused:
            refusals.update(refused)
            refused_by.append(plugin.name)
            nodes = [node for node in nodes if node.name not in refused]
    return _Filtered(nodes, refusals, tuple(refused_by))


def _choose(
    cycle: Cycle, pod: PodDemand, feasible: Sequence[NodeState], profile: Profile, chance: random.Random
) -> Decision:
    names = [node.name for node in feasible]
    if len(names) == 1:
        return Decision(names[0], names, [], {})
    by_plugin = dict(_scores(cycle, pod, feasible, profile))
    totals = [sum(scores) for scores in zip(*by_plugin.values(), strict=True)] or [0] * len(names)
    best = max(totals)
    ties = [name for name, total in zip(names, totals, strict=True) if total == best]
    return Decision(ties[chance.randrange(len(ties))], names, totals, by_plugin)


def _scores(
    cycle: Cycle, pod: PodDemand, nodes: Sequence[NodeState], profile: Profile
) -> Iterable[tuple[str, list[int]]]:
    """Each plugin's weighted scores, in the order of `nodes`; plugins that skip the pod say nothing."""
    for plugin, weight in profile.score:
        if isinstance(plugin, PreScore) and isinstance(plugin.pre_score(cycle, pod), Skip):
            continue
        scores = plugin.score(cycle, pod, nodes)
        if isinstance(plugin, NormalizeScore):
            scores = plugin.normalize_score(cycle, scores)
        yield plugin.name, [weight * score for score in scores]
