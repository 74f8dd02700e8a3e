"""How many seats a priority level wants over time, and how they are divided among levels that lend and borrow. Pure.

Source: KEP-1040, "Dispatching" and "Borrowing"; seats are whole numbers, times seconds.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

_SMOOTHING = 0.977  # per period: a demand that is over is half forgotten after five minutes
_TARGET_MIN = 0.001
_BISECTIONS = 100


class Observed(NamedTuple):
    """Seats wanted over one period."""

    average: float
    deviation: float
    high: int


class Demand:
    """`note` what is wanted from now on; `observe` gives the period since the last time, and begins another."""

    __slots__ = ("_at", "_high", "_since", "_square", "_sum", "_wanted", "last", "smoothed")

    def __init__(self, now: float) -> None:
        self._wanted = 0
        self._since = self._at = now
        self._sum = self._square = 0.0
        self._high = 0
        self.last = Observed(0.0, 0.0, 0)
        self.smoothed = 0.0

    def note(self, wanted: int, now: float) -> None:
        before = self._wanted
        if before:
            area = before * (now - self._at)
            self._sum += area
            self._square += before * area
        self._at = now
        self._wanted = wanted
        if wanted > self._high:
            self._high = wanted

    def observe(self, now: float) -> None:
        self.note(self._wanted, now)
        elapsed = now - self._since
        average = self._sum / elapsed if elapsed > 0 else float(self._wanted)
        variance = self._square / elapsed - average * average if elapsed > 0 else 0.0
        self.last = Observed(average, math.sqrt(max(variance, 0.0)), self._high)
        envelope = average + self.last.deviation
        self.smoothed = max(envelope, _SMOOTHING * self.smoothed + (1 - _SMOOTHING) * envelope)
        self._since, self._sum, self._square, self._high = now, 0.0, 0.0, self._wanted


class Bounds(NamedTuple):
    """A level's configured concurrency limits."""

    nominal: int
    low: int  # never fewer, whoever would borrow
    high: int


class Wish(NamedTuple):
    """One level when seats are divided: what it should have, if all could, and between what."""

    target: float
    low: float
    high: float


def bounds_of(seats: int, shares: int, shares_sum: int, lendable: int, borrowing: int | None) -> Bounds:
    """`lendable` and `borrowing` are percentages; None borrows as much as there is."""
    nominal = math.ceil(seats * shares / shares_sum) if shares_sum else 0
    borrowed = seats if borrowing is None else _round(nominal * borrowing / 100)
    return Bounds(nominal, nominal - _round(nominal * lendable / 100), nominal + borrowed)


def divide(seats: int, levels: Sequence[tuple[Bounds, Demand]], taken: int = 0) -> list[int]:
    """The limits of the levels that are limited, for the next period. `taken`: what exempt ones hold."""
    busy = [max(bounds.low, min(bounds.nominal, demand.last.high)) for bounds, demand in levels]
    lows = [bounds.low for bounds, _ in levels]
    left = seats - taken
    if left <= sum(lows):
        return lows
    if left <= sum(busy):  # all the way down towards their minimum, equally far
        share = (left - sum(lows)) / (sum(busy) - sum(lows))
        return [low + _round((high - low) * share) for low, high in zip(lows, busy, strict=True)]
    wishes = [
        Wish(max(low, demand.smoothed), low, max(low, bounds.high))
        for low, (bounds, demand) in zip(busy, levels, strict=True)
    ]
    return [_round(given) for given in allot(seats, wishes)]


def allot(total: float, wishes: Sequence[Wish]) -> list[float]:
    """Each gets the same multiple of its target, but within its bounds, so that it is `total` in all; as near to it as
    the bounds let it be."""
    if total <= sum(wish.low for wish in wishes):
        return [float(wish.low) for wish in wishes]
    if total >= sum(wish.high for wish in wishes):
        return [float(wish.high) for wish in wishes]
    little, much = 0.0, max(wish.high / max(wish.target, _TARGET_MIN) for wish in wishes)
    for _ in range(_BISECTIONS):
        multiple = (little + much) / 2
        if sum(_given(multiple, wish) for wish in wishes) < total:
            little = multiple
        else:
            much = multiple
    return [_given(much, wish) for wish in wishes]


def _given(multiple: float, wish: Wish) -> float:
    return min(wish.high, max(wish.low, multiple * max(wish.target, _TARGET_MIN)))


def _round(number: float) -> int:
    """Halves away from zero, as Go's math.Round; no number here is negative."""
    return math.floor(number + 0.5)
