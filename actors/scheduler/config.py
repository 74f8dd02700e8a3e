"""KubeSchedulerConfiguration: which plugins decide, how much each weighs, and their arguments.

    apiVersion: kubescheduler.config.k8s.io/v1
    kind: KubeSchedulerConfiguration
    profiles:
      - schedulerName: packing
        plugins: {score: {disabled: [{name: ImageLocality}], enabled: [{name: "my.module:MyPlugin", weight: 5}]}}
        pluginConfig:
          - name: NodeResourcesFit
            args: {scoringStrategy: {type: MostAllocated, resources: [{name: cpu, weight: 1}]}}

A plugin of your own is named by its module and class. What cannot be meant is refused with its line; that not all
nodes need to be scored (percentageOfNodesToScore), or by several threads, is read and has no effect: all are.
"""

from __future__ import annotations

import importlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import yaml

from actors.scheduler.framework import Filter, Plugin, PreEnqueue, PreFilter, Profile, Score
from actors.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from actors.scheduler.plugins.node_affinity import NodeAffinity
from actors.scheduler.plugins.node_resources_balanced import NodeResourcesBalancedAllocation
from actors.scheduler.plugins.node_resources_fit import NodeResourcesFit
from actors.scheduler.plugins.pod_topology_spread import PodTopologySpread
from actors.scheduler.profile import DEFAULT_PROFILE
from actors.scheduler.resource_scoring import (
    LEAST_ALLOCATED,
    MostAllocated,
    RequestedToCapacityRatio,
    Strategy,
)

_POINTS: dict[str, tuple[type[Any], ...]] = {
    "multiPoint": (Plugin,),
    "preEnqueue": (PreEnqueue,),
    "preFilter": (PreFilter,),
    "filter": (Filter,),
    "score": (Score,),
}
_ELSEWHERE = ("queueSort", "postFilter", "preScore", "reserve", "permit", "preBind", "bind", "postBind")
_WEIGHT_MAX = 100


class ConfigError(ValueError):
    """`FILE:LINE: what is wrong`."""


class Part:
    """A piece of the file that knows its line. `value` is plain data."""

    def __init__(self, node: yaml.Node, source: str) -> None:
        self.node = node
        self.source = source
        loader = yaml.SafeLoader("")
        self.value: Any = loader.construct_document(node)

    def wrong(self, problem: str) -> ConfigError:
        return ConfigError(f"{self.source}:{self.node.start_mark.line + 1}: {problem}")

    def fields(self, *known: str) -> dict[str, Part]:
        """Its fields, which must be among those known."""
        if not isinstance(self.node, yaml.MappingNode):
            raise self.wrong("fields are expected here")
        found = {}
        for key, value in self.node.value:
            name = str(key.value)
            if known and name not in known:
                raise Part(key, self.source).wrong(f"unknown field {name!r}; there are {', '.join(known)}")
            found[name] = Part(value, self.source)
        return found

    def items(self) -> list[Part]:
        if not isinstance(self.node, yaml.SequenceNode):
            raise self.wrong("a list is expected here")
        return [Part(item, self.source) for item in self.node.value]

    def text(self) -> str:
        if not isinstance(self.value, str) or not self.value:
            raise self.wrong("text is expected here")
        return self.value

    def number(self, least: int, most: int) -> int:
        if not isinstance(self.value, int) or isinstance(self.value, bool) or not least <= self.value <= most:
            raise self.wrong(f"a whole number from {least} to {most} is expected here, not {self.value!r}")
        return self.value

    def one_of(self, *choices: str) -> str:
        if self.value not in choices:
            raise self.wrong(f"{self.value!r} is none of {', '.join(choices)}")
        return str(self.value)

    def flag(self) -> bool:
        if not isinstance(self.value, bool):
            raise self.wrong("true or false is expected here")
        return self.value


def load_profiles(text: str, source: str) -> list[Profile]:
    """The profiles of a configuration file; `source` names it in errors. Raises ConfigError."""
    try:
        node = yaml.compose(text, Loader=yaml.SafeLoader)
        root = Part(node, source) if node is not None else None
    except yaml.MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 1
        raise ConfigError(f"{source}:{line}: {error.problem}") from None
    if root is None:
        raise ConfigError(f"{source}:1: the file is empty")
    fields = root.fields("apiVersion", "kind", "profiles", "percentageOfNodesToScore", "parallelism")
    for name, expected in (("apiVersion", "kubescheduler.config.k8s.io/v1"), ("kind", "KubeSchedulerConfiguration")):
        if name not in fields:
            raise root.wrong(f"{name} is missing")
        fields[name].one_of(expected)
    parts = fields["profiles"].items() if "profiles" in fields else []
    profiles = [_profile(part) for part in parts] or [DEFAULT_PROFILE]
    for index, profile in enumerate(profiles):
        if profile.name in [other.name for other in profiles[:index]]:
            raise parts[index].wrong(f"there are two profiles with schedulerName {profile.name!r}")
    return profiles


