"""Ray: a process per actor, gRPC between them, pickled arguments."""

from __future__ import annotations

import logging
import os
import sys
import time
from typing import Any

os.environ["RAY_USAGE_STATS_ENABLED"] = "0"

from bench.messages.payloads import PAYLOADS
from bench.messages.subject import NotOffered, Subject, asks_per_s, serve

try:
    import ray
except ImportError:
    sys.exit("missing: pip install ray")

PROCESSES_MAX = 5  # an actor is a process


class Mirror:
    async def echo(self, data: Any) -> Any:
        return data

    async def put(self, data: Any) -> None:
        return None


class Ray(Subject):
    async def start(self) -> None:
        ray.init(num_cpus=2, include_dashboard=False, logging_level=logging.ERROR, log_to_driver=False)
        self.mirror = ray.remote(Mirror).remote()
        await self.mirror.echo.remote(b"")

    async def stop(self) -> None:
        ray.shutdown()

    async def ask(self, where: str, depth: int, payload: str, seconds: float) -> float:
        data = _tcp(where, payload)
        return await asks_per_s(lambda: self.mirror.echo.remote(data), depth, seconds)

    async def tell(self, where: str, payload: str, seconds: float) -> float:
        data = _tcp(where, payload)
        begin, count = time.perf_counter(), 0
        while time.perf_counter() < begin + seconds:
            for _ in range(64):
                self.mirror.put.remote(data)
            count += 64
        await self.mirror.echo.remote(b"")
        return count / (time.perf_counter() - begin)

    async def spawn(self, actors: int) -> float:
        count = min(actors, PROCESSES_MAX)
        begin = time.perf_counter()
        spawned = [ray.remote(num_cpus=0)(Mirror).remote() for _ in range(count)]
        ray.get([mirror.echo.remote(b"") for mirror in spawned])
        return count / (time.perf_counter() - begin)


def _tcp(where: str, payload: str) -> Any:
    if where != "tcp":
        raise NotOffered
    return PAYLOADS[payload]


if __name__ == "__main__":
    serve(Ray())
