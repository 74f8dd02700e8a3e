"""Orders of tasks that are ready at the same time: every order is possible, each by its seed."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from actorkube.sim import World
from actorkube.sim.policies import POLICIES, PolicyName


async def race(world: World, turns: int = 1) -> tuple[str, ...]:
    order: list[str] = []

    async def run(name: str) -> None:
        for _ in range(turns):
            order.append(name)
            await asyncio.sleep(0)

    await asyncio.gather(run("a"), run("b"), run("c"))
    return tuple(order)


def orders(policy: PolicyName, seeds: int = 200) -> Counter[tuple[str, ...]]:
    return Counter(World.run_sync(race, seed, policy=policy) for seed in range(seeds))


@pytest.mark.slow
def test_first_in_first_out_knows_one_order() -> None:
    assert orders("fifo") == {("a", "b", "c"): 200}


@pytest.mark.parametrize("policy", ["shuffle", "priority", "any"])
def test_the_others_know_all_of_them(policy: PolicyName) -> None:
    assert len(orders(policy)) == 6


def test_by_priority_the_same_task_is_first_again_and_again() -> None:
    async def scenario(world: World) -> bool:
        order = await race(world, turns=20)
        return set(order[::3]) == {order[0]}

    kept = {policy: sum(World.run_sync(scenario, seed, policy=policy) for seed in range(50)) for policy in POLICIES}

    assert kept["priority"] > 30
    assert kept["shuffle"] == 0


@pytest.mark.parametrize("policy", POLICIES)
def test_a_policy_keeps_the_promise_of_the_seed(policy: PolicyName) -> None:
    assert World.run_sync(race, 5, policy=policy) == World.run_sync(race, 5, policy=policy)


def test_an_unknown_policy_is_refused() -> None:
    with pytest.raises(ValueError, match="fifo, shuffle, priority, any"):
        World(0, policy="lifo")  # type: ignore[arg-type]
