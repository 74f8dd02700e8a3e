"""The rules of a custom resource (x-kubernetes-validations): their form, and whether they compile."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from actors.apiserver.custom.structural import Node, has_rules, nodes
from actors.apiserver.rules.field import FieldErrors, invalid_value, not_supported, required

_REASONS = ("FieldValueDuplicate", "FieldValueForbidden", "FieldValueInvalid", "FieldValueRequired")


def rule_forms(schema: dict[str, Any], at: str) -> FieldErrors:
    for index, rule in enumerate(schema.get("x-kubernetes-validations") or ()):
        yield from _form(rule, f"{at}.x-kubernetes-validations[{index}]")


def rule_problems(root: Node, at: str) -> FieldErrors:
    if not has_rules(root):
        return
    from actors.apiserver.cel.validations import Rules  # cel-cpp: 40 ms that most clusters need not take

    rules = Rules(root)
    for problem in rules.problems:
        value = _in_go(problem.value) if isinstance(problem.value, dict) else problem.value
        yield replace(problem, field=f"{at}{problem.field}", value=value)
    if not rules.problems:
        for place, node in nodes(root, at):
            if node.has_default:
                yield from rules.errors_below(node, node.default, f"{place}.default")


def _in_go(rule: dict[str, Any]) -> dict[str, Any]:
    """As Go shows it: with all of its fields."""
    texts = {key[0].upper() + key[1:]: rule.get(key) or "" for key in ("rule", "message", "messageExpression")}
    rest = {"Reason": rule.get("reason"), "FieldPath": rule.get("fieldPath") or ""}
    return {**texts, **rest, "OptionalOldSelf": rule.get("optionalOldSelf")}


def _form(rule: dict[str, Any], at: str) -> FieldErrors:
    text, message = (rule.get("rule") or "").strip(), rule.get("message") or ""
    if not text:
        yield required(f"{at}.rule", "rule is not specified")
    elif message and not message.strip():
        yield invalid_value(f"{at}.message", message, "must be non-empty if specified")
    elif _has_lines(message.strip()):
        yield invalid_value(f"{at}.message", message, "must not contain line breaks")
    elif _has_lines(text) and not message.strip():
        yield required(f"{at}.message", "message must be specified if rule contains line breaks")
    expression = rule.get("messageExpression") or ""
    if expression and not expression.strip():
        yield required(f"{at}.messageExpression", "messageExpression must be non-empty if specified")
    reason = rule.get("reason")
    if reason is not None and reason not in _REASONS:
        yield not_supported(f"{at}.reason", reason, _REASONS)
    field = rule.get("fieldPath") or ""
    if field and not field.strip():
        yield invalid_value(f"{at}.fieldPath", field, "must be non-empty if specified")
    if _has_lines(field):
        yield invalid_value(f"{at}.fieldPath", field, "must not contain line breaks")


def _has_lines(text: str) -> bool:
    return "\n" in text or "\r" in text
