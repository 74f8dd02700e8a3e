"""What docs/contract.md promises of work that is under way: deadlines, cancellation, in every world."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from actorkube.runtime import Actor, System
from actorkube.testing import World, run_in
from protocols.errors import DeadlineExceeded
from protocols.message import Done, Message, Request
from tests.runtime.gate import (
    Gate,
    GateNote,
    HoldGate,
    NoteAsked,
    OweAnswer,
    PassDown,
    Scene,
    Stubborn,
    Wide,
    in_every_world,
    play,
)


@in_every_world
def test_an_asker_that_leaves_cancels_the_work_down_to_its_end(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.world.boot("middle", lambda system: system.spawn(Gate, "gate"))

        asked = scene.user.ask(scene.user.ref("user/gate"), PassDown(("middle/gate", "server/gate")), timeout_s=50)
        await scene.until(lambda: scene.gate.holding)
        asked.cancel()

        await scene.until(lambda: scene.gate.cancelled == 1)
        for host in ("user", "middle", "server"):
            system = scene.world.system(host)
            await scene.until(lambda system=system: not system._cells[scene.ref.actor_id].running)
            assert not list(system.asks)

    play(kind, tmp_path, Gate, act)


@in_every_world
def test_a_deadline_that_passes_cancels_what_is_being_done_for_it(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        with pytest.raises(DeadlineExceeded):
            await scene.user.ask(scene.ref, HoldGate(), timeout_s=0.3)

        await scene.until(lambda: scene.gate.cancelled == scene.gate.holding)

    play(kind, tmp_path, Gate, act)


@in_every_world
def test_a_host_that_dies_leaves_no_work_behind(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.hold()

        scene.world.crash("user")

        await scene.until(lambda: scene.gate.cancelled == 1)

    play(kind, tmp_path, Gate, act)


@in_every_world
def test_a_request_that_is_taken_back_is_not_begun_and_makes_room(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.hold()
        asks = [scene.user.ask(scene.ref, NoteAsked(number), timeout_s=50) for number in range(2)]
        cell = scene.server._cells[scene.ref.actor_id]
        await scene.until(lambda: cell.depth == 2)

        asks[0].cancel()
        await scene.until(lambda: scene.losses == {"withdrawn": 1})
        scene.user.tell(scene.ref, GateNote(2))
        scene.user.tell(scene.ref, GateNote(3))
        await scene.until(lambda: scene.losses == {"withdrawn": 1, "refused": 1})
        scene.gate.open.set()

        await scene.until(lambda: scene.gate.noted == [1, 2])

    play(kind, tmp_path, Gate, act)


@in_every_world
def test_an_actor_may_finish_what_it_has_begun_and_its_late_answer_is_counted(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        held = await scene.hold()

        held.cancel()
        await scene.user.ask(scene.user.ref("server/other"), NoteAsked(0))  # what was sent before has arrived
        scene.gate.open.set()

        await scene.until(lambda: scene.gate.held == 1)
        assert scene.gate.cancelled == 0
        await scene.until(lambda: scene.server.unawaited == 1)

    async def scenario(world: World) -> None:
        def boot(system: System) -> None:
            system.spawn(Stubborn, "gate")
            system.spawn(Gate, "other")

        await world.boot("server", boot)
        await act(Scene(world, await world.boot("user")))

    run_in(kind, scenario, tmp_path)


@in_every_world
def test_a_handle_says_whether_its_answer_is_wanted(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        asked = scene.user.ask(scene.ref, OweAnswer(), timeout_s=50)
        await scene.until(lambda: hasattr(scene.gate, "reply"))
        assert scene.gate.reply.is_wanted

        asked.cancel()

        await scene.until(lambda: not scene.gate.reply.is_wanted)
        scene.gate.reply.send(None)
        assert scene.server.unawaited == 1

    play(kind, tmp_path, Gate, act)


class AskOn(Request[Done]):
    """Ask the gate of the server, from the synchronous part of the handler or from its task."""

    in_task: bool


class Middle(Actor):
    def receive(self, message: Message) -> object:
        assert isinstance(message, AskOn)
        return self.in_task() if message.in_task else self.answered(self.ask_on())

    def ask_on(self) -> asyncio.Future[Done]:
        return self.ctx.ask(self.ctx.ref("server/gate"), HoldGate(), timeout_s=50)

    async def in_task(self) -> Done:
        await self.ctx.sleep(0)
        return await self.ask_on()

    async def answered(self, future: asyncio.Future[Done]) -> Done:
        return await future


@in_every_world
@pytest.mark.parametrize("in_task", [False, True])
def test_what_is_asked_on_the_way_inherits_what_is_left_of_the_request(
    kind: str, tmp_path: Path, in_task: bool
) -> None:
    async def act(scene: Scene) -> None:
        middle = scene.user.spawn(Middle, "middle")

        asked = scene.user.ask(middle, AskOn(in_task), timeout_s=20)
        await scene.until(lambda: len(list(scene.user.asks)) == 2)
        outer, inner = scene.user.asks

        assert inner.expires_at <= outer.expires_at
        scene.gate.open.set()
        assert await asked == Done()

    play(kind, tmp_path, Wide, act)


@in_every_world
def test_a_request_that_nobody_waits_for_any_more_is_not_begun(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.hold()

        with pytest.raises(DeadlineExceeded):
            await scene.user.ask(scene.ref, NoteAsked(1), timeout_s=0.2)
        await scene.until(lambda: scene.losses == {"withdrawn": 1} or scene.losses == {"expired": 1})
        scene.gate.open.set()
        await scene.user.ask(scene.ref, NoteAsked(2), timeout_s=20)

        assert scene.gate.noted == [2]

    play(kind, tmp_path, Gate, act)


@in_every_world
def test_an_ask_ends_when_its_time_is_up(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        began = scene.user.now

        with pytest.raises(DeadlineExceeded):
            await scene.user.ask(scene.ref, OweAnswer(), timeout_s=0.3)

        assert scene.user.now - began > 0.29
        assert not list(scene.user.asks)

    play(kind, tmp_path, Gate, act)


@in_every_world
def test_a_coroutine_handler_is_not_re_entered(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        held = await scene.hold()
        noted = scene.user.ask(scene.ref, NoteAsked(1), timeout_s=50)
        cell = scene.server._cells[scene.ref.actor_id]
        await scene.until(lambda: cell.depth == 1)
        assert scene.gate.noted == []

        scene.gate.open.set()

        assert await noted == Done()
        assert held.done()

    play(kind, tmp_path, Gate, act)
