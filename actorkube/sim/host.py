"""A simulated host: a name, what boots on it, a drive that outlives it, and at most one life at a time."""

from __future__ import annotations

import asyncio
import contextvars
import inspect
from collections.abc import Awaitable, Callable, Collection
from functools import partial
from typing import TYPE_CHECKING, Any, TypeVar

from actorkube.runtime.actor import Ref
from actorkube.runtime.cell import Cell
from actorkube.runtime.probe import reached
from actorkube.runtime.supervisor import Consequence
from actorkube.runtime.system import System
from actorkube.sim.clock import Clock
from actorkube.sim.disk import Drive
from actorkube.sim.loop import SimLoop
from actorkube.sim.network import KEEPALIVE_S
from actorkube.sim.tasks import Domain, SimHandle, State, domain
from actorkube.sim.transport import SimTransport
from protocols.message import Request

if TYPE_CHECKING:
    from actorkube.sim.stage import Stage

R = TypeVar("R")
Boot = Callable[[System], Awaitable[Any] | None]


class SimSystem(System):
    """A system whose actors' crashes the world hears of, and whose time is its host's."""

    loop: SimLoop
    host: SimHost
    clock: Clock
    began: float  # when the world did

    @property
    def now(self) -> float:
        clock, now = self.clock, self.loop.now
        return self.began + (now if clock.is_right else clock.wall(now))

    def ask(self, ref: Ref, request: Request[R], *args: Any, **options: Any) -> asyncio.Future[R]:
        """Asked from outside (by a scenario), the time to live is by the host's clock all the same."""
        loop = self.host.loop
        if loop.clocked and domain.get() is None:
            context = contextvars.copy_context()
            context.run(domain.set, self.host.life.domain if self.host.life else None)
            return context.run(super().ask, ref, request, *args, **options)
        return super().ask(ref, request, *args, **options)

    def crashed(self, cell: Cell, error: BaseException) -> None:
        if not isinstance(error, Consequence):
            self.host.world.actor_crashed(cell, error)
        super().crashed(cell, error)


class Life:
    """One run of a host, from boot to stop or crash."""

    def __init__(self, host: SimHost) -> None:
        world = host.world
        self.domain = Domain(host.name, host.clock)
        self.started = False
        self.transport = SimTransport(world.network, host.knows)
        self.system = SimSystem(
            host.name,
            self.transport,
            seed=f"{world.seed}/{host.name}/{host.lives}",
            disk=host.drive.disk,
            epoch=world.epoch,
            log=world.log,
        )
        self.system.loop, self.system.began = world.loop, world.epoch
        self.system.host, self.system.clock = host, host.clock
        self.system.follow(world.follow_rate)
        self.context = contextvars.Context()
        self.context.run(domain.set, self.domain)
        self.context.run(reached.set, world.probes)
        self.ready: asyncio.Future[System] = world.loop.create_future()
        self.over: asyncio.Future[None] = world.loop.create_future()
        self.boot = world.loop.create_task(self._boot(host), name=f"boot {host.name}", context=self.context)

    async def _boot(self, host: SimHost) -> None:
        try:
            await self.system.start()
            self.started = True
            assert self.system.failed is not None
            self.system.failed.add_done_callback(partial(host.gave_up, self), context=host.world.network.outside)
            booting = host.boot(self.system)
            if inspect.isawaitable(booting):
                await booting
        except Exception as error:
            host.boot_failed(self, error)
        else:
            if not self.ready.done():
                self.ready.set_result(self.system)


class SimHost:
    def __init__(self, world: Stage, name: str, boot: Boot, drive: Drive, knows: Collection[str] | None = None) -> None:
        self.world = world
        self.loop: SimLoop = world.loop
        self.name = name
        self.boot = boot
        self.drive = drive
        self.knows = knows
        self.clock = Clock()
        self.lives = 0
        self.pauses = 0
        self.life: Life | None = None
        self._respawn: SimHandle | None = None

    @property
    def is_up(self) -> bool:
        return self.life is not None and self.life.started

    def start(self) -> Life:
        if self.life is None:
            if self._respawn is not None:
                self._respawn.cancel()
            self.lives += 1
            self.life = Life(self)
        return self.life

    def crash(self, *, silent: bool) -> None:
        """Everything stops between two callbacks. Nothing runs afterwards, no on_stop, no finally."""
        if self._respawn is not None:
            self._respawn.cancel()
        life, self.life = self.life, None
        if life is None:
            return
        self._bury(life)
        if life.started:
            life.transport.vanish(silent=silent)
            life.system.forget(f"{self.name} crashed")
        self.drive.crash()
        if not life.ready.done():
            life.ready.set_exception(ConnectionAbortedError(f"{self.name} crashed while it booted"))
            life.ready.exception()  # nobody needs to look at it

    async def stop(self, drain_s: float = 0.0) -> None:
        """Planned: on_stop runs; what was not synced is still there. See System.stop for `drain_s`."""
        life = self.life
        if life is not None:
            stopping = self.loop.create_task(life.system.stop(drain_s), context=life.context.copy())
            stopping.add_done_callback(partial(self._stopped, life))
            await life.over

    def pause(self) -> None:
        if self.life is not None and self.life.domain.state is State.RUNNING:
            self.life.domain.state = State.PAUSED
            self.pauses += 1
            outside = self.world.network.outside
            self.loop.later(KEEPALIVE_S, self._stalled, self.life, self.pauses, context=outside)

    def resume(self) -> None:
        if self.life is not None and self.life.domain.state is State.PAUSED:
            self.loop.resume(self.life.domain)

    def gave_up(self, life: Life, failed: asyncio.Future[str]) -> None:
        """Supervision escalated: the process ends, and whoever supervises processes starts it again."""
        if self.life is life and not failed.cancelled():
            self.world.network.note(f"{self.name} gave up: {failed.result()}")
            self._die_and_return()

    def boot_failed(self, life: Life, error: Exception) -> None:
        if not life.ready.done():
            life.ready.set_exception(error)
            life.ready.exception()
        if self.life is life:
            self.world.network.note(f"{self.name} did not boot: {error!r}")
            self._die_and_return()

    def _die_and_return(self) -> None:
        self.crash(silent=False)
        outside = self.world.network.outside
        self._respawn = self.loop.later(self.world.respawn_s, self.start, context=outside)

    def _stalled(self, life: Life, pauses: int) -> None:
        if self.life is life and self.pauses == pauses and life.domain.state is State.PAUSED:
            self.world.network.stalled(life.transport)

    def _stopped(self, life: Life, stopping: asyncio.Task[None]) -> None:
        if self.life is life:
            self.life = None
            self._bury(life)
        stopping.result()

    def _bury(self, life: Life) -> None:
        self.loop.bury(life.domain)
        if not life.over.done():
            life.over.set_result(None)
