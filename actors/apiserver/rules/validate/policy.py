"""Budgets and autoscaling."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import (
    FieldErrors,
    forbidden,
    invalid_value,
    matches,
    not_supported,
    required,
)
from actors.apiserver.rules.validate.resources import quantity
from actors.apiserver.rules.validate.scheduling import label_selector
from actors.apiserver.rules.validate.workloads import at_most_all, int_or_percent
from protocols.objects import Object
from protocols.rules.quantity import parse_quantity

_BUDGET = ("minAvailable", "selector", "maxUnavailable", "unhealthyPodEvictionPolicy")
_EVICTION_POLICIES = ("AlwaysAllow", "IfHealthyBudget")
_TARGETS = ("Utilization", "Value", "AverageValue")
_METRICS = {
    "Object": "object",
    "External": "external",
    "Pods": "pods",
    "Resource": "resource",
    "ContainerResource": "containerResource",
}
_NOT_BY_PODS = ("Object", "External")
_SCALED_BY_ITSELF = ("Resource", "ContainerResource")
_SELECTIONS = ("Disabled", "Max", "Min")
_SCALING_POLICIES = ("Percent", "Pods")
_WINDOW_MAX_S = 3600
_PERIOD_MAX_S = 1800


def pod_disruption_budget(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    if spec.get("minAvailable") is not None and spec.get("maxUnavailable") is not None:
        shown = {key[0].upper() + key[1:]: spec.get(key) for key in _BUDGET}
        yield invalid_value("spec", shown, "minAvailable and maxUnavailable cannot be both set")
    for key in ("minAvailable", "maxUnavailable"):
        if spec.get(key) is not None:
            yield from int_or_percent(f"spec.{key}", spec[key])
            yield from at_most_all(f"spec.{key}", spec[key])
    yield from label_selector("spec.selector", spec.get("selector"))
    policy = spec.get("unhealthyPodEvictionPolicy")
    if policy is not None and policy not in _EVICTION_POLICIES:
        yield not_supported("spec.unhealthyPodEvictionPolicy", policy, _EVICTION_POLICIES)


def horizontal_pod_autoscaler(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    least, most = spec.get("minReplicas"), spec.get("maxReplicas") or 0
    if least is not None and least < 1:
        yield invalid_value("spec.minReplicas", least, "must be greater than or equal to 1")
    if most == 0:
        yield required("spec.maxReplicas", "must be set and greater than 0")
    elif most < 1:
        yield invalid_value("spec.maxReplicas", most, "must be greater than or equal to 1")
    if least is not None and most < least:
        yield invalid_value("spec.maxReplicas", most, "must be greater than or equal to `minReplicas`")
    target = spec.get("scaleTargetRef") or {}
    yield from _scaled("spec.scaleTargetRef", target)
    version = target.get("apiVersion") or ""
    if "/" not in version and (version, target.get("kind")) != ("v1", "ReplicationController"):
        yield invalid_value("spec.scaleTargetRef.apiVersion", version, "apiVersion must specify API group")
    yield from _metrics("spec.metrics", spec.get("metrics") or ())
    if least == 0 and not any(each.get("type") in _NOT_BY_PODS for each in spec.get("metrics") or ()):
        detail = "must specify at least one Object or External metric to support scaling to zero replicas"
        yield forbidden("spec.metrics", detail)
    for direction, rules in (spec.get("behavior") or {}).items():
        yield from _scaling_rules(f"spec.behavior.{direction}", rules or {})


def _scaled(field: str, reference: dict[str, Any]) -> FieldErrors:
    """What is scaled, or looked at."""
    for key in ("kind", "name"):
        value = reference.get(key) or ""
        if not value:
            yield required(f"{field}.{key}")
        else:
            yield from matches(f"{field}.{key}", value, names.path_segment(value))
    version = reference.get("apiVersion") or ""
    if version.count("/") > 1:
        yield invalid_value(f"{field}.apiVersion", version, f"unexpected GroupVersion string: {version}")


def _target(field: str, kind: str, target: dict[str, Any]) -> FieldErrors:
    """Each kind of metric is compared in its own ways."""
    value, average, share = (target.get(key) for key in ("value", "averageValue", "averageUtilization"))
    if kind in _SCALED_BY_ITSELF and average is None and share is None:
        detail = "must set either a target raw value or a target utilization"
        yield required(f"{field}.averageUtilization", detail)
    elif kind in _SCALED_BY_ITSELF and average is not None and share is not None:
        yield forbidden(f"{field}.averageValue", "may not set both a target raw value and a target utilization")
    elif kind == "Pods" and average is None:
        yield required(f"{field}.averageValue", "must specify a positive target averageValue")
    elif kind == "Object" and value is None and average is None:
        yield required(f"{field}.averageValue", "must set either a target value or averageValue")
    elif kind == "External" and value is None and average is None:
        detail = "must set either a target value for metric or a per-pod target"
        yield required(f"{field}.averageValue", detail)
    elif kind == "External" and value is not None and average is not None:
        yield forbidden(f"{field}.value", "may not set both a target value for metric and a per-pod target")


def _scaling_rules(field: str, rules: dict[str, Any]) -> FieldErrors:
    window, select = rules.get("stabilizationWindowSeconds"), rules.get("selectPolicy")
    if window is not None:
        where = f"{field}.stabilizationWindowSeconds"
        if window < 0:
            yield invalid_value(where, window, "must be greater than or equal to zero")
        if window > _WINDOW_MAX_S:
            yield invalid_value(where, window, f"must be less than or equal to {_WINDOW_MAX_S}")
    if select is not None and select not in _SELECTIONS:
        yield not_supported(f"{field}.selectPolicy", select, _SELECTIONS)
    if rules.get("policies") == []:
        yield required(f"{field}.policies", "must specify at least one Policy")
    for index, policy in enumerate(rules.get("policies") or ()):
        yield from _scaling_policy(f"{field}.policies[{index}]", policy)
    if rules.get("tolerance") is not None:
        yield from quantity(f"{field}.tolerance", rules["tolerance"])


def _scaling_policy(field: str, policy: dict[str, Any]) -> FieldErrors:
    kind, value, period = policy.get("type") or "", policy.get("value") or 0, policy.get("periodSeconds") or 0
    if kind not in _SCALING_POLICIES:
        yield not_supported(f"{field}.type", kind, _SCALING_POLICIES)
    if value <= 0:
        yield invalid_value(f"{field}.value", value, "must be greater than zero")
    if period <= 0:
        yield invalid_value(f"{field}.periodSeconds", period, "must be greater than zero")
    if period > _PERIOD_MAX_S:
        yield invalid_value(f"{field}.periodSeconds", period, f"must be less than or equal to {_PERIOD_MAX_S}")


def _metrics(field: str, metrics: Sequence[dict[str, Any]]) -> FieldErrors:
    for index, metric in enumerate(metrics):
        where, kind = f"{field}[{index}]", metric.get("type") or ""
        if not kind:
            yield required(f"{where}.type", "must specify a metric source type")
        if kind not in _METRICS:
            yield not_supported(f"{where}.type", kind, sorted(_METRICS))
        given = [(other, key) for other, key in _METRICS.items() if metric.get(key) is not None]
        for other, key in given[:1]:  # the rest is refused as it is
            yield from _metric(f"{where}.{key}", other, metric[key])
        if kind in _METRICS:
            yield from _only(where, _METRICS[kind], metric)


def _only(field: str, source: str, metric: dict[str, Any]) -> FieldErrors:
    given = [key for key in _METRICS.values() if metric.get(key) is not None]
    if source not in given:
        yield required(f"{field}.{source}", "must populate information for the given metric source")
    for key in given if len(given) > 1 else ():
        if key != source:
            yield forbidden(f"{field}.{key}", "must populate the given metric source only")


def _metric(field: str, kind: str, source: dict[str, Any]) -> FieldErrors:
    if kind == "Object":
        yield from _scaled(f"{field}.describedObject", source.get("describedObject") or {})
    if kind in _SCALED_BY_ITSELF:
        if not source.get("name"):
            yield required(f"{field}.name", "must specify a resource name")
    else:
        yield from _metric_name(f"{field}.metric.name", (source.get("metric") or {}).get("name") or "")
    if kind == "ContainerResource" and not source.get("container"):
        yield required(f"{field}.container", "must specify a container")
    elif kind == "ContainerResource":
        yield from matches(f"{field}.container", source["container"], names.dns_label(source["container"]))
    target = source.get("target") or {}
    if not target.get("type"):
        yield required(f"{field}.target.type", "must specify a metric target type")
    if target.get("type") not in _TARGETS:
        detail = "must be either Utilization, Value, or AverageValue"
        yield invalid_value(f"{field}.target.type", target.get("type") or "", detail)
    share = target.get("averageUtilization")
    if share is not None and share < 1:
        yield invalid_value(f"{field}.target.averageUtilization", share, "must be greater than 0")
    for key in ("value", "averageValue"):
        if target.get(key) is not None and parse_quantity(target[key]) <= 0:
            yield invalid_value(f"{field}.target.{key}", target[key], "must be positive")
    yield from _target(f"{field}.target", kind, target)


def _metric_name(field: str, name: str) -> FieldErrors:
    if not name:
        yield required(field, "must specify a metric name")
    else:
        yield from matches(field, name, names.path_segment(name))
