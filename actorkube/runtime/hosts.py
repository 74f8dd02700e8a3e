"""The hosts of one process and one loop, by name: started, killed as a machine that loses power, started again.

A host whose supervision gives up, or that does not boot, dies and is started again a little later, as a process of its
own would be.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from typing import Any

from actorkube.runtime.faults import Faults
from actorkube.runtime.host import Host
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.system import System

RESPAWN_S = 1.0
Report = Callable[[str, str], None]  # host, and the note with which it became ready


class LocalHosts:
    """`make_system` is called once for each life of a host; `report` each time that one is ready."""

    def __init__(
        self,
        hosts: Iterable[Host],
        make_system: Callable[[Host], System],
        report: Report = lambda host, note: None,
        network: LocalNetwork | None = None,
    ) -> None:
        self._hosts = {host.name: host for host in hosts}
        self._make_system = make_system
        self._report = report
        self._lives: dict[str, asyncio.Task[None]] = {}
        self._systems: dict[str, System] = {}
        self._ready: dict[str, asyncio.Event] = {name: asyncio.Event() for name in self._hosts}
        self._planned = False
        self._network = network
        self._faults = Faults(tuple(self._hosts))

    @property
    def names(self) -> list[str]:
        return list(self._hosts)

    @property
    def systems(self) -> list[System]:
        """Those that live now."""
        return list(self._systems.values())

    def system(self, name: str) -> System:
        """Raises KeyError when that host is down."""
        return self._systems[name]

    def is_up(self, name: str) -> bool:
        return name in self._systems

    def is_ready(self, name: str) -> bool:
        """Whether it has booted in this life, or in the one before if it is down."""
        return self._ready[name].is_set()

    def named(self, name: str) -> list[str]:
        """The host of that name, or all hosts of a machine: `node-1` is node-1-kubelet, node-1-proxy, ...

        Raises KeyError, with the names that there are.
        """
        found = [host for host in self._hosts if host == name or host.startswith(f"{name}-")]
        if not found:
            raise KeyError(f"there is no host {name}; there are {', '.join(self._hosts)}")
        return found

    def start(self, *names: str) -> None:
        """Give life to those that have none; without names, to all."""
        for name in names or self._hosts:
            if name not in self._lives:
                self._ready[name].clear()
                self._lives[name] = asyncio.create_task(self._live(self._hosts[name]), name=f"host {name}")

    async def ready(self, *names: str) -> None:
        """Wait until those (all) have booted."""
        for name in names or self._hosts:
            await self._ready[name].wait()

    def change_faults(self, change: Callable[[Faults], Faults]) -> None:
        """Links that are cut, clocks that are set. Needs the network that joins the hosts. Raises KeyError."""
        assert self._network is not None
        before, self._faults = self._faults, change(self._faults)
        self._network.cut(self._faults.cuts)
        for name, system in self._systems.items():
            if self._faults.ahead_s.get(name) != before.ahead_s.get(name):
                self._set_clock(name, system)

    def _set_clock(self, name: str, system: System) -> None:
        system.set_clock(self._faults.ahead_s.get(name, 0.0))

    async def kill(self, *names: str) -> None:
        """End them between two callbacks: no on_stop runs, links break. They stay down until `start`."""
        await self._end(names)

    async def stop(self) -> None:
        """Planned: the last host started stops first, its actors say goodbye."""
        self._planned = True
        for name in reversed(list(self._lives)):
            await self._end([name])

    async def _end(self, names: Iterable[str]) -> None:
        lives = [self._lives.pop(name) for name in names if name in self._lives]
        for life in lives:
            life.cancel()
        for life in lives:
            with contextlib.suppress(asyncio.CancelledError):
                await life

    async def _live(self, host: Host) -> None:
        while True:
            system = self._make_system(host)
            await system.start()
            self._systems[host.name] = system
            if host.name in self._faults.ahead_s:
                self._set_clock(host.name, system)
            reason = "is to stop"
            try:
                reason = await self._serve(host, system)
            finally:
                del self._systems[host.name]
                planned = self._planned and reason == "is to stop"
                await (system.stop() if planned else system.abort())
            system.log.error("host dies and is started again", reason=reason)
            await asyncio.sleep(RESPAWN_S)

    async def _serve(self, host: Host, system: System) -> str:
        """Until it fails; why."""
        assert system.failed is not None
        boot: asyncio.Future[str] = asyncio.ensure_future(host.boot(system))
        failed: asyncio.Future[str] = system.failed
        try:
            await asyncio.wait([boot, failed], return_when=asyncio.FIRST_COMPLETED)
            if not failed.done():
                if (error := boot.exception()) is not None:
                    return f"it does not boot: {error!r}"
                self._ready[host.name].set()
                self._report(host.name, boot.result())
            return await failed
        finally:
            await _cancel(boot)


async def _cancel(future: asyncio.Future[Any]) -> None:
    future.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.wait([future])
    if not future.cancelled():
        future.exception()  # nobody needs to look at it
