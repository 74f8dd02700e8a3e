"""What the rules of one schema may cost by Kubernetes' estimate when it is written: each of them, and all together."""

from __future__ import annotations

from actorkube.cel.engine import Program
from actors.apiserver.cel.cost import UNKNOWN, estimated
from actors.apiserver.cel.sizes import REQUEST_BYTES_MAX, SchemaSizes, smallest
from actors.apiserver.custom.structural import Node
from actors.apiserver.rules.field import FieldError, FieldErrors, forbidden

EXPRESSION_MAX = 10_000_000
SCHEMA_MAX = 100_000_000
_NAMED_MAX = 4  # of the most expensive ones, where all together cost too much
_HINT = (
    "(try simplifying the rule, or adding maxItems, maxProperties, and maxLength where arrays, maps, and strings are "
    "declared)"
)
Times = int | None  # how often a node can be in an object, None where no limit of the schema says so


class Estimates:
    def __init__(self) -> None:
        self._costs: list[tuple[int, str]] = []

    def of_rule(self, program: Program, node: Node, root: bool, times: Times, at: str) -> FieldError | None:
        often = times if times is not None else REQUEST_BYTES_MAX // (smallest(node) + 1)
        cost = min(estimated(program.tree, SchemaSizes(node, root)) * often, UNKNOWN)
        return self._one(cost, "estimated rule cost", at)

    def of_message(self, program: Program, node: Node, root: bool, at: str) -> FieldError | None:
        return self._one(estimated(program.tree, SchemaSizes(node, root)), "estimated messageExpression cost", at)

    def total(self) -> FieldErrors:
        total = min(sum(cost for cost, _ in self._costs), UNKNOWN)
        if total <= SCHEMA_MAX:
            return
        detail = "contributed to estimated rule cost total exceeding cost limit for entire OpenAPIv3 schema"
        for _, at in sorted(self._costs, key=lambda each: -each[0])[:_NAMED_MAX]:
            yield forbidden(at, detail)
        what = "x-kubernetes-validations estimated rule cost total for entire OpenAPIv3 schema"
        yield forbidden("", _exceeds(what, total, SCHEMA_MAX))

    def _one(self, cost: int, what: str, at: str) -> FieldError | None:
        self._costs.append((cost, at))
        return forbidden(at, _exceeds(what, cost, EXPRESSION_MAX)) if cost > EXPRESSION_MAX else None


def times_below(node: Node, step: str, times: Times) -> Times:
    """How often what is below a node can be there."""
    if step not in (".items", ".additionalProperties"):
        return times
    most: int | None = node.schema.get("maxItems" if step == ".items" else "maxProperties")
    return times * most if times is not None and most is not None else None


def _exceeds(what: str, cost: int, most: int) -> str:
    factor = cost / most
    shown = "more than 100x" if factor > 100 else f"{factor:f}x" if factor < 1.5 else f"{factor:.1f}x"
    return f"{what} exceeds budget by factor of {shown} {_HINT}"
