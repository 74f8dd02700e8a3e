"""KubeSchedulerConfiguration: which plugins decide, how much each weighs, and their arguments.

    apiVersion: kubescheduler.config.k8s.io/v1
    kind: KubeSchedulerConfiguration
    profiles:
      - schedulerName: packing
        plugins: {score: {disabled: [{name: ImageLocality}], enabled: [{name: "my.module:MyPlugin", weight: 5}]}}
        pluginConfig:
          - name: NodeResourcesFit
            args: {scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 1}]}}

A plugin of your own is named by its module and class. What cannot be meant is refused with its line; what is right but
has no effect here (not all nodes need to be scored; by several threads) is looked at, and said with its line.
"""

from __future__ import annotations

import importlib
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, NamedTuple

import yaml

from actorkube.kube.election import JITTER, LeaderElection
from actors.scheduler.config_part import ConfigError as ConfigError
from actors.scheduler.config_part import Part
from actors.scheduler.framework import POINTS, Plugin, Profile
from actors.scheduler.plugins.default_preemption import DefaultPreemption
from actors.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from actors.scheduler.plugins.node_affinity import NodeAffinity
from actors.scheduler.plugins.node_resources_balanced import NodeResourcesBalancedAllocation
from actors.scheduler.plugins.node_resources_fit import NodeResourcesFit
from actors.scheduler.plugins.pod_topology_spread import PodTopologySpread
from actors.scheduler.plugins.volume_binding import TIMEOUT_S, VolumeBinding
from actors.scheduler.preemption import AS_EVER, Enough
from actors.scheduler.profile import DEFAULT_PROFILE
from actors.scheduler.queue import BACKOFF, Backoff
from actors.scheduler.resource_scoring import (
    LEAST_ALLOCATED,
    MostAllocated,
    RequestedToCapacityRatio,
    Strategy,
)

LEASE_NAME = "kube-scheduler"
_HONOURED = (
    "apiVersion",
    "kind",
    "profiles",
    "leaderElection",
    "podInitialBackoffSeconds",
    "podMaxBackoffSeconds",
    "extenders",
)
_CONNECTION = ("kubeconfig", "acceptContentTypes", "contentType", "qps", "burst")
_ELECTION = ("leaseDuration", "renewDeadline", "retryPeriod", "resourceLock", "resourceName", "resourceNamespace")
_EVERYWHERE = "multiPoint"
_WEIGHT_MAX = 100
_WHOLE_MAX = 2**31 - 1  # of an int32


class SchedulerConfig(NamedTuple):
    """`leader_election`: None where the file says that this scheduler is alone, or nothing. `notes`: what has no
    effect, with its line."""

    profiles: list[Profile]
    leader_election: LeaderElection | None
    backoff: Backoff
    notes: list[str]


def load_profiles(text: str, source: str) -> list[Profile]:
    """The profiles of a configuration file; `source` names it in errors. Raises ConfigError."""
    return load_config(text, source).profiles


