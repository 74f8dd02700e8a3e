"""Who waits for a timer of the event loop: names for people, as far as they are known."""

from __future__ import annotations

import asyncio
from typing import Any

from actorkube.runtime.asks import Asks
from actorkube.runtime.timer import Timer


def owner_of(handle: asyncio.TimerHandle) -> str:
    """An actor's address, a task's name, or else the function that would be called."""
    callback: Any = handle._callback  # type: ignore[attr-defined]
    owner = getattr(callback, "__self__", None)
    if isinstance(owner, Timer):
        return f"{owner.address} {owner.tick}"
    if isinstance(owner, Asks):
        return "an ask's deadline"
    for argument in handle._args or ():
        if isinstance(argument, asyncio.Future):
            return _waiter(argument)
    if isinstance(owner, asyncio.Timeout):
        return f"a timeout in {_task_name(getattr(owner, '_task', None))}"
    return getattr(callback, "__qualname__", "") or repr(callback)


def _waiter(future: asyncio.Future[Any]) -> str:
    """Whoever sleeps: the task that the future will wake up."""
    for callback, _ in getattr(future, "_callbacks", None) or ():
        task = getattr(callback, "__self__", None)
        if isinstance(task, asyncio.Task):
            return f"a sleep in {_task_name(task)}"
    return "a sleep"


def _task_name(task: object) -> str:
    if not isinstance(task, asyncio.Task):
        return "a task"
    name = task.get_name()
    if not name.startswith("Task-"):
        return name
    code: Any = getattr(task.get_coro(), "__qualname__", None)
    return str(code or name)
