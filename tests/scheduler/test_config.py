"""KubeSchedulerConfiguration: what it changes about decisions, and how it says what is wrong with it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest

from actorkube.kube.election import LeaderElection
from actors.cluster_scheduler import scheduler_of, scheduler_setup
from actors.scheduler.actor import Scheduler
from actors.scheduler.config import ConfigError, load_config, load_profiles
from actors.scheduler.cycle import Decision, SchedulingCycle
from actors.scheduler.demand import PodDemand
from actors.scheduler.diagnosis import Unschedulable
from actors.scheduler.framework import (
    SKIP,
    Attempt,
    Bind,
    Cycle,
    Handle,
    Permit,
    Plugin,
    PostBind,
    PreBind,
    PreScore,
    Profile,
    QueueSort,
    Reserve,
    Scope,
    Skip,
)
from actors.scheduler.plugins.volume_binding import VolumeBinding
from actors.scheduler.profile import DEFAULT_PROFILE
from protocols.objects import Object
from tests.scheduler.worlds import cluster, make_node, make_pod

OWN = __name__
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


def test_leader_election_is_as_in_kube_scheduler() -> None:
    text = HEAD + "leaderElection: {resourceName: mine, leaseDuration: 1m, renewDeadline: 40s, retryPeriod: 3s}"

    assert load_config(HEAD, "config.yaml").leader_election is None
    assert load_config(HEAD + "leaderElection: {}", "config.yaml").leader_election == LeaderElection("kube-scheduler")
    assert load_config(HEAD + "leaderElection: {leaderElect: false}", "config.yaml").leader_election is None
    assert load_config(text, "config.yaml").leader_election == LeaderElection("mine", "kube-system", 60, 40, 3)


def test_what_has_no_effect_is_said_with_its_line() -> None:
    text = (
        HEAD
        + """parallelism: 16
percentageOfNodesToScore: 50
clientConnection: {kubeconfig: /etc/scheduler.conf, qps: 50.5, burst: 100}
enableProfiling: true
delayCacheUntilActive: true
extenders: []
profiles:
  - percentageOfNodesToScore: 0
