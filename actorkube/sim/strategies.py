"""Hypothesis strategies for schedules of faults. Times are whole tenths of seconds: they shrink to few and small ones.

    @given(schedules(["a", "b", "c"], for_s=20))
    def test_survives(faults: list[Fault]) -> None:
        async def scenario(world: World) -> None:
            ...
            await play(world, faults)
            await world.recover()
        World.run_sync(scenario)

Imports hypothesis, which only tests need.
"""

from __future__ import annotations

from collections.abc import Sequence

from hypothesis import strategies as st

from actorkube.sim.faults import (
    VICTIMS,
    Ambush,
    BadReads,
    Clog,
    Crash,
    Drift,
    Drop,
    Fault,
    FullDisk,
    LossyLink,
    Outage,
    Partition,
    Pause,
    Rot,
    Skew,
    SlowDisk,
    SlowLink,
)

# The first of each is what a failing example shrinks to.
DELAYS_S = (0.1, 0.5, 2.0)
LOSSES = (0.01, 0.1, 0.5)
RATES = (1.01, 1.1, 0.99, 0.9)
SKEWS_S = (2.0, -2.0, 30.0, -30.0)
BANDWIDTHS = (1e6, 1e4)


def schedules(
    hosts: Sequence[str],
    *,
    for_s: float = 20.0,
    lasting_s: float = 15.0,
    faults_max: int = 8,
    messages: Sequence[str] = (),
    disks: bool = True,
    clocks: bool = True,
    rot: bool = False,
) -> st.SearchStrategy[list[Fault]]:
    """Lists of faults among `hosts` that begin within `for_s`; `messages`, which only they send each other, may be
    dropped and ambushed by name. `rot` is for actors that are expected to refuse a rotten disk."""
    at = tenths(for_s)
    lasting = tenths(lasting_s)
    host = st.sampled_from(list(hosts))
    kinds: list[st.SearchStrategy[Fault]] = []
    if messages:
        message = st.sampled_from(list(messages))
        kinds.append(st.builds(Drop, at, st.just(0.0), message, st.integers(1, 5)))
        after = st.sampled_from((0.0, 0.001, 0.02))
        kinds.append(st.builds(Ambush, at, lasting, message, st.sampled_from(VICTIMS), st.integers(0, 9), after))
    kinds.append(st.builds(Crash, at, lasting, host))
    kinds.append(st.builds(Pause, at, lasting, host))
    if len(hosts) > 1:
        kinds.append(st.builds(Outage, at, lasting, st.just(tuple(hosts))))
        kinds.append(partitions(hosts, at, lasting))
        kinds.append(st.builds(Clog, at, lasting, host, host, st.sampled_from(DELAYS_S)))
        kinds.append(st.builds(LossyLink, at, lasting, host, host, st.sampled_from(LOSSES)))
        kinds.append(st.builds(SlowLink, at, lasting, host, host, st.sampled_from(BANDWIDTHS)))
    if disks:
        kinds.append(st.builds(FullDisk, at, lasting, host))
        kinds.append(st.builds(SlowDisk, at, lasting, host, st.sampled_from(DELAYS_S)))
        kinds.append(st.builds(BadReads, at, lasting, host))
    if rot:
        kinds.append(st.builds(Rot, at, st.just(0.0), host))
    if clocks:
        kinds.append(st.builds(Drift, at, lasting, host, st.sampled_from(RATES)))
        kinds.append(st.builds(Skew, at, lasting, host, st.sampled_from(SKEWS_S)))
    return st.lists(st.one_of(kinds), max_size=faults_max)


def tenths(most_s: float) -> st.SearchStrategy[float]:
    return st.integers(0, int(most_s * 10)).map(lambda tenth: tenth / 10)


def partitions(
    hosts: Sequence[str], at: st.SearchStrategy[float], lasting: st.SearchStrategy[float]
) -> st.SearchStrategy[Partition]:
    def split(sides: list[bool], at_s: float, for_s: float, both_ways: bool) -> Partition:
        one = tuple(host for host, side in zip(hosts, sides, strict=True) if side)
        other = tuple(host for host in hosts if host not in one)
        return Partition(at_s, for_s, one, other, both_ways)

    sides = st.lists(st.booleans(), min_size=len(hosts), max_size=len(hosts))
    return st.builds(split, sides, at, lasting, st.booleans())
