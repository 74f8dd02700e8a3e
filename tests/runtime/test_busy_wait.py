"""A loop waits awake for the next word only where the last ones came soon, and then not for long."""

from __future__ import annotations

import asyncio
import contextvars
import socket
import time
from collections.abc import Callable, Coroutine
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkube.runtime import System
from actorkube.runtime.busy_wait import DOUBT, TRUST_MAX, TRUSTED, BusyWait, Rhythm, processors, window
from actorkube.runtime.clock_loop import ClockLoop
from actorkube.runtime.log import Quiet
from actorkube.runtime.settings import Settings
from actorkube.runtime.tcp import TcpTransport
from tests.runtime.links import LOOPS, LinkNumbered, Server, run

WINDOW_S = 0.0002
SOON_S, LATE_S = WINDOW_S, 0.01


def judged(gaps: list[float]) -> bool:
    rhythm = Rhythm(WINDOW_S)
    now, worth_it = 1000.0, rhythm.beat(1000.0)
    for gap in gaps:
        now += gap
        worth_it = rhythm.beat(now)
    return worth_it


@pytest.mark.parametrize(
    ("gaps", "waits"),
    [
        ([], False),
        ([SOON_S] * (TRUSTED - 1), False),
        ([SOON_S] * TRUSTED, True),
        ([SOON_S] * 100, True),
        ([SOON_S] * TRUSTED + [LATE_S], False),
        ([SOON_S] * 100 + [LATE_S], True),  # one that is late is forgiven who was quick for long
        ([SOON_S] * 100 + [LATE_S] * (TRUST_MAX // DOUBT), False),
        ([LATE_S] * 100 + [SOON_S] * TRUSTED, True),  # nobody is held against who was slow once
        ([SOON_S, SOON_S, LATE_S] * 100, False),
        (([SOON_S] * 10 + [LATE_S]) * 100 + [SOON_S] * 4, True),
    ],
)
def test_who_answers_soon_is_waited_for(gaps: list[float], waits: bool) -> None:
    assert judged(gaps) is waits


@given(st.lists(st.booleans(), min_size=1, max_size=100), st.data())
def test_to_be_late_once_more_makes_nobody_worth_waiting_for(soon: list[bool], data: st.DataObject) -> None:
    gaps = [SOON_S if is_soon else LATE_S for is_soon in soon]
    later = list(gaps)
    later[data.draw(st.integers(0, len(gaps) - 1))] = LATE_S
    assert judged(gaps) or not judged(later)
    assert not judged([*gaps, LATE_S, LATE_S, LATE_S])


@pytest.mark.parametrize("loop", LOOPS)
def test_the_loop_goes_to_sleep_when_nothing_has_come_for_a_window(loop: str) -> None:
    async def main() -> None:
        busy_wait = BusyWait(asyncio.get_running_loop(), contextvars.copy_context(), window_s=0.01)
        for _ in range(TRUSTED + 1):
            assert not busy_wait.is_awake
            before = time.monotonic()
            busy_wait.heard()
        turns = 0
        while busy_wait.is_awake:
            turns += 1
            await asyncio.sleep(0)
        assert turns > 1
        assert time.monotonic() - before >= 0.01

    run(loop, main())


async def asked_often(settings: Settings, look: Callable[[TcpTransport], None]) -> None:
    """Two systems, one of which asks the other; `look` sees the asker's transport after each answer."""
    listener = socket.create_server(("127.0.0.1", 0))
    book = {"server": listener.getsockname()}
    transport = TcpTransport(key=b"k", book=book, settings=settings)
    server = System("server", TcpTransport(key=b"k", listen=(listener,)), log=Quiet())
    client = System("client", transport, log=Quiet())
    await server.start()
    await client.start()
    server.spawn(Server, "server")
    for number in range(2000):
        await client.ask(client.ref("server/server"), LinkNumbered(number))
        look(transport)
    await client.stop()
    await server.stop()


@pytest.mark.parametrize("loop", LOOPS)
def test_whose_peer_answers_within_moments_waits_awake(loop: str) -> None:
    awake = []
    settings = Settings(busy_wait_s=0.1)  # so that a machine that is slow today is quick enough
    run(loop, asked_often(settings, lambda transport: awake.append(transport.busy_wait.is_awake)))
    assert any(awake) is (processors() > 1)


def test_nobody_waits_awake_who_was_told_not_to() -> None:
    awake = []
    settings = Settings(busy_wait_s=0)
    run("uvloop", asked_often(settings, lambda transport: awake.append(transport.busy_wait.is_awake)))
    assert not any(awake)


def in_loop(loop: asyncio.AbstractEventLoop, question: Callable[[], Coroutine[Any, Any, float]]) -> float:
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(question())


@pytest.mark.parametrize(
    ("make", "cpus", "seconds"),
    [(LOOPS["uvloop"], 2, 0.1), (LOOPS["uvloop"], 1, 0.0), (ClockLoop, 2, 0.0)],
    ids=["where there are two processors", "not on the only one", "not in virtual time"],
)
def test_how_long_a_loop_may_wait(make: Callable[[], asyncio.AbstractEventLoop], cpus: int, seconds: float) -> None:
    async def question() -> float:
        return window(asyncio.get_running_loop(), 0.1, cpus)

    assert in_loop(make(), question) == seconds
