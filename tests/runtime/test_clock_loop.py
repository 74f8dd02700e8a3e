"""A loop of real sockets, threads and processes whose time is the user's: an instant ends before the next begins."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from actorkube.runtime import Actor, System
from actorkube.runtime.clock_loop import ClockLoop
from actorkube.runtime.disk import FileDisk
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actorkube.runtime.real_time import real_time
from actorkube.runtime.settled import NotSettled
from protocols.message import Message

REAL_S = 0.02  # long beside what a jump takes


def on_clock(main: Callable[[ClockLoop], Coroutine[Any, Any, None]], *, paused: bool = True) -> ClockLoop:
    """Run it on a loop of its own."""
    loop = ClockLoop(epoch=1_000_000.0)
    if paused:
        loop.pause()
    try:
        loop.run_until_complete(asyncio.wait_for(main(loop), None))
    finally:
        loop.run_until_complete(loop.shutdown_default_executor())
        loop.close()
    return loop


async def log_times(loop: ClockLoop, times: list[float], period_s: float) -> None:
    while True:
        await asyncio.sleep(period_s)
        times.append(loop.time())


def test_an_advance_goes_from_timer_to_timer_and_takes_no_real_time() -> None:
    times: list[float] = []

    async def main(loop: ClockLoop) -> None:
        task = asyncio.create_task(log_times(loop, times, 60.0))
        began = time.monotonic()
        passed = await loop.advance(3600)
        task.cancel()

        assert passed.fired == {"a sleep in log_times": 60}
        assert (passed.now, passed.seconds, loop.wall) == (3600, 3600, 1_003_600)
        assert time.monotonic() - began < 60

    on_clock(main)
    assert times == [60.0 * n for n in range(1, 61)]


def test_timers_a_moment_apart_fire_each_at_its_own_time() -> None:
    times: list[float] = []

    async def main(loop: ClockLoop) -> None:
        for at in (1.0, 1.0 + 1e-6, 1.001, 1.001, 2.0):
            loop.call_at(at, lambda: times.append(loop.time()))
        await loop.advance(2)

    on_clock(main)
    assert times == [1.0, 1.0 + 1e-6, 1.001, 1.001, 2.0]


def test_a_paused_clock_stands_still_while_real_io_goes_on() -> None:
    async def main(loop: ClockLoop) -> None:
        await loop.run_in_executor(None, time.sleep, REAL_S)
        assert loop.time() == 0

    on_clock(main)


def test_a_step_fires_the_next_timer_and_names_its_owner() -> None:
    async def main(loop: ClockLoop) -> None:
        task = asyncio.create_task(asyncio.sleep(5), name="sleeper")
        asyncio.get_running_loop().call_later(9, print)
        passed = await loop.step()

        assert passed.fired == {"a sleep in sleeper": 1}
        assert loop.time() == 5
        assert task.done()

    on_clock(main, paused=False)


def test_a_step_without_a_timer_goes_nowhere() -> None:
    async def main(loop: ClockLoop) -> None:
        assert (await loop.step()).fired == {}
        assert loop.time() == 0

    on_clock(main)


def test_time_waits_for_the_disk() -> None:
    """As a store does: each second it writes and syncs, and the next second must not come before that is done."""
    seen: list[tuple[float, float]] = []

    async def main(loop: ClockLoop) -> None:
        async def write() -> None:
            for _ in range(5):
                await asyncio.sleep(1)
                began = loop.time()
                await loop.run_in_executor(None, time.sleep, REAL_S)
                seen.append((began, loop.time()))

        task = asyncio.create_task(write())
        ticks: list[float] = []
        ticking = asyncio.create_task(log_times(loop, ticks, 0.01))
        await loop.advance(5)
        ticking.cancel()
        assert task.done()

    on_clock(main)
    assert seen == [(float(n), float(n)) for n in range(1, 6)]


def test_the_real_disk_holds_the_clock(tmp_path: Path) -> None:
    async def main(loop: ClockLoop) -> None:
        disk = FileDisk(tmp_path / "disk")

        async def write() -> float:
            disk.append("log", b"x")
            await disk.sync("log")
            return loop.time()

        loop.call_later(1e-3, lambda: None)
        task = asyncio.create_task(write())
        await loop.advance(1)
        disk.close()
        assert task.result() == 0

    on_clock(main)


def test_time_waits_for_what_is_under_way_on_real_sockets() -> None:
    """Five hops over loopback, forth and back, all in the instant in which they began."""
    seen: list[float] = []

    async def main(loop: ClockLoop) -> None:
        async def echo(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            while data := await reader.read(100):
                writer.write(data)
            writer.close()

        server = await asyncio.start_server(echo, "127.0.0.1", 0)
        reader, writer = await asyncio.open_connection(*server.sockets[0].getsockname())

        async def talk() -> None:
            for _ in range(3):
                await asyncio.sleep(1)
                for _ in range(5):
                    writer.write(b"ping")
                    await reader.readexactly(4)
                seen.append(loop.time())

        ticks: list[float] = []
        ticking = asyncio.create_task(log_times(loop, ticks, 0.001))
        task = asyncio.create_task(talk())
        await loop.advance(3)
        assert task.done()
        ticking.cancel()
        writer.close()
        await writer.wait_closed()
        server.close()

    on_clock(main)
    assert seen == [1.0, 2.0, 3.0]


@pytest.mark.skipif(not hasattr(os, "pidfd_open"), reason="needs pidfds")
def test_time_waits_for_the_end_of_a_child_that_somebody_waits_for() -> None:
    child = subprocess.Popen([sys.executable, "-c", ""])
    pidfd = os.pidfd_open(child.pid)

    async def main(loop: ClockLoop) -> None:
        ended = loop.create_future()

        def exited() -> None:
            loop.remove_reader(pidfd)
            ended.set_result(loop.time())

        loop.add_reader(pidfd, exited)
        with real_time("a child ends", at_most_s=60):
            advancing = asyncio.create_task(loop.advance(2))
            assert await ended == 0
        await advancing

    on_clock(main)
    os.close(pidfd)
    child.wait()


def test_what_is_held_for_too_long_is_let_go() -> None:
    async def main(loop: ClockLoop) -> None:
        with loop.hold("a client that says nothing", REAL_S):
            await loop.advance(10)
        assert loop.time() == 10

    on_clock(main)


def test_ten_times_real_time_is_ten_times_and_no_timer_is_late_on_its_own_clock() -> None:
    times: list[float] = []

    async def main(loop: ClockLoop) -> None:
        loop.run_at(1000)
        began = time.monotonic()
        task = asyncio.create_task(log_times(loop, times, 0.5))
        await asyncio.sleep(50)
        took = time.monotonic() - began
        task.cancel()
        assert took >= 0.05

    on_clock(main, paused=False)
    assert times == [0.5 * n for n in range(1, len(times) + 1)]


def test_two_who_advance_at_once_both_get_their_time() -> None:
    async def main(loop: ClockLoop) -> None:
        first, second = await asyncio.gather(loop.advance(10), loop.advance(5))

        assert (first.seconds, second.seconds, loop.time()) == (10, 5, 15)

    on_clock(main)


def test_a_pause_ends_an_advance_that_goes_too_far() -> None:
    async def main(loop: ClockLoop) -> None:
        times: list[float] = []
        ticking = asyncio.create_task(log_times(loop, times, 1.0))
        loop.call_later(5.5, loop.pause)

        passed = await loop.advance(1e8)

        ticking.cancel()
        assert (passed.seconds, loop.time(), len(times)) == (5.5, 5.5, 5)
        assert (await loop.advance(1)).now == 6.5

    on_clock(main)


def test_what_never_settles_is_named_within_a_bounded_time() -> None:
    async def main(loop: ClockLoop) -> None:
        async def spin() -> None:
            while True:
                await asyncio.sleep(0)

        task = asyncio.create_task(spin(), name="spinner")
        with pytest.raises(NotSettled, match="spinner"):
            await loop.advance(10, within_s=REAL_S)
        task.cancel()
        assert loop.time() == 0

        with loop.hold("a thread that hangs", 60), pytest.raises(NotSettled, match="a thread that hangs"):
            await loop.advance(10, within_s=REAL_S)
        assert (await loop.advance(1)).now == 1

    on_clock(main)


@pytest.mark.slow
def test_patience_is_with_what_does_not_move_not_with_what_takes_long() -> None:
    async def main(loop: ClockLoop) -> None:
        for at in range(1, 9):
            loop.call_at(at, time.sleep, 0.1)

        assert (await loop.advance(10, within_s=0.7)).now == 10

    on_clock(main)


def test_quiet_waits_until_nobody_is_busy_and_says_who_is() -> None:
    async def main(loop: ClockLoop) -> None:
        todo = ["etcd-0/etcd writes"]
        loop.call_later(5, todo.clear)

        with pytest.raises(NotSettled, match="etcd-0/etcd writes"):
            await loop.quiet(lambda: todo, within_s=REAL_S)
        loop.run_at(1000)
        await loop.quiet(lambda: todo)

        assert not todo
        assert loop.time() >= 5

    on_clock(main)


class ClockworkTick(Message):
    pass


class Clockwork(Actor):
    def __init__(self) -> None:
        self.times: list[float] = []

    async def on_start(self) -> None:
        self.ctx.every(10.0, ClockworkTick())

    def receive(self, message: Message) -> None:
        self.times.append(self.ctx.now)


def test_actors_live_on_the_clock_also_those_of_a_system_that_is_started_later() -> None:
    async def main(loop: ClockLoop) -> None:
        await loop.advance(1000)
        system = System("late", LocalNetwork().transport(), log=Quiet())
        await system.start()
        system.spawn(Clockwork, "clockwork")

        passed = await loop.advance(30)

        actor = system.actor("clockwork")
        assert isinstance(actor, Clockwork)
        assert actor.times == [1_001_010, 1_001_020, 1_001_030]
        assert passed.fired == {"late/clockwork ClockworkTick": 3}
        await system.stop()

    on_clock(main)


def test_a_timeout_is_named_after_the_task_that_it_bounds() -> None:
    async def main(loop: ClockLoop) -> None:
        async def patient() -> None:
            async with asyncio.timeout(3):
                await asyncio.Event().wait()

        task = asyncio.create_task(patient(), name="patient")
        assert (await loop.step()).fired == {"a timeout in patient": 1}
        await loop.quiet()
        assert isinstance(task.exception(), TimeoutError)

    on_clock(main)
