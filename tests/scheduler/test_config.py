"""KubeSchedulerConfiguration: what it changes about decisions, and how it says what is wrong with it."""

from __future__ import annotations

import pytest

from actors.scheduler.config import ConfigError, load_profiles
from actors.scheduler.cycle import Decision, SchedulingCycle
from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import Profile
from actors.scheduler.profile import DEFAULT_PROFILE
from protocols.objects import Object
from tests.scheduler.worlds import cluster, make_node, make_pod

HEAD = "apiVersion: kubescheduler.config.k8s.io/v1\nkind: KubeSchedulerConfiguration\n"


def profiles(text: str) -> list[Profile]:
    return load_profiles(HEAD + text, "config.yaml")


def chosen(profile: Profile, pod: Object, nodes: list[Object], placed: list[Object]) -> str:
    decision = SchedulingCycle(cluster(nodes, placed), profile).decide(PodDemand(pod))
    assert isinstance(decision, Decision)
    return decision.node


def test_without_profiles_the_default_one_decides() -> None:
    assert profiles("") == [DEFAULT_PROFILE]


def test_a_packing_profile_fills_nodes_up() -> None:
    text = """profiles:
  - schedulerName: packing
    plugins: {score: {disabled: [{name: NodeResourcesBalancedAllocation}]}}
    pluginConfig:
      - name: NodeResourcesFit
        args: {scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 1}]}}
"""
    nodes, busy = [make_node("n0"), make_node("n1")], [make_pod("q", "2", node="n1")]

    (packing,) = profiles(text)

    assert packing.name == "packing"
    assert chosen(packing, make_pod("p", "1"), nodes, busy) == "n1"
    assert chosen(DEFAULT_PROFILE, make_pod("p", "1"), nodes, busy) == "n0"


def test_what_is_disabled_for_filters_still_scores() -> None:
    (profile,) = profiles("profiles: [{plugins: {filter: {disabled: [{name: TaintToleration}]}}}]")

    assert "TaintToleration" not in [plugin.name for plugin in profile.filter]
    assert ("TaintToleration", 3) in [(plugin.name, weight) for plugin, weight in profile.score]


def test_weights_change_what_counts() -> None:
    text = "profiles: [{plugins: {score: {disabled: [{name: '*'}], enabled: [{name: ImageLocality, weight: 7}]}}}]"

    (profile,) = profiles(text)

    assert [(plugin.name, weight) for plugin, weight in profile.score] == [("ImageLocality", 7)]


def test_a_plugin_of_ones_own_takes_part() -> None:
    text = "profiles: [{plugins: {multiPoint: {enabled: [{name: 'examples.scheduler_plugin:QuietNodes', weight: 9}]}}}]"
    nodes = [make_node("n0"), make_node("n1", labels={"example.com/noise": "3"})]
    placed = [make_pod("q", "500m", node="n0")]

    (profile,) = profiles(text)

    assert chosen(profile, make_pod("p", "1"), nodes, placed) == "n0"
    loud = [make_node("n0", labels={"example.com/noise": "12"})]
    refused = SchedulingCycle(cluster(loud), profile).decide(PodDemand(make_pod("p")))
    assert "1 node(s) were too noisy" in refused.message  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("profiles: [{schedulerNames: x}]", "config.yaml:3: unknown field 'schedulerNames'; there are "),
        ("profiles:\n  - {}\n  - {}", "config.yaml:5: there are two profiles with schedulerName 'default-scheduler'"),
        ("profiles: [{plugins: {score: {enabled: [\n{name: Nope}]}}}]", "config.yaml:4: there is no plugin 'Nope'"),
        ("profiles: [{plugins: {score: {enabled: [{name: NodePorts}]}}}]", "NodePorts does not take part in score"),
        (
            "profiles: [{plugins: {score: {enabled: [{name: ImageLocality,\nweight: 0}]}}}]",
            "config.yaml:4: a whole number from 1 to 100 is expected here, not 0",
        ),
        ("profiles: [{plugins: {bind: {}}}]", "nobody takes part in bind here"),
        ("profiles: [{plugins: {score: {enabled: [{name: 'no.module:X'}]}}}]", "no.module:X cannot be made"),
        ("profiles: [{plugins: {score: {enabled: [{name: 'os:getcwd'}]}}}]", "os:getcwd is not derived from"),
        ("profiles: [{pluginConfig: [{name: NodePorts}]}]", "'NodePorts' is none of InterPodAffinity, NodeAffinity"),
        (
            "profiles: [{pluginConfig: [{name: InterPodAffinity, args: {hardPodAffinityWeight: 101}}]}]",
            "a whole number from 0 to 100 is expected here, not 101",
        ),
        (
            "profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: Most}}}]}]",
            "'Most' is none of LeastAllocated, MostAllocated, RequestedToCapacityRatio",
        ),
        (
            "profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: "
            "RequestedToCapacityRatio, requestedToCapacityRatio: {shape: [{utilization: 50, score: 1}, "
            "{utilization: 50, score: 2}]}}}}]}]",
            "utilizations must rise",
        ),
        (
            "profiles: [{pluginConfig: [{name: PodTopologySpread, args: {defaultConstraints: [{maxSkew: 1}]}}]}]",
            "topologyKey is missing",
        ),
        ("profiles: x", "config.yaml:3: a list is expected here"),
        ("profiles: [", "config.yaml:3: expected the node content"),
        ("profile: []", "unknown field 'profile'"),
    ],
)
def test_what_is_wrong_is_said_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(ConfigError) as caught:
        profiles(text)

    assert problem in str(caught.value)
    assert str(caught.value).startswith("config.yaml:")
