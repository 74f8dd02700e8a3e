"""What is measured: a program that reads one question a line and prints one number a line.

    ask local 16 100B 0.2     asks a second, 16 at a time, 100 B, for 0.2 s
    tell tcp 1KiB 0.2         tells a second, the last one handled before the clock stops
    fan_out local 1000 0.2    answers a second when 1,000 actors are asked at once
    spawn 100000              actors a second, each of them started; `memory` then says how many bytes one takes
    stream tcp 0.2            items a second
    ahead tcp                 items that the writer has made when its reader stops after 100

`-` means: not offered. Each framework is such a program of its own, so that all of them can take turns, round by
round, on a machine whose speed changes; its second process (`far`) ends when the first one does.
"""

from __future__ import annotations

import asyncio
import ctypes
import gc
import json
import signal
import subprocess
import sys
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import uvloop

PR_SET_PDEATHSIG = 1
FLUSH_EVERY = 2048  # tells: of the largest payload, less than a link takes
CHECK_EVERY = 8  # asks between two looks at the clock


class NotOffered(Exception):
    """The framework has no such thing, or not here."""


class Subject:
    """One framework. A method that is not overridden is a question that it does not answer."""

    def __init__(self) -> None:
        self.bytes_per_actor = 0.0

    async def start(self) -> None:
        """Before the first question."""

    async def stop(self) -> None:
        """After the last."""

    async def ask(self, where: str, depth: int, payload: str, seconds: float) -> float:
        raise NotOffered

    async def tell(self, where: str, payload: str, seconds: float) -> float:
        raise NotOffered

    async def fan_out(self, where: str, actors: int, seconds: float) -> float:
        raise NotOffered

    async def spawn(self, actors: int) -> float:
        raise NotOffered

    async def stream(self, where: str, seconds: float) -> float:
        raise NotOffered

    async def ahead(self, where: str) -> float:
        raise NotOffered

    async def memory(self) -> float:
        if not self.bytes_per_actor:
            raise NotOffered
        return self.bytes_per_actor


def serve(subject: Subject) -> None:
    """Answer the questions on stdin until it ends."""
    end_with_parent()
    uvloop.run(_serve(subject))


async def _serve(subject: Subject) -> None:
    loop = asyncio.get_running_loop()
    await subject.start()
    print("ready", flush=True)
    while line := await loop.run_in_executor(None, sys.stdin.readline):
        what, *arguments = line.split()
        try:
            answer = f"{await getattr(subject, what)(*map(_value, arguments)):.3f}"
        except NotOffered:
            answer = "-"
        print(answer, flush=True)
    await subject.stop()


def _value(word: str) -> Any:
    """Counts are ints, seconds are floats; payloads and places are words."""
    try:
        return float(word) if "." in word else int(word)
    except ValueError:
        return word


async def asks_per_s(ask: Callable[[], Awaitable[object]], depth: int, seconds: float) -> float:
    """`depth` askers, each of which waits for its answer before it asks again."""
    begin = time.perf_counter()
    end = begin + seconds

    async def asker() -> int:
        count = 0
        while time.perf_counter() < end:
            for _ in range(CHECK_EVERY):
                await ask()
            count += CHECK_EVERY
        return count

    counts = await asyncio.gather(*(asker() for _ in range(depth)))
    return sum(counts) / (time.perf_counter() - begin)


async def tells_per_s(tell: Callable[[], None], flush: Callable[[], Awaitable[object]], seconds: float) -> float:
    """As fast as the loop lets one sender, 64 a turn; the clock stops when the last one has been handled.

    Every so often it waits until all have been: what a sender drops that is faster than its receiver would count, too.
    """
    begin = time.perf_counter()
    count = 0
    while time.perf_counter() < begin + seconds:
        for _ in range(64):
            tell()
        count += 64
        await (flush() if count % FLUSH_EVERY == 0 else asyncio.sleep(0))
    await flush()
    return count / (time.perf_counter() - begin)


async def fan_outs_per_s(asks: list[Callable[[], Awaitable[object]]], seconds: float) -> float:
    begin = time.perf_counter()
    count = 0
    while time.perf_counter() < begin + seconds:
        await asyncio.gather(*(ask() for ask in asks))
        count += len(asks)
    return count / (time.perf_counter() - begin)


def end_with_parent() -> None:
    """When the process that started this one dies, the kernel ends this one, also in the midst of a measurement."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(PR_SET_PDEATHSIG, signal.SIGKILL)


def resident_bytes() -> int:
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


class Far:
    """The second process: the same module with the word `far`. It says where it listens, and ends with its stdin."""

    def __init__(self, module: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", module, "far", *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        assert self._process.stdout is not None
        self.addresses: dict[str, Any] = json.loads(self._process.stdout.readline())

    def end(self) -> None:
        self._process.stdin.close()  # type: ignore[union-attr]
        self._process.wait(10)


async def be_far(addresses: dict[str, Any]) -> None:
    """In the second process, once it listens."""
    end_with_parent()
    print(json.dumps(addresses), flush=True)
    await asyncio.get_running_loop().run_in_executor(None, sys.stdin.read)
