"""While a simulation runs, the real clock, real chance, threads, sockets and processes raise `RealWorld`.

Caught at the call: time.time/time_ns/monotonic/monotonic_ns/sleep, os.urandom/getrandom, the functions of `random`,
an unseeded random.Random(), SystemRandom, secrets, uuid.uuid1/uuid4, starting a thread, a socket or a process.
Not caught here, because they were bound before or live in C: `from time import time`, datetime.now(), os.getpid(),
the order of sets and of objects by address. Those a second run with another PYTHONHASHSEED finds (`World.check`).
time.perf_counter is allowed: it measures, and nothing should decide by it.
"""

from __future__ import annotations

import contextlib
import os
import random
import socket
import subprocess
import sys
import threading
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

from actorkube.sim.errors import RealWorld

# Tools around the simulation that may look at the real world: they do not change what it does.
OUTSIDERS = ("logging", "hypothesis", "_pytest", "pytest", "coverage", "pluggy", "concurrent.futures")

_RANDOM = [
    name
    for name in random.__all__
    if getattr(getattr(random, name), "__self__", None) is getattr(random, "_inst")  # noqa: B009
]
_TARGETS: list[tuple[Any, str, str]] = [
    *((time, name, "use ctx.now") for name in ("time", "time_ns", "monotonic", "monotonic_ns")),
    (time, "sleep", "use ctx.sleep"),
    (os, "urandom", "use ctx.random"),
    (os, "getrandom", "use ctx.random"),
    (random, "_urandom", "use ctx.random"),
    *((random, name, "use ctx.random") for name in _RANDOM),
    (uuid, "uuid1", "use ctx.uuid()"),
    (uuid, "uuid4", "use ctx.uuid()"),
    (threading.Thread, "start", "actors share nothing and need no threads"),
    (socket.socket, "__init__", "use ctx.tell, ctx.ask or ctx.stream"),
    (subprocess.Popen, "__init__", "use the simulated backend"),
]


@contextlib.contextmanager
def guarded() -> Iterator[None]:
    """For the thread that runs the simulation; others go on as ever."""
    _guard.enter()
    try:
        yield
    finally:
        _guard.leave()


class _Guard:
    """One for the process, because what it replaces belongs to the process: put in place by the first simulation
    that runs, and taken away by the last. Each call asks in which thread it is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._runs: dict[int, int] = {}  # thread: simulations that run in it, one within the other
        self._saved: list[tuple[Any, str, Any]] = []

    def enter(self) -> None:
        me = threading.get_ident()
        with self._lock:
            if not self._runs:
                self._put_in_place()
            self._runs[me] = self._runs.get(me, 0) + 1

    def leave(self) -> None:
        me = threading.get_ident()
        with self._lock:
            self._runs[me] -= 1
            if not self._runs[me]:
                del self._runs[me]
            if not self._runs:
                self._take_away()

    def allows(self, frame: Any) -> bool:
        return threading.get_ident() not in self._runs or _is_outsider(frame)

    def _put_in_place(self) -> None:
        for holder, name, instead in _TARGETS:
            if hasattr(holder, name):
                original = holder.__dict__[name]
                self._saved.append((holder, name, original))
                setattr(holder, name, self._refusing(f"{holder.__name__}.{name}", original, instead))
        self._saved.append((random.Random, "seed", random.Random.seed))
        random.Random.seed = self._seeding(random.Random.seed)  # type: ignore[method-assign]

    def _take_away(self) -> None:
        while self._saved:
            holder, name, original = self._saved.pop()
            setattr(holder, name, original)

    def _refusing(self, what: str, original: Callable[..., Any], instead: str) -> Callable[..., Any]:
        def refuse(*args: Any, **kwargs: Any) -> Any:
            if self.allows(sys._getframe(1)):
                return original(*args, **kwargs)
            raise RealWorld(f"{what} in a simulation: {instead}")

        return refuse

    def _seeding(self, original: Callable[..., None]) -> Callable[..., None]:
        def seed(rng: random.Random, a: Any = None, *args: Any, **kwargs: Any) -> None:
            if a is None and not self.allows(sys._getframe(1)):
                raise RealWorld("an unseeded random.Random in a simulation: use ctx.random")
            original(rng, a, *args, **kwargs)

        return seed


_guard = _Guard()


def _is_outsider(frame: Any) -> bool:
    if frame.f_code.co_name == "<module>":
        return True  # a module that is imported late
    name = frame.f_globals.get("__name__", "")
    return any(name == tool or name.startswith(tool + ".") for tool in OUTSIDERS)
