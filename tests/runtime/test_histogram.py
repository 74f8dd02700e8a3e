"""Histograms with bounds of their own."""

from __future__ import annotations

import pytest

from actorkube.runtime.histogram import Bounded, exponential


def test_what_is_a_bound_is_below_it() -> None:
    histogram = Bounded((0.5, 1, 2))
    for value in (0.5, 0.6, 1, 2, 2.1):
        histogram.observe(value)

    assert histogram.buckets() == [("0.5", 1.0), ("1", 3.0), ("2", 4.0), ("+Inf", 5.0)]
    assert histogram.count == 5 and histogram.total == pytest.approx(6.2)


def test_a_copy_is_what_was_counted_until_then() -> None:
    histogram = Bounded((1,))
    histogram.observe(1)
    copy = histogram.copy()
    histogram.observe(7)

    assert (copy.count, copy.total, histogram.count) == (1, 1.0, 2)


def test_bounds_grow_by_the_same_factor() -> None:
    assert exponential(0.001, 2, 4) == (0.001, 0.002, 0.004, 0.008)
