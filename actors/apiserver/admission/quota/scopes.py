"""Which pods a quota is about: its scopes, and its scopeSelector. A quota without any is about everything it names."""

from __future__ import annotations

from typing import Any

from actors.apiserver.admission.quota.usage import Facts, Usage
from protocols.objects import Object


def is_about(quota: Object, usage: Usage) -> bool:
    requirements = _requirements(quota.get("spec") or {})
    if not requirements:
        return True
    facts = usage.facts
    return facts is not None and all(_holds(requirement, facts) for requirement in requirements)


def _requirements(spec: dict[str, Any]) -> list[dict[str, Any]]:
    plain = [{"scopeName": scope, "operator": "Exists"} for scope in spec.get("scopes") or ()]
    return plain + list((spec.get("scopeSelector") or {}).get("matchExpressions") or ())


def _holds(requirement: dict[str, Any], facts: Facts) -> bool:
    match requirement.get("scopeName"):
        case "Terminating":
            return facts.terminating
        case "NotTerminating":
            return not facts.terminating
        case "BestEffort":
            return facts.best_effort
        case "NotBestEffort":
            return not facts.best_effort
        case "CrossNamespacePodAffinity":
            return facts.cross_namespace_affinity
        case "PriorityClass":
            return _class_holds(requirement, facts.priority_class)
    return False


def _class_holds(requirement: dict[str, Any], name: str) -> bool:
    values = requirement.get("values") or ()
    match requirement.get("operator"):
        case "In":
            return name in values
        case "NotIn":
            return name not in values
        case "DoesNotExist":
            return not name
    return bool(name)
