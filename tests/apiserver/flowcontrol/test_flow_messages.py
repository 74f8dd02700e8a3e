"""Priority and fairness for what actors ask by message: who has joined does not keep the others waiting."""

from __future__ import annotations

import asyncio

import pytest

from actorkube.runtime import Actor
from protocols import api as door
from protocols.errors import TooManyRequests
from protocols.objects import encode_object
from tests.apiserver.flowcontrol.test_flow_rest import (
    QUEUE,
    REJECT,
    held,
    one_seat,
    until,
    waits_and_runs,
)
from tests.apiserver.rest_client import Rest
from tests.apiserver.world import config_map

FLOOD = 40


class Guest(Actor):
    """An actor of a system that has joined: what it asks, the test says."""


async def guest(api: Rest, system: str) -> Guest:
    actor = Guest()
    await api.world.actor(system, "guest", actor)
    return actor


async def creates(api: Rest, who: Guest, name: str) -> None:
    body = encode_object(config_map(name))
    await who.ctx.ask(api.world.api, door.Create("configmaps", body, "default"), timeout_s=30)


async def test_a_flood_by_one_that_has_joined_does_not_keep_another_waiting(api: Rest) -> None:
    await one_seat(api, QUEUE)
    noisy, quiet = await guest(api, "noisy"), await guest(api, "quiet")
    order: list[str] = []

    async def asks(who: Guest, name: str) -> None:
        await creates(api, who, name)
        order.append(name)

    async with asyncio.TaskGroup() as group:
        for number in range(FLOOD):
            group.create_task(asks(noisy, f"noisy-{number}"))
        group.create_task(asks(quiet, "quiet"))

    assert len(order) == FLOOD + 1 and order.index("quiet") < FLOOD // 2


async def test_an_actor_that_finds_no_seat_is_sent_away_and_told_when_to_come_back(api: Rest) -> None:
    await one_seat(api, REJECT)
    who = await guest(api, "noisy")

    outcomes = await asyncio.gather(*(creates(api, who, f"a-{n}") for n in range(20)), return_exceptions=True)

    refused = [each for each in outcomes if isinstance(each, TooManyRequests)]
    assert outcomes.count(None) >= 1 and len(refused) == 20 - outcomes.count(None) > 0
    assert refused[0].details["retryAfterSeconds"] >= 1
    assert await waits_and_runs(api) == (0, 0)


@pytest.mark.slow
async def test_those_that_wait_take_no_place_of_those_that_need_not(api: Rest) -> None:
    """However many they are: more than what the API server's actor does at once."""
    deep = {"type": "Queue", "queuing": {"queues": 1, "handSize": 1, "queueLengthLimit": 5000}}
    await one_seat(api, deep)
    noisy, scheduler = await guest(api, "noisy"), await guest(api, "scheduler")
    ended: list[str] = []

    async def asks(name: str) -> None:
        await creates(api, noisy, name)
        ended.append(name)

    async with asyncio.TaskGroup() as group:
        for number in range(1500):
            group.create_task(asks(f"noisy-{number}"))
        await asyncio.sleep(0)
        await creates(api, scheduler, "own")
        waited_for = len(ended)

    assert len(ended) == 1500 and waited_for < 100


@pytest.mark.parametrize(("system", "is_counted"), [("scheduler", False), ("scheduler-x", True), ("n-kubelet", True)])
async def test_only_the_control_plane_of_the_cluster_itself_is_waved_through(
    api: Rest, system: str, is_counted: bool
) -> None:
    await one_seat(api, REJECT)
    who = await guest(api, system)

    await who.ctx.ask(api.world.api, door.List("configmaps", "default"))
    metrics = (await api.get("/metrics?system=apiserver")).body.decode()

    counted = 'dispatched_requests_total{flow_schema="narrow",priority_level="narrow"} 1.0' in metrics
    assert counted == is_counted


async def test_a_kubelet_belongs_where_kubernetes_has_it(api: Rest) -> None:
    kubelet = await guest(api, "n-kubelet")
    lease = {
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": {"name": "n", "namespace": "kube-node-lease"},
    }

    await kubelet.ctx.ask(
        api.world.api, door.Create("leases.coordination.k8s.io", encode_object(lease), "kube-node-lease")
    )
    await kubelet.ctx.ask(api.world.api, door.List("pods"))
    metrics = (await api.get("/metrics?system=apiserver")).body.decode()

    for of in (
        'flow_schema="system-node-high",priority_level="node-high"',
        'flow_schema="system-nodes",priority_level',
    ):
        assert f"apiserver_flowcontrol_dispatched_requests_total{{{of}" in metrics


async def test_a_watch_by_message_holds_a_seat_only_until_it_has_begun(api: Rest) -> None:
    await one_seat(api, QUEUE)
    who = await guest(api, "operator")

    async with who.ctx.stream(api.world.api, door.Watch("configmaps", "default")) as one:
        assert (await anext(one)).type == "BOOKMARK"
        assert await waits_and_runs(api) == (0, 0)
        async with who.ctx.stream(api.world.api, door.Watch("configmaps", "default")) as other:
            assert (await anext(other)).type == "BOOKMARK"
            await creates(api, who, "a")
            assert [(await anext(each)).type for each in (one, other)] == ["ADDED", "ADDED"]


async def test_a_watch_that_is_sent_away_ends_with_the_reason(api: Rest) -> None:
    await one_seat(api, REJECT)
    who = await guest(api, "operator")

    async with held(api, "jane", ["a"], lambda *_: None):
        await until(api, 0, 1)
        with pytest.raises(TooManyRequests):
            async with who.ctx.stream(api.world.api, door.Watch("configmaps", "default")) as stream:
                await anext(stream)
