"""Watches and links in every world: each ends once, with the reason, whatever ends and wherever it is."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorkube.runtime import Actor, Backoff, Down, Exited, Mailbox, Ref, Supervision
from actorkube.sim import World as SimWorld
from actorkube.sim.faults import Crash, Fault, Partition, Pause, play
from actorkube.testing import WORLDS, World, run_in
from protocols.message import Done, Message, Request
from tests.effort import examples

QUICK = Backoff(0.0, 0.0)


class Planned(OSError):
    """A crash that the simulated world expects."""


class Monitor(Request[Done]):
    address: str


class Demonitor(Request[Done]):
    address: str


class Tie(Request[Done]):
    address: str


class Untie(Request[Done]):
    address: str


class Blow(Message):
    pass


class Hold(Request[Done]):
    pass


class Party(Actor):
    """Watches and is linked with others; `seen` outlives it."""

    concurrency = 2
    mailbox = Mailbox(capacity=2)

    def __init__(self, seen: list[Message], births: list[str] | None = None) -> None:
        self.gate = asyncio.Event()
        self.seen = seen
        self.births = births if births is not None else []

    async def on_start(self) -> None:
        self.births.append(self.ctx.self_ref.address.actor)

    def receive(self, message: Message) -> object:
        match message:
            case Monitor(address):
                self.ctx.watch(self.ctx.ref(address))
            case Demonitor(address):
                self.ctx.unwatch(self.ctx.ref(address))
            case Tie(address):
                self.ctx.link(self.ctx.ref(address))
            case Untie(address):
                self.ctx.unlink(self.ctx.ref(address))
            case Hold():
                return self.hold()
            case Blow():
                raise Planned("planted")
            case Down() | Exited():
                self.seen.append(message)
        return None

    async def hold(self) -> None:
        await self.gate.wait()


class Trapping(Party):
    traps_exits = True


class Stage:
    """A party `w` in one system, and another `t`, which is in the same one or in another."""

    def __init__(self, world: World) -> None:
        self.world = world
        self.seen: list[Message] = []
        self.births: list[str] = []

    async def build(self, *, far: bool, watcher: type[Party] = Party, intensity: int = 5) -> None:
        self.here = await self.world.boot("here")
        self.there = await self.world.boot("there") if far else self.here
        self.w = self.here.spawn(lambda: watcher(self.seen, self.births), "w", Supervision(backoff=QUICK))
        few = Supervision(intensity=intensity, backoff=QUICK)
        self.t = self.there.spawn(lambda: Party([], self.births), "t", few, restart="transient")
        await self.world.until(lambda: len(self.births) == 2)

    async def ask(self, ref: Ref, request: Request[Done]) -> None:
        await self.here.ask(ref, request, timeout_s=30)

    async def linked(self) -> None:
        """Linked, and both ways: frames of one link come in order, so the answer comes after the way back."""
        await self.ask(self.w, Tie(str(self.t.address)))
        await self.world.until(lambda: bool(self.there.monitors._lives) and bool(self.here.monitors._lives))


NEAR_AND_FAR = pytest.mark.parametrize("far", [False, True], ids=["near", "far"])
KINDS = pytest.mark.parametrize("kind", WORLDS)


@KINDS
@NEAR_AND_FAR
def test_whoever_watches_is_told_once_when_the_other_is_stopped(kind: str, far: bool, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        stage = Stage(world)
        await stage.build(far=far)
        await stage.ask(stage.w, Monitor(str(stage.t.address)))
        await stage.ask(stage.w, Monitor(str(stage.t.address)))  # watching twice is watching
        await world.until(lambda: bool(stage.there.monitors._names))

        await stage.there.kill("t")

        await world.converges(lambda: stage.seen == [Down(str(stage.t.address), "stopped")], within_s=10)

    run_in(kind, scenario, tmp_path)


@KINDS
@NEAR_AND_FAR
def test_a_restart_is_no_end_for_a_watch_and_giving_up_is(kind: str, far: bool, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        stage = Stage(world)
        await stage.build(far=far)
        parent = stage.there.spawn(lambda: Nest(stage.births), "nest", Supervision(backoff=QUICK))
        child = f"{parent.address}/egg"
        await world.until(lambda: "nest/egg" in stage.births)
        await stage.ask(stage.w, Monitor(child))
        await world.until(lambda: bool(stage.there.monitors._names))

        stage.there.tell(stage.there.ref(child), Blow())
        await world.until(lambda: stage.births.count("nest/egg") == 2)
        assert stage.seen == []
        stage.there.tell(stage.there.ref(child), Blow())

        await world.converges(lambda: stage.seen == [Down(child, "crashed")], within_s=10)

    run_in(kind, scenario, tmp_path)


class Nest(Actor):
    """Has a child that is restarted once, and is then itself restarted, which makes another one."""

    def __init__(self, births: list[str]) -> None:
        self.births = births

    async def on_start(self) -> None:
        few = Supervision(intensity=1, backoff=QUICK)
        self.ctx.spawn(lambda: Party([], self.births), "egg", few)


@KINDS
@NEAR_AND_FAR
def test_who_watches_nobody_is_told_so(kind: str, far: bool, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        stage = Stage(world)
        await stage.build(far=far)
        nobody = f"{stage.there.name}/nobody"

        await stage.ask(stage.w, Monitor(nobody))

        await world.converges(lambda: stage.seen == [Down(nobody, "no such actor")], within_s=10)

    run_in(kind, scenario, tmp_path)


@KINDS
def test_a_system_that_stops_says_so_for_each_and_one_that_is_killed_or_unknown_is_unreachable(
    kind: str, tmp_path: Path
) -> None:
    async def scenario(world: World) -> None:
        stage = Stage(world)
        await stage.build(far=True)
        other = await world.boot("other")
        killed = other.spawn(lambda: Party([]), "killed")
        for address in (str(stage.t.address), str(killed.address), "nowhere/x"):
            await stage.ask(stage.w, Monitor(address))
        await world.until(lambda: bool(stage.there.monitors._names) and bool(other.monitors._names))

        await world.stop("there")
        world.crash("other")

        expected = {Down("there/t", "stopped"), Down("other/killed", "unreachable"), Down("nowhere/x", "unreachable")}
        await world.converges(lambda: len(stage.seen) == 3 and set(stage.seen) == expected, within_s=30)

    run_in(kind, scenario, tmp_path)


@KINDS
@NEAR_AND_FAR
def test_after_unwatch_no_down_comes_not_even_one_that_waits(kind: str, far: bool, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        stage = Stage(world)
        await stage.build(far=far)
        await stage.ask(stage.w, Monitor(str(stage.t.address)))
        await world.until(lambda: bool(stage.there.monitors._names))
        await stage.ask(stage.w, Demonitor(str(stage.t.address)))
        await world.until(lambda: not stage.there.monitors._names)
        await stage.ask(stage.w, Monitor(f"{stage.there.name}/nobody"))
        cell = stage.here.cell(stage.w.actor_id)
        assert cell is not None

        stage.here.monitors.unwatch(cell, stage.here.ref(f"{stage.there.name}/nobody"))
        await stage.there.kill("t")
        await world.sleep(0.1)

        assert stage.seen in ([], [Down(f"{stage.there.name}/nobody", "no such actor")])
        assert not stage.here.monitors._watches

    run_in(kind, scenario, tmp_path)


@KINDS
def test_a_down_gets_into_a_mailbox_that_is_full_and_comes_first(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        stage = Stage(world)
        await stage.build(far=False)
        await stage.ask(stage.w, Monitor(str(stage.t.address)))
        cell = stage.here.cell(stage.w.actor_id)
        party = stage.here.actor("w")
        assert cell is not None
        assert isinstance(party, Party)
        waiting = [stage.here.ask(stage.w, Hold(), timeout_s=30) for _ in range(2)]
        await world.until(lambda: cell.running == 2)
        waiting += [stage.here.ask(stage.w, Hold(), timeout_s=30) for _ in range(2)]
        await world.until(lambda: cell.depth == 2)

        await stage.there.kill("t")
        party.gate.set()
        await asyncio.gather(*waiting)

        await world.until(lambda: stage.seen == [Down(str(stage.t.address), "stopped")])

    run_in(kind, scenario, tmp_path)


@KINDS
def test_an_instance_hears_nothing_of_what_the_one_before_it_watched(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        stage = Stage(world)
        await stage.build(far=False)
        await stage.ask(stage.w, Monitor(str(stage.t.address)))
        cell = stage.here.cell(stage.w.actor_id)
        assert cell is not None

        await stage.here.kill("t")  # its Down is in the mailbox now
        cell.crash(Planned("planted"))
        await world.until(lambda: stage.births[2:] == ["w"])
        await stage.ask(stage.w, Demonitor("nowhere/x"))

        assert stage.seen == []

    run_in(kind, scenario, tmp_path)


@KINDS
@NEAR_AND_FAR
def test_a_crash_crashes_those_who_are_linked_both_ways(kind: str, far: bool, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        stage = Stage(world)
        await stage.build(far=far)
        await stage.linked()

        stage.there.tell(stage.t, Blow())
        await world.until(lambda: sorted(stage.births[2:]) == ["t", "w"])
        await stage.linked()
        stage.here.tell(stage.w, Blow())
        await world.until(lambda: sorted(stage.births[4:]) == ["t", "w"])
        stage.here.tell(stage.w, Blow())  # the new ones are not linked

        await world.converges(lambda: stage.births[6:] == ["w"], within_s=10)

    run_in(kind, scenario, tmp_path)


@KINDS
@NEAR_AND_FAR
def test_whoever_traps_exits_is_told_of_the_end_of_the_linked_and_lives(kind: str, far: bool, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        stage = Stage(world)
        await stage.build(far=far, watcher=Trapping)
        await stage.linked()
        address = str(stage.t.address)

        stage.there.tell(stage.t, Blow())
        await world.until(lambda: stage.seen == [Exited(address, "crashed")])
        await stage.linked()
        await stage.there.kill("t")
        await world.until(lambda: stage.seen[1:] == [Exited(address, "stopped")])
        await stage.ask(stage.w, Tie(address))
        await world.until(lambda: stage.seen[2:] == [Exited(address, "no such actor")])

        assert stage.births.count("w") == 1

    run_in(kind, scenario, tmp_path)


@KINDS
@NEAR_AND_FAR
def test_a_planned_stop_and_an_unlink_end_a_link_without_harm(kind: str, far: bool, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        stage = Stage(world)
        await stage.build(far=far)
        await stage.linked()
        await stage.ask(stage.w, Untie(str(stage.t.address)))
        await world.until(lambda: not stage.there.monitors._lives and not stage.here.monitors._lives)
        stage.there.tell(stage.t, Blow())
        await world.until(lambda: stage.births[2:] == ["t"])
        await stage.linked()

        await stage.there.kill("t")

        await world.converges(lambda: stage.births[2:] == ["t"], within_s=10)

    run_in(kind, scenario, tmp_path)


@KINDS
def test_the_loss_of_the_link_between_systems_crashes_those_who_are_linked_over_it(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        stage = Stage(world)
        await stage.build(far=True)
        await stage.linked()

        world.crash("there")

        await world.converges(lambda: stage.births[2:] == ["w"], within_s=30)

    run_in(kind, scenario, tmp_path)


TENTHS = st.integers(0, 100).map(lambda tenth: tenth / 10)
FAULTS = st.lists(
    st.one_of(
        st.builds(Crash, TENTHS, TENTHS, st.just("there")),
        st.builds(Pause, TENTHS, TENTHS, st.just("there")),
        st.builds(Partition, TENTHS, TENTHS, st.just(("here",)), st.just(("there",)), st.booleans()),
    ),
    max_size=4,
)


@settings(max_examples=examples(30), deadline=None)
@given(FAULTS, st.integers(0, 1000))
def test_under_faults_each_watch_ends_once_and_never_while_all_is_well(faults: list[Fault], seed: int) -> None:
    async def scenario(world: SimWorld) -> None:
        seen: list[Message] = []
        here = await world.boot("here")
        watcher = here.spawn(lambda: Party(seen), "w")
        await world.boot("there", lambda system: void(system.spawn(lambda: Party([]), "t")))
        rounds = 0

        async def keep_watching() -> None:
            nonlocal rounds
            while True:
                rounds = len(seen) + 1
                await here.ask(watcher, Monitor("there/t"))
                await world.sleep(0.1)
                while len(seen) < rounds:
                    await world.sleep(0.1)

        watching = world.loop.create_task(keep_watching())
        await play(world, faults)
        await world.recover()
        await world.sleep(30)
        before = len(seen)
        await world.sleep(30)
        watching.cancel()

        assert len(seen) == before == rounds - 1  # nothing ends while all is well, and nobody is told twice
        assert {down.reason for down in seen if isinstance(down, Down)} <= {"unreachable", "no such actor"}
        await world.stop("there")
        await world.until(lambda: len(seen) == rounds)
        assert seen[-1] == Down("there/t", "stopped")

    SimWorld.run_sync(scenario, seed)


def void(_: object) -> None:
    return
