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
from actorkube.runtime.busy_wait import (
    REST_FIRST,
    REST_LEAST,
    REST_MOST,
    WORTH_IT,
    BusyWait,
    Rhythm,
    processors,
    window,
)
from actorkube.runtime.clock_loop import ClockLoop
from actorkube.runtime.log import Quiet
from actorkube.runtime.settings import Settings
from actorkube.runtime.tcp import TcpTransport
from tests.runtime.links import LOOPS, LinkNumbered, Server, run

WINDOW_S = 0.0003
SOON, LATE, VAIN = "soon", "late", "in vain"  # the last: nothing came while it was waited for; then something did
GAPS = {SOON: WINDOW_S / 2, LATE: 0.01, VAIN: WINDOW_S * 1.01}


def waits_after(words: list[str]) -> bool:
    """Whether it waits after these; who does not wait does not wait in vain."""
    rhythm = Rhythm(WINDOW_S)
    now, waits = 1000.0, rhythm.woken(1000.0)
    for word in words:
        now += GAPS[word]
        if not waits:
            waits = rhythm.woken(now)
        elif word == SOON:
            rhythm.heard(now)
        else:
            rhythm.in_vain()
            waits = rhythm.woken(now)
    return waits


def soon_until_it_waits(words: list[str]) -> int:
    """How many words must come soon after these, until it waits (again)."""
    for number in range(2 * REST_MOST):
        if waits_after([*words, *[SOON] * number]):
            return number
    raise AssertionError("it does not wait whatever comes")


@pytest.mark.parametrize(
    ("words", "waits"),
    [
        ([], False),
        ([SOON] * (REST_FIRST - 1), False),
        ([SOON] * REST_FIRST, True),
        ([SOON] * 100, True),
        ([SOON] * 100 + [LATE], False),
        ([LATE] * 100 + [SOON] * REST_FIRST, True),  # nobody is held against who was slow once
        (([SOON] * (REST_FIRST - 1) + [LATE]) * 100, False),
    ],
)
def test_who_answers_soon_is_waited_for(words: list[str], waits: bool) -> None:
    assert waits_after(words) is waits


def test_where_it_is_always_in_vain_it_is_hardly_ever_tried_again() -> None:
    """As where the peer needs the same processor: it answers as soon as the waiting is over."""
    tried, rhythm, now = 0, Rhythm(WINDOW_S), 0.0
    for _ in range(20 * REST_MOST):
        now += GAPS[SOON]
        if rhythm.woken(now):
            tried += 1
            rhythm.in_vain()
    assert tried < 40


def test_one_that_does_not_come_is_forgiven_where_many_did() -> None:
    assert soon_until_it_waits([SOON] * 100 + [VAIN]) < REST_FIRST
    assert soon_until_it_waits(([SOON] * 100 + [VAIN]) * 10) == REST_LEAST


def test_it_has_to_be_worth_it() -> None:
    paid, unpaid = [SOON] * WORTH_IT, [SOON] * (WORTH_IT - 1)
    begun = [SOON] * REST_FIRST
    assert soon_until_it_waits([*begun, *paid, VAIN]) < soon_until_it_waits([*begun, *unpaid, VAIN])


@given(st.lists(st.sampled_from([SOON, LATE, VAIN]), max_size=60))
def test_it_waits_after_enough_that_come_soon_whatever_was_before(words: list[str]) -> None:
    assert soon_until_it_waits(words) <= REST_MOST
    assert not waits_after([*words, LATE])


@pytest.mark.parametrize("loop", LOOPS)
def test_the_loop_goes_to_sleep_when_nothing_has_come_for_a_window(loop: str) -> None:
    async def main() -> None:
        busy_wait = BusyWait(asyncio.get_running_loop(), contextvars.copy_context(), window_s=0.01)
        for _ in range(REST_FIRST + 1):
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
