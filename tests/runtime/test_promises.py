"""What docs/contract.md promises of delivery, sends and mailboxes, in every world."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from actorkube.runtime import Actor
from actorkube.testing import World, run_in
from protocols.errors import DeadlineExceeded, NotSent, Overloaded, Terminated
from protocols.message import Done, Message
from tests.runtime.gate import (
    Conflating,
    Gate,
    GateNote,
    Newest,
    NoteAsked,
    Oldest,
    Patient,
    Roomy,
    Scene,
    SwitchGate,
    Wide,
    in_every_world,
    play,
)


class Teller(Actor):
    """Tells a gate numbers."""

    def receive(self, message: Message) -> None:
        assert isinstance(message, GateNote)
        for number in range(message.number):
            self.ctx.tell(self.ctx.ref("server/gate"), GateNote(number))


@in_every_world
def test_what_one_actor_tells_another_arrives_in_order(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        senders = []

        class Named(Wide):
            def receive(self, message: Message) -> object:
                senders.append(str(self.ctx.sender and self.ctx.sender.address))
                return super().receive(message)

        server = await world.boot("server", lambda system: system.spawn(Named, "gate"))
        user = await world.boot("user", lambda system: system.spawn(Teller, "teller"))

        user.tell(user.ref("user/teller"), GateNote(500))

        gate: Any = server.actor("gate")
        await world.until(lambda: len(gate.noted) == 500)
        assert gate.noted == list(range(500))
        assert set(senders) == {"user/teller"}

    run_in(kind, scenario, tmp_path)


@in_every_world
def test_a_tell_that_reaches_nobody_is_counted_and_raises_nothing(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        for address in ("nowhere/nobody", "user/nobody", "server/nobody"):
            scene.user.tell(scene.user.ref(address), GateNote(0))

        await scene.until(lambda: (scene.user.unsent, scene.user.dead_letters, scene.server.dead_letters) == (1, 1, 1))

    play(kind, tmp_path, Gate, act)


# -- mailboxes --------------------------------------------------------------------------------------------------------


@in_every_world
@pytest.mark.parametrize(
    ("actor", "noted", "reason"),
    [(Gate, [0, 1], "refused"), (Oldest, [3, 4], "dropped_oldest"), (Newest, [0, 1], "dropped_newest")],
)
def test_a_full_mailbox_loses_what_its_policy_says_and_counts_it(
    kind: str, tmp_path: Path, actor: type[Gate], noted: list[int], reason: str
) -> None:
    async def act(scene: Scene) -> None:
        await scene.hold()

        for number in range(5):
            scene.user.tell(scene.ref, GateNote(number))
        await scene.until(lambda: scene.losses == {reason: 3})
        scene.gate.open.set()

        await scene.until(lambda: scene.gate.noted == noted)

    play(kind, tmp_path, actor, act)


@in_every_world
@pytest.mark.parametrize(("actor", "lost"), [(Gate, [2]), (Oldest, [0]), (Newest, [2])])
def test_whoever_asks_what_is_lost_is_told_overloaded(
    kind: str, tmp_path: Path, actor: type[Gate], lost: list[int]
) -> None:
    async def act(scene: Scene) -> None:
        await scene.hold()

        asks = [scene.user.ask(scene.ref, NoteAsked(number), timeout_s=50) for number in range(3)]
        await scene.until(lambda: sum(scene.losses.values()) == 1)
        scene.gate.open.set()
        answers = await asyncio.gather(*asks, return_exceptions=True)

        assert [number for number, answer in enumerate(answers) if isinstance(answer, Overloaded)] == lost

    play(kind, tmp_path, actor, act)


@in_every_world
def test_a_message_takes_the_place_of_the_one_that_waits_with_its_key(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.hold()

        for number, key in enumerate(("a", "b", "a", "b", "a")):
            scene.user.tell(scene.ref, GateNote(number, key))
        await scene.until(lambda: scene.losses == {"conflated": 3})
        scene.gate.open.set()

        await scene.until(lambda: scene.gate.noted == [4, 3])

    play(kind, tmp_path, Conflating, act)


@in_every_world
def test_signals_come_first_and_need_no_room(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.hold()
        scene.user.tell(scene.ref, GateNote(0))
        scene.user.tell(scene.ref, GateNote(1))
        cell = scene.server._cells[scene.ref.actor_id]
        await scene.until(lambda: cell.depth == 2)

        cell.signal(GateNote(98))
        cell.signal(GateNote(99))
        scene.gate.open.set()

        await scene.until(lambda: scene.gate.noted == [98, 99, 0, 1])

    play(kind, tmp_path, Gate, act)


# -- send -------------------------------------------------------------------------------------------------------------


@in_every_world
def test_a_send_returns_when_its_message_is_in_the_mailbox_and_waits_for_room(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.hold()
        await scene.user.send(scene.ref, GateNote(0))
        cell = scene.server._cells[scene.ref.actor_id]

        waiting = []
        for number in (1, 2):
            waiting.append(asyncio.ensure_future(scene.user.send(scene.ref, GateNote(number), timeout_s=50)))
            await scene.until(lambda number=number: cell.depth == 1 + number)
        assert not any(send.done() for send in waiting)
        scene.user.tell(scene.ref, GateNote(3))
        await scene.until(lambda: scene.losses == {"refused": 1})
        scene.gate.open.set()
        await asyncio.gather(*waiting)

        await scene.until(lambda: scene.gate.noted == [0, 1, 2])

    play(kind, tmp_path, Patient, act)


@in_every_world
def test_more_sends_than_may_wait_are_told_overloaded(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.hold()
        await scene.user.send(scene.ref, GateNote(0))
        waiting = [asyncio.ensure_future(scene.user.send(scene.ref, GateNote(n), timeout_s=50)) for n in (1, 2)]
        cell = scene.server._cells[scene.ref.actor_id]
        await scene.until(lambda: cell.depth == 3)

        with pytest.raises(Overloaded):
            await scene.user.send(scene.ref, GateNote(3))

        scene.gate.open.set()
        await asyncio.gather(*waiting)

    play(kind, tmp_path, Patient, act)


@in_every_world
def test_a_send_that_is_cancelled_or_late_is_taken_back(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.hold()
        await scene.user.send(scene.ref, GateNote(0))
        cell = scene.server._cells[scene.ref.actor_id]
        cancelled = asyncio.ensure_future(scene.user.send(scene.ref, GateNote(1), timeout_s=50))
        await scene.until(lambda: cell.depth == 2)

        cancelled.cancel()
        with pytest.raises((Overloaded, DeadlineExceeded)):
            await scene.user.send(scene.ref, GateNote(2), timeout_s=0.2)
        await scene.until(lambda: cell.depth == 1)
        scene.gate.open.set()
        await scene.user.send(scene.ref, GateNote(3), timeout_s=50)

        await scene.until(lambda: scene.gate.noted == [0, 3])

    play(kind, tmp_path, Patient, act)


@in_every_world
def test_a_send_to_nobody_says_so(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        with pytest.raises(Terminated):
            await scene.user.send(scene.user.ref("server/nobody"), GateNote(0))
        with pytest.raises(Terminated):
            await scene.user.send(scene.user.ref("user/nobody"), GateNote(0))
        with pytest.raises(NotSent):
            await scene.user.send(scene.user.ref("nowhere/nobody"), GateNote(0))

    play(kind, tmp_path, Gate, act)


# -- what a handler may do --------------------------------------------------------------------------------------------


@in_every_world
def test_what_is_put_aside_is_handled_in_its_order_before_what_came_later(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        scene.user.tell(scene.ref, SwitchGate("aside"))
        asked = scene.user.ask(scene.ref, NoteAsked(0), timeout_s=50)
        scene.user.tell(scene.ref, GateNote(1))
        refused = scene.user.ask(scene.ref, NoteAsked(2), timeout_s=50)
        with pytest.raises(Overloaded):
            await refused

        scene.user.tell(scene.ref, SwitchGate("back"))
        scene.user.tell(scene.ref, GateNote(3))

        assert await asked == Done()
        await scene.until(lambda: scene.gate.noted == [0, 1, 3])

    play(kind, tmp_path, Roomy, act)


class FallDown(Message):
    pass


class Frail(Wide):
    def receive(self, message: Message) -> object:
        if isinstance(message, FallDown):
            raise OSError("planted")
        return super().receive(message)


@in_every_world
def test_a_restart_keeps_what_waits_but_for_the_message_that_crashed_the_actor(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        held, first = await scene.hold(), scene.gate
        cell = scene.server._cells[scene.ref.actor_id]

        scene.user.tell(scene.ref, FallDown())
        asked = [scene.user.ask(scene.ref, NoteAsked(number), timeout_s=50) for number in range(3)]
        await scene.until(lambda: cell.depth == 4)
        first.open.set()

        assert await held == Done()
        assert [await answer for answer in asked] == [Done()] * 3
        assert scene.gate is not first and scene.gate.noted == [0, 1, 2]

    play(kind, tmp_path, Frail, act)
