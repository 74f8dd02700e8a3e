"""How many tells and asks per second do actors exchange, in one process and over TCP between two?

Anchor, measured in the same run: an asyncio.Queue with a task per actor in process, and raw asyncio streams with a
msgpack body over TCP.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import socket
import statistics
import time
from collections.abc import Awaitable, Callable

import msgpack
import uvloop

from actorkube.runtime import Actor, Mailbox, Ref, System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actorkube.runtime.tcp import TcpTransport
from protocols.message import Done, Message, Request

PAYLOAD = b"x" * 100
DEPTHS = (1, 16, 256)


class Put(Message):
    data: bytes


class Echoed(Message):
    data: bytes


class Echo(Request[Echoed]):
    data: bytes


class Flush(Request[Done]):
    pass


class Mirror(Actor):
    mailbox = Mailbox(capacity=1_000_000)

    def receive(self, message: Message) -> object:
        return Echoed(message.data) if isinstance(message, Echo) else None


async def asks_per_s(system: System, mirror: Ref, depth: int, total: int) -> float:
    async def worker() -> None:
        for _ in range(total // depth):
            await system.ask(mirror, Echo(PAYLOAD))

    begin = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(depth)))
    return total / (time.perf_counter() - begin)


async def tells_per_s(system: System, mirror: Ref, total: int) -> float:
    message = Put(PAYLOAD)
    begin = time.perf_counter()
    for n in range(total):
        system.tell(mirror, message)
        if n % 64 == 63:
            await asyncio.sleep(0)
    await system.ask(mirror, Flush(), timeout_s=60)
    return total / (time.perf_counter() - begin)


async def queue_asks_per_s(depth: int, total: int) -> float:
    """The anchor in process: a task that reads an asyncio.Queue and resolves futures."""
    queue: asyncio.Queue[tuple[bytes, asyncio.Future[bytes]]] = asyncio.Queue()
    loop = asyncio.get_running_loop()

    async def serve() -> None:
        while True:
            data, future = await queue.get()
            future.set_result(data)

    async def worker() -> None:
        for _ in range(total // depth):
            future = loop.create_future()
            await queue.put((PAYLOAD, future))
            await future

    server = asyncio.create_task(serve())
    begin = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(depth)))
    rate = total / (time.perf_counter() - begin)
    server.cancel()
    return rate


async def stream_asks_per_s(address: tuple[str, int], depth: int, total: int) -> float:
    """The anchor over TCP: asyncio streams, length-prefixed msgpack, one connection per client."""

    async def worker() -> None:
        reader, writer = await asyncio.open_connection(*address)
        for _ in range(total // depth):
            body = msgpack.packb([1, PAYLOAD])
            writer.write(len(body).to_bytes(4, "little") + body)
            msgpack.unpackb(await reader.readexactly(int.from_bytes(await reader.readexactly(4), "little")))
        writer.close()

    begin = time.perf_counter()
    await asyncio.gather(*(worker() for _ in range(depth)))
    return total / (time.perf_counter() - begin)


async def serve_streams(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    try:
        while True:
            body = await reader.readexactly(int.from_bytes(await reader.readexactly(4), "little"))
            body = msgpack.packb(msgpack.unpackb(body))
            writer.write(len(body).to_bytes(4, "little") + body)
    except asyncio.IncompleteReadError:
        writer.close()


def far_process(actors: socket.socket, streams: socket.socket) -> None:
    async def main() -> None:
        system = System("far", TcpTransport(key=b"bench", listen=(actors,)), log=Quiet())
        await system.start()
        system.spawn(Mirror, "mirror")
        await asyncio.start_server(serve_streams, sock=streams)
        await asyncio.Event().wait()

    uvloop.run(main())


async def median(measure: Callable[[], Awaitable[float]], rounds: int) -> float:
    return statistics.median([await measure() for _ in range(rounds)])


def line(what: str, rate: float, anchor: float | None = None, name: str = "") -> None:
    ratio = f"   {rate / anchor:5.2f} x {name} ({anchor:,.0f}/s)" if anchor else ""
    print(f"{what:34s} {rate:12,.0f} /s{ratio}", flush=True)


async def run(actors: tuple[str, int], streams: tuple[str, int], rounds: int, scale: int) -> None:
    near = System("near", TcpTransport(key=b"bench", book={"far": actors}), log=Quiet())
    await near.start()
    local = System("local", LocalNetwork().transport(), log=Quiet())
    await local.start()
    here, far = local.spawn(Mirror, "mirror"), near.ref("far/mirror")
    line("tell, in process", await median(lambda: tells_per_s(local, here, 20 * scale), rounds))
    for depth in DEPTHS:
        rate = await median(lambda d=depth: asks_per_s(local, here, d, 10 * scale), rounds)
        anchor = await median(lambda d=depth: queue_asks_per_s(d, 10 * scale), rounds)
        line(f"ask, in process, depth {depth}", rate, anchor, "asyncio.Queue + task")
    line("tell, TCP", await median(lambda: tells_per_s(near, far, 10 * scale), rounds))
    for depth in DEPTHS:
        total = scale * (1 if depth == 1 else 4)
        rate = await median(lambda d=depth, t=total: asks_per_s(near, far, d, t), rounds)
        anchor = await median(lambda d=depth, t=total: stream_asks_per_s(streams, d, t), rounds)
        line(f"ask, TCP, depth {depth}", rate, anchor, "asyncio streams")
    await near.stop()
    await local.stop()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=int, default=10_000, help="messages per round, times 1 to 20")
    options = parser.parse_args()
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    far = multiprocessing.get_context("fork").Process(target=far_process, args=listeners, daemon=True)
    far.start()
    addresses = [listener.getsockname() for listener in listeners]
    uvloop.run(run(addresses[0], addresses[1], options.rounds, options.scale))
    far.terminate()


if __name__ == "__main__":
    main()
