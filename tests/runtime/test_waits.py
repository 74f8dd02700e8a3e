"""Actors that wait for each other are named, when their time is over; those that merely are slow are not."""

from __future__ import annotations

import itertools
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorkube.runtime import Actor
from actorkube.runtime.asks import Asks
from actorkube.runtime.waits import circle
from actorkube.testing import LINK_WORLDS, WORLDS, World, run_in
from protocols.address import Address
from protocols.errors import AskError, DeadlineExceeded
from protocols.message import Done, Message, Request

ALL_LINKS = pytest.mark.parametrize("kind", ("local", "sim", *LINK_WORLDS))


class PassRound(Request[Done]):
    """Ask the first of them to pass it on to the rest."""

    addresses: tuple[str, ...]
    pause_s: float = 0.0


class Asker(Actor):
    def receive(self, message: Message) -> object:
        assert isinstance(message, PassRound)
        return self.pass_on(message)

    async def pass_on(self, message: PassRound) -> None:
        if message.addresses:
            first, *rest = message.addresses
            await self.ctx.ask(self.ctx.ref(first), PassRound(tuple(rest), message.pause_s))
        else:
            await self.ctx.sleep(message.pause_s)


class Open(Asker):
    concurrency = 10


@pytest.mark.parametrize("kind", WORLDS)
def test_actors_of_one_system_that_wait_for_each_other_are_named(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await world.boot("s")
        for name in ("a", "b"):
            system.spawn(Asker, name)

        with pytest.raises(
            DeadlineExceeded, match=r"wait for each other: s/[ab] -PassRound-> s/[ab] -PassRound-> s/[ab]"
        ):
            await system.ask(system.ref("s/a"), PassRound(("s/b", "s/a")), timeout_s=0.3)

    run_in(kind, scenario, tmp_path)


@pytest.fixture
def patient(monkeypatch: pytest.MonkeyPatch) -> None:
    """Other systems are asked so early that they can answer in time on a busy machine, too."""
    monkeypatch.setattr(Asks, "ahead_s", 0.9)


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
@ALL_LINKS
def test_a_circle_through_several_systems_is_named(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        for name in ("s", "t", "u"):
            (await world.boot(name)).spawn(Asker, "x")
        system = world.system("s")

        with pytest.raises(AskError) as late:
            await system.ask(system.ref("s/x"), PassRound(("t/x", "u/x", "s/x")), timeout_s=2)

        _, _, circle = str(late.value).partition("they wait for each other: ")
        stops = circle.split(" -PassRound-> ")
        assert len(stops) == 4 and stops[0] == stops[-1] and set(stops) == {"s/x", "t/x", "u/x"}

    run_in(kind, scenario, tmp_path)


@pytest.mark.slow
@pytest.mark.usefixtures("patient")
@ALL_LINKS
def test_who_waits_for_another_system_that_is_slow_or_open_is_in_no_circle(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        for name in ("s", "t"):
            (await world.boot(name)).spawn(Open if name == "s" else Asker, "x")
        system = world.system("s")

        with pytest.raises(AskError) as late:
            await system.ask(system.ref("s/x"), PassRound(("t/x", "s/x"), pause_s=60), timeout_s=2)

        assert str(late.value).endswith("no answer in time")

    run_in(kind, scenario, tmp_path)


@pytest.mark.parametrize("kind", WORLDS)
def test_who_is_slow_or_has_room_for_more_is_in_no_circle(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await world.boot("s")
        system.spawn(Open, "a")
        system.spawn(Asker, "b")

        with pytest.raises(DeadlineExceeded) as slow:
            await system.ask(system.ref("s/a"), PassRound(("s/b", "s/a"), pause_s=60), timeout_s=0.3)

        assert str(slow.value) == "PassRound to s/a: no answer in time"

    run_in(kind, scenario, tmp_path)


@settings(deadline=None)
@given(st.dictionaries(st.integers(0, 6), st.lists(st.integers(0, 6), max_size=3), max_size=7))
def test_a_circle_is_found_exactly_where_there_is_one(graph: dict[int, list[int]]) -> None:
    address = {n: Address("s", str(n)) for n in range(7)}
    edges = {address[n]: [("Ask", address[m]) for m in ms] for n, ms in graph.items()}

    story = circle(address[0], lambda at: edges.get(at, []))

    reach = {n: set(graph.get(n, [])) for n in range(7)}
    for _ in range(7):
        reach = {n: ms.union(*(reach[m] for m in ms)) for n, ms in reach.items()}
    assert bool(story) == any(n in reach[n] for n in {0, *reach[0]})
    stops = [Address.parse(stop) for stop in story.split(" -Ask-> ")] if story else []
    assert all(("Ask", there) in edges[here] for here, there in itertools.pairwise(stops))
    assert not stops or stops[0] == stops[-1]
