"""The metrics that an autoscaler lists: what each of them asks for, and what is to be told of it.

Of several the one counts that asks for most. One that nothing is known of prevents that less are asked for.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from actors.controllers.hpa_metrics import (
    Groups,
    Patience,
    Proposal,
    Sample,
    Tolerance,
    Unknown,
    by_average,
    by_utilization,
    group,
    requests_of,
    samples_of,
)
from protocols.objects import Object
from protocols.rules.quantity import NANOS, format_quantity, parse_quantity

Metric = Mapping[str, Any]
_MILLI = NANOS // 1000


class Asked(NamedTuple):
    """What the metrics are computed from. `metrics`: of the pods, or why they are not known."""

    namespace: str
    current: int
    pods: list[Object]
    metrics: Sequence[Object] | str
    patience: Patience
    tolerance: Tolerance
    now: float


class Computed(NamedTuple):
    """`replicas` None: nothing may be changed, because of `error`. `metric`: the one that asks for most.

    complaints: reason and message for each metric that is not known.
    """

    replicas: int | None
    metric: str
    statuses: list[dict[str, Any]]
    error: str
    complaints: tuple[tuple[str, str], ...] = ()


class Failed(Exception):
    """Of one metric: `reason` and message are its event, `error` is what is said of the whole."""

    def __init__(self, reason: str, message: str, error: str) -> None:
        super().__init__(message)
        self.reason = reason
        self.error = error


def compute(metrics: Sequence[Metric], asked: Asked) -> Computed:
    replicas, name = -1, ""
    statuses: list[dict[str, Any]] = []
    failures: list[Failed] = []
    for metric in metrics:
        try:
            proposal, title, status = _compute(metric, asked)
        except Failed as failure:
            failures.append(failure)
            statuses.append({"type": ""})  # the others keep their places
            continue
        statuses.append(status)
        if proposal > replicas:
            replicas, name = proposal, title
    complaints = tuple((failure.reason, str(failure)) for failure in failures)
    if failures and (len(failures) == len(metrics) or replicas < asked.current):
        counts = f"{len(failures)} invalid out of {len(metrics)}"
        error = f"invalid metrics ({counts}), first error is: {failures[0].error}"
        return Computed(None, "", statuses, error, complaints)
    return Computed(replicas, name, statuses, "", complaints)


def _compute(metric: Metric, asked: Asked) -> tuple[int, str, dict[str, Any]]:
    match metric["type"]:
        case "Resource":
            return _resource(metric["resource"], "", asked)
        case "ContainerResource":
            return _resource(metric["containerResource"], metric["containerResource"]["container"], asked)
        case "Pods":
            raise _without_adapter("Pods", metric["pods"])
        case "Object":
            of = metric["object"]["describedObject"]
            raise _without_adapter("Object", metric["object"], f" on {of['kind']} {asked.namespace}/{of['name']}")
        case "External":
            raise _without_external(metric["external"], asked.namespace)
    why = f'unknown metric source type "{metric["type"]}"'
    raise Failed("InvalidMetricSourceType", why, why)


# -- resources --------------------------------------------------------------------------------------------------------


def _resource(source: Metric, container: str, asked: Asked) -> tuple[int, str, dict[str, Any]]:
    name, target = source["name"], source["target"]
    is_average = target.get("averageValue") is not None
    try:
        proposal = _proposal(name, container, target, asked)
    except Unknown as unknown:
        why = f"failed to get {name} {'usage' if is_average else 'utilization'}: {unknown}"
        kind = f"{name} container metric value" if container else f"{name} resource metric value"
        reason = "FailedGetContainerResourceMetric" if container else "FailedGetResourceMetric"
        raise Failed(reason, why, f"failed to get {kind}: {why}") from unknown
    current: dict[str, Any] = {"averageValue": format_quantity(proposal.milli * _MILLI)}
    if proposal.percent is not None:
        current["averageUtilization"] = proposal.percent
    title = f"{name} resource" if is_average else f"{name} resource utilization (percentage of request)"
    if container:
        described = {"name": name, "container": container, "current": current}
        return proposal.replicas, title, {"type": "ContainerResource", "containerResource": described}
    return proposal.replicas, title, {"type": "Resource", "resource": {"name": name, "current": current}}


def _proposal(name: str, container: str, target: Metric, asked: Asked) -> Proposal:
    samples, groups = _grouped(name, container, asked)
    if target.get("averageValue") is not None:
        milli = -(-parse_quantity(target["averageValue"]) // _MILLI)
        return by_average(asked.current, groups, samples, milli, asked.tolerance)
    if target.get("averageUtilization") is None:
        raise Unknown("invalid resource metric source: neither a utilization target nor a value target was set")
    requests = requests_of(asked.pods, name, container)
    return by_utilization(asked.current, groups, samples, requests, target["averageUtilization"], asked.tolerance)


def _grouped(name: str, container: str, asked: Asked) -> tuple[dict[str, Sample], Groups]:
    try:
        if isinstance(asked.metrics, str):
            raise Unknown(f"unable to fetch metrics from resource metrics API: {asked.metrics}")
        samples = samples_of(asked.metrics, name, container)
    except Unknown as unknown:
        raise Unknown(f"unable to get metrics for resource {name}: {unknown}") from unknown
    if not asked.pods:
        raise Unknown("no pods returned by selector while calculating replica count")
    return samples, group(asked.pods, samples, name, asked.patience, asked.now)


# -- what an adapter would serve --------------------------------------------------------------------------------------


def _without_adapter(kind: str, source: Metric, where: str = "") -> Failed:
    missing = "no custom metrics API (custom.metrics.k8s.io) registered"
    fetching = f"unable to fetch metrics from custom metrics API: {missing}"
    why = f"unable to get metric {source['metric']['name']}: {fetching}{where}"
    return Failed(f"FailedGet{kind}Metric", why, f"failed to get {kind.lower()} metric value: {why}")


def _without_external(source: Metric, namespace: str) -> Failed:
    name, selector = source["metric"]["name"], source["metric"].get("selector")
    fetching = (
        "unable to fetch metrics from external metrics API: the server could not find the requested resource "
        f"(get {name}.external.metrics.k8s.io)"
    )
    why = f"unable to get external metric {namespace}/{name}/{_printed(selector)}: {fetching}"
    return Failed("FailedGetExternalMetric", why, f"failed to get {name} external metric value: {why}")


def _printed(selector: Mapping[str, Any] | None) -> str:
    """As Go prints a LabelSelector."""
    if selector is None:
        return "nil"
    labels = "".join(f"{key}: {value}," for key, value in sorted((selector.get("matchLabels") or {}).items()))
    expressions = "".join(
        f"LabelSelectorRequirement{{Key:{each['key']},Operator:{each['operator']},"
        f"Values:[{' '.join(each.get('values') or ())}],}},"
        for each in selector.get("matchExpressions") or ()
    )
    requirements = f"[]LabelSelectorRequirement{{{expressions}}}"
    return f"&LabelSelector{{MatchLabels:map[string]string{{{labels}}},MatchExpressions:{requirements},}}"
