"""Every decision is the slow reference's, whatever happens to the cluster in between: who may, why not, how good."""

from __future__ import annotations

import random
from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.cycle import Decision, SchedulingCycle
from actors.scheduler.demand import PodDemand, trim_pod
from actors.scheduler.framework import Profile
from actors.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from actors.scheduler.plugins.node_affinity import NodeAffinity
from actors.scheduler.plugins.node_resources_balanced import NodeResourcesBalancedAllocation
from actors.scheduler.plugins.node_resources_fit import NodeResourcesFit
from actors.scheduler.plugins.pod_topology_spread import PodTopologySpread
from actors.scheduler.profile import DEFAULT_PROFILE
from actors.scheduler.resource_scoring import LEAST_ALLOCATED, MostAllocated, RequestedToCapacityRatio
from protocols.objects import Object, key_of
from tests.effort import examples
from tests.scheduler.random_clusters import NAMESPACES, Draw
from tests.scheduler.reference import Settings, answer
from tests.scheduler.reference_cluster import Cluster

NODES = ("n0", "n1", "n2", "n3", "n4", "n5")
SEEDS = st.integers(0, 10**9)


@pytest.mark.slow
@settings(max_examples=examples(150), deadline=None)
@given(SEEDS)
@example(372)  # fewer domains than a spreading pod asks for
def test_every_decision_is_that_of_the_reference(seed: int) -> None:
    live_through(Draw(seed))


@pytest.mark.slow
@pytest.mark.timeout(1500)
@settings(max_examples=1500, deadline=None)
@given(SEEDS)
def test_every_decision_is_that_of_the_reference_in_many_more_clusters(seed: int) -> None:
    live_through(Draw(seed))


def live_through(draw: Draw) -> None:
    wanted = draw.settings()
    world = Both(profile(wanted), wanted)
    for name in NODES[: draw.chance.randint(1, len(NODES))]:
        world.set_node(draw.node(name))
    for _ in range(draw.chance.randrange(3)):
        world.set_group(draw.group())
    kinds = [draw.pod("kind") for _ in range(draw.chance.randint(1, 4))]
    for number in range(draw.chance.randint(4, 14)):
        kind, name = draw.one_of(kinds), {"name": f"p{number}", "uid": f"p{number}"}
        world.ask({**kind, "metadata": {**kind["metadata"], **name}})
        if draw.now_and_then(0.3):
            disturb(draw, world)
    world.state.check()


def disturb(draw: Draw, world: Both) -> None:
    """Something happens to the cluster."""
    match draw.one_of(["node", "node", "no node", "pod ends", "pod leaves", "group", "namespace"]):
        case "node":
            world.set_node(draw.node(draw.one_of(NODES)))
        case "no node" if len(world.cluster.nodes) > 1:
            world.remove_node(draw.one_of(sorted(world.cluster.nodes)))
        case "pod ends" if world.cluster.pods:
            world.remove_pod(draw.one_of(sorted(world.cluster.pods)))
        case "pod leaves" if world.cluster.pods:
            world.terminate(draw.one_of(sorted(world.cluster.pods)))
        case "group":
            world.set_group(draw.group())
        case "namespace":
            world.set_namespace(draw.one_of(NAMESPACES), draw.one_of([{}, {"team": "t"}]))


class Both:
    """The same cluster twice: as the reference sees it, and in the scheduler's columns."""

    def __init__(self, profile: Profile, wanted: Settings) -> None:
        self.cluster, self.wanted = Cluster(), wanted
        self.state = ClusterState(random.Random(1))
        self.cycle = SchedulingCycle(self.state, profile)

    def ask(self, pod: Object) -> None:
        """Is the decision that of the reference? Then the pod goes where it was decided."""
        demand = PodDemand(pod, self.state.shapes)
        expected, decision, found = (
            answer(pod, self.cluster, self.wanted),
            self.cycle.decide(demand),
            self.cycle.examine(demand),
        )
        reasons = {node: f"{plugin}: {', '.join(r.reasons)}" for node, (plugin, r) in found.refusals.items()}
        assert sorted(found.totals) == sorted(expected.feasible)
        if not any("plugin(s)" in reason or "conflict" in reason for reason in reasons.values()):
            assert reasons == expected.reasons  # the reference does not look for pods that name their nodes
        for node in self.cluster.nodes:
            assert self.cycle.fits(demand, node) == (node in expected.feasible)
        if not expected.feasible:
            assert not isinstance(decision, Decision)
            return
        assert len({found.totals[node] - expected.totals[node] for node in expected.feasible}) == 1, (found, expected)
        rank = {node: self.state.rank.at[self.state.nodes[node].row] for node in expected.feasible}
        best = max(expected.feasible, key=lambda node: (expected.totals[node], rank[node]))
        assert isinstance(decision, Decision) and decision.node == best
        self.state.assume(demand, best)
        self.cluster.place(pod, best)

    def set_node(self, node: Object) -> None:
        self.cluster.set_node(node)
        self.state.set_node(node)
        self.believe_image_sizes()

    def remove_node(self, name: str) -> None:
        del self.cluster.nodes[name]
        self.state.remove_node(name)
        self.believe_image_sizes()

    def believe_image_sizes(self) -> None:
        """Who was first to report an image is the order of events; the reference knows only the order of nodes."""
        self.cluster.sizes = {image: self.state.image_spread(image)[0] for image in self.state.image_sizes}

    def remove_pod(self, key: str) -> None:
        del self.cluster.pods[key]
        self.state.remove_pod(key)

    def terminate(self, key: str) -> None:
        pod = self.cluster.pods[key]
        pod = {**pod, "metadata": {**pod["metadata"], "deletionTimestamp": "2026-01-01T00:00:00Z"}}
        self.cluster.pods[key] = pod
        self.state.set_pod(trim_pod(pod))

    def set_group(self, group: Object) -> None:
        same = [
            other for other in self.cluster.groups if (other["kind"], key_of(other)) == (group["kind"], key_of(group))
        ]
        self.cluster.groups = [other for other in self.cluster.groups if other not in same] + [group]
        self.state.groups.set(group["kind"], group)

    def set_namespace(self, name: str, labels: dict[str, str]) -> None:
        self.cluster.namespaces[name] = labels
        self.state.set_namespace(name, labels)


def profile(wanted: Settings) -> Profile:
    """The default profile with these settings."""
    if wanted == Settings():
        return DEFAULT_PROFILE
    strategy: Any = {"LeastAllocated": LEAST_ALLOCATED, "MostAllocated": MostAllocated()}.get(wanted.fit)
    changed = {
        plugin.name: plugin
        for plugin in (
            NodeAffinity(wanted.added_affinity),
            NodeResourcesFit(strategy or RequestedToCapacityRatio(wanted.shape), wanted.fit_resources),
            NodeResourcesBalancedAllocation(wanted.balanced_resources),
            PodTopologySpread(wanted.default_constraints),
            InterPodAffinity(wanted.hard_pod_affinity_weight, wanted.ignore_preferred_terms_of_existing_pods),
        )
    }
    weights = {plugin.name: weight for plugin, weight in DEFAULT_PROFILE.score}
    return Profile(*((changed.get(p.name, p), weights.get(p.name, 0)) for p in DEFAULT_PROFILE.plugins))
