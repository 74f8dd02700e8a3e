"""Durations: Go's grammar, both ways."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkube.runtime.duration import LONGEST_S, format_duration, in_seconds, parse_duration


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("50s", 50),
        ("5m", 300),
        ("1h30m", 5400),
        ("1.5h", 5400),
        ("1h2m3.5s", 3723.5),
        ("300ms", 0.3),
        ("10µs", 1e-5),
        (".5s", 0.5),
        ("1m1ns", 60.000000001),
        ("90", 90),
        ("0", 0),
    ],
)
def test_durations_are_read_as_go_reads_them(text: str, seconds: float) -> None:
    assert parse_duration(text) == pytest.approx(seconds, abs=1e-12)


@pytest.mark.parametrize(
    "text", ["", "s", "5 m", "-5m", "5x", "1h-5m", "m5", "1e3", "inf", "nan", "٣s", "5m\n", "1..5s"]
)
def test_what_is_no_duration_is_refused_in_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match="is not a time such as 50s, 5m or 1h30m"):
        parse_duration(text)


def test_what_would_lose_precision_is_refused() -> None:
    with pytest.raises(ValueError, match="longer than"):
        parse_duration("300000h")
    for seconds in (-1.0, LONGEST_S * 2, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="is not a number of seconds"):
            in_seconds(seconds)


@pytest.mark.parametrize(
    ("seconds", "text"),
    [(0, "0s"), (0.083, "83ms"), (1.5, "1.5s"), (60, "1m0s"), (360, "6m0s"), (5400, "1h30m0s"), (59.9999, "1m0s")],
)
def test_durations_are_written_as_go_writes_them(seconds: float, text: str) -> None:
    assert format_duration(seconds) == text


@given(st.integers(0, 10**11))
def test_what_is_written_is_read_back(milliseconds: int) -> None:
    seconds = milliseconds / 1000

    assert in_seconds(format_duration(seconds)) == pytest.approx(seconds, abs=1e-6)