"""
    )

    notes = load_config(text, "config.yaml").notes

    assert notes == [
        "config.yaml:4: percentageOfNodesToScore has no effect: all nodes are scored, whatever their number",
        "config.yaml:3: parallelism has no effect: all nodes are looked at together, by one thread",
        "config.yaml:5: clientConnection has no effect: "
        "the scheduler has its own link to the API server, without limits of rate",
        "config.yaml:6: enableProfiling has no effect: there is no endpoint for profiles",
        "config.yaml:7: delayCacheUntilActive has no effect: a scheduler looks at the cluster when it leads",
        "config.yaml:10: percentageOfNodesToScore has no effect: all nodes are scored, whatever their number",
    ]
    assert load_config(HEAD, "config.yaml").notes == []


def test_the_back_off_of_pods_is_as_the_file_says(tmp_path: Path) -> None:
    path = tmp_path / "config.yaml"
    path.write_text(HEAD + "podInitialBackoffSeconds: 3\npodMaxBackoffSeconds: 20")

    scheduler = scheduler_of(scheduler_setup(path, 1), ("api",))()

    assert isinstance(scheduler, Scheduler)
    queue = scheduler._queue
    queue.set(PodDemand(make_pod("p")), 0.0)
    waits = []
    for _ in range(4):
        queued = queue.pop(100.0)
        assert queued is not None
        queue.retry(queued, 0.0)
        waits.append(queue.next_due())
    assert waits == [3.0, 6.0, 12.0, 20.0]
    assert load_config(HEAD, "config.yaml").backoff == (1.0, 10.0)


class Youngest(QueueSort):
    name = "Youngest"

    def order(self, pod: PodDemand, since: float) -> tuple[float, ...]:
        return (-since,)


class Tagged(Reserve, Permit, PreBind, Bind, PostBind, PreScore):
    """Takes part everywhere, and takes an argument."""

    name = "Tagged"

    def __init__(self, tag: str = "") -> None:
        self.tag = tag

    def reserve(self, attempt: Attempt) -> None:
        return None

    def unreserve(self, attempt: Attempt) -> None:
        return None

    def permit(self, attempt: Attempt) -> None:
        return None

    async def pre_bind(self, attempt: Attempt, handle: Handle) -> None:
        return None

    async def bind(self, attempt: Attempt, handle: Handle) -> Skip:
        return SKIP

    def post_bind(self, attempt: Attempt) -> None:
        return None

    def pre_score(self, cycle: Cycle) -> None:
        cycle.memo["tag"] = self.tag


class Broken(Permit):
    name = "Broken"

    def __init__(self) -> None:
        raise ZeroDivisionError("planted")

    def permit(self, attempt: Attempt) -> None:
        return None


def names(plugins: Sequence[Plugin]) -> list[str]:
    return [plugin.name for plugin in plugins]


def test_a_plugin_may_take_part_at_each_point_by_multi_point() -> None:
    text = f"profiles: [{{plugins: {{multiPoint: {{enabled: [{{name: '{OWN}:Tagged'}}]}}}}}}]"

    (profile,) = profiles(text)

    points = [profile.reserve, profile.permit, profile.pre_bind, profile.post_bind]
    assert [names(point)[-1] for point in points] == ["Tagged"] * 4
    assert names(profile.bind) == ["DefaultBinder", "Tagged"]
    assert names(profile.queue_sort) == ["PrioritySort"]


@pytest.mark.parametrize("point", ["reserve", "permit", "preBind", "bind", "postBind", "preScore"])
def test_a_plugin_may_take_part_at_one_point_alone(point: str) -> None:
    text = f"profiles: [{{plugins: {{{point}: {{enabled: [{{name: '{OWN}:Tagged'}}]}}}}}}]"

    (profile,) = profiles(text)

    there = {
        "reserve": profile.reserve,
        "permit": profile.permit,
        "preBind": profile.pre_bind,
        "bind": profile.bind,
        "postBind": profile.post_bind,
        "preScore": profile.pre_score,
    }
    assert [where for where, plugins in there.items() if "Tagged" in names(plugins)] == [point]


def test_another_binder_may_take_the_place_of_the_default_one_and_another_order_that_of_priority() -> None:
    others = f"{{bind: {{disabled: [{{name: DefaultBinder}}], enabled: [{{name: '{OWN}:Tagged'}}]}}, "
    others += f"queueSort: {{disabled: [{{name: '*'}}], enabled: [{{name: '{OWN}:Youngest'}}]}}}}"

    (profile,) = profiles(f"profiles: [{{plugins: {others}}}]")

    assert names(profile.bind) == ["Tagged"]
    assert names(profile.queue_sort) == ["Youngest"]


def test_who_is_named_at_one_point_comes_first_there_and_who_is_named_for_all_keeps_its_place() -> None:
    """As kube-scheduler merges the file with what is on by default."""
    at_one = "filter: {enabled: [{name: 'examples.scheduler_plugin:QuietNodes'}, {name: NodeResourcesFit}]}"

    (profile,) = profiles(f"profiles: [{{plugins: {{{at_one}}}}}]")
    (weighed,) = profiles("profiles: [{plugins: {multiPoint: {enabled: [{name: NodeAffinity, weight: 9}]}}}]")

    of_one_node = [plugin.name for plugin in profile.filter if plugin.scope is Scope.NODE]
    assert of_one_node == ["NodeResourcesFit", "NodePorts", "QuietNodes"]
    changed = [(name, 9 if name == "NodeAffinity" else weight) for name, weight in by_name(DEFAULT_PROFILE)]
    assert by_name(weighed) == changed


def by_name(profile: Profile) -> list[tuple[str, int]]:
    return [(plugin.name, weight) for plugin, weight in profile.score]


def asking_for(**devices: str) -> Object:
    pod = make_pod("p")
    pod["spec"]["containers"][0]["resources"]["requests"] = {
        f"{vendor}.io/device": number for vendor, number in devices.items()
    }
    return pod


def test_resources_that_somebody_else_looks_at_are_ignored_but_never_kubernetes_own() -> None:
    args = "{ignoredResources: [one.io/device, cpu], ignoredResourceGroups: [two.io]}"
    (profile,) = profiles(f"profiles: [{{pluginConfig: [{{name: NodeResourcesFit, args: {args}}}]}}]")
    cycle = SchedulingCycle(cluster([make_node("n0")]), profile)

    ignored = cycle.decide(PodDemand(asking_for(one="1", two="2")))
    other = cycle.decide(PodDemand(asking_for(three="1")))
    large = cycle.decide(PodDemand(make_pod("p", "999")))

    assert ignored == Decision("n0")
    assert isinstance(other, Unschedulable) and "1 Insufficient three.io/device" in other.message
    assert isinstance(large, Unschedulable) and "1 Insufficient cpu" in large.message


def test_a_plugin_of_ones_own_gets_its_arguments() -> None:
    text = f"""profiles:
  - plugins: {{preScore: {{enabled: [{{name: '{OWN}:Tagged'}}]}}}}
    pluginConfig: [{{name: '{OWN}:Tagged', args: {{tag: blue}}}}]
