"""Raft's properties under loss, duplication, reordering, partitions, slow disks and crashes that forget."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest
from hypothesis import Phase, example, given, settings
from hypothesis import strategies as st

from actorkube.runtime import probe
from actors.etcd.raft.configurations import decode_configuration
from tests.effort import examples
from tests.etcd.raft_world import Weather, World

weathers = st.builds(
    Weather,
    lose=st.sampled_from([0.0, 0.05, 0.3]),
    duplicate=st.sampled_from([0.0, 0.2]),
    crash=st.sampled_from([0.0, 0.003, 0.02]),
    partition=st.sampled_from([0.0, 0.002, 0.01]),
    compact=st.sampled_from([0.0, 0.005, 0.02]),
    lease=st.booleans(),
    slow_disk=st.sampled_from([0.0, 0.5, 0.9]),
    haste_s=st.sampled_from([0.03, 0.06, 0.1]),
)
changing = st.builds(
    Weather,
    lose=st.sampled_from([0.0, 0.05, 0.2]),
    duplicate=st.sampled_from([0.0, 0.2]),
    crash=st.sampled_from([0.0, 0.003, 0.01]),
    partition=st.sampled_from([0.0, 0.002, 0.01]),
    compact=st.sampled_from([0.0, 0.005, 0.02]),
    change=st.sampled_from([0.01, 0.05]),
    transfer=st.sampled_from([0.0, 0.005, 0.02]),
    lease=st.booleans(),
    slow_disk=st.sampled_from([0.0, 0.5]),
    haste_s=st.sampled_from([0.03, 0.06]),
)


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None, phases=[Phase.explicit, Phase.generate])  # a seed does not shrink
@given(seed=st.integers(0, 2**32), size=st.sampled_from([1, 2, 3, 3, 5]), weather=weathers)
@example(
    1133, 3, Weather(0.3, 0.2, 0.003, 0.0, 0.03, slow_disk=0.0, haste_s=0.1)
)  # a leader that never stopped sending one entry
def test_keeps_its_promises_in_any_weather_and_works_again_after_it(seed: int, size: int, weather: Weather) -> None:
    world = World(seed, size, weather)

    for _ in range(2000):
        world.step()

    world.heal()


@pytest.mark.slow
@settings(max_examples=examples(40), deadline=None, phases=[Phase.explicit, Phase.generate])
@given(seed=st.integers(0, 2**32), size=st.sampled_from([1, 2, 3, 3, 5]), weather=changing)
def test_keeps_its_promises_while_members_come_and_go_and_leaders_hand_over(
    seed: int, size: int, weather: Weather
) -> None:
    world = World(seed, size, weather)

    for _ in range(2000):
        world.step()

    world.heal()


def test_the_same_seed_gives_the_same_history() -> None:
    histories = []
    for _ in range(2):
        world = World(7)
        for _ in range(300):
            world.step()
        histories.append((world.committed, world.leaders, world.network))

    assert histories[0] == histories[1]


@pytest.mark.slow
def test_the_worlds_do_reach_the_interesting_places() -> None:
    terms = commits = reads = installs = 0
    for seed in range(10):
        weather = Weather(lose=0.02, duplicate=0.1, crash=0.003, partition=0.003, compact=0.02, slow_disk=0.3)
        world = World(seed, weather=weather)
        for _ in range(2500):
            world.step()
        terms += len(world.leaders)
        commits += len(world.committed)
        reads += world.reads_answered
        installs += world.installs

    assert terms > 16
    assert commits > 80
    assert reads > 20
    assert installs > 10


@pytest.mark.slow
def test_the_worlds_in_which_members_change_do_reach_the_interesting_places() -> None:
    joint = sizes = 0
    with reaching() as reached:
        for seed in range(10):
            calm = Weather(lose=0.02, crash=0.001, partition=0.001, compact=0.01, slow_disk=0.0)
            world = World(seed, weather=replace(calm, change=0.1, transfer=0.01))
            for _ in range(3000):
                world.step()
            configurations = [decode_configuration(entry.data) for entry in world.committed if entry.configures]
            joint += sum(1 for configuration in configurations if configuration.outgoing)
            sizes += len({len(configuration.voters) for configuration in configurations})
    removed_leaders, handovers = reached["raft: a leader is removed"], reached["raft: a leader hands over"]

    assert joint > 20
    assert sizes > 15
    assert removed_leaders > 3
    assert handovers > 10


@contextmanager
def reaching() -> Iterator[dict[str, int]]:
    counts: dict[str, int] = {}
    token = probe.reached.set(counts)
    try:
        yield counts
    finally:
        probe.reached.reset(token)
