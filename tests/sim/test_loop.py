"""The deterministic loop: virtual time, order, bounds, domains, and no way out."""

from __future__ import annotations

import asyncio
import gc
import random
from collections.abc import Callable, Coroutine, Iterator
from typing import Any

import pytest

from actorkube.sim.errors import Deadlock, OutOfSteps, OutOfTime, RealWorld
from actorkube.sim.loop import TASKS_SWEPT_FIRST, SimLoop
from actorkube.sim.policies import Shuffle
from actorkube.sim.tasks import Domain, domain


@pytest.fixture
def loop() -> Iterator[SimLoop]:
    loop = SimLoop(instant_steps_max=10_000)
    yield loop
    loop.close()


def test_an_hour_passes_at_once_and_time_is_exact(loop: SimLoop) -> None:
    async def wait() -> float:
        await asyncio.sleep(3600)
        return loop.time()

    assert loop.run_until_complete(wait()) == 3600.0


def test_timers_of_one_instant_fire_in_the_order_in_which_they_were_set(loop: SimLoop) -> None:
    fired: list[int] = []
    for number in range(50):
        loop.call_at(1.0, fired.append, number)

    loop.run_until_complete(asyncio.sleep(2))

    assert fired == list(range(50))


def test_callbacks_keep_their_order_though_steps_of_tasks_are_shuffled() -> None:
    loop = SimLoop(policy=Shuffle(random.Random(1)))
    callbacks: list[int] = []
    steps: list[int] = []

    async def step(number: int) -> None:
        steps.append(number)

    async def main() -> None:
        for number in range(20):
            loop.call_soon(callbacks.append, number)
            loop.create_task(step(number))
        await asyncio.sleep(1)

    loop.run_until_complete(main())
    loop.close()

    assert callbacks == list(range(20))
    assert sorted(steps) == list(range(20)) != steps


def test_a_scenario_that_would_wait_for_ever_is_a_deadlock_that_says_where(loop: SimLoop) -> None:
    async def stuck() -> None:
        await loop.create_future()

    with pytest.raises(Deadlock, match=r"task 1 at .*test_loop\.py:\d+"):
        loop.run_until_complete(stuck())


def test_a_deadlock_names_the_line_of_the_scenario_and_not_one_of_asyncio(loop: SimLoop) -> None:
    async def stuck() -> None:
        await asyncio.Event().wait()

    with pytest.raises(Deadlock, match=r"task 1 at .*test_loop\.py:\d+"):
        loop.run_until_complete(stuck())


def test_a_busy_loop_is_found_though_time_stands_still(loop: SimLoop) -> None:
    async def spin() -> None:
        while True:
            await asyncio.sleep(0)

    with pytest.raises(OutOfSteps, match="busy loop"):
        loop.run_until_complete(spin())


def test_the_number_of_steps_is_bounded() -> None:
    loop = SimLoop(steps_max=1000)

    async def tick() -> None:
        while True:
            await asyncio.sleep(1)

    with pytest.raises(OutOfSteps, match="1000"):
        loop.run_until_complete(tick())
    loop.close()


def test_simulated_time_is_bounded(loop: SimLoop) -> None:
    loop.end_at = 10

    with pytest.raises(OutOfTime, match="10 simulated seconds"):
        loop.run_until_complete(asyncio.sleep(11))


@pytest.mark.parametrize(
    "reach",
    [
        lambda loop: loop.run_in_executor(None, print),
        lambda loop: loop.create_connection(asyncio.Protocol, "localhost", 80),
        lambda loop: loop.call_soon_threadsafe(print),
        lambda loop: loop.getaddrinfo("localhost", 80),
        lambda loop: asyncio.to_thread(print),
        lambda loop: asyncio.create_subprocess_exec("true"),
    ],
)
def test_real_io_threads_and_processes_are_refused(loop: SimLoop, reach: Callable[[SimLoop], Any]) -> None:
    async def main() -> None:
        outcome = reach(loop)
        if asyncio.iscoroutine(outcome):
            await outcome

    with pytest.raises(RealWorld, match="simulation"):
        loop.run_until_complete(main())


def test_a_set_of_tasks_has_an_order_that_does_not_depend_on_addresses(loop: SimLoop) -> None:
    async def number(value: int) -> int:
        return value

    async def main() -> list[int]:
        ballast = [object() for _ in range(random.Random(5).randrange(1000))]
        done, _ = await asyncio.wait([loop.create_task(number(value)) for value in range(8)])
        assert ballast is not None
        return [task.result() for task in done]

    assert loop.run_until_complete(main()) == list(range(8))


