"""Preemption by the scheduler's shell: what it writes, whom it ends, and who gets the room."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any

import pytest

from actors.scheduler.actor import Scheduler
from protocols.api import Delete
from protocols.errors import InternalError
from protocols.message import Message
from tests.scheduler.test_scheduler_actor import World
from tests.scheduler.worlds import make_node, make_pod


@pytest.fixture
async def world() -> AsyncIterator[World]:
    world = World()
    world.store.pod_grace_s = 30
    await world.start()
    yield world
    await world.stop()


async def full(world: World) -> None:
    world.create("nodes", make_node("n0", cpu="2"))
    world.create("pods", make_pod("low", "1", node="n0", priority=1), make_pod("high", "1", node="n0", priority=5))
    await world.settled()


def nominated(world: World, name: str) -> str:
    return str((world.pod(name).get("status") or {}).get("nominatedNodeName") or "")


def conditions(pod: Any) -> dict[str, Any]:
    return {c["type"]: c for c in (pod.get("status") or {}).get("conditions") or ()}


def go(world: World, name: str) -> None:
    """The kubelet has ended it."""
    world.store.delete("pods", "default", name, grace=0)
    world.api.deliver()


async def test_a_less_important_pod_is_told_why_it_goes_and_its_room_is_taken(world: World) -> None:
    await full(world)
    world.create("pods", make_pod("new", "1", priority=3))

    await world.until(lambda: "deletionTimestamp" in world.pod("low")["metadata"])
    await world.until(lambda: bool(nominated(world, "new")))
    await world.settled()

    told = conditions(world.pod("low"))["DisruptionTarget"]
    assert (told["status"], told["reason"]) == ("True", "PreemptionByScheduler")
    assert told["message"] == "default-scheduler: preempting to accommodate a higher priority pod"
    assert (nominated(world, "new"), world.node_of("new")) == ("n0", "")
    assert world.condition("new")["message"] == "0/1 nodes are available: 1 Insufficient cpu."
    assert "deletionTimestamp" not in world.pod("high")["metadata"]
    await world.until(lambda: bool(world.events("low")))
    assert world.events("low") == [("Preempted", f"Preempted by pod {world.pod('new')['metadata']['uid']} on node n0")]

    world.create("pods", make_pod("rival", "1", priority=3))
    await world.settled()
    go(world, "low")
    await world.until(lambda: world.node_of("new") == "n0")
    await world.settled()
    assert world.node_of("rival") == ""


async def test_a_more_important_pod_takes_the_place_and_the_nomination_with_it(world: World) -> None:
    await full(world)
    world.create("pods", make_pod("new", "1", priority=3))
    await world.until(lambda: bool(nominated(world, "new")))

    world.create("pods", make_pod("vip", "1", priority=4))
    await world.until(lambda: nominated(world, "vip") == "n0" and not nominated(world, "new"))
    go(world, "low")

    await world.until(lambda: world.node_of("vip") == "n0")
    await world.settled()
    assert world.node_of("new") == ""
    assert [type(m) for m in world.api.asked].count(Delete) <= 2  # of `low` alone
    assert "deletionTimestamp" not in world.pod("high")["metadata"]


async def test_a_deletion_that_is_refused_is_tried_again(world: World) -> None:
    await full(world)
    refused: list[Message] = []

    def fail(message: Message) -> None:
        if isinstance(message, Delete) and not refused:
            refused.append(message)
            raise InternalError("etcd is out for lunch")

    world.api.fail = fail
    world.create("pods", make_pod("new", "1", priority=3))

    await world.until(lambda: "deletionTimestamp" in world.pod("low")["metadata"])
    assert refused
    go(world, "low")
    await world.until(lambda: world.node_of("new") == "n0")


async def test_a_scheduler_that_starts_keeps_the_room_for_whom_the_last_one_made_it(world: World) -> None:
    await world.stop()
    world.__init__()  # type: ignore[misc]
    waiting = make_pod("waiting", "1", priority=3)
    waiting["status"]["nominatedNodeName"] = "n0"
    world.store.create("nodes", make_node("n0", cpu="1"))
    world.store.create("pods", make_pod("rival", "1", priority=3))
    world.store.create("pods", waiting)
    await world.start()

    await world.until(lambda: world.node_of("waiting") == "n0")
    await world.settled()
    assert world.node_of("rival") == ""


async def test_a_pod_waits_no_more_when_the_api_says_so(world: World) -> None:
    """Not only this scheduler may take its word back; and what it wrote itself comes back in the order written."""
    await full(world)
    world.create("pods", make_pod("new", "1", priority=3))
    await world.until(lambda: bool(nominated(world, "new")))
    await world.settled()
    scheduler = world.systems[1].actor("scheduler")
    assert isinstance(scheduler, Scheduler) and scheduler._state.nominations

    world.store.patch("pods", "default", "new", {"status": {"nominatedNodeName": None}}, "status")
    world.api.deliver()
    await world.settled()

    assert not scheduler._state.nominations


async def test_the_room_is_free_when_whoever_waited_for_it_is_gone(world: World) -> None:
    world.create("nodes", make_node("n0", cpu="1"))
    world.create("pods", make_pod("low", "1", node="n0", priority=1))
    await world.settled()
    world.create("pods", make_pod("new", "1", priority=3))
    await world.until(lambda: bool(nominated(world, "new")))
    world.create("pods", make_pod("rival", "1", priority=3))
    await world.settled()
    go(world, "low")
    world.store.delete("pods", "default", "new")
    world.api.deliver()

    await world.until(lambda: world.node_of("rival") == "n0")
