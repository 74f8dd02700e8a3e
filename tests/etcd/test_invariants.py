"""The eyes of the simulation: whatever is done to a member behind its back is noticed at the next look."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from actorkube.sim import World
from actorkube.sim.errors import ActorCrashed, InvariantBroken
from actors.etcd.actor import Etcd
from actors.etcd.raft.log import Log
from protocols.etcd import LeaseGrant
from protocols.raft import Entry
from tests.etcd.cluster import MEMBERS, Client, boot, converged, leader
from tests.etcd.invariants import Invariants, living_member


def member(world: World, name: str) -> Etcd:
    found = living_member(world, name)
    assert found is not None
    return found


def another_entry(log: Log) -> None:
    entry = log._entries[-1]
    log._entries[-1] = Entry(entry.term, entry.index, b"not what the leader wrote")


def another_entry_in_the_middle(log: Log) -> None:
    entry = log._entries[-2]
    log._entries[-2] = Entry(entry.term, entry.index, b"not what the leader wrote")


def an_entry_is_missing(log: Log) -> None:
    del log._entries[-2]


def a_term_that_goes_back(log: Log) -> None:
    entry = log._entries[-1]
    log._entries[-1] = Entry(entry.term - 1, entry.index, entry.data)


def commits_what_is_not_there(log: Log) -> None:
    log.committed += 1


def forgets_the_members(log: Log) -> None:
    log.configurations._marks.pop()


TAMPERING = [
    another_entry,
    another_entry_in_the_middle,
    an_entry_is_missing,
    a_term_that_goes_back,
    commits_what_is_not_there,
    forgets_the_members,
]


async def used(world: World) -> tuple[Client, Invariants]:
    """Three members with a few entries, which were looked at."""
    system = await boot(world)
    invariants = Invariants(world, MEMBERS)
    world.always("raft", invariants.check)
    client = Client(system)
    for _ in range(5):
        assert await client.put(b"a")
    await world.until(lambda: converged(system))
    return client, invariants


@pytest.mark.parametrize("tamper", TAMPERING)
def test_a_log_that_is_tampered_with_is_noticed(tamper: Callable[[Log], None]) -> None:
    async def scenario(world: World) -> None:
        client, _ = await used(world)
        leads = await leader(client.system, world)
        follower = next(name for name in MEMBERS if name != leads)

        tamper(member(world, follower)._raft.log)
        await client.put(b"a")
        await world.sleep(3.0)

    with pytest.raises((InvariantBroken, ActorCrashed)):  # a member may notice it first
        World.run_sync(scenario, 7)


def test_two_leaders_of_a_term_are_noticed() -> None:
    async def scenario(world: World) -> None:
        client, invariants = await used(world)
        leads = await leader(client.system, world)
        raft = member(world, leads)._raft
        other = member(world, next(name for name in MEMBERS if name != leads))

        other._raft.leadership, other._raft.leader, other._raft.vote = raft.leadership, other._member, other._member
        with pytest.raises(AssertionError, match="lead term"):
            invariants._check_leader(other._member, other)

    World.run_sync(scenario, 7)


def test_a_lease_that_is_gone_too_early_is_noticed_though_nobody_hears_of_it() -> None:
    async def scenario(world: World) -> None:
        client, invariants = await used(world)
        began = world.now
        await client.ask(LeaseGrant(30, 5))
        for name in MEMBERS:
            await world.until(lambda name=name: member(world, name)._store.leases.get(5) is not None)  # type: ignore[misc]

        member(world, MEMBERS[0])._store.leases.revoke(5)
        invariants.promise(5, began, 30.0, 1)
        await world.sleep(0.01)

    with pytest.raises(InvariantBroken, match="lost lease 5"):
        World.run_sync(scenario, 7)