def load_config(text: str, source: str) -> SchedulerConfig:
    """All that a configuration file says. Raises ConfigError."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        root = Part(node, source) if node is not None else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{source}:{line}: {error.problem}") from None
    if root is None:
        raise ConfigError(f"{source}:1: the file is empty")
    fields = root.fields(*_HONOURED, *_WITHOUT_EFFECT)
    for name, expected in (("apiVersion", "kubescheduler.config.k8s.io/v1"), ("kind", "KubeSchedulerConfiguration")):
        if name not in fields:
            raise root.wrong(f"{name} is missing")
        fields[name].one_of(expected)
    parts = fields["profiles"].items() if "profiles" in fields else []
    profiles = [_profile(part) for part in parts] or [DEFAULT_PROFILE]
    for index, profile in enumerate(profiles):
        if profile.name in [other.name for other in profiles[:index]]:
            raise parts[index].wrong(f"there are two profiles with schedulerName {profile.name!r}")
        sorts = {type(other.queue_sort[0]) for other in profiles[: index + 1]}
        if len(sorts) > 1:
            raise parts[index].wrong("all profiles share the queue, and must have the same plugin sort it")
    if "extenders" in fields and fields["extenders"].items():
        raise fields["extenders"].wrong("extenders are not asked here; a plugin of your own is module:Class")
    notes = [*_notes(fields), *(note for part in parts for note in _notes(part.fields()))]
    return SchedulerConfig(profiles, _leader_election(fields.get("leaderElection")), _backoff(fields), notes)


def _backoff(fields: Mapping[str, Part]) -> Backoff:
    first, most = fields.get("podInitialBackoffSeconds"), fields.get("podMaxBackoffSeconds")
    found = Backoff(
        first.number(1, _WHOLE_MAX) if first else BACKOFF.initial_s,
        most.number(1, _WHOLE_MAX) if most else BACKOFF.max_s,
    )
    if found.max_s < found.initial_s:
        where = most or first
        assert where is not None
        raise where.wrong("podMaxBackoffSeconds must be greater than or equal to podInitialBackoffSeconds")
    return found


def _notes(fields: Mapping[str, Part]) -> Iterator[str]:
    """What is right and has no effect. Raises ConfigError where it is wrong."""
    for name, (check, why) in _WITHOUT_EFFECT.items():
        if name in fields:
            check(fields[name])
            yield fields[name].at(f"{name} has no effect: {why}")


def _percentage(part: Part) -> None:
    part.number(0, 100)


def _threads(part: Part) -> None:
    part.number(1, _WHOLE_MAX)


def _flag(part: Part) -> None:
    part.flag()


def _connection(part: Part) -> None:
    fields = part.fields(*_CONNECTION)
    for name in _CONNECTION[:3]:
        if name in fields and not isinstance(fields[name].value, str):
            raise fields[name].wrong("text is expected here")
    if "burst" in fields:
        fields["burst"].number(-_WHOLE_MAX, _WHOLE_MAX)
    qps = fields.get("qps")
    if qps is not None and (isinstance(qps.value, bool) or not isinstance(qps.value, int | float)):
        raise qps.wrong(f"a number is expected here, not {qps.value!r}")


_WITHOUT_EFFECT: Mapping[str, tuple[Callable[[Part], None], str]] = {
    "percentageOfNodesToScore": (_percentage, "all nodes are scored, whatever their number"),
    "parallelism": (_threads, "all nodes are looked at together, by one thread"),
    "clientConnection": (_connection, "the scheduler has its own link to the API server, without limits of rate"),
    "enableProfiling": (_flag, "there is no endpoint for profiles"),
    "enableContentionProfiling": (_flag, "there are no locks"),
    "delayCacheUntilActive": (_flag, "a scheduler looks at the cluster when it leads"),
}


def _leader_election(part: Part | None) -> LeaderElection | None:
    """As kube-scheduler: on unless the part says `leaderElect: false`."""
    if part is None:
        return None
    fields = part.fields("leaderElect", *_ELECTION)
    if "resourceLock" in fields:
        fields["resourceLock"].one_of("leases")
    default = LeaderElection(LEASE_NAME)
    config = LeaderElection(
        fields["resourceName"].text() if "resourceName" in fields else default.name,
        fields["resourceNamespace"].text() if "resourceNamespace" in fields else default.namespace,
        fields["leaseDuration"].duration_s() if "leaseDuration" in fields else default.lease_duration_s,
        fields["renewDeadline"].duration_s() if "renewDeadline" in fields else default.renew_deadline_s,
        fields["retryPeriod"].duration_s() if "retryPeriod" in fields else default.retry_period_s,
    )
    if config.lease_duration_s <= config.renew_deadline_s:
        raise part.wrong("leaseDuration must be greater than renewDeadline")
    if config.renew_deadline_s <= config.retry_period_s * JITTER:
        raise part.wrong(f"renewDeadline must be greater than {JITTER} * retryPeriod")
    return config if "leaderElect" not in fields or fields["leaderElect"].flag() else None


def _profile(part: Part) -> Profile:
    fields = part.fields("schedulerName", "plugins", "pluginConfig", "percentageOfNodesToScore")
    weights = {plugin.name: weight for plugin, weight in DEFAULT_PROFILE.score}
    plugins = {plugin.name: plugin for plugin in DEFAULT_PROFILE.plugins}
    default = list(plugins)
    for item in fields["pluginConfig"].items() if "pluginConfig" in fields else ():
        name, plugin = _configured(item)
        plugins[name] = plugin
    chosen = fields.get("plugins")
    sets = chosen.fields(_EVERYWHERE, *POINTS) if chosen is not None else {}
    taking_part = {point: [n for n in default if isinstance(plugins[n], k)] for point, k in POINTS.items()}
    for point, set_ in sorted(sets.items(), key=lambda item: item[0] != _EVERYWHERE):
        _choose(point, set_, plugins, weights, taking_part)
    _check_alone(chosen or part, sets, taking_part)
    order = [plugins[name] for name in dict.fromkeys(n for names in taking_part.values() for n in names)]
    return Profile(
        *((plugin, weights.get(plugin.name, 1)) for plugin in order),
        name=fields["schedulerName"].text() if "schedulerName" in fields else DEFAULT_PROFILE.name,
        points=taking_part,
    )


def _check_alone(part: Part, sets: dict[str, Part], taking_part: dict[str, list[str]]) -> None:
    sorts, where = taking_part["queueSort"], sets.get("queueSort", part)
    if len(sorts) != 1:
        raise where.wrong(f"exactly one plugin sorts the queue, not {len(sorts)}: {', '.join(sorts) or 'none'}")
    if not taking_part["bind"]:
        raise sets.get("bind", part).wrong("at least one plugin has to bind")


def _choose(
    point: str, part: Part, plugins: dict[str, Plugin], weights: dict[str, int], taking_part: dict[str, list[str]]
) -> None:
    """First what is disabled ("*" is all), then what is enabled, in the file's order."""
    points = list(POINTS) if point == _EVERYWHERE else [point]
    fields = part.fields("enabled", "disabled")
    for item in fields["disabled"].items() if "disabled" in fields else ():
        name = _named(item, ("name",))["name"].text()
        if name != "*" and name not in plugins:
            raise item.wrong(f"there is no plugin {name!r}; there are {', '.join(plugins)}")
        for each in points:
            taking_part[each] = [other for other in taking_part[each] if name not in ("*", other)]
    for item in fields["enabled"].items() if "enabled" in fields else ():
        known = _named(item, ("name", "weight"))
        plugin = _plugin(known["name"], plugins)
        if "weight" in known:
            weights[plugin.name] = known["weight"].number(1, _WEIGHT_MAX)
        fitting = [each for each in points if isinstance(plugin, POINTS[each])]
        if not fitting:
            raise item.wrong(f"{plugin.name} does not take part in {point}")
        for each in fitting:
            taking_part[each] = [*(other for other in taking_part[each] if other != plugin.name), plugin.name]


