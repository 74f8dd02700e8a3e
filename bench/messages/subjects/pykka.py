"""Pykka: a thread per actor, futures of its own; in process only."""

from __future__ import annotations

import sys
import time
from collections import deque
from typing import Any

from bench.messages.payloads import PAYLOADS
from bench.messages.subject import CHECK_EVERY, NotOffered, Subject, resident_bytes, serve

try:
    import pykka
except ImportError:
    sys.exit("missing: pip install Pykka")

THREADS_MAX = 2_000  # an actor is a thread


class Mirror(pykka.ThreadingActor):
    def on_receive(self, message: Any) -> Any:
        return message


class Pykka(Subject):
    """One asker keeps `depth` asks under way: a thread for each would only measure threads."""

    async def start(self) -> None:
        self.mirror = Mirror.start()

    async def stop(self) -> None:
        pykka.ActorRegistry.stop_all()

    async def ask(self, where: str, depth: int, payload: str, seconds: float) -> float:
        data = _local(where, payload)
        begin, count = time.perf_counter(), 0
        under_way: deque[Any] = deque(self.mirror.ask(data, block=False) for _ in range(depth))
        while time.perf_counter() < begin + seconds:
            for _ in range(CHECK_EVERY):
                under_way.popleft().get()
                under_way.append(self.mirror.ask(data, block=False))
            count += CHECK_EVERY
        for future in under_way:
            future.get()
        return (count + depth) / (time.perf_counter() - begin)

    async def tell(self, where: str, payload: str, seconds: float) -> float:
        data = _local(where, payload)
        begin, count = time.perf_counter(), 0
        while time.perf_counter() < begin + seconds:
            for _ in range(64):
                self.mirror.tell(data)
            count += 64
        self.mirror.ask(b"")
        return count / (time.perf_counter() - begin)

    async def fan_out(self, where: str, actors: int, seconds: float) -> float:
        data = _local(where, "100B")
        many = [Mirror.start() for _ in range(actors)]
        begin, count = time.perf_counter(), 0
        while time.perf_counter() < begin + seconds:
            for future in [mirror.ask(data, block=False) for mirror in many]:
                future.get()
            count += actors
        rate = count / (time.perf_counter() - begin)
        for mirror in many:
            mirror.stop()
        return rate

    async def spawn(self, actors: int) -> float:
        actors = min(actors, THREADS_MAX)
        before, begin = resident_bytes(), time.perf_counter()
        spawned = [Mirror.start() for _ in range(actors)]
        spawned[-1].ask(b"")
        rate = actors / (time.perf_counter() - begin)
        self.bytes_per_actor = (resident_bytes() - before) / actors
        for mirror in spawned:
            mirror.stop()
        return rate


def _local(where: str, payload: str) -> Any:
    if where != "local":
        raise NotOffered
    return PAYLOADS[payload]


if __name__ == "__main__":
    serve(Pykka())
