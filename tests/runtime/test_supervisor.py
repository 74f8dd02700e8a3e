"""Supervision: who is restarted, after how long, and when restarting is given up."""

from __future__ import annotations

import asyncio
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkube.runtime import Actor, Supervision, System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actorkube.runtime.supervisor import Backoff, Escalate, Restart, Supervisor
from actorkube.sim import World
from protocols.message import Message, Request


@pytest.mark.parametrize(
    ("strategy", "expected"),
    [("one_for_one", ("b",)), ("rest_for_one", ("b", "c")), ("one_for_all", ("a", "b", "c"))],
)
def test_the_strategy_says_who_restarts_with_a_crashed_child(strategy: str, expected: tuple[str, ...]) -> None:
    supervisor = Supervisor(Supervision(strategy=strategy), ["a", "b", "c"])  # type: ignore[arg-type]

    decision = supervisor.crashed("b", now=0)

    assert isinstance(decision, Restart)
    assert decision.children == expected


def test_the_delay_doubles_up_to_its_bound_and_forgets_after_the_period() -> None:
    supervisor = Supervisor(Supervision(intensity=9, period_s=10, backoff=Backoff(0.5, 2.0)), ["a"])

    delays = [supervisor.crashed("a", now=t) for t in (0, 1, 2, 3, 100)]

    assert [d.delay_s for d in delays if isinstance(d, Restart)] == [0.5, 1.0, 2.0, 2.0, 0.5]


def test_more_crashes_than_the_intensity_within_the_period_escalate() -> None:
    supervisor = Supervisor(Supervision(intensity=2, period_s=10), ["a"])

    decisions = [type(supervisor.crashed("a", now=t)) for t in (0, 5, 9)]

    assert decisions == [Restart, Restart, Escalate]


class Generation(Message):
    number: int


class Which(Request[Generation]):
    pass


class Fall(Message):
    pass


class Child(Actor):
    def __init__(self, births: dict[str, int], name: str) -> None:
        births[name] = births.get(name, 0) + 1
        self.generation = births[name]

    def receive(self, message: Message) -> object:
        if isinstance(message, Fall):
            raise RuntimeError("planted")
        return Generation(self.generation)


async def test_a_crash_restarts_the_younger_siblings_too_and_keeps_what_waits() -> None:
    births: dict[str, int] = {}
    system = System("s", LocalNetwork().transport(), seed=1, log=Quiet())
    await system.start()
    supervision = Supervision("rest_for_one", backoff=Backoff(0.0, 0.0))
    names = ("a", "b", "c")
    refs = system.spawn_group([(n, lambda n=n: Child(births, n)) for n in names], supervision)

    system.tell(refs[1], Fall())
    replies = await asyncio.gather(*(system.ask(ref, Which()) for ref in refs))
    again = await asyncio.gather(*(system.ask(ref, Which()) for ref in refs))

    assert replies[1] == Generation(2)
    assert [g.number for g in again] == [1, 2, 2]
    await system.stop()


@given(
    st.integers(0, 40), st.floats(0.001, 10), st.floats(1, 1000), st.floats(0, 1, allow_nan=False), st.integers(0, 1000)
)
def test_of_a_delay_no_more_than_the_jitter_is_left_off_and_the_seed_says_how_much(
    restarts: int, first_s: float, times: float, jitter: float, seed: int
) -> None:
    backoff = Backoff(first_s, first_s * times, jitter)
    whole = backoff.delay_s(restarts)

    drawn = [backoff.delay_s(restarts, random.Random(seed + number)) for number in range(20)]

    assert whole <= first_s * times * (1 + 1e-9)
    assert all(whole * (1 - jitter) * (1 - 1e-9) <= delay <= whole for delay in drawn)
    assert len(set(drawn)) > 1 or jitter < 1e-9
    assert drawn == [backoff.delay_s(restarts, random.Random(seed + number)) for number in range(20)]


@pytest.mark.parametrize("seed", [1, 2])
def test_many_that_crash_together_do_not_come_back_together(seed: int) -> None:
    async def scenario(world: World) -> list[float]:
        hosts = [f"h{number}" for number in range(20)]
        births: dict[str, list[float]] = {host: [] for host in hosts}
        supervision = Supervision(backoff=Backoff(1.0, 8.0))
        for host in hosts:
            await world.boot(host, lambda system, host=host: note(system, births[host], supervision))
        began = world.loop.time()
        for host in hosts:
            world.system(host).tell(world.system(host).ref(f"{host}/child"), Fall())
        await world.sleep(3)
        return [round(times[1] - began, 6) for times in births.values()]

    comings = World.run_sync(scenario, seed, expected=(RuntimeError,))

    assert all(0.8 <= each <= 1.001 for each in comings)
    assert len(set(comings)) > 10
    assert comings == World.run_sync(scenario, seed, expected=(RuntimeError,))


def note(system: System, births: list[float], supervision: Supervision) -> None:
    def make() -> Child:
        births.append(system.loop.time())
        return Child({}, "child")

    system.spawn(make, "child", supervision)


async def test_a_child_that_cannot_start_makes_its_system_fail_with_a_reason() -> None:
    class Broken(Actor):
        async def on_start(self) -> None:
            raise RuntimeError("no way to start")

    system = System("s", LocalNetwork().transport(), seed=1, log=Quiet())
    await system.start()
    system.spawn(Broken, "broken", Supervision(intensity=2, backoff=Backoff(0.0, 0.0)))

    assert system.failed is not None
    reason = await asyncio.wait_for(system.failed, 5)

    assert "s/broken crashed 3 times" in reason
    assert "no way to start" in reason
    await system.stop()
