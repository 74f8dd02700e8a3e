"""HorizontalPodAutoscalers are kept as `autoscaling/v2` and also served as `v1`, which knows one metric: CPU.

What v1 has no field for is in annotations of what it shows, as JSON, and comes back from there; so whoever reads and
writes v1 loses nothing. (k8s.io/api/autoscaling/v1, `annotations.go`; the conversion in pkg/apis/autoscaling/v1.)
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from protocols.objects import Object

_PREFIX = "autoscaling.alpha.kubernetes.io/"
METRICS, CURRENT_METRICS = f"{_PREFIX}metrics", f"{_PREFIX}current-metrics"
CONDITIONS, BEHAVIOR = f"{_PREFIX}conditions", f"{_PREFIX}behavior"
_CPU, _CURRENT_CPU = "targetCPUUtilizationPercentage", "currentCPUUtilizationPercentage"

Part = dict[str, Any]


def to_v1(obj: Object) -> Object:
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    kept: dict[str, Any] = {}
    target, others = _without_cpu(spec.pop("metrics", None) or [], "target")
    if target is not None:
        spec[_CPU] = target
    _keep(kept, METRICS, [_metric_to_v1(metric, "target") for metric in others])
    _keep(kept, BEHAVIOR, spec.pop("behavior", None))
    current, others = _without_cpu(status.pop("currentMetrics", None) or [], "current")
    if current is not None:
        status[_CURRENT_CPU] = current
    _keep(kept, CURRENT_METRICS, [_metric_to_v1(metric, "current") for metric in others])
    _keep(kept, CONDITIONS, status.pop("conditions", None))
    return _assembled(obj, "autoscaling/v1", spec, status, kept)


def to_v2(obj: Object) -> Object:
    spec, status = dict(obj.get("spec") or {}), dict(obj.get("status") or {})
    annotations = (obj.get("metadata") or {}).get("annotations") or {}
    metrics = [_metric_to_v2(metric, "target") for metric in _kept(annotations, METRICS)]
    target = spec.pop(_CPU, None)
    if target is not None:
        metrics.insert(0, _cpu("target", {"type": "Utilization", "averageUtilization": target}))
    if metrics:
        spec["metrics"] = metrics
    current_metrics = [_metric_to_v2(metric, "current") for metric in _kept(annotations, CURRENT_METRICS)]
    current = status.pop(_CURRENT_CPU, None)
    if current is not None:
        current_metrics.insert(0, _cpu("current", {"averageUtilization": current}))
    for where, field, value in (
        (status, "currentMetrics", current_metrics),
        (spec, "behavior", _kept(annotations, BEHAVIOR)),
        (status, "conditions", _kept(annotations, CONDITIONS)),
    ):
        if value:
            where[field] = value
    return _assembled(obj, "autoscaling/v2", spec, status, {})


def _assembled(obj: Object, api_version: str, spec: Part, status: Part, kept: dict[str, Any]) -> Object:
    """The object with these parts, and of the annotations above with just those that are kept."""
    metadata = dict(obj.get("metadata") or {})
    before = metadata.pop("annotations", None) or {}
    annotations = {key: value for key, value in before.items() if not key.startswith(_PREFIX)} | kept
    if annotations:
        metadata["annotations"] = annotations
    parts: Object = {"spec": spec} if "spec" in obj or spec else {}
    if "status" in obj or status:
        parts["status"] = status
    return {**obj, "apiVersion": api_version, "metadata": metadata, **parts}


def _keep(annotations: dict[str, Any], key: str, value: Any) -> None:
    if value:
        annotations[key] = json.dumps(value, separators=(",", ":"))


def _kept(annotations: dict[str, Any], key: str) -> Any:
    """What is no JSON of the right kind was written by somebody else, and says nothing."""
    try:
        value = json.loads(annotations.get(key) or "null")
    except ValueError:
        return []
    wanted = dict if key == BEHAVIOR else list
    if not isinstance(value, wanted):
        return []
    return value if wanted is dict else [each for each in value if isinstance(each, dict)]


# -- metrics ----------------------------------------------------------------------------------------------------------


def _cpu(side: str, value: Part) -> Part:
    return {"type": "Resource", "resource": {"name": "cpu", side: value}}


def _without_cpu(metrics: list[Part], side: str) -> tuple[int | None, list[Part]]:
    """The utilisation of CPU that v1 has a field for (the first that says nothing else), and the other metrics."""
    for position, metric in enumerate(metrics):
        utilization = ((metric.get("resource") or {}).get(side) or {}).get("averageUtilization")
        said = {"type": "Utilization"} if side == "target" else {}
        if metric == _cpu(side, {**said, "averageUtilization": utilization}):
            return utilization, metrics[:position] + metrics[position + 1 :]
    return None, metrics


def _metric_to_v1(metric: Part, side: str) -> Part:
    return _converted(metric, lambda kind, source: _flat(kind, source, side))


def _metric_to_v2(metric: Part, side: str) -> Part:
    return _converted(metric, lambda kind, source: _nested(kind, source, side))


def _converted(metric: Part, convert: Callable[[str, Part], Part]) -> Part:
    kind = str(metric.get("type") or "")
    field = kind[:1].lower() + kind[1:]
    source = metric.get(field)
    return {**metric, field: convert(field, source)} if isinstance(source, dict) else metric


# v1 writes `targetAverageValue` where v2 has `target: {averageValue}`, and flattens what identifies a metric.
_VALUES = {
    "object": {"value": "{side}Value", "averageValue": "averageValue"},
    "pods": {"averageValue": "{side}AverageValue"},
    "external": {"value": "{side}Value", "averageValue": "{side}AverageValue"},
    "resource": {"averageUtilization": "{side}AverageUtilization", "averageValue": "{side}AverageValue"},
    "containerResource": {"averageUtilization": "{side}AverageUtilization", "averageValue": "{side}AverageValue"},
}
_TYPES = {"averageUtilization": "Utilization", "averageValue": "AverageValue", "value": "Value"}


def _flat(kind: str, source: Part, side: str) -> Part:
    """v2 to v1."""
    values = dict(source.get(side) or {})
    flat = {key: value for key, value in source.items() if key not in (side, "metric", "describedObject")}
    for v2, v1 in _VALUES.get(kind, {}).items():
        if v2 in values:
            flat[v1.format(side=side)] = values[v2]
    metric = source.get("metric") or {}
    if metric:
        flat["metricName"] = metric.get("name", "")
        if "selector" in metric:
            flat["metricSelector" if kind == "external" else "selector"] = metric["selector"]
    if "describedObject" in source:
        flat["target"] = source["describedObject"]
    return flat


def _nested(kind: str, source: Part, side: str) -> Part:
    """v1 to v2."""
    nested, values = dict(source), {}
    if "target" in nested and kind == "object":
        nested["describedObject"] = nested.pop("target")
    for v2, v1 in _VALUES.get(kind, {}).items():
        name = v1.format(side=side)
        if name in nested:
            values[v2] = nested.pop(name)
    if "metricName" in nested:
        metric: Part = {"name": nested.pop("metricName")}
        selector = nested.pop("metricSelector" if kind == "external" else "selector", None)
        nested["metric"] = metric if selector is None else {**metric, "selector": selector}
    if side == "target" and values:
        values = {"type": _TYPES[next(iter(values))], **values}
    if values:
        nested[side] = values
    return nested
