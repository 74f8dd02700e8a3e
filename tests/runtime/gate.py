"""An actor that notes what it handles, and may be held: what the promises of docs/contract.md are tried on."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from actorkube.runtime import LATER, Actor, Mailbox, System
from actorkube.testing import WORLDS, World, run_in
from protocols.message import Done, Message, Request, Streaming

in_every_world = pytest.mark.parametrize("kind", WORLDS)


class HoldGate(Request[Done]):
    """Is handled until the gate opens."""


class OweAnswer(Request[Done]):
    """Is answered by nobody: the handler has taken the answer over."""


class GateNote(Message):
    number: int
    key: str = ""


class NoteAsked(Request[Done]):
    number: int


class GateNumbers(Streaming[GateNote]):
    pass


class PassDown(Request[Done]):
    """Ask the next of these addresses, the last one to hold."""

    way: tuple[str, ...]


class SwitchGate(Message):
    """From now on be what is named."""

    to: str


class Gate(Actor):
    """Notes what it handles; while it holds, everything else waits."""

    mailbox = Mailbox(capacity=2)

    def __init__(self) -> None:
        self.noted: list[int] = []
        self.open = asyncio.Event()
        self.holding = self.held = self.cancelled = 0

    def receive(self, message: Message) -> object:
        match message:
            case HoldGate():
                return self.hold()
            case OweAnswer():
                self.reply = self.ctx.reply_handle()
                return LATER
            case GateNote(number) | NoteAsked(number):
                self.noted.append(number)
            case GateNumbers():
                return self.numbers()
            case PassDown(way):
                return self.pass_on(way)
            case SwitchGate("aside"):
                self.ctx.become(self.aside)
        return None

    def aside(self, message: Message) -> object:
        """Puts everything aside until it is switched back."""
        if not isinstance(message, SwitchGate):
            return self.ctx.stash()
        self.ctx.unstash()
        self.ctx.become(self.receive)
        return None

    async def hold(self) -> Done:
        self.holding += 1
        try:
            await self.open.wait()
        except asyncio.CancelledError:
            self.cancelled += 1
            raise
        self.held += 1
        return Done()

    async def pass_on(self, way: tuple[str, ...]) -> Done:
        first, *rest = way
        request = PassDown(tuple(rest)) if rest else HoldGate()
        return await self.ctx.ask(self.ctx.ref(first), request, timeout_s=60)

    async def numbers(self) -> AsyncIterator[GateNote]:
        number = 0
        while True:
            yield GateNote(number)
            number += 1


class Wide(Gate):
    mailbox = Mailbox()


class Oldest(Gate):
    mailbox = Mailbox(capacity=2, overflow="drop_oldest")


class Newest(Gate):
    mailbox = Mailbox(capacity=2, overflow="drop_newest")


class Patient(Gate):
    mailbox = Mailbox(capacity=1, overflow="backpressure", waiting=2)


class Conflating(Gate):
    mailbox = Mailbox(capacity=2, key=lambda message: getattr(message, "key", None) or None)


class Stubborn(Gate):
    cancellable = False


class Roomy(Gate):
    mailbox = Mailbox(stash=2)


class Scene:
    """A gate on one host, and a user on another."""

    def __init__(self, world: World, user: System) -> None:
        self.world = world
        self.user = user
        self.ref = user.ref("server/gate")

    @property
    def server(self) -> System:
        return self.world.system("server")

    @property
    def gate(self) -> Any:
        return self.server.actor("gate")

    @property
    def losses(self) -> dict[str, int]:
        return self.server._cells[self.ref.actor_id].losses

    async def hold(self) -> asyncio.Future[Done]:
        """Returns when the gate is busy."""
        held = self.user.ask(self.ref, HoldGate(), timeout_s=50)
        held.add_done_callback(lambda future: future.cancelled() or future.exception())
        await self.world.until(lambda: self.gate.holding)
        return held

    async def until(self, check: Callable[[], object]) -> None:
        await self.world.until(check)


def play(kind: str, path: Path, actor: type[Gate], act: Callable[[Scene], Awaitable[None]]) -> None:
    async def scenario(world: World) -> None:
        await world.boot("server", lambda system: system.spawn(actor, "gate"))
        user = await world.boot("user", lambda system: system.spawn(actor, "gate"))
        await act(Scene(world, user))

    run_in(kind, scenario, path)
