"""Names and groups across systems in every world: spread, repaired, dropped with their actors; one holder a name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorkube.runtime import Actor, Backoff, Supervision, System
from actorkube.runtime.registry import Registry
from actorkube.sim import World as SimWorld
from actorkube.sim.faults import Fault, play
from actorkube.sim.strategies import schedules
from actorkube.testing import WORLDS, World, run_in
from protocols.address import Address
from protocols.message import Done, Message, Request
from protocols.names import NameEntry, NameLost, NamesChanged
from tests.effort import examples

KINDS = pytest.mark.parametrize("kind", WORLDS)
HOSTS = ("a", "b", "c")


class Planned(OSError):
    """A crash that the simulated world expects."""


class Claim(Request[Done]):
    pass


class Withdraw(Request[Done]):
    pass


class Retry(Message):
    pass


class Tumble(Message):
    pass


class Member(Actor):
    """Is in the group `all`, and holds the name `one` if it may. With `keen`, it tries again and again."""

    def __init__(self, *, keen: bool = False) -> None:
        self.keen = keen
        self.holds = False
        self.lost: list[NameLost] = []

    async def on_start(self) -> None:
        self.ctx.join("all")
        if self.keen:
            self.holds = self.ctx.register("one")
            self.ctx.every(1.0, Retry())

    def receive(self, message: Message) -> object:
        match message:
            case Claim() | Retry():
                self.holds = self.ctx.register("one")
            case Withdraw():
                self.ctx.unregister("one")
                self.ctx.leave("all")
            case NameLost():
                self.holds = False
                self.lost.append(message)
            case Tumble():
                raise Planned("planted")
        return None


def member(system: System) -> Member:
    actor = system.actor("m")
    assert isinstance(actor, Member)
    return actor


def boot(*, keen: bool = False) -> Callable[[System], None]:
    def spawn(system: System) -> None:
        system.spawn(lambda: Member(keen=keen), "m", Supervision(backoff=Backoff(0.0, 0.0)))

    return spawn


def agreed(world: World, *holders: str) -> bool:
    """All systems that are up know all members, and one and the same holder among `holders`."""
    systems = [world.system(name) for name in HOSTS if world.is_up(name)]
    members = [str(ref.address) for ref in systems[0].members("all")]
    held = {str(ref.address) if (ref := system.lookup("one")) else "" for system in systems}
    return (
        members == [f"{system.name}/m" for system in systems]
        and all(system.members("all") == systems[0].members("all") for system in systems)
        and len(held) == 1
        and held <= set(holders)
    )


async def three(world: World, *, keen: bool = False) -> None:
    for name in HOSTS:
        await world.boot(name, boot(keen=keen))


@KINDS
def test_a_name_and_a_group_are_known_in_all_systems_and_a_second_claim_is_refused(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await three(world)
        b, c = world.system("b"), world.system("c")
        await b.ask(b.ref("b/m"), Claim())
        await world.until(lambda: agreed(world, "b/m"))

        await c.ask(c.ref("c/m"), Claim())

        assert member(b).holds
        assert not member(c).holds
        assert agreed(world, "b/m")

    run_in(kind, scenario, tmp_path)


@KINDS
def test_names_end_with_their_actor_and_with_its_system_and_outlive_a_restart(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await three(world)
        b = world.system("b")
        await b.ask(b.ref("b/m"), Claim())
        await world.until(lambda: agreed(world, "b/m"))

        first = member(b)
        b.tell(b.ref("b/m"), Tumble())
        await world.until(lambda: member(b) is not first)
        assert agreed(world, "b/m")
        await b.kill("m")
        others = [world.system("a"), world.system("c")]
        await world.until(lambda: all(s.lookup("one") is None and len(s.members("all")) == 2 for s in others))
        world.crash("c")

        await world.until(lambda: [str(ref.address) for ref in others[0].members("all")] == ["a/m"])

    run_in(kind, scenario, tmp_path)


@KINDS
def test_what_is_withdrawn_is_free_for_others(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await three(world)
        b, c = world.system("b"), world.system("c")
        await b.ask(b.ref("b/m"), Claim())
        await world.until(lambda: agreed(world, "b/m"))

        await b.ask(b.ref("b/m"), Withdraw())
        await world.until(lambda: c.lookup("one") is None and len(c.members("all")) == 2)
        await c.ask(c.ref("c/m"), Claim())

        await world.until(lambda: str(b.lookup("one")) == "<c/m>")

    run_in(kind, scenario, tmp_path)


@pytest.mark.slow
@KINDS
def test_of_two_who_took_a_name_in_a_partition_one_keeps_it_and_the_other_is_told(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        await three(world)
        a, c = world.system("a"), world.system("c")
        await world.until(lambda: len(a.members("all")) == 3)
        world.partition({"a", "b"}, {"c"})
        await world.until(lambda: len(a.members("all")) == 2 and len(c.members("all")) == 1, within_s=60)
        await a.ask(a.ref("a/m"), Claim())
        await c.ask(c.ref("c/m"), Claim())
        assert member(a).holds and member(c).holds

        world.heal()
        await world.converges(lambda: agreed(world, "a/m", "c/m"))

        winner, loser = (a, c) if agreed(world, "a/m") else (c, a)
        assert member(winner).holds and not member(winner).lost
        assert member(loser).lost == [NameLost("one", f"{winner.name}/m")]

    run_in(kind, scenario, tmp_path, 7)


@settings(max_examples=examples(25), deadline=None)
@given(schedules(HOSTS, for_s=15, disks=False, faults_max=6), st.integers(0, 1000))
def test_after_faults_all_systems_agree_and_the_one_holder_knows_it(faults: list[Fault], seed: int) -> None:
    async def scenario(world: SimWorld) -> None:
        await three(world, keen=True)
        world.always("registries are sound", lambda: check_all(world))
        await play(world, faults)
        await world.recover()
        await world.sleep(15)  # until those who were silent for too long have been given up, and met again

        await world.converges(lambda: agreed(world, "a/m", "b/m", "c/m"), within_s=60)

        holder = world.system("a").lookup("one")
        assert [f"{name}/m" for name in HOSTS if member(world.system(name)).holds] == [str(holder.address)]  # type: ignore[union-attr]

    SimWorld.run_sync(scenario, seed)


def check_all(world: SimWorld) -> None:
    for name in HOSTS:
        if world.is_up(name) and world.system(name).registry is not None:
            world.system(name).registry.check()  # type: ignore[union-attr]


# -- the registry itself --------------------------------------------------------------------------------------------


def test_a_change_that_does_not_follow_on_the_last_one_is_not_taken() -> None:
    one, other = Registry("one", 1), Registry("other", 2)
    first, second = one.add("x", "p", unique=True), one.add("y", "p", unique=True)
    assert first is not None and second is not None

    assert not other.change("one", second)
    other.replace("one", one.state())

    assert other.lookup("y") == Address("one", "p")
    assert not other.change("one", second)
    assert other.is_current("one", 1, 2)


def test_a_registry_is_bounded_and_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("actorkube.runtime.registry.NAMES_MAX", 2)
    registry = Registry("one", 1)
    registry.add("x", "p", unique=True)
    registry.add("y", "p", unique=False)

    with pytest.raises(ValueError, match="at most 2 names"):
        registry.add("z", "p", unique=True)


@settings(deadline=None)
@given(st.lists(st.tuples(st.sampled_from("xyz"), st.sampled_from("abc"), st.integers(1, 4)), max_size=12))
def test_who_has_a_name_does_not_depend_on_the_order_in_which_claims_are_heard(
    claims: list[tuple[str, str, int]],
) -> None:
    forth, back = Registry("me", 1), Registry("me", 1)
    states = [NamesChanged(1, 1, (NameEntry(name, system, stamp, True),), ()) for name, system, stamp in claims]
    for registry, order in ((forth, list(enumerate(states))), (back, list(enumerate(states))[::-1])):
        for number, change in order:
            registry.others.setdefault(f"s{number}", type(registry.own)(1))
            assert registry.change(f"s{number}", change)
        registry.check()

    assert [forth.lookup(name) for name in "xyz"] == [back.lookup(name) for name in "xyz"]
