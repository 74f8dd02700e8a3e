"""Where a run decides about a change it must say the same thing twice; elsewhere it should say something new."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
DRAWS = """
from tests import effort
effort.set_default()
from hypothesis import given, strategies as st

drawn = []

@given(st.integers(0, 2**64))
def draw(number):
    drawn.append(number)

draw()
print(len(drawn), hash(tuple(drawn)))
"""


@pytest.mark.slow
@pytest.mark.parametrize(
    ("where", "same", "count"),
    [
        ({}, False, 100),
        ({"ACTORKUBE_CI": "1"}, True, 100),
        ({"ACTORKUBE_TESTS": "quick"}, False, 25),
        ({"ACTORKUBE_TESTS": "planted"}, True, 100),
    ],
    ids=["here", "gate", "quick", "planted"],
)
def test_examples_are_the_same_only_where_a_change_is_judged(
    where: dict[str, str], same: bool, count: int, tmp_path: Path
) -> None:
    script = tmp_path / "draws.py"
    script.write_text(DRAWS)

    first, second = draws(script, where), draws(script, where)

    assert (first == second) is same
    assert first.split()[0] == str(count)


def draws(script: Path, where: dict[str, str]) -> str:
    """What a process of its own draws there: how many examples, and their hash."""
    inherited = {key: value for key, value in os.environ.items() if not key.startswith("ACTORKUBE_")}
    environment = {**inherited, "PYTHONPATH": str(ROOT), "PYTHONHASHSEED": "0", **where}
    done = subprocess.run(
        [sys.executable, str(script)], cwd=script.parent, env=environment, capture_output=True, text=True, check=True
    )
    return done.stdout
