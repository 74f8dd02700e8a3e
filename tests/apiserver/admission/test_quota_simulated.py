"""A quota under two API servers and three store replicas that crash and are cut off: never over, exact in the end."""

from __future__ import annotations

import asyncio

import pytest

from actorkube.runtime import System
from actorkube.sim import World
from actorkube.sim.nemesis import nemesis
from protocols import api
from protocols.errors import AlreadyExists, Answer, AskError, Forbidden, NotFound
from protocols.objects import decode_object, encode_object
from tests.apiserver.admission.test_quota import quota
from tests.apiserver.test_simulated import MEMBERS, TWO, boot, eventually, named
from tests.apiserver.world import config_map

ROOM = 4
WRITERS = 6


class Writers:
    """They create and delete, each through whichever API server answers. What became of a lost write nobody knows."""

    def __init__(self, world: World, system: System) -> None:
        self.system = system
        self.chance = world.chance("writers")
        self.over = False
        self.created, self.refused, self.most = 0, 0, 0

    async def ask(self, request: api.Create | api.Delete | api.List) -> object:
        return await self.system.ask(self.system.ref(f"{self.chance.choice(TWO)}/api"), request, 3.0)

    async def write(self, who: int) -> None:
        turn = 0
        while not self.over:
            await asyncio.sleep(self.chance.random() * 0.2)
            turn += 1
            name = f"m-{who}-{turn}"
            try:
                await self.ask(api.Create("configmaps", encode_object(config_map(name)), "default"))
                self.created += 1
                await asyncio.sleep(self.chance.random() * 0.5)
                await self.ask(api.Delete("configmaps", name, "default"))
            except Forbidden:
                self.refused += 1
            except (Answer, AskError):
                continue

    async def look(self) -> None:
        while not self.over:
            await asyncio.sleep(self.chance.random() * 0.1)
            try:
                listed = await self.ask(api.List("configmaps", "default"))
            except (Answer, AskError):
                continue
            assert isinstance(listed, api.StoredList)
            self.most = max(self.most, len(listed.items))


async def scenario(world: World) -> None:
    system = await boot(world, TWO)
    writers = Writers(world, system)
    await eventually(system, api.Create("resourcequotas", encode_object(quota(configmaps=str(ROOM))), "default"))
    for server in TWO:  # who has seen it is bound by it
        await system.ask(system.ref(f"{server}/api"), api.Get("resourcequotas", "quota", "default"), 10.0)
    tasks = [asyncio.ensure_future(writers.write(who)) for who in range(WRITERS)]
    tasks.append(asyncio.ensure_future(writers.look()))

    await nemesis(world, [*MEMBERS, *TWO], for_s=15)
    writers.over = True
    await world.recover()
    await asyncio.gather(*tasks)
    await world.sleep(12)  # requests that nobody waits for any more come to their end, too

    assert writers.created > ROOM and writers.refused > 0, "the test tries nothing"
    assert writers.most <= ROOM
    await exact(world, system)
    for name in list(named(await eventually(system, api.List("configmaps", "default")))):
        try:
            await eventually(system, api.Delete("configmaps", name, "default"))
        except NotFound:
            continue
    await exact(world, system)


async def exact(world: World, system: System) -> None:
    async def is_exact() -> bool:
        stored = await eventually(system, api.Get("resourcequotas", "quota", "default"))
        there = await eventually(system, api.List("configmaps", "default"))
        return decode_object(stored.body)["status"]["used"] == {"configmaps": str(len(there.items))}

    for _ in range(60):
        if await is_exact():
            return
        await world.sleep(1)
    assert await is_exact()


@pytest.mark.slow
@pytest.mark.parametrize("seed", (0, 2, 4))
def test_a_quota_is_never_exceeded_and_exact_in_the_end_whatever_failed(seed: int) -> None:
    World.run_sync(scenario, seed)


async def create(system: System, name: str) -> bool:
    """Whether it was let in; an AlreadyExists counts as let in."""
    try:
        await system.ask(
            system.ref(f"{TWO[0]}/api"), api.Create("configmaps", encode_object(config_map(name)), "default"), 10.0
        )
    except AlreadyExists:
        return True
    except Forbidden:
        return False
    return True


async def limited(system: System, room: int) -> None:
    await eventually(system, api.Create("resourcequotas", encode_object(quota(configmaps=str(room))), "default"))
    for server in TWO:
        await system.ask(system.ref(f"{server}/api"), api.Get("resourcequotas", "quota", "default"), 10.0)


def test_writers_that_a_quota_counts_do_not_wait_for_each_other() -> None:
    async def play(world: World) -> None:
        system = await boot(world, TWO)
        await limited(system, 100)
        await create(system, "first")
        begin = world.now
        await create(system, "alone")
        alone_s = world.now - begin

        begin = world.now
        await asyncio.gather(*(create(system, f"m-{number}") for number in range(40)))

        assert world.now - begin < 10 * alone_s
        await exact(world, system)

    World.run_sync(play, 1)


def test_nobody_is_refused_for_room_that_a_refused_write_had_taken() -> None:
    async def play(world: World) -> None:
        system = await boot(world, TWO)
        await limited(system, 2)

        # There is room for both names, but not for one that is asked for twice and charged until the store refuses it.
        for _ in range(8):
            *twice, once = await asyncio.gather(create(system, "c"), create(system, "c"), create(system, "d"))
            assert once and any(twice)
            for name in ("c", "d"):
                await eventually(system, api.Delete("configmaps", name, "default"))
            await exact(world, system)

    World.run_sync(play, 1)
