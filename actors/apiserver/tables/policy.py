"""Autoscaling, budgets, quotas, priorities, admission, and who answers for which API."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from actors.apiserver.autoscaling_versions import to_v2
from actors.apiserver.elapsed import UNKNOWN
from actors.apiserver.tables.cells import NONE, UNSET, Columns, Printer, age, name_of_row
from protocols.objects import Object
from protocols.rules.conditions import find_condition

_METRICS_MAX = 2
_SOURCES = {
    "Resource": "resource",
    "ContainerResource": "containerResource",
    "Pods": "pods",
    "Object": "object",
    "External": "external",
}


def _horizontal_pod_autoscaler(obj: Object) -> list[Any]:
    obj = to_v2(obj) if obj.get("apiVersion") == "autoscaling/v1" else obj  # whose metrics are in annotations
    spec, status = obj.get("spec") or {}, obj.get("status") or {}
    target = spec.get("scaleTargetRef") or {}
    least = spec.get("minReplicas")
    return [
        name_of_row(obj),
        f"{target.get('kind', '')}/{target.get('name', '')}",
        _metrics(spec.get("metrics") or (), status.get("currentMetrics") or ()),
        UNSET if least is None else str(least),
        spec.get("maxReplicas") or 0,
        status.get("currentReplicas") or 0,
        age(obj),
    ]


def _pod_disruption_budget(obj: Object) -> list[Any]:
    spec = obj.get("spec") or {}
    bounds = (spec.get(key) for key in ("minAvailable", "maxUnavailable"))
    shown = ["N/A" if bound is None else str(bound) for bound in bounds]
    return [name_of_row(obj), *shown, (obj.get("status") or {}).get("disruptionsAllowed") or 0, age(obj)]


def _resource_quota(obj: Object) -> list[Any]:
    status = obj.get("status") or {}
    used = status.get("used") or {}
    requests: list[str] = []
    limits: list[str] = []
    for name, hard in sorted((status.get("hard") or {}).items()):
        column = limits if name.startswith("limits.") else requests
        column.append(f"{name}: {used.get(name) or '0'}/{hard}")
    return [name_of_row(obj), ", ".join(requests), ", ".join(limits), age(obj)]


def _priority_class(obj: Object) -> list[Any]:
    default, preemption = bool(obj.get("globalDefault")), obj.get("preemptionPolicy") or ""
    return [name_of_row(obj), obj.get("value") or 0, default, age(obj), preemption]


def _webhook_configuration(obj: Object) -> list[Any]:
    return [name_of_row(obj), len(obj.get("webhooks") or ()), age(obj)]


def _admission_policy(obj: Object) -> list[Any]:
    return [name_of_row(obj), len(_spec(obj).get("validations") or ()), _param_kind(obj), age(obj)]


def _mutating_policy(obj: Object) -> list[Any]:
    return [name_of_row(obj), len(_spec(obj).get("mutations") or ()), _param_kind(obj), age(obj)]


def _spec(obj: Object) -> dict[str, Any]:
    return obj.get("spec") or {}


def _param_kind(obj: Object) -> str:
    kind = _spec(obj).get("paramKind") or {}
    return f"{kind.get('apiVersion', '')}/{kind.get('kind', '')}" if kind else UNSET


def _admission_policy_binding(obj: Object) -> list[Any]:
    spec = obj.get("spec") or {}
    params = spec.get("paramRef") or {}
    place = f"{params.get('namespace') or '*'}/{params.get('name') or ''}" if params else UNSET
    return [name_of_row(obj), spec.get("policyName") or "", place, age(obj)]


def _api_service(obj: Object) -> list[Any]:
    service = (obj.get("spec") or {}).get("service")
    found = find_condition((obj.get("status") or {}).get("conditions"), "Available")
    status = found.get("status") or "" if found is not None else UNKNOWN
    shown = f"{status} ({found.get('reason')})" if found is not None and status != "True" else status
    where = f"{service.get('namespace')}/{service.get('name')}" if service else "Local"
    return [name_of_row(obj), where, shown, age(obj)]


API_SERVICE = Printer(Columns("Name", "Service", "Available", "Age"), _api_service)
WEBHOOK_CONFIGURATION = Printer(Columns("Name", "Webhooks:integer", "Age"), _webhook_configuration)
ADMISSION_POLICY = Printer(Columns("Name", "Validations:integer", "ParamKind", "Age"), _admission_policy)
MUTATING_POLICY = Printer(Columns("Name", "Mutations:integer", "ParamKind", "Age"), _mutating_policy)
ADMISSION_POLICY_BINDING = Printer(Columns("Name", "PolicyName", "ParamRef", "Age"), _admission_policy_binding)
HORIZONTAL_POD_AUTOSCALER = Printer(
    Columns("Name", "Reference", "Targets", "MinPods", "MaxPods", "Replicas", "Age"),
    _horizontal_pod_autoscaler,
)
POD_DISRUPTION_BUDGET = Printer(
    Columns("Name", "Min Available", "Max Unavailable", "Allowed Disruptions:integer", "Age"),
    _pod_disruption_budget,
)
RESOURCE_QUOTA = Printer(Columns("Name", "Request", "Limit", "Age"), _resource_quota)
PRIORITY_CLASS = Printer(
    Columns("Name", "Value:integer", "Global-Default:boolean", "Age", "PreemptionPolicy"),
    _priority_class,
)


def _metrics(specs: Sequence[dict[str, Any]], currents: Sequence[dict[str, Any]]) -> str:
    shown = [_metric(spec, currents[index] if index < len(currents) else {}) for index, spec in enumerate(specs)]
    listed = ", ".join(shown[:_METRICS_MAX])
    more = len(shown) - _METRICS_MAX
    return f"{listed} + {more} more..." if more > 0 else listed or NONE


def _metric(spec: dict[str, Any], status: dict[str, Any]) -> str:
    kind = spec.get("type") or ""
    if kind not in _SOURCES:
        return "<unknown type>"
    source = spec.get(_SOURCES[kind]) or {}
    target, current = source.get("target") or {}, (status.get(_SOURCES[kind]) or {}).get("current") or {}
    if kind in ("Resource", "ContainerResource"):
        return f"{source.get('name', '')}: {_resource(target, current)}"
    if target.get("averageValue") is None:
        return f"{current.get('value') or UNKNOWN}/{target.get('value') or ''}"
    average = "" if kind == "Pods" else " (avg)"
    return f"{current.get('averageValue') or UNKNOWN}/{target['averageValue']}{average}"


def _resource(target: dict[str, Any], current: dict[str, Any]) -> str:
    if target.get("averageValue") is not None:
        return f"{current.get('averageValue') or UNKNOWN}/{target['averageValue']}"
    goal, now = target.get("averageUtilization"), current.get("averageUtilization")
    return f"{UNKNOWN if now is None else f'{now}%'}/{'<auto>' if goal is None else f'{goal}%'}"
