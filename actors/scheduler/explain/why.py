"""Why a pod is where it is, or nowhere: refusals counted by filter, the nearest nodes and what they lack, the scores.

Decided anew on the cluster as it is now, without the pod itself: the cluster may have changed since the scheduler
looked. Every filter is asked about the nearest nodes, not only the first that refuses.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

import numpy as np

from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.columns import Floats
from actors.scheduler.conditions import not_scheduled_message
from actors.scheduler.cycle import Decision, Examination, SchedulingCycle, gate
from actors.scheduler.demand import PodDemand, scheduler_name
from actors.scheduler.diagnosis import Unschedulable
from actors.scheduler.explain.remedies import remedies, remedies_altogether
from actors.scheduler.explain.remedy import Remedy
from actors.scheduler.explain.snapshot import Snapshot, cluster_state
from actors.scheduler.explain.trial import would_fit
from actors.scheduler.framework import Profile
from actors.scheduler.plugin_failure import PluginFailed
from protocols.objects import Object, key_of
from protocols.rules.owners import is_deleting
from protocols.rules.pods import is_terminated, node_of

Verdict = Literal["placed", "fits", "pending", "gated", "deleting", "finished", "foreign", "failed"]
_LOOKED_AT_MAX = 24
_NEAREST_MAX = 3
_EXAMPLES_MAX = 3


@dataclass(frozen=True)
class Refused:
    """The nodes that a plugin refuses first, for one reason. `examples`: some of their names."""

    plugin: str
    reason: str
    nodes: int
    examples: Sequence[str]


@dataclass(frozen=True)
class Obstacle:
    """A plugin that refuses a node, and what would help there, if that is known."""

    plugin: str
    reasons: Sequence[str]
    remedies: Sequence[Remedy]

    @property
    def effort(self) -> float:
        return sum(remedy.effort for remedy in self.remedies) if self.remedies else math.inf


@dataclass(frozen=True)
class Near:
    """A node that does not fit, and all that is against it. `tried`: after all of the remedies it was seen to fit."""

    node: str
    obstacles: Sequence[Obstacle]
    tried: bool = False

    @property
    def effort(self) -> float:
        return sum(obstacle.effort for obstacle in self.obstacles)


@dataclass(frozen=True)
class Scored:
    """A node that fits. Weighted scores by plugin; one that rates all nodes alike may be left out of all."""

    node: str
    total: int
    by_plugin: Mapping[str, int]


@dataclass(frozen=True)
class Preemption:
    """Where the scheduler would make room, and the less important pods that would have to end."""

    node: str
    victims: Sequence[str]


@dataclass(frozen=True)
class Why:
    """`said`: the scheduler's own words when it last tried. `message`: what it would say now. `altogether`: what
    would help where a plugin refuses the pod whatever the node."""

    pod: str
    verdict: Verdict
    node: str = ""
    best: str = ""
    nodes: int = 0
    message: str = ""
    said: str = ""
    refused: Sequence[Refused] = ()
    nearest: Sequence[Near] = ()
    altogether: Sequence[Remedy] = ()
    preemption: Preemption | None = None
    scores: Sequence[Scored] = ()
    weights: Mapping[str, int] = field(default_factory=dict)


def explain(snapshot: Snapshot, pod: Object, profiles: Mapping[str, Profile], seed: int = 0) -> Why:
    """`profiles` by schedulerName."""
    key, said = key_of(pod), not_scheduled_message(pod)
    profile = profiles.get(scheduler_name(pod))
    if is_terminated(pod) or (is_deleting(pod) and not node_of(pod)):
        return Why(key, "finished" if is_terminated(pod) else "deleting", node_of(pod), said=said)
    if profile is None:
        return Why(key, "foreign", node_of(pod), message=scheduler_name(pod), said=said)
    others = {**snapshot, "pods": [each for each in snapshot.get("pods", ()) if key_of(each) != key]}
    state = cluster_state(others, seed)
    unplaced = {**pod, "spec": {name: value for name, value in pod["spec"].items() if name != "nodeName"}}
    demand = PodDemand(unplaced, state.shapes)
    refusal = gate(demand, profile, state)
    if refusal is not None and not node_of(pod):
        return Why(key, "gated", message=", ".join(refusal.reasons), said=said)
    try:
        return _decided(SchedulingCycle(state, profile), demand, others, node_of(pod), said)
    except PluginFailed as failure:
        return Why(key, "failed", node_of(pod), message=str(failure), said=said)


def _decided(cycle: SchedulingCycle, demand: PodDemand, others: Snapshot, node: str, said: str) -> Why:
    decision = cycle.decide(demand)
    found = cycle.examine(demand) if cycle.state.nodes else Examination({}, {}, {})
    fits = isinstance(decision, Decision)
    verdict: Verdict = "placed" if node else "fits" if fits else "pending"
    return Why(
        demand.key,
        verdict,
        node,
        decision.node if isinstance(decision, Decision) else "",
        len(cycle.state.nodes),
        "" if isinstance(decision, Decision) else decision.message,
        said,
        refusals(found),
        nearest(cycle, demand, others) if not fits and cycle.state.nodes else (),
        altogether(cycle, demand),
        _preemption(decision),
        scores(found, cycle.state),
        {plugin.name: weight for plugin, weight in cycle.profile.score},
    )


def _preemption(decision: Decision | Unschedulable) -> Preemption | None:
    if isinstance(decision, Decision) or decision.nomination is None:
        return None
    node, victims = decision.nomination
    return Preemption(node, [victim.key for victim in victims])


def refusals(found: Examination) -> list[Refused]:
    """Most nodes first."""
    nodes: defaultdict[tuple[str, str], list[str]] = defaultdict(list)
    for node, (plugin, refusal) in sorted(found.refusals.items()):
        for reason in refusal.reasons:
            nodes[plugin, reason].append(node)
    by_number = sorted(nodes.items(), key=lambda item: (-len(item[1]), item[0]))
    return [Refused(plugin, reason, len(names), names[:_EXAMPLES_MAX]) for (plugin, reason), names in by_number]


def scores(found: Examination, state: ClusterState) -> list[Scored]:
    """The best first; of equal ones in the order in which they would be taken."""
    rank = {name: state.rank.at[state.objects.row_of[name]] for name in found.totals}
    ordered = sorted(found.totals, key=lambda name: (-found.totals[name], -rank[name]))
    return [
        Scored(name, found.totals[name], {plugin: by_node[name] for plugin, by_node in found.by_plugin.items()})
        for name in ordered
    ]


def nearest(cycle: SchedulingCycle, demand: PodDemand, others: Snapshot) -> list[Near]:
    """The nodes where least has to change, among those few that the fewest filters refuse and that have most room."""
    template, state = cycle.template(demand), cycle.state
    if template.refusal is not None:
        return []
    order = np.lexsort((shortage(state, demand), template.refusing()))
    rows = [row for row in order.tolist() if state.objects.present[row]][:_LOOKED_AT_MAX]
    found = sorted((_near(cycle, demand, state.names[row]) for row in rows), key=lambda near: (near.effort, near.node))
    return [_tried(near, cycle.profile, demand, others) for near in found[:_NEAREST_MAX]]


def altogether(cycle: SchedulingCycle, demand: PodDemand) -> list[Remedy]:
    template = cycle.template(demand)
    return remedies_altogether(template.refusal[0], template.cycle) if template.refusal is not None else []


def shortage(state: ClusterState, demand: PodDemand) -> Floats:
    """For each row how much of what is asked for is missing, as shares of what the node has."""
    total = np.zeros(state.rows)
    for name, amount in demand.requests.items():
        column = state.room.resource(name)
        capacity = column.allocatable.values
        total += np.maximum(0.0, column.requested.values + amount - capacity) / np.maximum(capacity, 1.0)
    return total


def _near(cycle: SchedulingCycle, demand: PodDemand, name: str) -> Near:
    template, node = cycle.template(demand), cycle.state.nodes[name]
    against = template.objections(node.row)
    return Near(name, [Obstacle(p, refusal.reasons, remedies(p, template.cycle, node)) for p, refusal in against])


def _tried(near: Near, profile: Profile, demand: PodDemand, others: Snapshot) -> Near:
    if math.isinf(near.effort):
        return near
    helpful = [remedy for obstacle in near.obstacles for remedy in obstacle.remedies]
    return replace(near, tried=would_fit(others, profile, demand.pod, near.node, helpful))
