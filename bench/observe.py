"""What do metrics and tracing cost an actor? Asks and tells in process, and asks over TCP, off and on.

All in one run and in turn, round after round, so that what else the machine does falls on each alike; of each the
best round counts, in processor time. The ratios are to "off".
"""

from __future__ import annotations

import argparse
import asyncio
import socket
import time
from collections.abc import Awaitable, Callable

import uvloop

from actorkube.runtime import Actor, Mailbox, Ref, System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actorkube.runtime.tcp import TcpTransport
from protocols.message import Done, Message, Request

DEPTH = 16


class Observed(Request[Done]):
    data: bytes


class ObservedPut(Message):
    data: bytes


class Mirror(Actor):
    mailbox = Mailbox(capacity=1_000_000)

    def receive(self, message: Message) -> object:
        return None


async def asks(system: System, mirror: Ref, total: int) -> None:
    async def worker() -> None:
        for _ in range(total // DEPTH):
            await system.ask(mirror, Observed(b"x" * 100))

    await asyncio.gather(*(worker() for _ in range(DEPTH)))


async def tells(system: System, mirror: Ref, total: int) -> None:
    message = ObservedPut(b"x" * 100)
    for n in range(total):
        system.tell(mirror, message)
        if n % 64 == 63:
            await asyncio.sleep(0)
    await system.ask(mirror, Observed(b""), timeout_s=60)


async def seconds(work: Awaitable[None]) -> float:
    begin = time.process_time()
    await work
    return time.process_time() - begin


async def local_system(*, metrics: bool = False, rate: float | None = None) -> tuple[System, Ref]:
    system = System("local", LocalNetwork().transport(), log=Quiet(), metrics=metrics)
    await system.start()
    observe(system, rate)
    return system, system.spawn(Mirror, "mirror")


async def tcp_systems(*, metrics: bool = False, rate: float | None = None) -> tuple[System, Ref]:
    """Both ends in this process: what is measured is the processor time of both."""
    listener = socket.create_server(("127.0.0.1", 0))
    far = System("far", TcpTransport(key=b"bench", listen=(listener,)), log=Quiet(), metrics=metrics)
    await far.start()
    observe(far, rate)
    far.spawn(Mirror, "mirror")
    book = {"far": listener.getsockname()}
    near = System("near", TcpTransport(key=b"bench", book=book), log=Quiet(), metrics=metrics)
    await near.start()
    observe(near, rate)
    return near, near.ref("far/mirror")


def observe(system: System, rate: float | None) -> None:
    if rate is not None:
        system.tracer.wake()  # as the first message that somebody else follows does
        system.follow(rate)


async def compare(
    what: str,
    make: Callable[..., Awaitable[tuple[System, Ref]]],
    work: Callable[[System, Ref, int], Awaitable[None]],
    total: int,
    rounds: int,
) -> None:
    places = {
        "off": await make(),
        "off again (noise)": await make(),
        "metrics": await make(metrics=True),
        "tracing, none begun": await make(rate=0.0),
        "tracing, 1 of 100": await make(rate=0.01),
        "tracing, all": await make(rate=1.0),
        "metrics, tracing all": await make(metrics=True, rate=1.0),
    }
    best = dict.fromkeys(places, float("inf"))
    for _ in range(rounds):
        for name, (system, mirror) in places.items():
            best[name] = min(best[name], await seconds(work(system, mirror, total)))
    for name, took in best.items():
        print(f"{what:16s} {name:22s} {took / total * 1e6:7.2f} µs   {best['off'] / took:5.2f} of off", flush=True)


async def run(rounds: int, scale: int) -> None:
    await compare("ask, in process", local_system, asks, 4 * scale, rounds)
    await compare("tell, in process", local_system, tells, 10 * scale, rounds)
    await compare("ask, TCP", tcp_systems, asks, 2 * scale, rounds)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--scale", type=int, default=4000, help="messages per round, times 2 to 10")
    options = parser.parse_args()
    uvloop.run(run(options.rounds, options.scale))


if __name__ == "__main__":
    main()