def test_who_lives_is_known_however_many_tasks_came_and_went(loop: SimLoop) -> None:
    ran: list[str] = []
    host = Domain("host")
    lives: list[asyncio.Task[None]] = []

    async def life() -> None:
        task = asyncio.current_task()
        assert task is not None
        lives.append(task)
        try:
            await loop.create_future()
        finally:
            ran.append("finally")

    async def main() -> None:
        in_domain(loop, host, life())
        for _ in range(5 * TASKS_SWEPT_FIRST):
            await loop.create_task(asyncio.sleep(0.001))
        loop.bury(host)
        lives.clear()  # from here on only the loop holds it
        gc.collect()
        assert ran == []
        assert len(loop._tasks) < 2 * TASKS_SWEPT_FIRST

    loop.run_until_complete(main())
    loop.close()

    assert ran == ["finally"]


def test_nothing_of_a_dead_domain_runs_not_even_finally(loop: SimLoop) -> None:
    ran: list[str] = []
    host = Domain("host")

    async def life() -> None:
        loop.call_later(1, ran.append, "timer")
        try:
            await asyncio.sleep(2)
            ran.append("woke")
        finally:
            ran.append("finally")

    async def main() -> None:
        in_domain(loop, host, life())
        await asyncio.sleep(0.5)
        loop.bury(host)
        await asyncio.sleep(5)
        assert ran == []

    loop.run_until_complete(main())
    loop.close()

    assert ran == ["finally"]  # at the end of the world, when nobody can see it


def test_what_is_due_in_the_very_turn_in_which_its_domain_dies_does_not_run(loop: SimLoop) -> None:
    ran: list[str] = []
    host = Domain("host")

    async def life() -> None:
        loop.call_later(1, ran.append, "timer")

    async def main() -> None:
        loop.call_later(1, loop.bury, host)
        in_domain(loop, host, life())
        await asyncio.sleep(2)

    loop.run_until_complete(main())

    assert ran == []


def test_a_paused_domain_goes_on_where_it_was_and_in_order(loop: SimLoop) -> None:
    ran: list[tuple[int, float]] = []
    host = Domain("host")

    def note(number: int) -> None:
        ran.append((number, loop.time()))

    async def life() -> None:
        for number in range(5):
            loop.call_later(number, note, number)

    async def main() -> None:
        in_domain(loop, host, life())
        await asyncio.sleep(0.5)
        host.state = host.state.PAUSED
        await asyncio.sleep(2)
        loop.resume(host)
        await asyncio.sleep(5)

    loop.run_until_complete(main())

    assert ran == [(0, 0.0), (1, 2.5), (2, 2.5), (3, 3.0), (4, 4.0)]


def test_who_has_run_since_the_last_check_is_known_to_whoever_asks(loop: SimLoop) -> None:
    busy, paused, once = Domain("busy"), Domain("paused"), Domain("once")
    seen: list[set[Domain | None]] = []

    async def life(callbacks: int) -> None:
        for number in range(callbacks):
            loop.call_later(1 + number, int)

    async def main() -> None:
        for host, callbacks in ((busy, 50), (paused, 50), (once, 1)):
            in_domain(loop, host, life(callbacks))
        await asyncio.sleep(0.5)
        paused.state = paused.state.PAUSED
        ran = loop.note_who_runs()
        assert ran is loop.note_who_runs()
        loop.check = lambda: seen.append(set(ran))
        await asyncio.sleep(30)
        loop.check = None

    loop.run_until_complete(main())

    assert {busy, once} in seen and {busy} in seen
    assert set().union(*seen) == {busy, once}


def test_an_abandoned_generator_is_closed_in_the_domain_that_began_it(loop: SimLoop) -> None:
    closed: list[str] = []

    async def items() -> Any:
        try:
            yield 1
        finally:
            await asyncio.sleep(1)
            owner = domain.get()
            closed.append(owner.name if owner else "nobody")

    async def life() -> None:
        async for _ in items():
            break

    async def main() -> None:
        in_domain(loop, Domain("alive"), life())
        await asyncio.sleep(3)

    loop.run_until_complete(main())

    assert closed == ["alive"]


def in_domain(loop: SimLoop, owner: Domain, coro: Coroutine[Any, Any, None]) -> None:
    token = domain.set(owner)
    loop.create_task(coro)
    domain.reset(token)
