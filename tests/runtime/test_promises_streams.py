"""What docs/contract.md promises of streams, in every world."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import pytest

from actorkube.runtime import LATER, Actor, Ref, System
from actorkube.testing import World, run_in
from protocols.errors import Terminated, Unknown
from protocols.message import Message, Streaming
from tests.runtime.gate import Gate, GateNote, GateNumbers, OweAnswer, Scene, in_every_world, play


class TideItem(Message):
    number: int


class TideOutlet(Streaming[TideItem]):
    """Written by callbacks, as much as there is credit for."""

    most: int


class TideGenerator(Streaming[TideItem]):
    most: int


class TideBreaks(Streaming[TideItem]):
    """One item, and then its producer crashes in a callback."""


class Tide(Actor):
    """Says what it has made."""

    def __init__(self) -> None:
        self.made = 0

    def receive(self, message: Message) -> object:
        match message:
            case TideGenerator(most):
                return self.generate(most)
            case TideOutlet(most):
                return self.write(most)
            case TideBreaks():
                return self.break_later()
        return None

    async def generate(self, most: int) -> AsyncIterator[TideItem]:
        for number in range(most):
            self.made = number + 1
            yield TideItem(number)

    def write(self, most: int) -> object:
        outlet = self.ctx.outlet()

        def feed() -> None:
            while self.made < most and outlet.credit:
                outlet.send(TideItem(self.made))
                self.made += 1
            if self.made == most:
                outlet.end()

        outlet.on_ready = feed
        feed()
        return LATER

    def break_later(self) -> object:
        outlet = self.ctx.outlet()
        outlet.send(TideItem(0))

        def broken() -> None:
            raise OSError("planted")

        outlet.on_ready = broken
        return LATER


def flow(kind: str, path: Path, act: Callable[[World, System, Ref], Awaitable[None]]) -> None:
    """A tide on one host, its reader on another."""

    async def scenario(world: World) -> None:
        await world.boot("server", lambda system: system.spawn(Tide, "tide"))
        user = await world.boot("user")
        await act(world, user, user.ref("server/tide"))

    run_in(kind, scenario, path)


@in_every_world
@pytest.mark.parametrize("request_of", [TideOutlet, TideGenerator])
@pytest.mark.parametrize("window", [1, 3, 64])
def test_all_items_arrive_in_order_through_any_window(
    kind: str, tmp_path: Path, request_of: type[TideOutlet] | type[TideGenerator], window: int
) -> None:
    async def act(world: World, user: System, tide: Ref) -> None:
        got = [item.number async for item in user.stream(tide, request_of(100), window=window)]

        assert got == list(range(100))

    flow(kind, tmp_path, act)


@in_every_world
@pytest.mark.parametrize("request_of", [TideOutlet, TideGenerator])
def test_a_slow_reader_leaves_no_more_than_its_window_under_way(
    kind: str, tmp_path: Path, request_of: type[TideOutlet] | type[TideGenerator]
) -> None:
    async def act(world: World, user: System, tide: Ref) -> None:
        producer = world.system("server").actor("tide")
        stream = user.stream(tide, request_of(1000), window=4)

        read = [(await anext(stream)).number for _ in range(3)]
        await world.sleep(0.2)

        assert read == [0, 1, 2]
        assert producer.made <= 3 + 4 + 1  # what was read, the window, and one that waits for credit
        stream.close()

    flow(kind, tmp_path, act)


@in_every_world
def test_a_producer_that_crashes_ends_the_stream_and_serves_on(kind: str, tmp_path: Path) -> None:
    async def act(world: World, user: System, tide: Ref) -> None:
        before = world.system("server").actor("tide")
        stream = user.stream(tide, TideBreaks(), window=1)
        await anext(stream)

        with pytest.raises(Unknown):
            await anext(stream)
        got = [item.number async for item in user.stream(tide, TideGenerator(2))]

        assert got == [0, 1]
        assert world.system("server").actor("tide") is not before

    flow(kind, tmp_path, act)


@in_every_world
@pytest.mark.parametrize("end", ["stop", "crash"])
def test_the_end_of_the_producers_host_ends_streams_and_asks(kind: str, tmp_path: Path, end: str) -> None:
    async def act(scene: Scene) -> None:
        stream = scene.user.stream(scene.ref, GateNumbers(), window=1)
        await anext(stream)
        owed = scene.user.ask(scene.ref, OweAnswer(), timeout_s=50)
        gate = scene.gate
        await scene.until(lambda: hasattr(gate, "reply"))

        if end == "stop":
            await scene.world.stop("server")
        else:
            scene.world.crash("server")

        with pytest.raises((Unknown, Terminated)):
            [item async for item in stream]
        with pytest.raises((Unknown, Terminated)):
            await owed

    play(kind, tmp_path, Gate, act)


@in_every_world
def test_a_stream_that_is_closed_before_it_was_opened_is_not_opened(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.hold()
        stream = scene.user.stream(scene.ref, GateNumbers())
        cell = scene.server._cells[scene.ref.actor_id]
        await scene.until(lambda: cell.depth == 1)

        stream.close()

        await scene.until(lambda: scene.losses == {"withdrawn": 1})
        scene.gate.open.set()
        await scene.until(lambda: not cell.depth)
        assert not cell.work.outlets

    play(kind, tmp_path, Gate, act)


@in_every_world
def test_streams_and_answers_that_are_owed_end_with_their_actor(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        stream = scene.user.stream(scene.ref, GateNumbers(), window=1)
        assert await anext(stream) == GateNote(0)
        owed = scene.user.ask(scene.ref, OweAnswer(), timeout_s=50)
        await scene.until(lambda: hasattr(scene.gate, "reply"))

        await scene.server.kill("gate")

        with pytest.raises(Terminated):
            [item async for item in stream]
        with pytest.raises(Unknown):
            await owed

    play(kind, tmp_path, Gate, act)
