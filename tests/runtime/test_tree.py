"""Supervision trees in every world: children of actors, groups in groups, kinds of restart, escalation, shutdown."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorkube.runtime import Actor, Backoff, Child, Group, Supervision, System
from actorkube.testing import WORLDS, World, run_in
from protocols.errors import AskError, Terminated
from protocols.message import Done, Message, Request

QUICK = Backoff(0.0, 0.0)


class Planted(OSError):
    """A crash that the simulated world expects."""


class Fell(Message):
    pass


class Alive(Request[Done]):
    pass


class Retire(Message):
    pass


class GrowChild(Request[Done]):
    name: str


class KillChild(Request[Done]):
    name: str


class Plant(Actor):
    """Says in `log` what happens to it: +name at its start, -name at its planned stop, !name when it crashes."""

    def __init__(self, log: list[str], name: str, children: tuple[str, ...] = (), *, broken: bool = False) -> None:
        self.log = log
        self.name = name
        self.children = children
        self.broken = broken
        if broken:
            log.append(f"!{name}")
            raise Planted(name)

    async def on_start(self) -> None:
        self.log.append(f"+{self.name}")
        for child in self.children:
            self.grow(child)

    async def on_stop(self) -> None:
        self.log.append(f"-{self.name}")

    def receive(self, message: Message) -> object:
        match message:
            case GrowChild(name):
                self.grow(name)
            case KillChild(name):
                return self.ctx.kill(self.ctx.ref(f"{self.ctx.self_ref.address}/{name}"))
            case Retire():
                self.ctx.stop()
            case Fell():
                self.log.append(f"!{self.name}")
                raise Planted(self.name)
        return None

    def grow(self, name: str) -> None:
        few = Supervision(intensity=1, backoff=QUICK)
        self.ctx.spawn(lambda: Plant(self.log, f"{self.name}/{name}", broken=name == "broken"), name, few)


def child(log: list[str], name: str, *children: str, path: str = "", restart: str = "permanent") -> Child:
    return Child(name, lambda: Plant(log, path + name, children), restart)  # type: ignore[arg-type]


async def is_alive(system: System, address: str) -> bool:
    try:
        return await system.ask(system.ref(address), Alive(), timeout_s=1) == Done()
    except AskError:
        return False


async def crash(world: World, log: list[str], system: System, name: str) -> None:
    """Crash it, and wait until it has and is back (or the next one of its name is)."""
    crashes, starts = log.count(f"!{name}"), log.count(f"+{name}")
    system.tell(system.ref(f"{system.name}/{name}"), Fell())
    await world.until(lambda: log.count(f"!{name}") > crashes and log.count(f"+{name}") > starts)


@pytest.mark.parametrize("kind", WORLDS)
def test_children_end_before_their_parent_which_makes_them_anew(kind: str, tmp_path: Path) -> None:
    log: list[str] = []

    async def scenario(world: World) -> None:
        system = await world.boot("s")
        system.spawn(lambda: Plant(log, "p", ("a", "b")), "p", Supervision(backoff=QUICK))
        await world.until(lambda: len(log) == 3)

        await crash(world, log, system, "p")
        await world.until(lambda: len(log) == 9)
        assert await is_alive(system, "s/p/a")
        await world.stop("s")

        assert log[0] == "+p"
        assert log[3:7] == ["!p", "-p/b", "-p/a", "+p"]
        assert sorted(log[7:9]) == ["+p/a", "+p/b"]
        assert log[-3:] == ["-p/b", "-p/a", "-p"]

    run_in(kind, scenario, tmp_path)


@pytest.mark.parametrize("kind", WORLDS)
def test_a_child_that_crashes_too_often_is_a_crash_of_its_parent(kind: str, tmp_path: Path) -> None:
    log: list[str] = []

    async def scenario(world: World) -> None:
        system = await world.boot("s")
        system.spawn(lambda: Plant(log, "p", ("a",)), "p", Supervision(backoff=QUICK))
        await world.until(lambda: "+p/a" in log)

        await crash(world, log, system, "p/a")
        assert log.count("+p") == 1
        system.tell(system.ref("s/p/a"), Fell())
        await world.until(lambda: log[-1] == "+p/a" and log.count("+p") == 2)

        assert system.failed is not None and not system.failed.done()

    run_in(kind, scenario, tmp_path)


@pytest.mark.parametrize("kind", WORLDS)
def test_a_constructor_that_raises_is_a_crash_of_the_child_and_goes_up(kind: str, tmp_path: Path) -> None:
    log: list[str] = []

    async def scenario(world: World) -> None:
        system = await world.boot("s")
        system.spawn(lambda: Plant(log, "p"), "p", Supervision(backoff=QUICK))
        await world.until(lambda: "+p" in log)

        await system.ask(system.ref("s/p"), GrowChild("broken"))
        await world.until(lambda: log.count("+p") == 2)

        assert log == ["+p", "!p/broken", "!p/broken", "-p", "+p"] or log == ["+p", "!p/broken", "!p/broken", "+p"]

    run_in(kind, scenario, tmp_path)


@pytest.mark.parametrize("kind", WORLDS)
def test_a_group_that_gives_up_is_restarted_whole_by_the_group_around_it(kind: str, tmp_path: Path) -> None:
    log: list[str] = []
    few = Supervision(intensity=0, backoff=QUICK)

    async def scenario(world: World) -> None:
        system = await world.boot("s")
        inner = Group("inner", [child(log, "a", path="inner/"), child(log, "b", path="inner/")], few)
        around = Supervision("rest_for_one", backoff=QUICK)
        system.spawn_group([child(log, "first"), inner, child(log, "last")], around)
        await world.until(lambda: "+last" in log)
        before = len(log)

        await crash(world, log, system, "inner/a")
        await world.until(lambda: log[-1] == "+last")

        assert log[:before] == ["+first", "+inner/a", "+inner/b", "+last"]
        assert log[before:] == ["!inner/a", "-last", "-inner/b", "+inner/a", "+inner/b", "+last"]
        assert await is_alive(system, "s/inner/a")

    run_in(kind, scenario, tmp_path)


@pytest.mark.parametrize("kind", WORLDS)
def test_what_waits_in_the_mailbox_of_a_group_outlives_its_restart(kind: str, tmp_path: Path) -> None:
    log: list[str] = []
    few = Supervision(intensity=0, backoff=QUICK)

    async def scenario(world: World) -> None:
        system = await world.boot("s")
        inner = Group("inner", [child(log, "a", path="inner/"), child(log, "b", path="inner/")], few)
        system.spawn_group([inner], Supervision(backoff=QUICK))
        await world.until(lambda: "+inner/b" in log)

        system.tell(system.ref("s/inner/a"), Fell())
        waiting = system.ask(system.ref("s/inner/a"), Alive(), timeout_s=30)

        assert await waiting == Done()
        assert log.count("+inner/a") == 2

    run_in(kind, scenario, tmp_path)


@pytest.mark.parametrize("kind", WORLDS)
def test_a_temporary_child_is_not_restarted_and_whoever_asks_it_is_told(kind: str, tmp_path: Path) -> None:
    log: list[str] = []

    async def scenario(world: World) -> None:
        system = await world.boot("s")
        user = await world.boot("user")
        system.spawn_group([child(log, "a"), child(log, "b", restart="temporary")], Supervision(backoff=QUICK))
        await world.until(lambda: "+b" in log)

        system.tell(system.ref("s/b"), Fell())
        waiting = system.ask(system.ref("s/b"), Alive(), timeout_s=30)
        with pytest.raises(Terminated):
            await waiting
        with pytest.raises(Terminated):
            await user.ask(user.ref("s/b"), Alive(), timeout_s=30)
        await crash(world, log, system, "a")

        assert log == ["+a", "+b", "!b", "!a", "+a"]

    run_in(kind, scenario, tmp_path)


@pytest.mark.parametrize("kind", WORLDS)
def test_an_actor_may_end_by_its_own_will_and_a_permanent_one_comes_back(kind: str, tmp_path: Path) -> None:
    log: list[str] = []

    async def scenario(world: World) -> None:
        system = await world.boot("s")
        system.spawn_group([child(log, "a"), child(log, "b", restart="transient")], Supervision(backoff=QUICK))
        await world.until(lambda: "+b" in log)

        system.tell(system.ref("s/b"), Retire())
        await world.until(lambda: log[-1] == "-b")
        with pytest.raises(Terminated):
            await system.ask(system.ref("s/b"), Alive(), timeout_s=30)
        system.tell(system.ref("s/a"), Retire())

        await world.until(lambda: log[3:] == ["-a", "+a"])

    run_in(kind, scenario, tmp_path)


@pytest.mark.parametrize("kind", WORLDS)
def test_a_killed_child_takes_its_children_along_and_its_name_is_free(kind: str, tmp_path: Path) -> None:
    log: list[str] = []

    async def scenario(world: World) -> None:
        system = await world.boot("s")
        system.spawn(lambda: Plant(log, "p", ("a",)), "p")
        await world.until(lambda: "+p/a" in log)
        await system.ask(system.ref("s/p/a"), GrowChild("x"))
        await world.until(lambda: "+p/a/x" in log)

        await system.ask(system.ref("s/p"), KillChild("a"))
        assert log[-2:] == ["-p/a/x", "-p/a"]
        await system.ask(system.ref("s/p"), GrowChild("a"))
        await world.until(lambda: log[-1] == "+p/a")

        await system.kill("p")
        assert log[-2:] == ["-p/a", "-p"]
        with pytest.raises(Terminated):
            await system.ask(system.ref("s/p/a"), Alive())

    run_in(kind, scenario, tmp_path)


class Stubborn(Actor):
    """Does not want to end."""

    def __init__(self, log: list[str]) -> None:
        self.log = log

    async def on_stop(self) -> None:
        self.log.append("asked to end")
        await self.ctx.sleep(1000)


@pytest.mark.parametrize("kind", WORLDS)
def test_a_child_that_does_not_end_in_its_time_is_ended(kind: str, tmp_path: Path) -> None:
    log: list[str] = []

    async def scenario(world: World) -> None:
        system = await world.boot("s")
        system.spawn_group([Child("stubborn", lambda: Stubborn(log), shutdown_s=0.05), child(log, "last")])
        await world.until(lambda: "+last" in log)

        await world.stop("s")

        assert log == ["+last", "-last", "asked to end"]

    run_in(kind, scenario, tmp_path)


@pytest.mark.parametrize("kind", ["local", "tcp"])
def test_at_the_top_the_system_fails_with_a_reason_and_the_group_is_ended(kind: str, tmp_path: Path) -> None:
    """In simulation a system that fails is a host that dies and boots again: tests/sim/test_world.py."""
    log: list[str] = []

    async def scenario(world: World) -> None:
        system = await world.boot("s")
        few = Supervision(intensity=0, backoff=QUICK)
        inner = Group("inner", [child(log, "a", path="inner/")], few)
        system.spawn_group([inner, child(log, "b")], few)
        await world.until(lambda: "+b" in log)

        system.tell(system.ref("s/inner/a"), Fell())
        await world.until(lambda: log[-1] == "-b")

        assert system.failed is not None
        reason = await system.failed
        assert reason.startswith("s/inner crashed 1 times, last because s/inner/a crashed 1 times, last with Planted(")

    run_in(kind, scenario, tmp_path)


def test_two_actors_of_one_name_are_refused_before_any_is_started(tmp_path: Path) -> None:
    log: list[str] = []

    async def scenario(world: World) -> None:
        system = await world.boot("s")
        with pytest.raises(ValueError, match="s/g/a exists already"):
            system.spawn_group([child(log, "b"), Group("g", [child(log, "a"), child(log, "a")])])

        assert not await is_alive(system, "s/b")
        assert log == []

    run_in("local", scenario, tmp_path)