def _named(part: Part, known: tuple[str, ...]) -> dict[str, Part]:
    fields = part.fields(*known)
    if "name" not in fields:
        raise part.wrong("name is missing")
    return fields


def _plugin(part: Part, plugins: dict[str, Plugin]) -> Plugin:
    """One that is known, or `module:Class`, known or not."""
    name = part.text()
    if ":" not in name and name not in plugins:
        raise part.wrong(f"there is no plugin {name!r}; there are {', '.join(plugins)}, and yours as module:Class")
    plugin = plugins.get(name) or _made(part, {})
    return plugins.setdefault(plugin.name, plugin)


def _made(part: Part, arguments: Mapping[str, Any]) -> Plugin:
    """An object of the `module:Class` that the part names. Anybody's code may raise anything."""
    name = part.text()
    module, _, attribute = name.partition(":")
    try:
        plugin = getattr(importlib.import_module(module), attribute)(**arguments)
    except Exception as error:
        raise part.wrong(f"{name} cannot be made: {error}") from None
    if not isinstance(plugin, Plugin) or not isinstance(getattr(plugin, "name", None), str):
        raise part.wrong(f"{name} is not derived from a class of actors.scheduler.framework, or has no name")
    return plugin


# -- arguments --------------------------------------------------------------------------------------------------------


