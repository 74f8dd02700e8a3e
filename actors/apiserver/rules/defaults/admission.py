"""Webhooks and admission policies."""

from __future__ import annotations

from typing import Any

from actors.apiserver.rules.defaults.fill import fill, section
from protocols.objects import Object

_PORT = 443


def mutating_webhooks(obj: Object) -> None:
    for hook in obj.get("webhooks") or ():
        _webhook(hook)
        fill(hook, reinvocationPolicy="Never")


def validating_webhooks(obj: Object) -> None:
    for hook in obj.get("webhooks") or ():
        _webhook(hook)


def admission_policy(obj: Object) -> None:
    spec = section(obj, "spec")
    fill(spec, failurePolicy="Fail")
    if spec.get("matchConstraints") is not None:
        _matching(spec["matchConstraints"])


def admission_policy_binding(obj: Object) -> None:
    spec = section(obj, "spec")
    if spec.get("matchResources") is not None:
        _matching(spec["matchResources"])


def _webhook(hook: dict[str, Any]) -> None:
    fill(hook, failurePolicy="Fail", matchPolicy="Equivalent", timeoutSeconds=10)
    _selectors(hook)
    for rule in hook.get("rules") or ():
        fill(rule, scope="*")
    service = (hook.get("clientConfig") or {}).get("service")
    if service is not None:
        fill(service, port=_PORT)


def _matching(matching: dict[str, Any]) -> None:
    fill(matching, matchPolicy="Equivalent")
    _selectors(matching)
    for key in ("resourceRules", "excludeResourceRules"):
        for rule in matching.get(key) or ():
            fill(rule, scope="*")


def _selectors(holder: dict[str, Any]) -> None:
    for key in ("namespaceSelector", "objectSelector"):
        if holder.get(key) is None:
            holder[key] = {}
