"""Hot hand-over: a running actor is replaced by another instance that goes on where it stopped.

Address, mailbox, monitors, links, names, timers and children stay. The old instance finishes what it is handling and
says what it knows (`on_handover`), the new one takes it (`on_takeover`); messages and ticks wait meanwhile. Where
anything of it fails, the new instance is started afresh, as after a crash, and the log says so.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, TypeVar

from actorkube.runtime.cell import State
from actorkube.runtime.monitors import RESTARTED
from actorkube.runtime.timer import replace_equal
from protocols.message import Message, decode, encode

if TYPE_CHECKING:
    from actorkube.runtime.actor import Actor
    from actorkube.runtime.cell import Cell

T = TypeVar("T")


class Overtaken(Exception):
    """The actor was stopped, or crashed and was restarted, meanwhile: there is nothing left to do."""


async def hand_over(cell: Cell, factory: Callable[[], Actor]) -> None:
    """Returns when the new instance has started, or when there will be none.

    An actor that is just being restarted gets its next instance from the new factory anyway.
    """
    cell.factory = factory
    if cell.state is State.RUNNING:
        cell.state = State.STARTING  # messages wait
        await Handover(cell).run()


class Handover:
    def __init__(self, cell: Cell) -> None:
        self._cell = cell
        self._lives = cell.lives  # of the actor, as far as this hand-over knows
        self._log = cell.system.log.bind(actor=str(cell.ref.address))

    async def run(self) -> None:
        try:
            state = await self._leave()
            if state is None:
                self._log.info("nothing is handed over: a fresh start")
                await self._start_afresh()
            else:
                await self._enter(state)
        except Overtaken:
            self._log.info("hand-over overtaken by the end of the actor")
        except Exception as error:  # of the actor's own code
            if self._is_ours():
                self._log.warning("hand-over failed: a fresh start", error=repr(error), exc_info=error)
                await self._start_afresh()

    async def _leave(self) -> Message | None:
        """The old instance finishes what it has begun, if it can in its `shutdown_s`, and says what it knows."""
        cell = self._cell
        handling = cell.work.handling()
        if handling:
            await asyncio.wait(handling, timeout=cell.shutdown_s)
        self._check()
        state = await self._run(cell.actor.on_handover())
        await self._end_instance()
        return state

    async def _enter(self, state: Message) -> None:
        """The state is encoded as if it travelled, so nothing of the old instance is shared with the new one."""
        cell = self._cell
        self._lives += 1
        carried = list(cell.timers.values())
        cell.new_instance()
        await self._run(cell.actor.on_takeover(decode(state.type_id, encode(state))))
        self._check()
        replace_equal(carried, list(cell.timers.values()))
        self._log.info("actor handed over", instance=cell.lives)
        cell.open()

    async def _start_afresh(self) -> None:
        """What linked and watching actors knew of the old instance is gone, as in a restart after a crash."""
        cell = self._cell
        await cell.end_instance()
        await cell.system.tree.end_children(cell)
        if self._is_ours():
            cell.system.monitors.life_over(cell, RESTARTED)
            cell.begin()

    async def _end_instance(self) -> None:
        self._check()
        await self._cell.end_instance(keep_timers=True)
        self._check()

    async def _run(self, coro: Coroutine[Any, Any, T]) -> T:
        """In the actor's own context, for at most its `shutdown_s`."""
        cell = self._cell
        task = cell.system.loop.create_task(coro, context=cell.context.copy())
        try:
            async with asyncio.timeout(cell.shutdown_s):
                return await task
        finally:
            task.cancel()

    def _is_ours(self) -> bool:
        return self._cell.state is State.STARTING and self._cell.lives == self._lives

    def _check(self) -> None:
        if not self._is_ours():
            raise Overtaken