"""
    (profile,) = profiles(text)
    cycle = SchedulingCycle(cluster([make_node("n0")]), profile)

    cycle.decide(PodDemand(make_pod("p")))

    assert cycle.template(PodDemand(make_pod("p"))).cycle.memo["tag"] == "blue"


def added(affinity: str) -> str:
    return f"profiles: [{{pluginConfig: [{{name: NodeAffinity, args: {{addedAffinity: {{{affinity}}}}}}}]}}]"


def added_term(expression: str) -> str:
    terms = f"nodeSelectorTerms: [{{matchExpressions: [\n{expression}]}}]"
    return added(f"requiredDuringSchedulingIgnoredDuringExecution: {{{terms}}}")


def test_how_many_candidates_preemption_looks_at_and_how_long_volumes_are_waited_for() -> None:
    text = """
profiles:
  - pluginConfig:
      - {name: DefaultPreemption, args: {minCandidateNodesPercentage: 0, minCandidateNodesAbsolute: 1}}
      - {name: VolumeBinding, args: {bindTimeoutSeconds: 3}}
"""
    nodes = [make_node(f"n{number}", cpu="1") for number in range(4)]
    placed = [make_pod(f"p{number}", "1", node=f"n{number}", priority=4 - number) for number in range(4)]
    new = PodDemand(make_pod("new", "1", priority=10))

    (profile,) = profiles(text)
    victims = []
    for each in (DEFAULT_PROFILE, profile):
        found = SchedulingCycle(cluster(nodes, placed), each).decide(new)
        assert isinstance(found, Unschedulable) and found.nomination is not None
        victims.append([victim.key for victim in found.nomination.victims])

    assert victims[0] == ["default/p3"]  # the least important of all
    assert victims[1] != victims[0]  # the first that was found
    [binding] = [plugin for plugin in profile.plugins if isinstance(plugin, VolumeBinding)]
    assert binding._timeout_s == 3


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("profiles: [{schedulerNames: x}]", "config.yaml:3: unknown field 'schedulerNames'; there are "),
        (
            "profiles:\n  - {schedulerName: a}\n  - {schedulerName: a}",
            "config.yaml:5: there are two profiles with schedulerName 'a'",
        ),
        ("profiles: [{plugins: {score: {enabled: [\n{name: Nope}]}}}]", "config.yaml:4: there is no plugin 'Nope'"),
        ("profiles: [{plugins: {score: {enabled: [{name: NodePorts}]}}}]", "NodePorts does not take part in score"),
        (
            "profiles: [{plugins: {score: {enabled: [{name: ImageLocality,\nweight: 0}]}}}]",
            "config.yaml:4: a whole number from 1 to 100 is expected here, not 0",
        ),
        (
            "profiles: [{plugins: {bind: {disabled: [\n{name: '*'}]}}}]",
            "config.yaml:3: at least one plugin has to bind",
        ),
        (
            "profiles: [{plugins: {queueSort: {disabled: [{name: PrioritySort}]}}}]",
            "config.yaml:3: exactly one plugin sorts the queue, not 0: none",
        ),
        (
            f"profiles: [{{plugins: {{multiPoint: {{enabled: [\n{{name: '{OWN}:Youngest'}}]}}}}}}]",
            "config.yaml:3: exactly one plugin sorts the queue, not 2: PrioritySort, Youngest",
        ),
        (
            "profiles:\n- {schedulerName: a}\n- {schedulerName: mine, plugins: {queueSort: "
            f"{{disabled: [{{name: '*'}}], enabled: [{{name: '{OWN}:Youngest'}}]}}}}}}",
            "config.yaml:5: all profiles share the queue, and must have the same plugin sort it",
        ),
        ("profiles: [{plugins: {reserve: {enabled: [{name: ImageLocality}]}}}]", "does not take part in reserve"),
        (
            "profiles: [{plugins: {normalizeScore: {}}}]",
            "unknown field 'normalizeScore'; there are multiPoint",
        ),
        (f"profiles: [{{plugins: {{permit: {{enabled: [\n{{name: '{OWN}:Broken'}}]}}}}}}]", "config.yaml:4: "),
        (f"profiles: [{{pluginConfig: [\n{{name: '{OWN}:Tagged', args: {{tug: 1}}}}]}}]", "argument 'tug'"),
        ("profiles: [{plugins: {score: {enabled: [{name: 'no.module:X'}]}}}]", "no.module:X cannot be made"),
        ("profiles: [{plugins: {score: {enabled: [{name: 'os:getcwd'}]}}}]", "os:getcwd is not derived from"),
        (
            "profiles: [{pluginConfig: [{name: NodePorts}]}]",
            "'NodePorts' is none of DefaultPreemption, InterPodAffinity",
        ),
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
            "profiles: [{pluginConfig: [{name: PodTopologySpread, args: {defaultingType: List, "
            "defaultConstraints: [{maxSkew: 1}]}}]}]",
            "topologyKey is missing",
        ),
        (
            "profiles: [{pluginConfig: [{name: DefaultPreemption,\n  args: {minCandidateNodesPercentage: 101}}]}]",
            "config.yaml:4: a whole number from 0 to 100 is expected here, not 101",
        ),
        (
            "profiles: [{pluginConfig: [{name: DefaultPreemption, args: {minCandidateNodesPercentage: 0, "
            "minCandidateNodesAbsolute: 0}}]}]",
            "minCandidateNodesPercentage and minCandidateNodesAbsolute cannot both be zero",
        ),
        (
            "profiles: [{pluginConfig: [{name: VolumeBinding, args: {bindTimeoutSeconds: -1}}]}]",
            "a whole number from 0 to 2147483647 is expected here, not -1",
        ),
        (
            "profiles: [{pluginConfig: [{name: NodeAffinity, args: {addedAffinity: {nodeSelector: {}}}}]}]",
            "unknown field 'nodeSelector'; there are requiredDuringScheduling",
        ),
        (added("requiredDuringSchedulingIgnoredDuringExecution: {nodeSelectorTerms: []}"), "at least one of nodeSelec"),
        (added_term("{key: a, operator: Is}"), "config.yaml:4: 'Is' is none of In, NotIn, Exists"),
        (added_term("{operator: In}"), "config.yaml:4: key and operator are expected here"),
        (added_term("{key: a, operator: In}"), "config.yaml:4: In needs values"),
        (added_term("{key: a, operator: Exists, values: [b]}"), "config.yaml:4: Exists has no values"),
        (added_term("{key: a, operator: Gt, values: [b]}"), "config.yaml:4: Gt needs one whole number"),
        (added_term("{key: a, operator: In, values: [1]}"), "config.yaml:4: values are texts"),
        (
            added("preferredDuringSchedulingIgnoredDuringExecution: [{weight: 1}]"),
            "weight and preference are expected here",
        ),
        ("leaderElection: {leaseDuration: 9s}", "config.yaml:3: leaseDuration must be greater than renewDeadline"),
        ("leaderElection: {retryPeriod: 9s}", "config.yaml:3: renewDeadline must be greater than 1.2 * retryPeriod"),
        ("leaderElection:\n  retryPeriod: soon", "config.yaml:4: 'soon' is not a time such as"),
        ("leaderElection: {resourceLock: endpoints}", "'endpoints' is none of leases"),
        ("podInitialBackoffSeconds: 0", "config.yaml:3: a whole number from 1 to 2147483647 is expected here, not 0"),
        (
            "podInitialBackoffSeconds: 20\npodMaxBackoffSeconds: 19",
            "config.yaml:4: podMaxBackoffSeconds must be greater than or equal to podInitialBackoffSeconds",
        ),
        ("podInitialBackoffSeconds: 11", "config.yaml:3: podMaxBackoffSeconds must be greater than or equal to"),
        ("parallelism: 0", "config.yaml:3: a whole number from 1 to"),
        ("percentageOfNodesToScore: 101", "config.yaml:3: a whole number from 0 to 100 is expected here, not 101"),
        ("profiles:\n- percentageOfNodesToScore: -1", "config.yaml:4: a whole number from 0 to 100 is expected here"),
        ("clientConnection:\n  qps: fast", "config.yaml:4: a number is expected here, not 'fast'"),
        ("clientConnection: {qpm: 1}", "config.yaml:3: unknown field 'qpm'; there are kubeconfig"),
        ("clientConnection: {kubeconfig: 1}", "config.yaml:3: text is expected here"),
        ("enableProfiling: 1", "config.yaml:3: true or false is expected here"),
        ("profiles: []\nprofiles: []", "config.yaml:4: profiles is there twice"),
        ("profiles:\n- {schedulerName: a}\n- {}", "config.yaml:5: of several profiles each needs a schedulerName"),
        (
            "profiles: [{pluginConfig: [{name: VolumeBinding},\n  {name: VolumeBinding}]}]",
            "config.yaml:4: the arguments of VolumeBinding are there twice",
        ),
        (
            "profiles: [{plugins: {score: {enabled: [{name: ImageLocality},\n{name: ImageLocality}]}}}]",
            "config.yaml:4: ImageLocality is enabled twice",
        ),
        (
            "profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {ignoredResourceGroups: [a.io/b]}}]}]",
            "the name of a group of resources has no '/'",
        ),
        (
            "profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {ignoredResources: [a b]}}]}]",
            'Invalid value: "a b": name part must consist of',
        ),
        (
            "profiles: [{pluginConfig: [{name: NodeResourcesFit, args: {scoringStrategy: {type: MostAllocated, "
            "requestedToCapacityRatio: {shape: [{utilization: 0, score: 1}]}}}}]}]",
            "requestedToCapacityRatio is not for type MostAllocated",
        ),
        (
            "profiles: [{pluginConfig: [{name: NodeResourcesBalancedAllocation, args: {resources: "
            "[{name: cpu},\n{name: cpu}]}}]}]",
            "config.yaml:4: cpu is there twice",
        ),
        (
            "profiles: [{pluginConfig: [{name: NodeResourcesBalancedAllocation, args: {resources: "
            "[{name: cpu, weight: 2}]}}]}]",
            "here the weight must be 1",
        ),
        (
            "profiles: [{pluginConfig: [{name: PodTopologySpread, args: {defaultConstraints: [{maxSkew: 1}]}}]}]",
            "defaultConstraints need defaultingType: List",
        ),
        (
            "profiles: [{pluginConfig: [{name: PodTopologySpread, args: {defaultingType: List, defaultConstraints: [\n"
            "{topologyKey: a, maxSkew: 1, whenUnsatisfiable: DoNotSchedule},\n"
            "{topologyKey: a, maxSkew: 2, whenUnsatisfiable: DoNotSchedule}]}}]}]",
            "config.yaml:5: there are two constraints with this topologyKey and whenUnsatisfiable",
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
