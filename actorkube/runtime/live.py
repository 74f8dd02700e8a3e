"""Hosts that live in a thread of their own on a clock that the caller controls, while real clients talk to them.

    with live(hosts, data) as cluster:
        cluster.kill("node-3").result()
        cluster.clock.advance("6m").result()
        cluster.settled().result()

What is asked of them from outside happens on their loop and is an `Outcome`: `await` it in a coroutine (of any other
loop), or take its `result()` in a plain function.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import threading
from collections.abc import Callable, Collection, Coroutine, Generator, Iterable
from pathlib import Path
from typing import Any, Generic, TypeVar

from actorkube.runtime.clock_loop import ClockLoop, Passed
from actorkube.runtime.duration import in_seconds
from actorkube.runtime.faults import Faults
from actorkube.runtime.host import Host
from actorkube.runtime.hosts import LocalHosts
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Log, Quiet
from actorkube.runtime.settled import SETTLE_WITHIN_S, settled
from actorkube.runtime.system import System

T = TypeVar("T")

BOOT_WITHIN_S = 60.0


def live(
    hosts: Iterable[Host], data: Path, *, rate: float = 1.0, seed: int | str | None = None, log: Log | None = None
) -> LiveHosts:
    """For `with` or `async with`: hosts that have booted, their clock running; at the end all are stopped.

    `data` is where their disks are; `rate` is the clock's, in real time, from the start on. With a `seed`, chance is
    the same in every run (real clients are not).
    """
    return LiveHosts(hosts, data, rate, seed, log or Quiet())


class Outcome(Generic[T]):
    """Of something that happens on the hosts' loop. It happens also when nobody looks at it."""

    def __init__(self, future: concurrent.futures.Future[T]) -> None:
        self._future = future

    def result(self, timeout_s: float | None = None) -> T:
        """Wait for it in a plain function. Raises what it raised, or TimeoutError."""
        return self._future.result(timeout_s)

    def __await__(self) -> Generator[Any, None, T]:
        return asyncio.wrap_future(self._future).__await__()


class LiveClock:
    """The hosts' clock, from outside."""

    def __init__(self, live: LiveHosts) -> None:
        self._live = live

    @property
    def now(self) -> float:
        """Seconds since 1970, as the hosts see them; of a running clock, when they last looked."""
        return self._live.loop.wall

    def pause(self) -> Outcome[None]:
        return self.run_at(0.0)

    def resume(self) -> Outcome[None]:
        return self.run_at(1.0)

    def run_at(self, rate: float) -> Outcome[None]:
        """So many times real time; 0 pauses."""

        async def run() -> None:
            self._live.loop.run_at(rate)

        return self._live.call(run())

    def advance(self, duration: float | str, within_s: float = SETTLE_WITHIN_S) -> Outcome[Passed]:
        """Let that much time pass ("6m", or seconds), as fast as it can be: see ClockLoop.advance."""
        return self._live.call(self._live.loop.advance(in_seconds(duration), within_s))

    def step(self) -> Outcome[Passed]:
        """Pause, and go to the next timer."""
        return self._live.call(self._live.loop.step())


class LiveHosts:
    """`hosts` belong to the thread: touch them in what you hand to `call` or `look` only."""

    def __init__(self, hosts: Iterable[Host], data: Path, rate: float, seed: int | str | None, log: Log) -> None:
        network = LocalNetwork()
        lives: dict[str, int] = {}

        def system(host: Host) -> System:
            lives[host.name] = lives.get(host.name, 0) + 1
            its_seed = None if seed is None else f"{seed}/{host.name}/{lives[host.name]}"
            return System(host.name, network.transport(), seed=its_seed, disk=data / host.name, log=log)

        self.clock = LiveClock(self)
        self.loop: ClockLoop
        self._rate = rate
        self.hosts = LocalHosts(hosts, system, network=network)
        self._thread = threading.Thread(target=self._run, name="actorkube live hosts", daemon=True)
        self._running: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._stop: asyncio.Event

    # -- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Returns when all have booted. Raises TimeoutError, with the names of those that have not."""
        self._thread.start()
        self._running.result()
        try:
            self.call(self.hosts.ready()).result(BOOT_WITHIN_S)
        except TimeoutError:
            late = [name for name in self.hosts.names if not self.hosts.is_ready(name)]
            self.stop()
            raise TimeoutError(f"not booted after {BOOT_WITHIN_S:.0f} s: {', '.join(late)}") from None

    def stop(self) -> None:
        """All are stopped as planned, and the thread has ended."""
        if self._thread.is_alive():
            self.loop.call_soon_threadsafe(self._stop.set)
            self._thread.join()

    def __enter__(self) -> LiveHosts:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    async def __aenter__(self) -> LiveHosts:
        await asyncio.to_thread(self.start)
        return self

    async def __aexit__(self, *_: object) -> None:
        await asyncio.to_thread(self.stop)

    # -- from outside -------------------------------------------------------------------------------------------------

    def call(self, coro: Coroutine[Any, Any, T]) -> Outcome[T]:
        """Run it on the hosts' loop."""
        return Outcome(asyncio.run_coroutine_threadsafe(coro, self.loop))

    def settled(self, within_s: float = SETTLE_WITHIN_S) -> Outcome[None]:
        """Wait until nobody has anything to do now; fails with NotSettled, which names who has."""
        return self.call(settled(lambda: self.hosts.systems, within_s))

    def look(self, at: Callable[[LocalHosts], T]) -> Outcome[T]:
        """What a function sees that runs on the hosts' loop: for checks of the state of the world."""

        async def look() -> T:
            return at(self.hosts)

        return self.call(look())

    def kill(self, name: str) -> Outcome[None]:
        """A host, or all hosts of a machine (`node-3`), end as at a loss of power, and stay down until `restart`."""
        return self.call(self.hosts.kill(*self.hosts.named(name)))

    def restart(self, name: str) -> Outcome[None]:
        """A new life on the same disk for those of them that are down; done when they have booted."""
        names = self.hosts.named(name)

        async def restart() -> None:
            self.hosts.start(*names)
            await self.hosts.ready(*names)

        return self.call(restart())

    def partition(
        self, one: str | Collection[str], other: str | Collection[str] = (), *, both_ways: bool = True
    ) -> Outcome[None]:
        """Links between the two sides end, and none joins them until `heal`; without `other`, to all other hosts."""
        return self._change_faults(lambda faults: faults.partition(one, other, both_ways=both_ways))

    def skew(self, name: str, by: str | float) -> Outcome[None]:
        """Set a host's wall clock so far ahead of the others', or behind ("-5m"); its timers do not follow."""
        return self._change_faults(lambda faults: faults.skew(name, by))

    def heal(self) -> Outcome[None]:
        """End all partitions and skews."""
        return self._change_faults(Faults.heal)

    def _change_faults(self, change: Callable[[Faults], Faults]) -> Outcome[None]:
        return self.look(lambda hosts: hosts.change_faults(change))

    # -- in the thread ------------------------------------------------------------------------------------------------

    def _run(self) -> None:
        self.loop = ClockLoop()
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._serve())
        finally:
            self.loop.run_until_complete(self.loop.shutdown_asyncgens())
            self.loop.run_until_complete(self.loop.shutdown_default_executor())
            asyncio.set_event_loop(None)
            self.loop.close()

    async def _serve(self) -> None:
        self._stop = asyncio.Event()
        self.loop.run_at(self._rate)
        self.hosts.start()
        self._running.set_result(None)
        await self._stop.wait()
        self.loop.run_at(1.0)  # saying goodbye may take time
        await self.hosts.stop()
