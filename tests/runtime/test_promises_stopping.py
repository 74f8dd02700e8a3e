"""What docs/contract.md promises of the end of actors, in every world."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from actorkube.testing import World, run_in
from protocols.errors import Terminated, Unknown
from protocols.message import Done
from tests.runtime.gate import Gate, GateNote, NoteAsked, Scene, in_every_world, play


@in_every_world
def test_an_actor_that_is_drained_handles_what_waits_and_takes_nothing_new(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        held, gate = await scene.hold(), scene.gate
        asked = scene.user.ask(scene.ref, NoteAsked(0), timeout_s=50)
        cell = scene.server._cells[scene.ref.actor_id]
        await scene.until(lambda: cell.depth == 1)

        killed = asyncio.ensure_future(scene.server.kill("gate", drain_s=50))
        await scene.until(lambda: cell.box.closed)
        with pytest.raises(Terminated):
            await scene.user.ask(scene.ref, NoteAsked(1), timeout_s=50)
        with pytest.raises(Terminated):
            await scene.user.send(scene.ref, GateNote(2), timeout_s=50)
        gate.open.set()
        await killed

        assert await held == await asked == Done()
        assert gate.noted == [0]

    play(kind, tmp_path, Gate, act)


@in_every_world
def test_what_still_waits_when_the_time_to_drain_is_over_is_refused(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        held = await scene.hold()
        asked = scene.user.ask(scene.ref, NoteAsked(0), timeout_s=50)
        cell = scene.server._cells[scene.ref.actor_id]
        await scene.until(lambda: cell.depth == 1)

        await scene.server.kill("gate", drain_s=0.1)

        with pytest.raises(Terminated):
            await asked
        with pytest.raises(Unknown):
            await held
        with pytest.raises(Terminated):
            await scene.user.ask(scene.ref, NoteAsked(1))

    play(kind, tmp_path, Gate, act)


@in_every_world
def test_a_system_that_is_drained_answers_what_it_was_asked_before_it_stops(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        server = await world.boot("server", lambda system: system.spawn(Gate, "gate"))
        scene = Scene(world, await world.boot("user"))
        held, gate = await scene.hold(), scene.gate

        stopping = asyncio.ensure_future(world.stop("server", drain_s=50))
        await scene.until(lambda: server._cells[scene.ref.actor_id].box.closed)
        gate.open.set()

        assert await held == Done()
        await stopping

    run_in(kind, scenario, tmp_path)
