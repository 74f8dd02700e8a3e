"""Strategies and back-off in every world, seen from another system: who is restarted with whom, and not before when."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import pytest

from actorkube.runtime import Actor, Backoff, Supervision
from actorkube.runtime.supervisor import Strategy
from actorkube.testing import WORLDS, World, run_in
from protocols.errors import Unknown
from protocols.message import Done, Message, Request

BACKOFF = Backoff(first_s=0.3, most_s=0.3, jitter=0.2)
LEAST_S = 0.3 * 0.8


class Planned(OSError):
    """A crash that the simulated world expects."""


class Crash(Request[Done]):
    pass


class Mortal(Actor):
    def __init__(self, births: list[tuple[str, float]], name: str) -> None:
        self.births = births
        self.name = name

    async def on_start(self) -> None:
        self.births.append((self.name, self.ctx.now))

    def receive(self, message: Message) -> object:
        raise Planned(self.name)


@pytest.mark.parametrize("kind", WORLDS)
@pytest.mark.parametrize(("strategy", "reborn"), [("one_for_one", "b"), ("rest_for_one", "bc"), ("one_for_all", "abc")])
def test_those_who_must_be_are_restarted_in_their_order_after_the_back_off(
    strategy: Strategy, reborn: str, kind: str, tmp_path: Path
) -> None:
    births: list[tuple[str, float]] = []

    async def scenario(world: World) -> None:
        system, user = await world.boot("s"), await world.boot("user")
        children = [(name, partial(Mortal, births, name)) for name in "abc"]
        system.spawn_group(children, Supervision(strategy, backoff=BACKOFF))
        await world.until(lambda: len(births) == 3)
        crashed_at = system.now

        with pytest.raises(Unknown, match="s/b crashed"):
            await user.ask(user.ref("s/b"), Crash(), timeout_s=30)
        await world.until(lambda: len(births) == 3 + len(reborn))

        assert [name for name, _ in births] == [*"abc", *reborn]
        assert all(at - crashed_at >= LEAST_S for _, at in births[3:])
        assert system.failed is not None and not system.failed.done()

    run_in(kind, scenario, tmp_path)
