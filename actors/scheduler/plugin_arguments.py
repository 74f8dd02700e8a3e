"""The arguments of plugins in a KubeSchedulerConfiguration: what kube-scheduler refuses is refused, with its line."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from actors.scheduler.config_part import WEIGHT_MAX, WHOLE_MAX, Part
from actors.scheduler.framework import Plugin
from actors.scheduler.plugins.default_preemption import DefaultPreemption
from actors.scheduler.plugins.inter_pod_affinity import InterPodAffinity
from actors.scheduler.plugins.node_affinity import NodeAffinity
from actors.scheduler.plugins.node_resources_balanced import NodeResourcesBalancedAllocation
from actors.scheduler.plugins.node_resources_fit import NodeResourcesFit
from actors.scheduler.plugins.pod_topology_spread import PodTopologySpread
from actors.scheduler.plugins.volume_binding import TIMEOUT_S, VolumeBinding
from actors.scheduler.preemption import AS_EVER, Enough
from actors.scheduler.resource_scoring import (
    LEAST_ALLOCATED,
    MostAllocated,
    RequestedToCapacityRatio,
    Strategy,
)
from protocols.rules.selectors import InvalidSelector, check_label_key


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
        preferred["weight"].number(1, WEIGHT_MAX)
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
        percent.number(0, 100) if percent else AS_EVER.percent, least.number(0, WHOLE_MAX) if least else AS_EVER.least
    )
    if part is not None and enough == (0, 0):
        raise part.wrong("minCandidateNodesPercentage and minCandidateNodesAbsolute cannot both be zero")
    return DefaultPreemption(enough)


def _volume_binding(part: Part | None) -> Plugin:
    timeout = _arguments(part, "bindTimeoutSeconds").get("bindTimeoutSeconds")
    return VolumeBinding(timeout.number(0, WHOLE_MAX) if timeout else TIMEOUT_S)


def _inter_pod_affinity(part: Part | None) -> Plugin:
    fields = _arguments(part, "hardPodAffinityWeight", "ignorePreferredTermsOfExistingPods")
    weight, ignore = fields.get("hardPodAffinityWeight"), fields.get("ignorePreferredTermsOfExistingPods")
    return InterPodAffinity(weight.number(0, 100) if weight else 1, ignore.flag() if ignore else False)


def _pod_topology_spread(part: Part | None) -> Plugin:
    fields = _arguments(part, "defaultConstraints", "defaultingType")
    kind = fields["defaultingType"].one_of("System", "List") if "defaultingType" in fields else "System"
    listed = fields.get("defaultConstraints")
    if kind == "System":
        if listed is not None and listed.value:
            raise listed.wrong("defaultConstraints need defaultingType: List")
        return PodTopologySpread()
    constraints = [_constraint(item) for item in (listed.items() if listed is not None else ())]
    for index, constraint in enumerate(constraints):
        alike = [(other["topologyKey"], other["whenUnsatisfiable"]) for other in constraints[:index]]
        if listed is not None and (constraint["topologyKey"], constraint["whenUnsatisfiable"]) in alike:
            raise listed.items()[index].wrong("there are two constraints with this topologyKey and whenUnsatisfiable")
    return PodTopologySpread(constraints)


def _constraint(part: Part) -> Mapping[str, Any]:
    fields = part.fields("topologyKey", "maxSkew", "whenUnsatisfiable")
    for name in ("topologyKey", "maxSkew", "whenUnsatisfiable"):
        if name not in fields:
            raise part.wrong(f"{name} is missing")
    _label_key(fields["topologyKey"])
    fields["maxSkew"].number(1, WHOLE_MAX)
    fields["whenUnsatisfiable"].one_of("DoNotSchedule", "ScheduleAnyway")
    value: Mapping[str, Any] = part.value
    return value


def _resources_fit(part: Part | None) -> Plugin:
    fields = _arguments(part, "scoringStrategy", "ignoredResources", "ignoredResourceGroups")
    ignored = [[_label_key(item) for item in fields[n].items()] if n in fields else [] for n in _IGNORED]
    for item in fields["ignoredResourceGroups"].items() if "ignoredResourceGroups" in fields else ():
        if "/" in item.text():
            raise item.wrong("the name of a group of resources has no '/'")
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
        if "requestedToCapacityRatio" in fields:
            raise fields["requestedToCapacityRatio"].wrong(f"requestedToCapacityRatio is not for type {kind}")
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
    names: list[str] = []
    for item, (name, weight) in zip(fields["resources"].items(), _resources(fields["resources"]), strict=True):
        if weight != 1:
            raise item.wrong("here the weight must be 1")
        if name in names:
            raise item.wrong(f"{name} is there twice")
        names.append(name)
    return NodeResourcesBalancedAllocation(names)


def _resources(part: Part) -> Iterator[tuple[str, int]]:
    for item in part.items():
        fields = item.named("weight")
        yield fields["name"].text(), fields["weight"].number(1, WEIGHT_MAX) if "weight" in fields else 1


def _label_key(part: Part) -> str:
    try:
        check_label_key(part.text())
    except InvalidSelector as error:
        raise part.wrong(str(error)) from None
    return part.text()


ARGUMENTS: dict[str, Callable[[Part | None], Plugin]] = {
    "DefaultPreemption": _default_preemption,
    "InterPodAffinity": _inter_pod_affinity,
    "NodeAffinity": _node_affinity,
    "NodeResourcesBalancedAllocation": _balanced,
    "NodeResourcesFit": _resources_fit,
    "PodTopologySpread": _pod_topology_spread,
    "VolumeBinding": _volume_binding,
}
