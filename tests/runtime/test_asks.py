"""What is asked over a link belongs to that link: its end concerns nobody else, and costs only what it ends."""

from __future__ import annotations

import asyncio
import sys
from collections.abc import AsyncIterator, Callable
from functools import partial
from types import FrameType
from typing import Any

import pytest_asyncio

from actorkube.runtime import Mailbox, System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from protocols.errors import DeadlineExceeded, Unknown
from protocols.message import Done
from tests.runtime.gate import Gate, HoldGate

ASKS = 300


class Hall(Gate):
    mailbox = Mailbox(capacity=ASKS + 10)


@pytest_asyncio.fixture
async def systems() -> AsyncIterator[dict[str, System]]:
    network = LocalNetwork()
    systems = {name: System(name, network.transport(), log=Quiet()) for name in ("home", "near", "far")}
    for system in systems.values():
        await system.start()
        system.spawn(Hall, "hall")
    yield systems
    for system in systems.values():
        await system.stop()


def ask_all(system: System, host: str, count: int, timeout_s: float = 60.0) -> list[asyncio.Future[Done]]:
    return [system.ask(system.ref(f"{host}/hall"), HoldGate(), timeout_s) for _ in range(count)]


async def outcomes(asked: list[asyncio.Future[Done]]) -> set[type[object]]:
    async with asyncio.timeout(15):
        return {type(outcome) for outcome in await asyncio.gather(*asked, return_exceptions=True)}


def lines_of(work: Callable[[], object]) -> int:
    """How many lines of Python run, each time through a loop counted."""
    lines = 0

    def count(frame: FrameType, event: str, arg: Any) -> Any:
        nonlocal lines
        lines += event == "line"
        return count

    sys.settrace(count)
    try:
        work()
    finally:
        sys.settrace(None)
    return lines


async def test_the_end_of_a_link_ends_what_was_asked_over_it_and_nothing_else(systems: dict[str, System]) -> None:
    home = systems["home"]
    near, far, here = (ask_all(home, host, 3) for host in ("near", "far", "home"))

    await systems["near"].stop()

    assert await outcomes(near) == {Unknown}
    assert not any(asked.done() for asked in far + here)
    assert {ask.address.system for ask in home.asks} == {"far", "home"}
    for name in ("far", "home"):
        hall = systems[name].actor("hall")
        assert isinstance(hall, Hall)
        hall.open.set()
    assert await outcomes(far + here) == {Done}
    assert not list(home.asks)


async def test_the_end_of_a_link_costs_the_same_however_much_is_asked_over_others(systems: dict[str, System]) -> None:
    home, lines = systems["home"], []
    for more in (0, ASKS):
        ask_all(home, "far", more)
        [asked] = ask_all(home, "near", 1)
        [link] = [link for link in home.transport.census().links if link.peer == "near"]
        lost = Unknown("the link ended")

        lines.append(lines_of(partial(home.asks.lost, link, lost)))
        assert await outcomes([asked]) == {Unknown}

    assert lines[0] == lines[1]


async def test_each_ask_over_a_link_runs_out_of_time_also_after_a_time_when_nobody_waited_for_anything(
    systems: dict[str, System],
) -> None:
    for _ in range(3):
        asked = ask_all(systems["home"], "far", 2, timeout_s=0.01)

        assert await outcomes(asked) == {DeadlineExceeded}
