"""A remedy: a sentence for people, and a `change` that `trial.py` carries out on a copy: what is said to help was seen
to help.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from protocols.rules.affinity import expression_matches

Expressions = Sequence[Mapping[str, Any]]
Labels = Mapping[str, str]


@dataclass(frozen=True)
class Remedy:
    """`effort`: a missing resource counts by its share of the node, everything else as 1 for each thing to change."""

    text: str
    effort: float
    change: Mapping[str, Any]


def relabelled(expressions: Expressions, labels: Labels) -> dict[str, str | None] | None:
    """The labels to change (None: to remove) so that all expressions match; None if labels do not help."""
    changes: dict[str, str | None] = {}
    for expression in expressions:
        if not expression_matches(expression, labels):
            changes[expression["key"]] = _value_for(expression)
    after = {key: value for key, value in {**labels, **changes}.items() if value is not None}
    return changes if all(expression_matches(expression, after) for expression in expressions) else None


def _value_for(expression: Mapping[str, Any]) -> str | None:
    """A value that the expression accepts; None where it accepts that there is none."""
    values = expression.get("values") or [""]
    match expression.get("operator"):
        case "In":
            return str(values[0])
        case "Exists":
            return "true"
        case "Gt" | "Lt" as operator:
            try:
                return str(int(values[0]) + (1 if operator == "Gt" else -1))
            except ValueError:
                return None
    return None
