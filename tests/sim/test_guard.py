"""What simulated code may not reach for, and that the world around it still may."""

from __future__ import annotations

import os
import random
import secrets
import socket
import subprocess
import threading
import time
import uuid
from collections.abc import Callable

import pytest

from actorkube.sim import World
from actorkube.sim.errors import RealWorld


@pytest.mark.parametrize(
    "reach",
    [
        lambda: time.time(),
        lambda: time.monotonic(),
        lambda: time.sleep(0),
        lambda: os.urandom(4),
        lambda: random.random(),
        lambda: random.choice("ab"),
        lambda: random.Random(),
        lambda: random.SystemRandom().random(),
        lambda: secrets.token_hex(4),
        lambda: uuid.uuid4(),
        lambda: uuid.uuid1(),
        lambda: threading.Thread(target=print).start(),
        lambda: socket.socket().close(),
        lambda: subprocess.run(["true"], check=True),
    ],
)
def test_the_real_world_is_refused_inside(reach: Callable[[], object]) -> None:
    async def scenario(world: World) -> None:
        reach()

    with pytest.raises(RealWorld, match="in a simulation"):
        World.run_sync(scenario)

    reach()  # and is there again afterwards


def test_seeded_chance_of_ones_own_is_allowed() -> None:
    async def scenario(world: World) -> float:
        return random.Random(1).random()

    assert World.run_sync(scenario) == random.Random(1).random()


def test_other_threads_go_on_in_the_real_world_also_when_they_simulate_too() -> None:
    inside, over = threading.Event(), threading.Event()
    seen: list[float] = []
    originals = (time.time, os.urandom, random.Random.seed)

    async def short(world: World) -> None:
        await world.sleep(1)

    async def long(world: World) -> None:
        inside.set()
        over.wait(60)
        with pytest.raises(RealWorld):
            time.time()

    def beside() -> None:
        inside.wait(60)
        try:
            World.run_sync(short, seed=2)
            seen.append(time.time())  # no simulation runs in this thread any more
        finally:
            over.set()

    thread = threading.Thread(target=beside)
    thread.start()
    World.run_sync(long, seed=1)
    thread.join()

    assert len(seen) == 1
    assert (time.time, os.urandom, random.Random.seed) == originals
