"""Plugins of somebody else: what they answer is looked at, so that an answer of no use is theirs, and is named like an
error that they raise. Else an array of the wrong length would end the scheduler, far from whoever made it.

The default plugins are not looked at: they are asked for every decision, and tests know them.
"""

from __future__ import annotations

import math
from typing import Any, TypeVar

import numpy as np

from actors.scheduler.columns import Bools, Floats, Rows
from actors.scheduler.framework import (
    Attempt,
    Cycle,
    Handle,
    Helpless,
    Nomination,
    OnlyNodes,
    Plugin,
    Refusal,
    Skip,
    Wait,
)

_OURS = "actors.scheduler.plugins."
_NUMBER_MAX = 2**20 - 1  # what a verdict has room for
P = TypeVar("P", bound=Plugin)


def checked(plugin: P) -> P:
    """The same plugin; its answers are looked at from now on."""
    kind: Any = type(plugin)
    if not kind.__module__.startswith(_OURS):
        plugin.__class__ = type(kind.__name__, (Checked, kind), {"__module__": kind.__module__})
    return plugin


class Checked:
    """Stands before the plugin's own class. (`Any`: which of these methods there are, is up to that.)"""

    def pre_enqueue(self: Any, pod: Any, state: Any) -> Any:
        return _one_of(super().pre_enqueue(pod, state), Refusal)  # type: ignore[misc]

    def pre_filter(self: Any, cycle: Cycle) -> Any:
        return _one_of(super().pre_filter(cycle), Skip, OnlyNodes, Refusal)  # type: ignore[misc]

    def filter(self: Any, cycle: Cycle, rows: Rows) -> Any:
        numbers = super().filter(cycle, rows)  # type: ignore[misc]
        if numbers is None:
            return None
        present = cycle.state.objects.present[rows]
        found = _as_long_as(present, numbers)
        if found.dtype.kind not in "biu":
            raise TypeError(f"filter returns whole numbers, not {found.dtype}")
        found = np.where(present, found, 0)
        if found.size and not 0 <= int(found.min()) <= int(found.max()) <= _NUMBER_MAX:
            raise ValueError(f"filter returns numbers from 0 to {_NUMBER_MAX}")
        return found.astype(np.int32)

    def filter_one(self: Any, cycle: Cycle, row: int) -> Any:
        number = super().filter_one(cycle, row)  # type: ignore[misc]
        if not 0 <= number <= _NUMBER_MAX:
            raise ValueError(f"filter_one returns a number from 0 to {_NUMBER_MAX}, not {number!r}")
        return int(number)

    def refusal(self: Any, cycle: Cycle, number: int) -> Any:
        found = _one_of(super().refusal(cycle, number), Refusal)  # type: ignore[misc]
        if found is None:
            raise TypeError(f"refusal says nothing of number {number}")
        return found

    def post_filter(self: Any, cycle: Any, pod: Any, found: Any) -> Any:
        return _one_of(super().post_filter(cycle, pod, found), Nomination, Helpless)  # type: ignore[misc]

    def pre_score(self: Any, cycle: Cycle) -> Any:
        return _one_of(super().pre_score(cycle), Skip)  # type: ignore[misc]

    def score(self: Any, cycle: Cycle, rows: Rows) -> Any:
        scores = super().score(cycle, rows)  # type: ignore[misc]
        return None if scores is None else _finite("score", scores, cycle.state.objects.present[rows])

    def score_one(self: Any, cycle: Cycle, row: int) -> Any:
        score = float(super().score_one(cycle, row))  # type: ignore[misc]
        if not math.isfinite(score):
            raise ValueError(f"score_one returns {score}")
        return score

    def normalize_score(self: Any, cycle: Cycle, scores: Floats, feasible: Bools) -> Any:
        found = super().normalize_score(cycle, scores, feasible)  # type: ignore[misc]
        return None if found is None else _finite("normalize_score", found, feasible)

    def reserve(self: Any, attempt: Attempt) -> Any:
        return _one_of(super().reserve(attempt), Refusal)  # type: ignore[misc]

    def permit(self: Any, attempt: Attempt) -> Any:
        return _one_of(super().permit(attempt), Refusal, Wait)  # type: ignore[misc]

    async def pre_bind(self: Any, attempt: Attempt, handle: Handle) -> Any:
        return _one_of(await super().pre_bind(attempt, handle), Refusal)  # type: ignore[misc]


def _one_of(answer: Any, *kinds: type) -> Any:
    """None, or of one of these kinds."""
    if answer is not None and not isinstance(answer, kinds):
        names = ", ".join(kind.__name__ for kind in kinds)
        raise TypeError(f"{names} or None is expected, not {answer!r}")
    if isinstance(answer, Refusal):
        if not isinstance(answer.reasons, tuple) or not all(isinstance(reason, str) for reason in answer.reasons):
            raise TypeError(f"a Refusal has a tuple of reasons, not {answer.reasons!r}")
    return answer


def _as_long_as(rows: Bools, answer: Any) -> np.ndarray[tuple[int, ...], np.dtype[Any]]:
    found = np.asarray(answer)
    if found.shape != rows.shape:
        raise ValueError(f"an array of shape {rows.shape} is expected, not {found.shape}")
    return found


def _finite(point: str, answer: Any, rows: Bools) -> Floats:
    """Where nobody is looked at anything may stand, and becomes 0."""
    found = np.where(rows, _as_long_as(rows, answer).astype(np.float64), 0.0)
    if not np.isfinite(found).all():
        raise ValueError(f"{point} returns {found[~np.isfinite(found)][0]}")
    return found
