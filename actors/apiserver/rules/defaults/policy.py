"""Autoscaling and limits."""

from __future__ import annotations

from actors.apiserver.rules.defaults.fill import fill, section
from protocols.objects import Object

_CPU_UTILIZATION = 80


def horizontal_pod_autoscaler(obj: Object) -> None:
    spec = section(obj, "spec")
    fill(spec, minReplicas=1)
    if not spec.get("metrics"):
        target = {"type": "Utilization", "averageUtilization": _CPU_UTILIZATION}
        spec["metrics"] = [{"type": "Resource", "resource": {"name": "cpu", "target": target}}]
    if spec.get("behavior") is not None:
        doubling = {"type": "Percent", "value": 100, "periodSeconds": 15}
        fill(
            section(spec["behavior"], "scaleUp"),
            stabilizationWindowSeconds=0,
            selectPolicy="Max",
            policies=[{"type": "Pods", "value": 4, "periodSeconds": 15}, doubling],
        )
        fill(section(spec["behavior"], "scaleDown"), selectPolicy="Max", policies=[doubling])


def limit_range(obj: Object) -> None:
    """A maximum is also the default limit, a default limit also the default request, and so is a minimum."""
    for item in (obj.get("spec") or {}).get("limits") or ():
        if item.get("type") != "Container":
            continue
        item["default"] = {**(item.get("max") or {}), **(item.get("default") or {})}
        fallback = {**(item.get("min") or {}), **item["default"]}
        item["defaultRequest"] = {**fallback, **(item.get("defaultRequest") or {})}
        for key in ("default", "defaultRequest"):
            if not item[key]:
                del item[key]
