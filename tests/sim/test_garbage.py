"""Worlds that are over leave no memory behind, however many follow in one process."""

from __future__ import annotations

import asyncio
import gc
import weakref

import pytest

from actorkube.sim import World, garbage


class Cycle:
    """Garbage that only the collector finds."""

    def __init__(self) -> None:
        self.itself = self


@pytest.mark.slow
def test_what_earlier_worlds_left_is_collected_before_a_later_one(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(garbage, "LEFT_STEPS_MAX", 20)
    left: list[weakref.ref[Cycle]] = []
    gc.collect()

    async def leave(world: World) -> None:
        left.append(weakref.ref(Cycle()))
        await asyncio.sleep(1.0)

    for seed in range(50):
        World.run_sync(leave, seed)

    assert sum(each() is not None for each in left) < 20
    assert gc.isenabled() and gc.get_freeze_count() == 0


def test_the_end_of_a_run_is_no_moment_to_look_through_all_that_it_has_made() -> None:
    searches: list[str] = []

    def note(phase: str, info: dict[str, int]) -> None:
        searches.append(f"{phase} of generation {info['generation']}")

    async def make(world: World) -> list[Cycle]:
        made = [Cycle() for _ in range(10 * gc.get_threshold()[0])]
        gc.callbacks.append(note)
        return made

    try:
        World.run_sync(make)
    finally:
        gc.callbacks.remove(note)

    assert searches == []
