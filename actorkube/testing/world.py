"""What every world can do, so that a scenario need not know which one it runs in."""

from __future__ import annotations

import contextlib
from collections.abc import Awaitable, Callable, Collection, Coroutine, Sequence
from pathlib import Path
from typing import Any, Protocol, TypeVar

from actorkube.runtime.host import Host
from actorkube.runtime.system import System
from actorkube.sim import World as SimWorld
from actorkube.testing.real import LocalWorld, TcpWorld, TlsWorld, UnixWorld

T = TypeVar("T")
Boot = Callable[[System], Awaitable[Any] | None]

WORLDS = ("local", "tcp", "sim")
LINK_WORLDS = ("tcp", "unix", "tls")  # the world of real sockets, over each kind of link


class World(Protocol):
    def run(self, scenario: Callable[[Any], Coroutine[Any, Any, T]], for_s: float = ...) -> T:
        """Run the scenario in this world, within so many seconds (of its time)."""

    def close(self) -> None:
        """Forget the world."""

    async def boot(
        self, name: str, boot: Boot | None = None, *, listens: bool = True, knows: Collection[str] | None = None
    ) -> System:
        """Add a host and start it: `boot` spawns its actors, now and at every restart. Returns when it has run.

        `knows`: the hosts that it can make links to by itself; None: all that listen.
        """

    async def boot_all(self, hosts: Sequence[Host]) -> None:
        """Boot hosts that need each other; returns when all are ready."""

    def system(self, name: str) -> System:
        """The living system of a host."""

    def follow(self, rate: float = 1.0) -> None:
        """All systems, now and in later lives, begin traces with this chance: every message says what caused it."""

    def is_up(self, name: str) -> bool: ...

    def crash(self, name: str) -> None:
        """As kill -9 does: no on_stop. In simulation, what was not synced may be gone as well."""

    async def restart(self, name: str) -> System:
        """A new life on the same disk, unless it is up already."""

    async def stop(self, name: str, drain_s: float = 0.0) -> None:
        """Planned: on_stop runs. Before that, for at most `drain_s`, its actors handle what waits."""

    def partition(self, one: Collection[str], other: Collection[str], *, both_ways: bool = True) -> None:
        """Nothing gets from one side to the other, until `heal`. In simulation, who waits learns of it by silence or by
        a reset; in real worlds links end at once, on both sides."""

    def heal(self) -> None:
        """End all faults but crashes."""

    async def sleep(self, seconds: float) -> None: ...

    async def until(self, check: Callable[[], object], within_s: float = ...) -> None:
        """Wait until the check is true. It may be a coroutine function."""

    async def converges(self, check: Callable[[], object], within_s: float = ..., stays_s: float = ...) -> None:
        """The check becomes true within the time, and stays so for a while."""


def run_in(kind: str, scenario: Callable[[Any], Coroutine[Any, Any, T]], path: Path, seed: int = 0) -> T:
    """Run one scenario in a world of its own."""
    with contextlib.closing(make_world(kind, path, seed)) as world:
        return world.run(scenario)


def make_world(kind: str, path: Path, seed: int = 0) -> World:
    """`path` is where real disks are."""
    match kind:
        case "local":
            return LocalWorld(path, seed)
        case "tcp":
            return TcpWorld(path, seed)
        case "unix":
            return UnixWorld(path, seed)
        case "tls":
            return TlsWorld(path, seed)
        case "sim":
            return SimWorld(seed)
    raise ValueError(f"a world is one of {', '.join(dict.fromkeys(WORLDS + LINK_WORLDS))}, not {kind!r}")
