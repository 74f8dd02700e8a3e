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
    """`scores`: feasible node -> total; `by_plugin`: plugin -> node -> weighted score; empty for a single node."""

    node: str
    feasible: tuple[str, ...]
    scores: Mapping[str, int]
    by_plugin: Mapping[str, Mapping[str, int]]


def decide(pod: PodDemand, state: ClusterState, profile: Profile, chance: random.Random) -> Decision | Unschedulable:
    """The feasible node with the highest total; among equals, chance decides."""
    if not state.nodes:
        return Unschedulable(NO_NODES, tuple(plugin.name for plugin in profile.filter), {})
    cycle = Cycle(state)
    plan = _plan(cycle, pod, profile)
    if plan.refusal is not None:
        plugin, refusal = plan.refusal
        return explain(pod, state.nodes, {}, [plugin.name], refusal)
    feasible, refusals, refused_by = _filter(cycle, pod, plan)
    if not feasible:
        return explain(pod, state.nodes, refusals, refused_by)
    return _choose(cycle, pod, feasible, profile, chance)


def fits(pod: PodDemand, state: ClusterState, profile: Profile, node: NodeState) -> bool:
    """Would every filter let the pod run on this one node now?"""
    cycle = Cycle(state)
    plan = _plan(cycle, pod, profile)
    if plan.refusal is not None or (plan.only is not None and node.name not in plan.only):
        return False
    return _first_refusal(cycle, pod, node, plan.filters) is None


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


def _filter(cycle: Cycle, pod: PodDemand, plan: _Plan) -> tuple[list[NodeState], dict[str, Refusal], dict[str, None]]:
    """The feasible nodes; of the others, why not; and the plugins that refused them."""
    left_out = Refusal((f"node(s) didn't satisfy plugin(s) [{' '.join(sorted(plan.narrowed_by))}]",), resolvable=False)
    feasible: list[NodeState] = []
    refusals: dict[str, Refusal] = {}
    refused_by: dict[str, None] = dict.fromkeys(plan.narrowed_by)
    for node in cycle.state.nodes.values():
        if plan.only is not None and node.name not in plan.only:
            refusals[node.name] = left_out
        elif (refused := _first_refusal(cycle, pod, node, plan.filters)) is None:
            feasible.append(node)
        else:
            plugin, refusals[node.name] = refused
            refused_by[plugin.name] = None
    return feasible, refusals, refused_by


def _first_refusal(
    cycle: Cycle, pod: PodDemand, node: NodeState, filters: Iterable[Filter]
) -> tuple[Filter, Refusal] | None:
    for plugin in filters:
        refusal = plugin.filter(cycle, pod, node)
        if refusal is not None:
            return plugin, refusal
    return None


def _choose(
    cycle: Cycle, pod: PodDemand, feasible: Sequence[NodeState], profile: Profile, chance: random.Random
) -> Decision:
    names = tuple(node.name for node in feasible)
    if len(names) == 1:
        return Decision(names[0], names, {}, {})
    by_plugin = dict(_scores(cycle, pod, feasible, profile))
    totals = [sum(scores) for scores in zip(*by_plugin.values(), strict=True)] or [0] * len(names)
    best = max(totals)
    ties = [name for name, total in zip(names, totals, strict=True) if total == best]
    return Decision(
        ties[chance.randrange(len(ties))],
        names,
        dict(zip(names, totals, strict=True)),
        {plugin: dict(zip(names, scores, strict=True)) for plugin, scores in by_plugin.items()},
    )


def _scores(
    cycle: Cycle, pod: PodDemand, nodes: Sequence[NodeState], profile: Profile
) -> Iterable[tuple[str, list[int]]]:
    """Each plugin's weighted scores, in the order of `nodes`; plugins that skip the pod say nothing."""
    for plugin, weight in profile.score:
        if isinstance(plugin, PreScore) and isinstance(plugin.pre_score(cycle, pod), Skip):
            continue
        scores = [plugin.score(cycle, pod, node) for node in nodes]
        if isinstance(plugin, NormalizeScore):
            scores = plugin.normalize_score(cycle, scores)
        yield plugin.name, [weight * score for score in scores]
