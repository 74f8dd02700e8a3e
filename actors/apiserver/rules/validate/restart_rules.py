"""When a container starts again by rules of its own."""

from __future__ import annotations

from typing import Any

from actors.apiserver.rules.field import FieldErrors, not_supported, required, too_many

RESTART_POLICIES = ("Always", "Never", "OnFailure")
_ACTIONS = ("Restart", "RestartAllContainers")
_OPERATORS = ("In", "NotIn")
_RULES_MAX = 20
_CODES_MAX = 255


def restart_rules(field: str, container: dict[str, Any]) -> FieldErrors:
    policy, rules = container.get("restartPolicy"), container.get("restartPolicyRules")
    if policy is not None and policy not in RESTART_POLICIES:
        yield not_supported(f"{field}.restartPolicy", policy, RESTART_POLICIES)
    if not rules:
        return
    if policy is None:
        yield required(f"{field}.restartPolicy", "must specify restartPolicy when restart rules are used")
    if len(rules) > _RULES_MAX:
        yield too_many(f"{field}.restartPolicyRules", len(rules), _RULES_MAX)
    for index, rule in enumerate(rules):
        yield from _rule(f"{field}.restartPolicyRules[{index}]", rule)


def _rule(field: str, rule: dict[str, Any]) -> FieldErrors:
    if rule.get("action") not in _ACTIONS:
        yield not_supported(f"{field}.action", rule.get("action") or "", _ACTIONS)
    codes = rule.get("exitCodes")
    if codes is None:
        yield required(f"{field}.exitCodes", "must be specified")
        return
    if codes.get("operator") not in _OPERATORS:
        yield not_supported(f"{field}.exitCodes.operator", codes.get("operator") or "", _OPERATORS)
    if len(codes.get("values") or ()) > _CODES_MAX:
        yield too_many(f"{field}.exitCodes.values", len(codes["values"]), _CODES_MAX)
