"""The counter in simulation: crashes, a cut network and a full disk, drawn from seeds; a second for them all."""

import random

from counter import AddToCounter, Counter, CounterValue
from hypothesis import given
from hypothesis import strategies as st

from actorkube.sim import World
from protocols.errors import AskError


@given(seed=st.integers(0, 2**32))
def test_what_was_acknowledged_is_counted_whatever_crashes(seed: int) -> None:
    async def scenario(world: World) -> None:
        chance = random.Random(seed)
        await world.boot("server", lambda system: system.spawn(Counter, "counter"))
        user = await world.boot("user")
        counter = user.ref("server/counter")
        tried = acknowledged = 0
        for _ in range(20):
            answer = user.ask(counter, AddToCounter(1), timeout_s=1)
            tried += 1
            if chance.random() < 0.3:
                await world.sleep(chance.random() * 0.01)
                world.crash("server")
                await world.restart("server")
            try:
                await answer
                acknowledged += 1
            except AskError:
                pass  # it may have been counted, or not

        value = await ask_again(world, user, AddToCounter(0))

        assert acknowledged <= value.number <= tried

    World.run_sync(scenario, seed=seed)


def test_a_full_disk_crashes_the_counter_and_its_supervisor_starts_it_again() -> None:
    async def scenario(world: World) -> None:
        await world.boot("server", lambda system: system.spawn(Counter, "counter"))
        user = await world.boot("user")
        await user.ask(user.ref("server/counter"), AddToCounter(5))

        world.fill_disk("server")
        try:
            await user.ask(user.ref("server/counter"), AddToCounter(1))
        except AskError as error:
            assert "crashed" in str(error)
        world.fill_disk("server", full=False)

        assert (await ask_again(world, user, AddToCounter(0))).number == 5

    World.run_sync(scenario)


async def ask_again(world: World, user, request: AddToCounter) -> CounterValue:
    """Until somebody answers: after a crash, the connection must be made anew first."""
    while True:
        try:
            return await user.ask(user.ref("server/counter"), request, timeout_s=1)
        except AskError:
            await world.sleep(0.1)
