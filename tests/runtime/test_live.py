"""Hosts in a thread, on a clock that the test controls."""

from __future__ import annotations

import asyncio
import itertools
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from actorkube.runtime import Actor, System
from actorkube.runtime.host import Host
from actorkube.runtime.hosts import LocalHosts
from actorkube.runtime.live import live
from actorkube.runtime.settled import NotSettled
from protocols.errors import AskError
from protocols.message import Done, Message, Request

AGES = 3600.0


class SignOfLife(Request[Done]):
    pass


class BeatDue(Message):
    pass


class Beating(Actor):
    """Tells the watchman every 10 s that it lives."""

    async def on_start(self) -> None:
        self.ctx.every(10.0, BeatDue())

    def receive(self, message: Message) -> object:
        return self.beat()

    async def beat(self) -> None:
        try:
            await self.ctx.ask(self.ctx.ref("tower/watchman"), SignOfLife())
        except AskError:
            return


class Watchman(Actor):
    """Keeps the time of the last sign of life on his disk."""

    def __init__(self) -> None:
        self.heard: list[float] = []

    def receive(self, message: Message) -> object:
        self.heard.append(self.ctx.now)
        return self.note()

    async def note(self) -> None:
        self.ctx.disk.append("log", b"heard\n")
        await self.ctx.disk.sync("log")


def host(name: str, actor: str, factory: Callable[[], Actor]) -> Host:
    async def boot(system: System) -> str:
        system.spawn(factory, actor)
        return f"{name} is up"

    return Host(name, name, boot)


def two() -> list[Host]:
    return [host("tower", "watchman", Watchman), host("ward-1", "beating", Beating)]


def heard(hosts: LocalHosts) -> list[float]:
    watchman = hosts.system("tower").actor("watchman")
    assert isinstance(watchman, Watchman)
    return watchman.heard


def test_hours_pass_for_the_hosts_while_the_caller_waits_a_moment(tmp_path: Path) -> None:
    with live(two(), tmp_path) as hosts:
        hosts.clock.pause().result()
        began = hosts.clock.now
        passed = hosts.clock.advance("1h").result()
        hosts.settled().result()

        signs = hosts.look(heard).result()
        assert hosts.clock.now == pytest.approx(began + AGES)
        assert passed.fired["ward-1/beating BeatDue"] in (359, 360, 361)
        assert len(signs) in (360, 361)
        assert len((tmp_path / "tower" / "watchman" / "log").read_bytes().splitlines()) == len(signs)
    assert not [thread for thread in threading.enumerate() if thread.name.startswith("actorkube")]


def test_a_killed_host_is_silent_until_it_is_started_again(tmp_path: Path) -> None:
    with live(two(), tmp_path) as hosts:
        hosts.clock.pause().result()
        hosts.kill("ward").result()
        before = len(hosts.look(heard).result())
        hosts.clock.advance(100).result()
        assert len(hosts.look(heard).result()) == before

        hosts.restart("ward").result()
        hosts.clock.advance(100).result()

        assert len(hosts.look(heard).result()) == before + 10
        with pytest.raises(KeyError, match="there is no host tow; there are tower, ward-1"):
            hosts.kill("tow")


async def test_a_coroutine_of_another_loop_awaits_what_a_function_takes_the_result_of(tmp_path: Path) -> None:
    async with live(two(), tmp_path) as hosts:
        await hosts.clock.pause()
        first, second = await asyncio.gather(hosts.clock.advance("1m"), hosts.clock.advance("1m"))
        await hosts.settled()

        assert first.seconds == second.seconds == 60
        assert (await hosts.clock.step()).fired


def test_a_clock_that_runs_fast_takes_the_hosts_with_it(tmp_path: Path) -> None:
    with live(two(), tmp_path) as hosts:
        hosts.clock.run_at(10_000).result()

        deadline = time.monotonic() + 60
        while len(hosts.look(heard).result()) < 20:
            assert time.monotonic() < deadline

        hosts.clock.resume().result()
        signs = hosts.look(heard).result()
        assert [round(later - sign) for sign, later in itertools.pairwise(signs)] == [10] * (len(signs) - 1)


def test_who_does_not_settle_is_named(tmp_path: Path) -> None:
    class Stuck(Actor):
        def busy(self) -> str:
            return "cannot make up his mind"

    with (
        live([host("tower", "stuck", Stuck)], tmp_path) as hosts,
        pytest.raises(NotSettled, match="tower/stuck: cannot make up his mind"),
    ):
        hosts.settled(within_s=0.05).result()


def test_a_host_that_gives_up_comes_back(tmp_path: Path) -> None:
    boots: list[float] = []

    async def boot(system: System) -> str:
        boots.append(system.now)
        if len(boots) == 1:
            raise RuntimeError("not today")
        return "up"

    with live([Host("shaky", "shaky", boot)], tmp_path, rate=100):
        assert len(boots) == 2
        assert boots[1] >= boots[0] + 1


def test_with_a_seed_chance_is_the_same_in_every_run(tmp_path: Path) -> None:
    def drawn(run: str) -> float:
        with live(two(), tmp_path / run, seed=7) as hosts:
            return hosts.look(lambda them: them.system("tower").actor("watchman").ctx.random.random()).result()

    assert drawn("one") == drawn("two")


def test_a_killed_host_says_nothing_and_a_stopped_one_says_goodbye(tmp_path: Path) -> None:
    goodbyes: list[str] = []

    class Polite(Actor):
        async def on_stop(self) -> None:
            goodbyes.append(self.ctx.self_ref.address.system)

    with live([host("one", "polite", Polite), host("two", "polite", Polite)], tmp_path) as hosts:
        hosts.kill("one").result()
        assert goodbyes == []

    assert goodbyes == ["two"]