def _profile(part: Part) -> Profile:
    fields = part.fields("schedulerName", "plugins", "pluginConfig", "percentageOfNodesToScore")
    weights = {plugin.name: weight for plugin, weight in DEFAULT_PROFILE.score}
    plugins = {plugin.name: plugin for plugin in DEFAULT_PROFILE.plugins}
    for item in fields["pluginConfig"].items() if "pluginConfig" in fields else ():
        name, plugin = _configured(item)
        plugins[name] = plugin
    sets = fields["plugins"].fields(*_POINTS, *_ELSEWHERE) if "plugins" in fields else {}
    taking_part = {point: [n for n, p in plugins.items() if isinstance(p, kinds)] for point, kinds in _POINTS.items()}
    for point, chosen in sorted(sets.items(), key=lambda item: item[0] != "multiPoint"):
        if point in _ELSEWHERE:
            raise chosen.wrong(f"nobody takes part in {point} here; there are {', '.join(_POINTS)}")
        _choose(point, chosen, plugins, weights, taking_part)
    order = [plugins[name] for name in dict.fromkeys(n for names in taking_part.values() for n in names)]
    return Profile(
        *((plugin, weights.get(plugin.name, 1)) for plugin in order),
        name=fields["schedulerName"].text() if "schedulerName" in fields else DEFAULT_PROFILE.name,
        filters=taking_part["filter"],
        scores=taking_part["score"],
    )


def _choose(
    point: str, part: Part, plugins: dict[str, Plugin], weights: dict[str, int], taking_part: dict[str, list[str]]
) -> None:
    """First what is disabled ("*" is all), then what is enabled, in the file's order."""
    points = list(_POINTS) if point == "multiPoint" else [point]
    fields = part.fields("enabled", "disabled")
    for item in fields["disabled"].items() if "disabled" in fields else ():
        name = _named(item, ("name",))["name"].text()
        if name != "*" and name not in plugins:
            raise item.wrong(f"there is no plugin {name!r}; there are {', '.join(plugins)}")
        for each in points:
            taking_part[each] = [other for other in taking_part[each] if name not in ("*", other)]
    for item in fields["enabled"].items() if "enabled" in fields else ():
        chosen = _named(item, ("name", "weight"))
        plugin = _plugin(chosen["name"], plugins)
        if "weight" in chosen:
            weights[plugin.name] = chosen["weight"].number(1, _WEIGHT_MAX)
        fitting = [each for each in points if isinstance(plugin, _POINTS[each])]
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
    """One that is known, or `module:Class`."""
    name = part.text()
    if name in plugins:
        return plugins[name]
    module, colon, attribute = name.partition(":")
    if not colon:
        raise part.wrong(f"there is no plugin {name!r}; there are {', '.join(plugins)}, and yours as module:Class")
    try:
        plugin = getattr(importlib.import_module(module), attribute)()
    except (ImportError, AttributeError, TypeError) as error:
        raise part.wrong(f"{name} cannot be made: {error}") from None
    if not isinstance(plugin, Plugin):
        raise part.wrong(f"{name} is not derived from a class of actors.scheduler.framework")
    return plugins.setdefault(plugin.name, plugin)


# -- arguments --------------------------------------------------------------------------------------------------------


def _configured(part: Part) -> tuple[str, Plugin]:
    fields = _named(part, ("name", "args"))
    name = fields["name"].one_of(*_ARGUMENTS)
    return name, _ARGUMENTS[name](fields.get("args"))


def _arguments(part: Part | None, *known: str) -> dict[str, Part]:
    return part.fields("apiVersion", "kind", *known) if part is not None else {}


def _node_affinity(part: Part | None) -> Plugin:
    fields = _arguments(part, "addedAffinity")
    return NodeAffinity(fields["addedAffinity"].value if "addedAffinity" in fields else None)


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
    fields["maxSkew"].number(1, 2**31 - 1)
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
    "InterPodAffinity": _inter_pod_affinity,
    "NodeAffinity": _node_affinity,
    "NodeResourcesBalancedAllocation": _balanced,
    "NodeResourcesFit": _resources_fit,
    "PodTopologySpread": _pod_topology_spread,
}
