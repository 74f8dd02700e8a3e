"""Settled: nothing is left to do now, in every world; and who is busy is named."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorkube.runtime import LATER, Actor, System
from actorkube.runtime.reply import ReplyHandle
from actorkube.runtime.settled import NotSettled, busy, settled
from actorkube.testing import WORLDS, World, run_in
from protocols.message import Done, Message, Request


class Grind(Request[Done]):
    rounds: int


class HandOn(Message):
    rounds: int


class Miller(Actor):
    """Hands the work to itself, round after round, and then has it in mind; one who is asked answers at the end."""

    def __init__(self) -> None:
        self.ground = 0
        self.left = 0
        self.asker: ReplyHandle | None = None

    def busy(self) -> str:
        return f"{self.left} sacks wait" if self.left else ""

    def receive(self, message: Message) -> object:
        match message:
            case Grind(rounds):
                self.asker = self.ctx.reply_handle()
                self.ctx.tell(self.ctx.self_ref, HandOn(rounds))
                return LATER
            case HandOn(0):
                self.left = 3
                self.ctx.call_soon(self._grind)
            case HandOn(rounds):
                self.ctx.tell(self.ctx.self_ref, HandOn(rounds - 1))
        return None

    def _grind(self) -> None:
        self.ground += 1
        self.left -= 1
        if self.left:
            self.ctx.call_soon(self._grind)
        elif self.asker is not None:
            self.asker.send(Done())


class Sleeper(Actor):
    """Needs time for an answer."""

    def receive(self, message: Message) -> object:
        return self.ctx.sleep(3600)


@pytest.mark.parametrize("kind", WORLDS)
def test_settled_returns_when_all_that_was_begun_is_done(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        mill = await world.boot("mill", lambda system: system.spawn(Miller, "miller"))
        user = await world.boot("user")
        asked = user.ask(user.ref("mill/miller"), Grind(20))

        assert busy([user]) == ["Grind to mill/miller is not answered"]
        await settled(lambda: [mill, user])

        assert asked.done()
        actor = mill.actor("miller")
        assert isinstance(actor, Miller)
        assert (actor.ground, busy([mill, user])) == (3, [])

    run_in(kind, scenario, tmp_path)


@pytest.mark.parametrize("kind", WORLDS)
def test_who_is_busy_is_named_when_the_time_is_up(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        mill = await world.boot("mill", lambda system: system.spawn(Sleeper, "sleeper"))
        user = await world.boot("user")
        asked = user.ask(user.ref("mill/sleeper"), Grind(1), timeout_s=30)

        with pytest.raises(
            NotSettled, match="mill/sleeper: 1 requests are being handled; Grind to mill/sleeper is not"
        ):
            await settled(lambda: [mill, user], within_s=0.1)

        asked.cancel()

    run_in(kind, scenario, tmp_path)


@pytest.mark.parametrize("kind", WORLDS)
def test_whoever_starts_or_has_work_in_mind_is_busy(kind: str, tmp_path: Path) -> None:
    class Slow(Actor):
        async def on_start(self) -> None:
            await self.ctx.sleep(0.01)

    async def scenario(world: World) -> None:
        def boot(system: System) -> None:
            system.spawn(Slow, "slow")
            system.spawn(Miller, "miller")

        system = await world.boot("mill", boot)
        miller = system.actor("miller")
        assert isinstance(miller, Miller)
        miller.left = 2

        assert "mill/slow starts" in busy([system])
        await world.until(lambda: busy([system]) == ["mill/miller: 2 sacks wait"])
        miller.left = 0
        await settled(lambda: [system])

    run_in(kind, scenario, tmp_path)


def test_an_ask_that_its_asker_gave_up_does_not_keep_anybody_busy(tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        user = await world.boot("user", lambda system: system.spawn(Sleeper, "sleeper"))
        asked = user.ask(user.ref("user/sleeper"), Grind(1))
        assert "Grind to user/sleeper is not answered" in busy([user])

        asked.cancel()

        assert "Grind to user/sleeper is not answered" not in busy([user])

    run_in("local", scenario, tmp_path)
