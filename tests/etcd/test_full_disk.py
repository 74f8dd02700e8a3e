"""Disks that are full, or almost: nothing acknowledged is lost, somebody is told, and it goes on when there is room."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import replace

import pytest

from actorkube.sim import World
from actorkube.sim.disk import DiskConditions
from protocols.errors import AskError
from protocols.etcd import Op, Txn
from protocols.etcd_maintenance import Alarm, ListAlarms
from tests.etcd.cluster import MEMBERS, QUICK, Client, History, boot, converged, events_of, leader, status


def fill(world: World, members: Sequence[str], *, full: bool) -> None:
    for member in members:
        world.hosts[member].drive.is_full = full


@pytest.mark.parametrize("seed", range(3))
def test_a_leader_whose_disk_is_full_goes_on_with_the_others_and_says_so(seed: int) -> None:
    async def scenario(world: World) -> None:
        history = History()
        system = await boot(world, replace(QUICK, free_bytes_min=1 << 20))
        client = Client(system, history, "c")
        name = await leader(system, world)
        fill(world, [name], full=True)
        while await client.put(b"a"):
            assert len(history.answers) < 10_000
        written = len(history.answers)
        assert (await client.ask(ListAlarms())).alarms == (Alarm(name, "NOSPACE"),)
        said = await status(system, name)
        fill(world, [name], full=False)

        async def is_over() -> bool:
            return not (await client.ask(ListAlarms())).alarms

        await world.until(is_over, within_s=30.0)
        assert await client.put(b"a")
        await world.until(lambda: converged(system), within_s=30.0)
        revision = await converged(system)
        assert written > 3
        assert said is not None and "the disk is almost full" in said.errors
        assert revision is not None
        history.check(await events_of(system, name, revision))

    World.run_sync(scenario, seed)


@pytest.mark.parametrize("seed", range(3))
def test_members_whose_disks_are_all_full_wait_and_have_lost_nothing_when_there_is_room(seed: int) -> None:
    async def scenario(world: World) -> None:
        history = History()
        system = await boot(world)
        client = Client(system, history, "c")
        for _ in range(20):
            assert await client.put(b"a")
        fill(world, MEMBERS, full=True)
        writing = asyncio.ensure_future(client.put(b"b"))
        await world.sleep(world.chance("crash").random() * 3)
        for member in MEMBERS:
            world.crash(member)
        restarts = [asyncio.ensure_future(world.restart(member)) for member in MEMBERS]
        await world.sleep(2.0)
        fill(world, MEMBERS, full=False)
        await asyncio.gather(writing, *restarts, return_exceptions=True)

        await world.until(lambda: client.put(b"c"), within_s=60.0)
        await world.until(lambda: converged(system), within_s=60.0)
        revision = await converged(system)
        assert revision is not None
        for member in MEMBERS:
            history.check(await events_of(system, member, revision))

    World.run_sync(scenario, seed)


@pytest.mark.slow
def test_a_snapshot_that_does_not_fit_is_sent_again_when_there_is_room() -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        client = Client(system)
        leading = await leader(system, world)
        away = next(member for member in MEMBERS if member != leading)
        client._at = MEMBERS.index(leading)
        world.crash(away)
        for number in range(400):
            await client.ask(Txn((), (Op("put", b"key %d" % (number % 40), b"x" * 200),)))
        world.hosts[away].drive.conditions = DiskConditions(capacity_bytes=world.hosts[away].drive.used_bytes + 2_000)
        await world.restart(away)
        await world.sleep(3.0)
        behind = await status(system, away)

        world.hosts[away].drive.conditions = DiskConditions()
        await world.until(lambda: converged(system), within_s=60.0)

        assert behind is not None and behind.revision < 401

    World.run_sync(scenario, seed=1)


def test_a_member_that_has_no_room_to_start_waits_for_it() -> None:
    async def scenario(world: World) -> None:
        system = await boot(world)
        client = Client(system)
        assert await client.put(b"a")
        name = await leader(system, world)
        fill(world, [name], full=True)
        world.crash(name)
        restart = asyncio.ensure_future(world.restart(name))
        await world.sleep(5.0)

        with pytest.raises(AskError):
            await system.ask(system.ref(f"{name}/etcd"), ListAlarms(), timeout_s=0.5)
        fill(world, [name], full=False)
        await restart
        await world.until(lambda: converged(system), within_s=30.0)

    World.run_sync(scenario, seed=1)
