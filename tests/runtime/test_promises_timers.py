"""What docs/contract.md promises of timers, in every world."""

from __future__ import annotations

from pathlib import Path

from actorkube.runtime import Actor, System
from actorkube.testing import World, run_in
from protocols.message import Done, Message, Request
from tests.runtime.gate import Gate, GateNote, NoteAsked, Scene, SwitchGate, in_every_world, play


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


class Inquirer(Gate):
    """Asks for something when it notes a number, and keeps what came of it."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[object] = []

    def receive(self, message: Message) -> object:
        if isinstance(message, GateNote):
            asked = self.ctx.ask(self.ctx.ref("user/gate"), NoteAsked(message.number), timeout_s=50)
            asked.add_done_callback(lambda future: self.answers.append(future.exception() or future.result()))
        return super().receive(message)


@in_every_world
def test_a_tick_that_had_to_wait_in_the_mailbox_has_no_deadline_either(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        await scene.hold()
        gate, cell = scene.gate, scene.server._cells[scene.ref.actor_id]
        gate.ctx.after(0.01, GateNote(1))
        await scene.until(lambda: cell.depth == 1)

        gate.open.set()

        await scene.until(lambda: gate.answers == [Done()])

    play(kind, tmp_path, Inquirer, act)


class WindUp(Request[Done]):
    """Arm a timer, from the handler of a request that has little time left."""


class FallNow(Message):
    pass


class Clockwork(Actor):
    """Counts its ticks and keeps what came of what they asked."""

    def __init__(self) -> None:
        self.ticks = 0
        self.answers: list[object] = []

    def receive(self, message: Message) -> object:
        match message:
            case WindUp():
                self.ctx.after(0.4, GateNote(0))
                return Done()
            case GateNote():
                self.ticks += 1
                asked = self.ctx.ask(self.ctx.ref("server/gate"), NoteAsked(self.ticks), timeout_s=50)
                asked.add_done_callback(lambda future: self.answers.append(future.exception() or future.result()))
            case FallNow():
                raise OSError("planted")
        return None


@in_every_world
def test_a_timer_is_not_bound_by_the_deadline_of_the_request_that_armed_it(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        clockwork = scene.user.spawn(Clockwork, "clockwork")
        actor = scene.user.actor("clockwork")
        assert isinstance(actor, Clockwork)

        await scene.user.ask(clockwork, WindUp(), timeout_s=0.3)  # over before the tick comes

        await scene.until(lambda: actor.answers == [Done()])

    play(kind, tmp_path, Gate, act)


@in_every_world
def test_no_tick_of_the_life_before_reaches_an_actor_that_has_crashed(kind: str, tmp_path: Path) -> None:
    async def act(scene: Scene) -> None:
        clockwork = scene.user.spawn(Clockwork, "clockwork")
        first, cell = scene.user.actor("clockwork"), scene.user._cells[clockwork.actor_id]
        assert isinstance(first, Clockwork)
        waiting, pending = first.ctx.after(50, GateNote(1)), first.ctx.after(0.2, GateNote(2))

        scene.user.tell(clockwork, FallNow())
        waiting._fire()  # this tick is in the mailbox, behind the message that crashes the actor
        await scene.until(lambda: scene.user.actor("clockwork") not in (None, first))
        await scene.world.sleep(0.4)

        second = scene.user.actor("clockwork")
        assert isinstance(second, Clockwork)
        assert second.ticks == 0
        assert not cell.depth and not waiting.is_active and not pending.is_active

    play(kind, tmp_path, Gate, act)
