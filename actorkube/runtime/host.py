"""A host: what lives in one system, and how a process (or one of several in a process) serves it until told to stop."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import signal
from collections.abc import Awaitable, Callable, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass
from functools import partial
from typing import Any, TypeVar

from actorkube.runtime.system import System
from protocols.address import check_name

T = TypeVar("T")

GC_THRESHOLDS = (50_000, 20, 50)  # objects are kept as bytes; the default thresholds cost more than they free


@dataclass(frozen=True)
class Host:
    """`boot` spawns the actors and returns when they are ready, with a note for whoever watches the start.

    `modules` are what several hosts share: a warm parent imports them before it forks; what only one host needs, it
    imports itself, beside the others. Hosts with the same `machine` live and die together, each in a process of its
    own unless they are `light`: then they share one. `listens`: others connect to it (the rest only dial).
    """

    name: str
    step: str
    boot: Callable[[System], Awaitable[str]]
    modules: tuple[str, ...] = ()
    listens: bool = False
    machine: str = ""
    light: bool = False


class Hosts(dict[str, T]):
    """By name. KeyError says which there are."""

    def __missing__(self, name: str) -> T:
        raise KeyError(f"there is no host {name!r}; there are {', '.join(self) or 'none'}")

    def take(self, name: str) -> None:
        """ValueError when a new host cannot have that name."""
        check_name(name)
        if name in self:
            raise ValueError(f"there is a host {name!r} already: restart it, or boot one by another name")


class HostFailed(Exception):
    """Supervision gave up inside a host; the process that carries it must end."""


Beside = Callable[[System], AbstractAsyncContextManager[None]]


def nothing_beside(system: System) -> AbstractAsyncContextManager[None]:
    return contextlib.nullcontext()


async def serve(
    host: Host,
    system: System,
    stop: asyncio.Event,
    report: Callable[..., Any],
    beside: Beside = nothing_beside,
) -> None:
    """Start the system, boot the host, say that it is ready, and stay until `stop`. Raises HostFailed.

    `beside` is what else is there as long as the system lives.
    """
    await system.start()
    async with beside(system):
        await _serve(host, system, stop, report)


async def _serve(host: Host, system: System, stop: asyncio.Event, report: Callable[..., Any]) -> None:
    assert system.failed is not None
    boot: asyncio.Future[Any] = asyncio.ensure_future(host.boot(system))
    stopped: asyncio.Future[Any] = asyncio.ensure_future(stop.wait())
    failed: asyncio.Future[Any] = system.failed
    try:
        await asyncio.wait([boot, stopped, failed], return_when=asyncio.FIRST_COMPLETED)
        if boot.done() and not failed.done():
            report(event="ready", note=boot.result())
            await asyncio.wait([stopped, failed], return_when=asyncio.FIRST_COMPLETED)
        if failed.done():
            raise HostFailed(failed.result())
    finally:
        for task in (boot, stopped):
            task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await task
        await system.stop()


def run_process(
    hosts: Sequence[Host],
    make_system: Callable[[Host], System],
    report: Callable[..., Any],
    beside: Beside = nothing_beside,
) -> None:
    """Serve hosts in this process until SIGTERM. One that fails ends them all."""
    import uvloop

    async def main() -> None:
        stop = asyncio.Event()
        asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, stop.set)
        async with asyncio.TaskGroup() as group:
            for host in hosts:
                group.create_task(serve(host, make_system(host), stop, partial(report, host=host.name), beside))

    gc.set_threshold(*GC_THRESHOLDS)
    uvloop.run(main())