def _configured(part: Part) -> tuple[str, Plugin]:
    fields = _named(part, ("name", "args"))
    name = fields["name"].text()
    if ":" in name:
        return name, _made(fields["name"], fields["args"].arguments() if "args" in fields else {})
    return name, _ARGUMENTS[fields["name"].one_of(*_ARGUMENTS)](fields.get("args"))


def _arguments(part: Part | None, *known: str) -> dict[str, Part]:
    return part.fields("apiVersion", "kind", *known) if part is not None else {}


def _node_affinity(part: Part | None) -> Plugin:
    fields = _arguments(part, "addedAffinity")
    if "addedAffinity" not in fields:
        return NodeAffinity(None)
    affinity = fields["addedAffinity"].fields(_REQUIRED, _PREFERRED)
    if _REQUIRED in affinity:
        required = affinity[_REQUIRED].fields("nodeSelectorTerms")
        if "nodeSelectorTerms" not in required or not required["nodeSelectorTerms"].items():
            raise affinity[_REQUIRED].wrong("at least one of nodeSelectorTerms is expected here")
        for term in required["nodeSelectorTerms"].items():
            _check_term(term)
    for item in affinity[_PREFERRED].items() if _PREFERRED in affinity else ():
        preferred = item.fields("weight", "preference")
        if len(preferred) < 2:
            raise item.wrong("weight and preference are expected here")
        preferred["weight"].number(1, _WEIGHT_MAX)
        _check_term(preferred["preference"])
    return NodeAffinity(fields["addedAffinity"].value)


_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"
_PREFERRED = "preferredDuringSchedulingIgnoredDuringExecution"


def _check_term(part: Part) -> None:
    """Of a node selector, as the API server looks at those of pods."""
    for where, operators in (("matchExpressions", _OPERATORS), ("matchFields", ("In", "NotIn"))):
        expressions = part.fields("matchExpressions", "matchFields").get(where)
        for item in expressions.items() if expressions is not None else ():
            fields = item.fields("key", "operator", "values")
            if "key" not in fields or "operator" not in fields:
                raise item.wrong("key and operator are expected here")
            fields["key"].text()
            operator = fields["operator"].one_of(*operators)
            values = [value.value for value in fields["values"].items()] if "values" in fields else []
            if problem := _wrong_values(operator, values):
                raise item.wrong(problem)


_OPERATORS = ("In", "NotIn", "Exists", "DoesNotExist", "Gt", "Lt")


def _wrong_values(operator: str, values: list[Any]) -> str:
    if not all(isinstance(value, str) for value in values):
        return "values are texts"
    match operator:
        case "In" | "NotIn":
            return "" if values else f"{operator} needs values"
        case "Exists" | "DoesNotExist":
            return f"{operator} has no values" if values else ""
    is_number = len(values) == 1 and re.fullmatch(r"[+-]?[0-9]+", values[0])
    return "" if is_number else f"{operator} needs one whole number"


def _default_preemption(part: Part | None) -> Plugin:
    fields = _arguments(part, "minCandidateNodesPercentage", "minCandidateNodesAbsolute")
    percent, least = fields.get("minCandidateNodesPercentage"), fields.get("minCandidateNodesAbsolute")
    enough = Enough(
        percent.number(0, 100) if percent else AS_EVER.percent, least.number(0, _WHOLE_MAX) if least else AS_EVER.least
    )
    if part is not None and enough == (0, 0):
        raise part.wrong("minCandidateNodesPercentage and minCandidateNodesAbsolute cannot both be zero")
    return DefaultPreemption(enough)


def _volume_binding(part: Part | None) -> Plugin:
    timeout = _arguments(part, "bindTimeoutSeconds").get("bindTimeoutSeconds")
    return VolumeBinding(timeout.number(0, _WHOLE_MAX) if timeout else TIMEOUT_S)


def _inter_pod_affinity(part: Part | None) -> Plugin:
    fields = _arguments(part, "hardPodAffinityWeight", "ignorePreferredTermsOfExistingPods")
    weight, ignore = fields.get("hardPodAffinityWeight"), fields.get("ignorePreferredTermsOfExistingPods")
    return InterPodAffinity(weight.number(0, 100) if weight else 1, ignore.flag() if ignore else False)


