"""The contract is true as far as tests can say: each of its promises names tests, and they run in every world."""

from __future__ import annotations

import functools
import importlib
import re
from pathlib import Path

import pytest

from actorkube.testing import WORLDS

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

# Promises that not every world can break, by where they are tested, and why.
ALONE = {
    "tests/runtime/test_mailbox.py": "a pure core, which all worlds share",
    "tests/runtime/test_group_state.py": "a pure core, which all worlds share",
    "tests/runtime/test_supervisor.py": "a pure core, which all worlds share",
    "tests/runtime/test_short_ways.py": "in one system, and never in simulation (docs/decisions/0041)",
    "tests/sim/test_network.py": "links break at any moment: only simulation can say when",
    "tests/runtime/test_waits.py::test_a_circle_through_several_systems_is_named": "of systems in one process",
    "tests/runtime/test_tree.py::test_at_the_top_the_system_fails_with_a_reason_and_the_group_is_ended": "a simulated "
    "host dies of it and boots again",
    "tests/runtime/test_handover_timers.py::test_however_often_an_actor_is_handed_over_its_ticks_come_when_they_would_"
    "have_come": "exact times, which only simulation has",
    "tests/runtime/test_monitors.py::test_under_faults_each_watch_ends_once_and_never_while_all_is_well": "drawn "
    "faults",
    "tests/runtime/test_names_through_others.py::test_whoever_knows_whom_all_agree_on_the_holder_while_one_reaches_"
    "all": "drawn faults",
    "tests/runtime/test_names_through_others.py::test_nobody_makes_a_system_know_without_end": "a pure core, which all "
    "worlds share",
    "tests/runtime/test_names.py::test_after_faults_all_systems_agree_and_the_one_holder_knows_it": "drawn faults",
    "tests/runtime/test_names.py::test_a_registry_is_bounded_and_says_so": "a table, which all worlds share",
    "tests/runtime/test_tracing.py::test_a_traced_frame_that_makes_no_sense_is_refused": "of links alone",
    "tests/cli/test_guests.py": "of connections",
    "tests/runtime/test_tcp.py": "of connections",
    "tests/runtime/test_tls.py": "of connections",
    "tests/runtime/test_flow.py": "of connections",
    "tests/runtime/test_fragments.py": "of connections",
}


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


@pytest.mark.parametrize("promise", promises(), ids=lambda promise: promise[2:60])
def test_every_promise_is_tested_in_every_world_that_can_break_it(promise: str) -> None:
    for file, test in NAMED.findall(promise):
        alone = ALONE.get(file) or ALONE.get(f"{file}::{test}")

        assert alone or runs_in_every_world(functions_of(file)[test]), f"{file}::{test}"


def test_what_is_tested_in_one_world_has_its_reason_and_is_in_the_contract() -> None:
    text = CONTRACT.read_text()

    assert [place for place in ALONE if place not in text] == []


def test_the_contract_speaks_of_all_that_an_actor_relies_on() -> None:
    headings = re.findall(r"^## (.+)$", CONTRACT.read_text(), re.MULTILINE)

    assert [section for section in SECTIONS if section not in headings] == []


@functools.cache
def functions_of(file: str) -> dict[str, object]:
    return vars(importlib.import_module(file.removesuffix(".py").replace("/", ".")))


def runs_in_every_world(test: object) -> bool:
    drawn = [mark.args[1] for mark in getattr(test, "pytestmark", []) if mark.name == "parametrize"]
    return any(set(values) >= set(WORLDS) for values in drawn if all(isinstance(value, str) for value in values))
