"""How two values differ, as Go's messages show it; answers of a real server are in `updated.txt`."""

import math

import pytest

from actors.apiserver.rules.field import go_number
from actors.apiserver.rules.go_values import LINES_MAX, difference

CLAIM = "core.v1.PersistentVolumeClaimSpec"


def test_what_differs_is_shown_with_what_is_around_it() -> None:
    shown = difference(CLAIM, {"accessModes": ["ReadWriteOnce"]}, {"accessModes": ["ReadWriteMany"]})

    assert '-  "ReadWriteOnce"\n' in shown
    assert '+  "ReadWriteMany"\n' in shown


def test_what_would_take_long_to_find_is_not_looked_for() -> None:
    modes = [str(number) for number in range(LINES_MAX)]

    assert difference(CLAIM, {"accessModes": modes}, {"accessModes": modes[::-1]}) == ""


@pytest.mark.parametrize(
    ("number", "shown"),
    [
        (1000.0, "1000"),
        (999999.0, "999999"),
        (1e6, "1e+06"),
        (123456789.5, "1.234567895e+08"),
        (1e21, "1e+21"),
        (0.0001, "0.0001"),
        (0.00001, "1e-05"),
        (-3e7, "-3e+07"),
        (0.0, "0"),
        (7, "7"),
        (math.inf, "+Inf"),
        (-math.inf, "-Inf"),
        (math.nan, "NaN"),
    ],
)
def test_numbers_are_shown_as_go_shows_them(number: float, shown: str) -> None:
    assert go_number(number) == shown