def _pod_topology_spread(part: Part | None) -> Plugin:
    fields = _arguments(part, "defaultConstraints", "defaultingType")
    kind = fields["defaultingType"].one_of("System", "List") if "defaultingType" in fields else "List"
    listed = fields.get("defaultConstraints")
    if kind == "System":
        if listed is not None and listed.value:
            raise listed.wrong("defaultConstraints need defaultingType: List")
        return PodTopologySpread()
    if listed is None:
        return PodTopologySpread(None if "defaultingType" not in fields else ())
    return PodTopologySpread([_constraint(item) for item in listed.items()])


def _constraint(part: Part) -> Mapping[str, Any]:
    fields = part.fields("topologyKey", "maxSkew", "whenUnsatisfiable")
    for name in ("topologyKey", "maxSkew", "whenUnsatisfiable"):
        if name not in fields:
            raise part.wrong(f"{name} is missing")
    fields["topologyKey"].text()
    fields["maxSkew"].number(1, _WHOLE_MAX)
    fields["whenUnsatisfiable"].one_of("DoNotSchedule", "ScheduleAnyway")
    value: Mapping[str, Any] = part.value
    return value


def _resources_fit(part: Part | None) -> Plugin:
    fields = _arguments(part, "scoringStrategy", "ignoredResources", "ignoredResourceGroups")
    ignored = [[item.text() for item in fields[n].items()] if n in fields else [] for n in _IGNORED]
    if "scoringStrategy" not in fields:
        return NodeResourcesFit(ignored=ignored[0], ignored_groups=ignored[1])
    strategy = fields["scoringStrategy"].fields("type", "resources", "requestedToCapacityRatio")
    resources = dict(_resources(strategy["resources"])) if "resources" in strategy else None
    return NodeResourcesFit(_strategy(fields["scoringStrategy"], strategy), resources, *ignored)


_IGNORED = ("ignoredResources", "ignoredResourceGroups")


def _strategy(part: Part, fields: dict[str, Part]) -> Strategy:
    kinds = ("LeastAllocated", "MostAllocated", "RequestedToCapacityRatio")
    kind = fields["type"].one_of(*kinds) if "type" in fields else "LeastAllocated"
    if kind != "RequestedToCapacityRatio":
        return LEAST_ALLOCATED if kind == "LeastAllocated" else MostAllocated()
    if "requestedToCapacityRatio" not in fields:
        raise part.wrong("requestedToCapacityRatio is missing")
    ratio = fields["requestedToCapacityRatio"].fields("shape")
    if "shape" not in ratio or not ratio["shape"].items():
        raise fields["requestedToCapacityRatio"].wrong("a shape of at least one point is expected here")
    return RequestedToCapacityRatio(list(_points(ratio["shape"])))


def _points(part: Part) -> Iterator[tuple[int, int]]:
    before = -1
    for item in part.items():
        fields = item.fields("utilization", "score")
        if len(fields) < 2:
            raise item.wrong("utilization and score are expected here")
        utilization = fields["utilization"].number(0, 100)
        if utilization <= before:
            raise item.wrong("utilizations must rise")
        before = utilization
        yield utilization, fields["score"].number(0, 10)


def _balanced(part: Part | None) -> Plugin:
    fields = _arguments(part, "resources")
    if "resources" not in fields:
        return NodeResourcesBalancedAllocation()
    return NodeResourcesBalancedAllocation([name for name, _ in _resources(fields["resources"])])


def _resources(part: Part) -> Iterator[tuple[str, int]]:
    for item in part.items():
        fields = _named(item, ("name", "weight"))
        yield fields["name"].text(), fields["weight"].number(1, _WEIGHT_MAX) if "weight" in fields else 1


_ARGUMENTS: dict[str, Callable[[Part | None], Plugin]] = {
    "DefaultPreemption": _default_preemption,
    "InterPodAffinity": _inter_pod_affinity,
    "NodeAffinity": _node_affinity,
    "NodeResourcesBalancedAllocation": _balanced,
    "NodeResourcesFit": _resources_fit,
    "PodTopologySpread": _pod_topology_spread,
    "VolumeBinding": _volume_binding,
}
