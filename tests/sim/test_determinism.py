"""One seed, one trace: in one process, in two, under any PYTHONHASHSEED. And how a difference is shown."""

from __future__ import annotations

import os
import random
import subprocess
import sys
from functools import partial
from pathlib import Path

import pytest

from actorkube.sim import World, first_difference
from actorkube.sim.trace import Entry
from tests.sim import heartbeats
from tests.sim.messages import SimBeat

ROOT = Path(__file__).parents[2]


@pytest.mark.slow
def test_a_seed_runs_the_same_way_twice_and_another_seed_does_not() -> None:
    hashes = [World.check(heartbeats.scenario, seed) for seed in (1, 2, 3)]

    assert len(set(hashes)) == 3


@pytest.mark.slow
def test_a_seed_runs_the_same_way_in_processes_with_different_hash_seeds() -> None:
    running = [
        subprocess.Popen(
            [sys.executable, str(ROOT / "tests/sim/heartbeats.py"), "7"],
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONHASHSEED": hash_seed, "PYTHONPATH": str(ROOT)},
        )
        for hash_seed in ("1", "2")
    ]
    traces, string_hashes = [], []
    for process in running:
        output, _ = process.communicate(timeout=60)
        assert process.returncode == 0
        trace, count, string_hash = output.split()
        traces.append((trace, count))
        string_hashes.append(string_hash)

    assert traces[0] == traces[1]
    assert string_hashes[0] != string_hashes[1], "the two processes did hash strings differently"


def test_chance_from_outside_is_found_by_running_twice_and_the_first_difference_is_shown() -> None:
    outside = random.Random()
    outside.seed(1)

    async def scenario(world: World) -> None:
        await world.boot("a")
        await world.sleep(1)
        world.clog("a", "a", outside.random())

    with pytest.raises(AssertionError, match=r"seed 5 ran in two ways: entry 2:\n .*start a\n- .*clog a>a 0\.\d+\n\+ "):
        World.check(scenario, 5)


def test_a_trace_tells_messages_apart_by_their_content() -> None:
    async def say(world: World, number: int) -> str:
        await world.boot("a")
        user = await world.boot("b")
        user.tell(user.ref("a/nobody"), SimBeat("b", number))
        await world.sleep(1)
        return world.trace.hash

    one, same, other = (World.run_sync(partial(say, number=number)) for number in (1, 1, 2))

    assert one == same != other


def test_the_first_difference_of_two_traces_is_shown_with_what_came_before() -> None:
    one: list[Entry] = [(float(number), number, "", what) for number, what in enumerate("abcde")]
    changed = [*one[:3], (3.0, 3, "", "x"), one[4]]

    assert first_difference(one, one) is None
    assert str(first_difference(one, changed, context=2)) == (
        "entry 4:\n  1.000000 1 b\n  2.000000 2 c\n- 3.000000 3 d\n+ 3.000000 3 x"
    )
    assert str(first_difference(one, one[:4], context=1)) == "entry 5:\n  3.000000 3 d\n- 4.000000 4 e\n+ (the end)"
