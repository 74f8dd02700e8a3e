"""Members come and go in the simulated world while everything breaks: nothing acknowledged is lost."""

from __future__ import annotations

import asyncio

import pytest

from actorkube.sim import World
from actorkube.sim.nemesis import nemesis
from actors.etcd.actor import Etcd, EtcdConfig
from protocols.errors import Answer
from protocols.etcd_members import MemberAdd, MemberList, MemberPromote, MemberRemove, MoveLeader, TransferFailed
from protocols.message import Request
from tests.effort import seeds
from tests.etcd.cluster import (
    MEMBERS,
    QUICK,
    Client,
    History,
    NoAnswer,
    boot,
    boot_joining,
    converged,
    events_of,
    leader,
)

SPARE = ("etcd-3", "etcd-4", "etcd-5")
ALL = (*MEMBERS, *SPARE)
CONFIG = EtcdConfig(
    revisions_kept=1_000_000,
    segment_bytes_max=4_000,
    snapshot_log_bytes=6_000,
    entries_kept=10,
    piece_bytes_max=3_000,
)


def watch_elections(world: World) -> None:
    leaders: dict[int, str] = {}

    def check() -> None:
        for member in ALL:
            try:
                etcd = world.system(member).actor("etcd")
            except KeyError:
                continue
            if isinstance(etcd, Etcd) and hasattr(etcd, "_raft"):
                etcd._raft.check()
                term = etcd._raft.leading_term
                assert not term or leaders.setdefault(term, member) == member, f"two leaders in term {term}"

    world.always("raft", check)


async def reshape(client: Client, chance: object, stop: asyncio.Event) -> int:
    """One wish after the other, most of which are refused; never fewer than two who are not removed."""
    assert callable(chance)
    changes = 0
    while not stop.is_set():
        await asyncio.sleep(0.2 + chance() * 0.5)
        try:
            found = await client.ask(MemberList(), within_s=3.0)
            changes += await wish(client, [m.name for m in found.members], chance())
        except (Answer, NoAnswer, TimeoutError):
            continue
    return changes


async def wish(client: Client, names: list[str], dice: float) -> int:
    request: Request[object] = MoveLeader()
    if dice < 0.35:
        spare = ALL[int(dice * 1_000) % len(ALL)]
        request = MemberAdd(spare, f"{spare}/etcd")
    elif dice < 0.7:
        request = MemberPromote(names[int(dice * 1_000) % len(names)])
    elif dice < 0.85 and len(names) > 3:
        request = MemberRemove(names[int(dice * 1_000) % len(names)])
    await client.ask(request, within_s=3.0)
    return 1


async def never_takes_over(world: World) -> tuple[float, bool]:
    """How long it takes to be told so, while nothing else happens, and whether its leader goes on."""
    system = await boot(world)
    first = await leader(system, world)
    client = Client(system)
    await client.ask(MemberAdd("etcd-9", "etcd-9/etcd", learner=False))
    began = world.now
    with pytest.raises(TransferFailed):
        await system.ask(system.ref(f"{first}/etcd"), MoveLeader("etcd-9"), 30.0)
    took_s = world.now - began
    await client.put(b"a")
    return took_s, await leader(system, world) == first


def test_who_asks_to_move_to_a_member_that_never_started_is_told_within_an_election() -> None:
    took_s, leads_on = World.run_sync(never_takes_over, 1)

    assert took_s < 2 * max(QUICK.election_s) and leads_on


async def plagued(world: World) -> tuple[History, int]:
    history, stop = History(), asyncio.Event()
    system = await boot(world, CONFIG)
    for spare in SPARE:
        await boot_joining(world, spare, CONFIG)
    watch_elections(world)
    chance = world.chance("clients").random

    async def use(client: Client) -> None:
        while not stop.is_set():
            await client.put(b"%d" % int(chance() * 3))
            await client.get(b"%d" % int(chance() * 3))
            await asyncio.sleep(chance() * 0.1)

    users = [asyncio.ensure_future(use(Client(system, history, f"c{n}", ALL))) for n in range(2)]
    shaping = asyncio.ensure_future(reshape(Client(system, members=ALL), chance, stop))
    await nemesis(world, ALL, for_s=20.0)
    stop.set()
    await asyncio.gather(*users)

    members = [member.name for member in (await Client(system, members=ALL).ask(MemberList(), within_s=60.0)).members]
    await world.until(lambda: converged(system, members), within_s=60.0)
    revision = await converged(system, members)
    assert revision is not None
    for member in members:
        history.check(await events_of(system, member, revision))
    return history, await shaping


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(4))
def test_every_answer_fits_one_history_while_members_come_and_go(seed: int) -> None:
    history, changes = World.run_sync(plagued, seed)

    assert len(history.answers) > 30
    assert changes > 0
