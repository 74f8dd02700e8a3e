"""What docs/contract.md promises of one actor, in three worlds: mailboxes, sends, cancellation, timers, stopping."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from actorkube.runtime import LATER, Actor, Mailbox, System
from actorkube.testing import WORLDS, World, run_in
from protocols.errors import DeadlineExceeded, NotSent, Overloaded, Terminated, Unknown
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


# -- delivery ---------------------------------------------------------------------------------------------------------


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


# -- cancellation and deadlines ---------------------------------------------------------------------------------------


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
            assert not system.asks.pending

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


class Stopwatch(Actor):
    """Its state is what its ticks said."""

    def __init__(self) -> None:
        self.ticks: list[str] = []
        self.times: set[float] = set()
        self.answers: list[object] = []

    def receive(self, message: Message) -> object:
        match message:
            case SwitchGate(to):
                self.ticks.append(to)
                self.times = {self.ctx.now for _ in range(1000)}
                asked = self.ctx.ask(self.ctx.ref("server/gate"), NoteAsked(len(self.ticks)), timeout_s=50)
                asked.add_done_callback(lambda future: self.answers.append(future.exception() or future.result()))
        return None


async def stopwatch(world: World) -> Stopwatch:
    def boot(system: System) -> None:
        system.spawn(Stopwatch, "stopwatch")
        system.spawn(Gate, "gate")

    server = await world.boot("server", boot)
    watch = server.actor("stopwatch")
    assert isinstance(watch, Stopwatch)
    return watch


@in_every_world
def test_a_timer_replaces_the_one_with_its_key(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        watch = await stopwatch(world)

        watch.ctx.after(0.01, SwitchGate("first"), key="k")
        watch.ctx.after(0.02, SwitchGate("second"), key="k")
        watch.ctx.after(0.2, SwitchGate("last"))

        await world.until(lambda: watch.ticks[-1:] == ["last"])
        assert watch.ticks == ["second", "last"]

    run_in(kind, scenario, tmp_path)


@in_every_world
def test_a_timer_that_is_cancelled_or_restarted_ticks_no_more_before_its_new_time(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.hold()
        gate, cell = scene.gate, scene.server._cells[scene.ref.actor_id]
        once, each = gate.ctx.after(0.01, GateNote(1)), gate.ctx.every(0.01, GateNote(2))
        await scene.until(lambda: cell.depth == 2)  # the ticks are in the mailbox

        once.restart(0.2)
        each.cancel()
        gate.open.set()

        await scene.until(lambda: gate.noted)
        assert gate.noted == [1]
        assert not once.is_active and not each.is_active
        each.restart()
        await scene.until(lambda: gate.noted[-1] == 2)

    play(kind, tmp_path, Gate, act)


@in_every_world
def test_a_tick_has_no_deadline_and_time_stands_still_while_it_is_handled(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        watch = await stopwatch(world)

        watch.ctx.after(0.01, SwitchGate("tick"))

        await world.until(lambda: watch.answers == [Done()])
        assert len(watch.times) == 1

    run_in(kind, scenario, tmp_path)


# -- stopping ---------------------------------------------------------------------------------------------------------


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


@pytest.mark.parametrize("kind", [kind for kind in WORLDS if kind != "sim"])  # a simulated host is stopped by its world
def test_a_system_that_is_drained_answers_what_it_was_asked_before_it_stops(kind: str, tmp_path: Path) -> None:
    async def scenario(world: World) -> None:
        server = await world.boot("server", lambda system: system.spawn(Gate, "gate"))
        scene = Scene(world, await world.boot("user"))
        held, gate = await scene.hold(), scene.gate

        stopping = asyncio.ensure_future(server.stop(drain_s=50))
        await scene.until(lambda: server._cells[scene.ref.actor_id].box.closed)
        gate.open.set()

        assert await held == Done()
        await stopping

    run_in(kind, scenario, tmp_path)
