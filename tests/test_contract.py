"""The contract is true as far as tests can say: each of its promises names one, and that test exists."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CONTRACT = ROOT / "docs" / "contract.md"
NAMED = re.compile(r"`(tests/[\w/]+\.py)::(\w+)`")
SECTIONS = (
    "Delivery and order",
    "Deadlines and cancellation",
    "Mailboxes",
    "Streams",
    "Timers",
    "Stopping",
    "Supervision",
)


def promises() -> list[str]:
    """Each point of each list, on one line."""
    points: list[str] = []
    for line in CONTRACT.read_text().splitlines():
        if line.startswith("- "):
            points.append(line)
        elif line.startswith("  ") and points:
            points[-1] += " " + line.strip()
    return points


@pytest.mark.parametrize("promise", promises(), ids=lambda promise: promise[2:60])
def test_every_promise_names_a_test_that_exists(promise: str) -> None:
    named = NAMED.findall(promise)

    assert named, promise
    for file, test in named:
        assert test in functions_of(file), f"{file}::{test}"


def test_the_contract_speaks_of_all_that_an_actor_relies_on() -> None:
    headings = re.findall(r"^## (.+)$", CONTRACT.read_text(), re.MULTILINE)

    assert [section for section in SECTIONS if section not in headings] == []


def functions_of(file: str) -> set[str]:
    tree = ast.parse((ROOT / file).read_text())
    return {node.name for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)}
