"""Texts that are no times, and what a kube-apiserver 1.36.2 says of them."""

import pytest

from actors.apiserver.schema.times import time_problem

LAYOUT = "2006-01-02T15:04:05Z07:00"


@pytest.mark.parametrize(
    ("text", "rest", "piece"),
    [
        ("", "", "2006"),
        ("x", "x", "2006"),
        ("20200101", "0101", "-"),
        ("2020-01-01", "", "T"),
        ("2020-01-01t00:00:00z", "t00:00:00z", "T"),
        ("2020-01-01T00:00:00", "", "Z07:00"),
        ("2020-01-01T00:00:00+0100", "+0100", "Z07:00"),
    ],
)
def test_what_does_not_fit_is_shown_with_its_place(text: str, rest: str, piece: str) -> None:
    assert time_problem(text, "date-time") == f'parsing time "{text}" as "{LAYOUT}": cannot parse "{rest}" as "{piece}"'


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("2020-13-01T00:00:00Z", "month out of range"),
        ("2020-02-30T00:00:00Z", "day out of range"),
        ("2020-01-01T25:00:00Z", "hour out of range"),
        ("2020-01-01T00:00:00Zx", 'extra text: "x"'),
    ],
)
def test_what_cannot_be_is_said(text: str, why: str) -> None:
    assert time_problem(text, "date-time") == f'parsing time "{text}": {why}'


def test_micro_seconds_are_six_digits() -> None:
    assert time_problem("2020-01-01T00:00:00Z", "micro-time").endswith('cannot parse "Z" as ".000000"')
