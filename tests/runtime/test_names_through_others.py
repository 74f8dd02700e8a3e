"""Names of systems that are not linked to begin with, in every world: links are made through acquaintances; where none
can be made, it is known who holds a name, and plainly said that it cannot be reached."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorkube.runtime import System
from actorkube.runtime.acquaintances import SYSTEMS_MAX, Circle
from actorkube.runtime.names import LOOK_EVERY_S
from actorkube.sim import World as SimWorld
from actorkube.sim.faults import Fault, play
from actorkube.sim.strategies import schedules
from actorkube.testing import LINK_WORLDS, WORLDS, World, run_in
from protocols.errors import NotSent
from protocols.message import Request
from protocols.names import Acquaintance, Acquaintances, Hearsay, NameLost
from tests.runtime.test_names import Claim, Member, Withdraw, boot, member

KINDS = pytest.mark.parametrize("kind", [*WORLDS, *(kind for kind in LINK_WORLDS if kind not in WORLDS)])


async def chain(world: World, names: Sequence[str]) -> list[System]:
    """Each knows the next one only."""
    return [await world.boot(name, boot(), knows=names[number + 1 : number + 2]) for number, name in enumerate(names)]


def holder(system: System) -> str:
    ref = system.lookup("one")
    return str(ref.address) if ref is not None else ""


def members(system: System) -> str:
    return " ".join(str(ref.address) for ref in system.members("all"))


async def asked(system: System, request: Request[object], actor: str = "m") -> Member:
    await system.ask(system.ref(f"{system.name}/{actor}"), request)
    return member(system)


@KINDS
def test_all_of_a_chain_get_to_know_and_to_reach_each_other(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        systems = await chain(world, "abcd")
        a, d = systems[0], systems[-1]

        assert (await asked(d, Claim())).holds
        await world.until(lambda: all(holder(system) == "d/m" for system in systems))
        await world.until(lambda: all(members(system) == "a/m b/m c/m d/m" for system in systems))

        assert not (await asked(a, Claim())).holds
        found = a.lookup("one")
        assert found is not None
        await a.ask(found, Withdraw())  # it is reached
        await world.until(lambda: not any(holder(system) for system in systems))
        assert (await asked(a, Claim())).holds
        await world.until(lambda: holder(d) == "a/m")
        world.crash("b")  # who introduced them is not needed any more
        await world.until(lambda: members(a) == "a/m c/m")  # d has left
        assert holder(d) == "a/m"

    run_in(kind, scenario, tmp_path)


@pytest.mark.slow
@KINDS
def test_of_a_system_that_cannot_be_reached_the_names_are_known_and_an_ask_says_so(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.partition({"a"}, {"c"})
        a, b, c = [await world.boot(name, boot(), knows=knows) for name, knows in (("a", "b"), ("b", "c"), ("c", ""))]

        assert (await asked(c, Claim())).holds
        await world.until(lambda: holder(a) == "c/m")
        found = a.lookup("one")
        assert found is not None
        with pytest.raises(NotSent):
            await a.ask(found, Withdraw())
        assert not (await asked(a, Claim())).holds
        await world.until(lambda: (members(a), members(b), members(c)) == ("a/m b/m", "a/m b/m c/m", "b/m c/m"))

        world.crash("c")
        await world.until(lambda: holder(a) == "")
        assert (await asked(a, Claim())).holds
        await world.restart("c")
        await world.until(lambda: holder(world.system("c")) == "a/m")
        world.heal()

        c = world.system("c")
        await world.until(lambda: members(a) == members(c) == "a/m b/m c/m")
        assert holder(c) == "a/m"
        await c.ask(c.ref("a/m"), Withdraw())

    run_in(kind, scenario, tmp_path)


@pytest.mark.slow
@KINDS
def test_of_two_who_take_a_name_and_never_meet_one_keeps_it(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.partition({"a"}, {"b", "c"})
        world.partition({"c"}, {"b"})
        for name in "abc":
            await world.boot(name, boot())
        a, b, c = (world.system(name) for name in "abc")
        assert (await asked(a, Claim())).holds
        assert (await asked(c, Claim())).holds

        world.heal()
        world.partition({"a"}, {"c"})

        await world.until(lambda: holder(a) == holder(b) == holder(c) != "")
        winner, loser = (a, c) if holder(b) == "a/m" else (c, a)
        await world.until(lambda: member(loser).lost == [NameLost("one", f"{winner.name}/m")])
        assert member(winner).holds and not member(loser).holds

    run_in(kind, scenario, tmp_path)


@pytest.mark.slow
@KINDS
def test_what_was_heard_is_forgotten_with_whoever_said_it(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        world.partition({"a"}, {"c"})
        a, _, c = [await world.boot(name, boot(), knows=knows) for name, knows in (("a", "b"), ("b", "c"), ("c", ""))]
        await asked(c, Claim())
        await world.until(lambda: holder(a) == "c/m")

        world.crash("b")

        await world.until(lambda: members(a) == "a/m")
        assert holder(a) == ""
        assert (await asked(a, Claim())).holds  # two have it: neither has any way to know
        assert member(c).holds

    run_in(kind, scenario, tmp_path)


HOSTS = "abcd"
WAYS = [f"{one}{other}" for one in HOSTS for other in HOSTS if one != other]


@pytest.mark.slow
@settings(max_examples=25, deadline=None)
@given(
    st.sets(st.sampled_from(WAYS)),
    st.sets(st.sampled_from(["ac", "ad", "bd"])),
    schedules(HOSTS, for_s=15, disks=False, faults_max=4),
    st.integers(0, 1000),
)
def test_whoever_knows_whom_all_agree_on_the_holder_while_one_reaches_all(
    knows: set[str], apart: set[str], faults: list[Fault], seed: int
) -> None:
    """In the end b and c reach all but each other's farthest; whoever is apart is so for good."""

    async def scenario(world: SimWorld) -> None:
        for name in HOSTS:
            known = {way[1] for way in knows if way[0] == name} | ({"b"} if name != "b" else set())
            await world.boot(name, boot(keen=True), knows=sorted(known))
        await play(world, faults)
        await world.recover()
        for one, other in apart - {"bd"}:
            world.partition({one}, {other})
        await world.sleep(25)

        def agreed() -> bool:
            systems = [world.system(name) for name in HOSTS]
            held = {holder(system) for system in systems}
            holds = [f"{system.name}/m" for system in systems if member(system).holds]
            return len(held) == 1 and holds == sorted(held)

        await world.converges(agreed, within_s=60)
        for system in (world.system(name) for name in HOSTS):
            system.registry.check()  # type: ignore[union-attr]
            cut = {way.replace(system.name, "") for way in apart - {"bd"} if system.name in way}
            assert members(system) == " ".join(f"{name}/m" for name in HOSTS if name not in cut)

    SimWorld.run_sync(scenario, seed)


