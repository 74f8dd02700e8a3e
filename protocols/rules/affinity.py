"""Node selectors: nodeSelector, required and preferred node affinity.

Terms are ORed, the expressions of one term ANDed; a term without any expression matches nothing, and so does a
required affinity without terms.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from protocols.objects import Object, labels_of, name_of
from protocols.rules.selectors import number_relates

Expression = Mapping[str, Any]
Term = Mapping[str, Any]


def node_eligible(pod: Object, node: Object) -> bool:
    """Does the node satisfy the pod's nodeSelector and its required node affinity?"""
    spec = pod.get("spec") or {}
    labels = labels_of(node)
    for key, value in (spec.get("nodeSelector") or {}).items():
        if labels.get(key) != value:
            return False
    required = node_affinity(pod).get("requiredDuringSchedulingIgnoredDuringExecution")
    return required is None or node_selector_matches(required, node)


def node_selector_matches(selector: Mapping[str, Any], node: Object) -> bool:
    return any(term_matches(term, node) for term in selector.get("nodeSelectorTerms") or ())


def term_matches(term: Term, node: Object) -> bool:
    expressions, fields = term.get("matchExpressions") or (), term.get("matchFields") or ()
    if not expressions and not fields:
        return False
    return _all_match(expressions, labels_of(node)) and _all_match(fields, {"metadata.name": name_of(node)})


def preference_weight(pod: Object, node: Object) -> int:
    """The sum of the weights of the preferred terms that the node matches."""
    preferred = preferred_terms(pod)
    return sum(entry.get("weight", 0) for entry in preferred if term_matches(entry.get("preference") or {}, node))


def preferred_terms(pod: Object) -> list[Mapping[str, Any]]:
    return node_affinity(pod).get("preferredDuringSchedulingIgnoredDuringExecution") or []


def node_affinity(pod: Object) -> dict[str, Any]:
    affinity = (pod.get("spec") or {}).get("affinity") or {}
    return affinity.get("nodeAffinity") or {}


def expression_matches(expression: Expression, labels: Mapping[str, str]) -> bool:
    value = labels.get(expression.get("key", ""))
    values: list[str] = expression.get("values") or []
    match expression.get("operator"):
        case "In":
            return value is not None and value in values
        case "NotIn":
            return value not in values
        case "Exists":
            return value is not None
        case "DoesNotExist":
            return value is None
        case "Gt":
            return value is not None and len(values) == 1 and number_relates(value, "gt", values[0])
        case "Lt":
            return value is not None and len(values) == 1 and number_relates(value, "lt", values[0])
        case _:
            return False


def _all_match(expressions: Iterable[Expression], labels: Mapping[str, str]) -> bool:
    return all(expression_matches(expression, labels) for expression in expressions)
