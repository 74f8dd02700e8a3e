"""A periodic timer keeps its beat, however long its actor was busy, and makes up for nothing."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest

from actorkube.runtime import Actor
from actorkube.testing import WORLDS, World, run_in
from protocols.message import Done, Message, Request

PERIOD_S = 0.1


class Beat(Message):
    pass


class HoldBeats(Request[Done]):
    """Is handled until the gate opens."""


class Drummer(Actor):
    """Notes on which beat since its start each tick was handled."""

    def __init__(self) -> None:
        self.beats: list[float] = []
        self.open = asyncio.Event()
        self.holds = False

    async def on_start(self) -> None:
        self.began = self.ctx.now
        self.ctx.every(PERIOD_S, Beat())

    def receive(self, message: Message) -> object:
        if isinstance(message, HoldBeats):
            return self.hold()
        self.beats.append((self.ctx.now - self.began) / PERIOD_S)
        return None

    async def hold(self) -> Done:
        self.holds = True
        await self.open.wait()
        return Done()


@pytest.mark.slow
@pytest.mark.parametrize("kind", WORLDS)
def test_beats_that_were_missed_are_not_made_up_for_and_the_next_come_on_time(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        system = await world.boot("drums", lambda system: system.spawn(Drummer, "drummer"))
        drummer: Any = system.actor("drummer")
        held = system.ask(system.ref("drums/drummer"), HoldBeats(), timeout_s=50)
        await world.until(lambda: drummer.holds)
        before, until = len(drummer.beats), system.now + 4.5 * PERIOD_S

        await world.until(lambda: system.now > until)
        drummer.open.set()
        await held
        await world.until(lambda: len(drummer.beats) >= before + 4)

        beats = [int(beat + 0.01) for beat in drummer.beats[before : before + 4]]
        assert len(set(beats)) == 4, f"one tick a beat, not {beats}"
        if kind == "sim":
            assert [abs(beat - round(beat)) < 1e-6 for beat in drummer.beats[before + 1 :]] == [True] * 3

    run_in(kind, scenario, tmp_path)