# -- whom others know -----------------------------------------------------------------------------------------------


def said(known: int, *systems: str) -> Acquaintances:
    return Acquaintances(1, known, tuple(Acquaintance(system) for system in systems))


def test_who_is_not_known_is_asked_of_the_first_who_knows_it() -> None:
    circle = Circle()
    circle.take("b", said(1, "a", "b", "c", "d"))
    circle.take("c", said(1, "d", "e"))

    assert circle.tellers({"a", "b", "c"}) == {"d": "b", "e": "c"}
    circle.drop("b")
    assert circle.tellers({"a", "b", "c"}) == {"d": "c", "e": "c"}


def test_it_is_known_whether_what_was_said_is_what_is_said_now() -> None:
    circle = Circle()

    assert circle.is_current("b", 1, 0)
    assert not circle.is_current("b", 1, 1)
    circle.take("b", said(1, "c"))
    assert circle.is_current("b", 1, 1)
    assert not circle.is_current("b", 2, 1)


def test_nobody_makes_a_system_know_without_end() -> None:
    circle = Circle()
    circle.take("b", said(1, *(f"b{number}" for number in range(SYSTEMS_MAX))))
    circle.take("c", said(1, *(f"c{number}" for number in range(SYSTEMS_MAX))))

    assert len(circle.tellers(set())) == SYSTEMS_MAX
    with pytest.raises(ValueError, match="1025 systems"):
        circle.take("d", said(1, *(f"d{number}" for number in range(SYSTEMS_MAX + 1))))


def test_what_a_system_says_itself_counts_and_not_what_others_say_of_it() -> None:
    async def scenario(world: SimWorld) -> None:
        for name in "abc":
            await world.boot(name, boot())
        a, c = world.system("a"), world.system("c")
        await asked(c, Claim())
        await world.until(lambda: holder(a) == "c/m")

        await world.sleep(LOOK_EVERY_S / 2)  # all is quiet until the next look
        a.names._through["c"] = "b"  # it was asked before c could be reached, and the answer is late
        told = Hearsay("c", True, 1, 1, ())
        b = world.system("b")
        b.tell(a.ref("a/names"), told, b._cells[b.ref("b/names").actor_id])
        await world.sleep(LOOK_EVERY_S / 4)

        assert holder(a) == "c/m"
        assert members(a) == "a/m b/m c/m"

    SimWorld.run_sync(scenario)
