"""kill -9, a file that may not grow and a directory that cannot be written, on real processes, files and sockets."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest

from protocols.etcd import Op, Range, Txn
from tests.etcd.cluster import MEMBERS, Client, History, converged, events_of, status
from tests.etcd.processes import Processes

WITHIN_S = 60.0


@asynccontextmanager
async def writers(replicas: Processes, history: History, count: int = 8) -> AsyncIterator[list[Client]]:
    """Clients that write, swap and read without a pause; what they are told is remembered."""
    stop = asyncio.Event()
    clients = [Client(replicas.client, history, f"w{number}") for number in range(count)]

    async def work(client: Client, key: bytes) -> None:
        while not stop.is_set():
            await client.put(key)
            await client.get(key)

    working = [asyncio.ensure_future(work(client, b"key-%d" % (n % 3))) for n, client in enumerate(clients)]
    try:
        yield clients
    finally:
        stop.set()
        await asyncio.gather(*working)


async def until(check: object, what: str) -> None:
    """Wait for a state; the bound only ends a test that is lost."""
    async with asyncio.timeout(WITHIN_S):
        while not await check():  # type: ignore[operator]
            await asyncio.sleep(0.01)


async def writes_go_on(client: Client) -> None:
    async def written() -> bool:
        return await client.put(b"probe")

    await until(written, "a write is taken")


async def all_told_is_true(replicas: Processes, history: History) -> None:
    """Every member has the same, and nothing that was acknowledged is missing."""

    async def equal() -> bool:
        return await converged(replicas.client) is not None

    await until(equal, "the members are equal")
    revision = await converged(replicas.client)
    assert revision is not None
    events = [await events_of(replicas.client, member, revision) for member in MEMBERS]
    assert events[1:] == events[:-1]
    history.check(events[0])  # last: while it thinks, its links go silent


async def leader_of(replicas: Processes) -> str:
    for member in replicas.running:
        told = await status(replicas.client, member)
        if told is not None and told.leader:
            return told.leader.partition("/")[0]
    return MEMBERS[0]


async def killed_again_and_again(replicas: Processes, times: int, seed: int) -> History:
    """The leader, a follower, or all at once; each is back at once, or after the others have gone on without it."""
    chance, history = random.Random(seed), History()
    prober = Client(replicas.client, history, "prober")
    await writes_go_on(prober)
    async with writers(replicas, history):
        while replicas.kills < times:
            dice = chance.random()
            victims = list(MEMBERS) if dice < 0.2 else [chance.choice(MEMBERS)]
            if 0.2 <= dice < 0.6:
                victims = [await leader_of(replicas)]
            for victim in victims:
                replicas.kill(victim)
            if len(victims) == 1 and chance.random() < 0.3:
                await writes_go_on(prober)
            for victim in victims:
                replicas.start(victim)
            await writes_go_on(prober)
            await asyncio.sleep(chance.random() * 0.1)
    await all_told_is_true(replicas, history)
    return history


@pytest.mark.slow
@pytest.mark.timeout(120)
async def test_members_that_are_killed_under_load_have_lost_nothing(tmp_path: Path) -> None:
    async with Processes(tmp_path) as replicas:
        history = await killed_again_and_again(replicas, 5, seed=1)

    assert len(history.answers) > 50


@pytest.mark.slow
@pytest.mark.timeout(300)
async def test_members_that_are_killed_a_hundred_times_under_load_have_lost_nothing(tmp_path: Path) -> None:
    async with Processes(tmp_path) as replicas:
        history = await killed_again_and_again(replicas, 100, seed=2)

    assert len(history.answers) > 1_000


@pytest.mark.timeout(120)
async def test_while_a_member_s_disk_takes_no_more_the_others_go_on_and_it_has_lost_nothing(tmp_path: Path) -> None:
    history = History()
    async with Processes(tmp_path) as replicas:
        client = Client(replicas.client, history, "c")
        await writes_go_on(client)
        victim = await leader_of(replicas)
        replicas.kill(victim)
        replicas.start(victim, file_bytes_max=4_000)  # as on a full disk, a write fails, and part of it may be there

        while not any(path.stat().st_size == 4_000 for path in (tmp_path / victim).rglob("*.wal")):
            await writes_go_on(client)
        for _ in range(20):
            await writes_go_on(client)
        replicas.kill(victim)
        replicas.start(victim)

        await all_told_is_true(replicas, history)


@pytest.mark.timeout(120)
async def test_a_member_that_cannot_write_its_directory_holds_nobody_up_and_is_back_when_it_can(tmp_path: Path) -> None:
    history = History()
    async with Processes(tmp_path) as replicas:
        client = Client(replicas.client, history, "c")
        await writes_go_on(client)
        replicas.kill(MEMBERS[2])
        (tmp_path / MEMBERS[2]).rename(tmp_path / "elsewhere")
        (tmp_path / MEMBERS[2]).write_text(
            "a file where the directory should be: nobody can write there, not even root"
        )

        replicas.start(MEMBERS[2])
        for _ in range(20):
            await writes_go_on(client)
        replicas.kill(MEMBERS[2])
        (tmp_path / MEMBERS[2]).unlink()
        (tmp_path / "elsewhere").rename(tmp_path / MEMBERS[2])
        replicas.start(MEMBERS[2])

        await all_told_is_true(replicas, history)


async def test_what_was_acknowledged_is_there_when_all_are_killed_at_once(tmp_path: Path) -> None:
    async with Processes(tmp_path) as replicas:
        client = Client(replicas.client)
        async with asyncio.timeout(WITHIN_S):
            await client.ask(Txn((), (Op("put", b"a", b"kept"),)), within_s=WITHIN_S)
        for member in MEMBERS:
            replicas.kill(member)

        for member in MEMBERS:
            replicas.start(member)

        found = await client.ask(Range(b"a"), within_s=WITHIN_S)
        assert [kv.value for kv in found.kvs] == [b"kept"]
