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
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import yaml

from actorkube.kube.election import JITTER, LeaderElection
from actors.scheduler.checked import checked
from actors.scheduler.config_part import WEIGHT_MAX, WHOLE_MAX, Part
from actors.scheduler.config_part import ConfigError as ConfigError
from actors.scheduler.extender_config import extenders_of
from actors.scheduler.extenders import Extender
from actors.scheduler.framework import POINTS, Plugin, Profile
from actors.scheduler.plugin_arguments import ARGUMENTS
from actors.scheduler.plugins.node_resources_fit import NodeResourcesFit
from actors.scheduler.profile import DEFAULT_PROFILE
from actors.scheduler.queue import BACKOFF, Backoff

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


class SchedulerConfig(NamedTuple):
    """`leader_election`: None where the file says that this scheduler is alone, or nothing. `notes`: what has no
    effect, with its line."""

    profiles: list[Profile]
    leader_election: LeaderElection | None
    backoff: Backoff
    notes: list[str]
    extenders: Sequence[Extender] = ()


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
    extenders, ignored = extenders_of(fields.get("extenders"))
    profiles = [_profile(part, ignored) for part in parts] or [_default(ignored)]
    if nameless := next((part for part in parts if "schedulerName" not in part.fields() and len(parts) > 1), None):
        raise nameless.wrong("of several profiles each needs a schedulerName")
    for index, profile in enumerate(profiles):
        if profile.name in [other.name for other in profiles[:index]]:
            raise parts[index].wrong(f"there are two profiles with schedulerName {profile.name!r}")
        sorts = {type(other.queue_sort[0]) for other in profiles[: index + 1]}
        if len(sorts) > 1:
            raise parts[index].wrong("all profiles share the queue, and must have the same plugin sort it")
    notes = [*_notes(fields), *(note for part in parts for note in _notes(part.fields()))]
    election = _leader_election(fields.get("leaderElection"))
    return SchedulerConfig(profiles, election, _backoff(fields), notes, extenders)


def _default(ignored: frozenset[str]) -> Profile:
    if not ignored:
        return DEFAULT_PROFILE
    weights = {plugin.name: weight for plugin, weight in DEFAULT_PROFILE.score}
    return Profile(*((_ignoring(plugin, ignored), weights.get(plugin.name, 0)) for plugin in DEFAULT_PROFILE.plugins))


def _ignoring(plugin: Plugin, ignored: frozenset[str]) -> Plugin:
    return plugin.ignoring(ignored) if isinstance(plugin, NodeResourcesFit) and ignored else plugin


def _backoff(fields: Mapping[str, Part]) -> Backoff:
    first, most = fields.get("podInitialBackoffSeconds"), fields.get("podMaxBackoffSeconds")
    found = Backoff(
        first.number(1, WHOLE_MAX) if first else BACKOFF.initial_s,
        most.number(1, WHOLE_MAX) if most else BACKOFF.max_s,
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
    part.number(1, WHOLE_MAX)


def _flag(part: Part) -> None:
    part.flag()


def _connection(part: Part) -> None:
    fields = part.fields(*_CONNECTION)
    for name in _CONNECTION[:3]:
        if name in fields and not isinstance(fields[name].value, str):
            raise fields[name].wrong("text is expected here")
    if "burst" in fields:
        fields["burst"].number(-WHOLE_MAX, WHOLE_MAX)
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


def _profile(part: Part, ignored: frozenset[str]) -> Profile:
    fields = part.fields("schedulerName", "plugins", "pluginConfig", "percentageOfNodesToScore")
    weights = {plugin.name: weight for plugin, weight in DEFAULT_PROFILE.score}
    plugins = {plugin.name: plugin for plugin in DEFAULT_PROFILE.plugins}
    default = list(plugins)
    configured: set[str] = set()
    for item in fields["pluginConfig"].items() if "pluginConfig" in fields else ():
        name, plugin = _configured(item)
        if name in configured:
            raise item.wrong(f"the arguments of {name} are there twice")
        configured.add(name)
        plugins[name] = plugin
    plugins = {name: _ignoring(plugin, ignored) for name, plugin in plugins.items()}
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
    """First what is disabled ("*" is all), then what is enabled. As in kube-scheduler: who takes part already keeps its
    place under multiPoint, and comes first, in the file's order, where one point names it; who is new comes last."""
    points = list(POINTS) if point == _EVERYWHERE else [point]
    fields = part.fields("enabled", "disabled")
    for item in fields["disabled"].items() if "disabled" in fields else ():
        name = item.named()["name"].text()
        if name != "*" and name not in plugins:
            raise item.wrong(f"there is no plugin {name!r}; there are {', '.join(plugins)}")
        for each in points:
            taking_part[each] = [other for other in taking_part[each] if name not in ("*", other)]
    named: list[str] = []
    for item in fields["enabled"].items() if "enabled" in fields else ():
        known = item.named("weight")
        plugin = _plugin(known["name"], plugins)
        if "weight" in known:
            weights[plugin.name] = known["weight"].number(1, WEIGHT_MAX)
        if not any(isinstance(plugin, POINTS[each]) for each in points):
            raise item.wrong(f"{plugin.name} does not take part in {point}")
        if plugin.name in named:
            raise item.wrong(f"{plugin.name} is enabled twice")
        named.append(plugin.name)
    for each in points:
        able, known_there = [n for n in named if isinstance(plugins[n], POINTS[each])], taking_part[each]
        first = [name for name in able if name in known_there] if point != _EVERYWHERE else []
        others = [name for name in known_there if name not in first]
        taking_part[each] = [*first, *others, *(name for name in able if name not in known_there)]


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
    return checked(plugin)


def _configured(part: Part) -> tuple[str, Plugin]:
    fields = part.named("args")
    name = fields["name"].text()
    if ":" in name:
        return name, _made(fields["name"], fields["args"].arguments() if "args" in fields else {})
    return name, ARGUMENTS[fields["name"].one_of(*ARGUMENTS)](fields.get("args"))
