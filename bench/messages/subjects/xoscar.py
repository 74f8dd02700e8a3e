"""xoscar: asyncio actors in pools of processes, pickled arguments; its own transport between the processes."""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Awaitable
from typing import Any

import uvloop

from bench.messages.payloads import PAYLOADS
from bench.messages.subject import Far, NotOffered, Subject, asks_per_s, be_far, fan_outs_per_s, resident_bytes, serve

try:
    import xoscar
except ImportError:
    sys.exit("missing: pip install xoscar")

MODULE = "bench.messages.subjects.xoscar"


class Mirror(xoscar.Actor):  # type: ignore[misc]
    def echo(self, data: Any) -> Any:
        return data

    def put(self, data: Any) -> None:
        return None


async def pool() -> Any:
    with socket.create_server(("127.0.0.1", 0)) as free:
        address = f"127.0.0.1:{free.getsockname()[1]}"
    return await xoscar.create_actor_pool(address, n_process=0)


class Xoscar(Subject):
    async def start(self) -> None:
        self.far = Far(MODULE)
        self.pool = await pool()
        self.many = [await xoscar.create_actor(Mirror, address=self.pool.external_address) for _ in range(1000)]
        far = await xoscar.actor_ref(address=self.far.addresses["tcp"], uid="mirror")
        self.mirrors = {"local": self.many[0], "tcp": far}

    async def stop(self) -> None:
        await self.pool.stop()
        self.far.end()

    def _mirror(self, where: str) -> Any:
        if where not in self.mirrors:
            raise NotOffered
        return self.mirrors[where]

    async def ask(self, where: str, depth: int, payload: str, seconds: float) -> float:
        mirror, data = self._mirror(where), PAYLOADS[payload]
        return await asks_per_s(lambda: mirror.echo(data), depth, seconds)

    async def tell(self, where: str, payload: str, seconds: float) -> float:
        """Its tell is awaited until it is sent."""
        mirror, data = self._mirror(where), PAYLOADS[payload]
        begin, count = time.perf_counter(), 0
        while time.perf_counter() < begin + seconds:
            for _ in range(64):
                await mirror.put.tell(data)
            count += 64
        await mirror.echo(b"")
        return count / (time.perf_counter() - begin)

    async def fan_out(self, where: str, actors: int, seconds: float) -> float:
        if where != "local":
            raise NotOffered
        data = PAYLOADS["100B"]

        def asker(ref: Any) -> Any:
            def ask() -> Awaitable[object]:
                return ref.echo(data)  # type: ignore[no-any-return]

            return ask

        return await fan_outs_per_s([asker(ref) for ref in self.many[:actors]], seconds)

    async def spawn(self, actors: int) -> float:
        actors = min(actors, 10_000)  # the others would take long
        before, begin = resident_bytes(), time.perf_counter()
        self.spawned = [await xoscar.create_actor(Mirror, address=self.pool.external_address) for _ in range(actors)]
        rate = actors / (time.perf_counter() - begin)
        self.bytes_per_actor = (resident_bytes() - before) / actors
        return rate


async def far() -> None:
    mine = await pool()
    await xoscar.create_actor(Mirror, address=mine.external_address, uid="mirror")
    await be_far({"tcp": mine.external_address})
    await mine.stop()


if __name__ == "__main__":
    if sys.argv[1:] == ["far"]:
        uvloop.run(far())
    else:
        serve(Xoscar())
