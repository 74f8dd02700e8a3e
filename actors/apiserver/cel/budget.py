"""How much expressions may cost when they are evaluated: each of them, and all of them about one object together.

The limits are Kubernetes' (k8s.io/apiserver/pkg/apis/cel/config.go). What an evaluation costs is known before it begins
(cost.bounded), so one that is too expensive is not begun. To measure the values takes longer than most evaluations. So
they are weighed only, or the largest of their parts is looked for, as long as that is enough to know: what any values
like that could cost at most goes to an account of its own, as large as the budget, and the count is kept for each power
of two. When that account is empty, or a single evaluation could cost too much, values are measured, and what is counted
then is the budget's.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Generic, TypeVar

import orjson

from actorkube.cel.engine import EvaluationError, OutOfBudget, Program
from actors.apiserver.cel.cost import bounded
from actors.apiserver.cel.sizes import SameSize, ValueSizes

T = TypeVar("T")
PER_EVALUATION_MAX = 1_000_000
PER_OBJECT_MAX = 10_000_000  # about a second of Kubernetes' time
MATCH_CONDITIONS_MAX = PER_OBJECT_MAX // 4
EXCEEDED = "operation cancelled: actual cost limit exceeded"
SPENT = "validation failed due to running out of cost budget, no further validation rules will be run"
_BEGINNING = 100  # what it costs here to begin an evaluation, in Kubernetes' units: some 10 microseconds
_COUNTED_MAX = 16_384


class Budget:
    def __init__(self, most: int = PER_OBJECT_MAX) -> None:
        self._left = most
        self._left_unmeasured = most
        self._weights: _Kept[int] = _Kept(weight_of)
        self._largest: _Kept[int] = _Kept(largest_of)

    def evaluate(self, program: Program, values: Mapping[str, Any]) -> Any:
        """Raises EvaluationError, and OutOfBudget where the expressions before it have left too little."""
        enough = min(PER_EVALUATION_MAX, self._left_unmeasured)
        cost = self._unmeasured(program, values, enough)
        if cost <= enough:
            self._left_unmeasured -= cost
        else:
            self._spend(_BEGINNING + _measured(program, values))
        return program(values)

    def _unmeasured(self, program: Program, values: Mapping[str, Any], enough: int) -> int:
        weight = sum(self._weights.of(values)).bit_length()
        cost = _BEGINNING + _for_any(program, weight, weight)
        if cost <= enough:
            return cost
        return _BEGINNING + _for_any(program, max(self._largest.of(values), default=0).bit_length(), weight)

    def _spend(self, cost: int) -> None:
        if cost > PER_EVALUATION_MAX:
            raise EvaluationError(EXCEEDED)
        if cost > self._left:
            raise OutOfBudget
        self._left -= cost


class _Kept(Generic[T]):
    """What was found of each variable's value, as long as it is the same object."""

    def __init__(self, find: Callable[[Any], T]) -> None:
        self._find = find
        self._known: dict[str, tuple[Any, T]] = {}

    def of(self, values: Mapping[str, Any]) -> list[T]:
        return [self._one(name, value) for name, value in values.items()]

    def _one(self, name: str, value: Any) -> T:
        known = self._known.get(name)
        if known is None or known[0] is not value:
            known = self._known[name] = value, self._find(value)
        return known[1]


def weight_of(value: Any) -> int:
    """In characters of JSON: no less than what ValueSizes counts."""
    return len(orjson.dumps(value, default=str)) + 1


def largest_of(value: Any) -> int:
    """The size of the longest text, or of what has most entries, inside a value."""
    if isinstance(value, str | bytes):
        return len(value)
    if isinstance(value, dict):
        return max(len(value), *map(len, value), *map(largest_of, value.values()), 0)
    return max(len(value), *map(largest_of, value), 0) if isinstance(value, list) else 1


def _measured(program: Program, values: Mapping[str, Any]) -> int:
    sizes = ValueSizes(values)
    return bounded(program.tree, sizes, sizes.weight)


@lru_cache(maxsize=_COUNTED_MAX)
def _for_any(program: Program, bits: int, weight_bits: int) -> int:
    return bounded(program.tree, SameSize(1 << bits), 1 << weight_bits)
