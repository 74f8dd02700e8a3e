"""One scenario runs unchanged in three worlds: asks, streams, crashes, restarts on the same disk, planned stops."""

from __future__ import annotations

import contextlib
from pathlib import Path

import pytest

from actorkube.runtime import Actor, System
from actorkube.runtime.host import Host
from actorkube.sim.errors import NotConverged
from actorkube.testing import LINK_WORLDS, WORLDS, TlsWorld, World, make_world, run_in
from protocols.errors import AskError
from protocols.message import Done, Message, Request


class SavedLines(Message):
    lines: tuple[bytes, ...]


class SaveLine(Request[Done]):
    line: bytes


class ReadLines(Request[SavedLines]):
    pass


class Notebook(Actor):
    concurrency = 10

    def receive(self, message: Message) -> object:
        match message:
            case SaveLine(line):
                return self.save(line)
            case ReadLines():
                return SavedLines(tuple(self.ctx.disk.read("notes").split(b"\n")[:-1]))
        raise AssertionError(message)

    async def save(self, line: bytes) -> None:
        self.ctx.disk.append("notes", line + b"\n")
        await self.ctx.disk.sync("notes")


class Ring(Request[Done]):
    pass


class Bell(Actor):
    def receive(self, message: Message) -> object:
        return Done()


def void(_: object) -> None:
    return


def boot(system: System) -> None:
    system.spawn(Notebook, "notebook")


async def lines(user: System) -> tuple[bytes, ...] | None:
    try:
        return (await user.ask(user.ref("server/notebook"), ReadLines(), timeout_s=2)).lines
    except AskError:
        return None


@pytest.mark.parametrize("kind", dict.fromkeys([*WORLDS, *LINK_WORLDS]))
def test_what_is_saved_survives_a_crash_and_a_stop(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.boot("server", boot)
        user = await world.boot("user", listens=False)
        await user.ask(user.ref("server/notebook"), SaveLine(b"one"))

        world.crash("server")
        assert not world.is_up("server")
        await world.restart("server")
        await world.until(lambda: is_saved(user, b"one"))
        await world.stop("server")
        await world.restart("server")
        await world.until(lambda: is_saved(user, b"one"))
        await user.ask(user.ref("server/notebook"), SaveLine(b"two"))

        await world.converges(lambda: is_saved(user, b"one", b"two"))
        assert world.system("server") is not user

    async def is_saved(user: System, *expected: bytes) -> bool:
        return await lines(user) == expected

    run_in(kind, scenario, tmp_path)


@pytest.mark.parametrize("kind", WORLDS)
def test_hosts_that_wait_for_each_other_boot_together(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        async def needs(system: System, other: str) -> str:
            system.spawn(Notebook, "notebook")

            async def is_there() -> bool:
                try:
                    return await system.ask(system.ref(f"{other}/notebook"), SaveLine(b"x"), timeout_s=1) == Done()
                except AskError:
                    return False

            await world.until(is_there)
            return "ready"

        a = Host("a", "step", lambda system: needs(system, "b"), listens=True)
        b = Host("b", "step", lambda system: needs(system, "a"), listens=True)
        await world.boot_all([a, b])

        assert world.is_up("a")
        assert world.is_up("b")

    run_in(kind, scenario, tmp_path)


@pytest.mark.parametrize("kind", WORLDS)
def test_what_does_not_come_true_is_said_in_every_world(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        with pytest.raises(NotConverged):
            await world.until(lambda: False, within_s=0.02)
        world.heal()

    run_in(kind, scenario, tmp_path)


@pytest.mark.parametrize("kind", [*WORLDS, "unix", "tls"])
def test_a_partition_cuts_some_off_and_leaves_others(kind: str, tmp_path: Path) -> None:
    async def answers(world: World, asker: str, asked: str) -> bool:
        try:
            await world.system(asker).ask(world.system(asker).ref(f"{asked}/bell"), Ring(), timeout_s=2)
        except AskError:
            return False
        return True

    async def scenario(world: World) -> None:
        for name in "abc":
            await world.boot(name, lambda system: void(system.spawn(Bell, "bell")))
        assert await answers(world, "a", "b") and await answers(world, "b", "a")

        world.partition({"a"}, {"b"})
        assert not await answers(world, "a", "b")
        assert not await answers(world, "b", "a")
        assert await answers(world, "a", "c") and await answers(world, "c", "b")
        world.crash("b")
        await world.restart("b")
        assert not await answers(world, "b", "a")
        world.heal()

        await world.until(lambda: answers(world, "a", "b"))
        await world.until(lambda: answers(world, "b", "a"))

    run_in(kind, scenario, tmp_path)


def test_there_is_no_fourth_world(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="local, tcp, sim"):
        make_world("carrier pigeon", tmp_path)


def test_certificates_of_all_hosts_change_in_the_middle_of_a_scenario(tmp_path: Path) -> None:
    saved = [b"%d" % number for number in range(30)]

    async def scenario(world: TlsWorld) -> tuple[bytes, ...] | None:
        await world.boot("server", boot)
        user = await world.boot("user", listens=False)
        for number, line in enumerate(saved):
            if number % 10 == 5:
                world.renew()
            await user.ask(user.ref("server/notebook"), SaveLine(line), timeout_s=20)
        return await lines(user)

    with contextlib.closing(TlsWorld(tmp_path)) as world:
        assert world.run(scenario) == tuple(saved)


@pytest.mark.parametrize("kind", WORLDS)
def test_a_host_that_is_not_there_is_named_with_those_that_are(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await world.boot("server")
        await world.boot("user")
        for mistake in (
            lambda: world.crash("servr"),
            lambda: world.system("servr"),
            lambda: world.is_up("servr"),
        ):
            with pytest.raises(KeyError, match="there is no host 'servr'; there are server, user"):
                mistake()
        with pytest.raises(ValueError, match="there is a host 'user' already"):
            await world.boot("user")
        with pytest.raises(ValueError, match="before the slash, not 'user/me'"):
            await world.boot("user/me")
        with pytest.raises(TypeError, match="counter is made by a class or a function, for each life anew, not by 7"):
            world.system("server").spawn(7, "counter")  # type: ignore[arg-type]

    run_in(kind, scenario, tmp_path)
