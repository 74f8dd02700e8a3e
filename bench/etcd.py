"""How many puts, reads and watch events per second does a set of three replicas reach, with every put synced to disk?

Twice: all in one process, and each replica in a process of its own over TCP. CPU is what all replicas and the client
use together; it hardly depends on what else the machine does. Anchor: syncs per second of an appended file, the price
that no store can undercut for a put at depth 1.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import resource
import socket
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

import psutil
import uvloop

from actorkube.runtime import Ref, System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actorkube.runtime.tcp import TcpTransport
from actors.etcd.actor import Etcd
from protocols.errors import AskError
from protocols.etcd import Compare, Op, Range, Status, Txn, WatchKeys

MEMBERS = ("etcd-0", "etcd-1", "etcd-2")
PEERS = {member: f"{member}/etcd" for member in MEMBERS}
VALUE = b"v" * 256
DEPTHS = (1, 16, 256)
KEY = b"/registry/pods/default/web-%08d"


class Bench:
    """One replica set and a client that knows its leader. `cpu_s` is what all of them have used."""

    def __init__(self, client: System, cpu_s: Callable[[], float]) -> None:
        self.client = client
        self.cpu_s = cpu_s
        self.leader: Ref
        self._count = 0

    async def find_leader(self) -> float:
        """Returns how long it took until there was one."""
        began = time.perf_counter()
        while True:
            try:
                answer = await self.client.ask(self.client.ref("etcd-0/etcd"), Status(), timeout_s=1.0)
            except AskError:
                answer = None
            if answer is not None and answer.leader:
                self.leader = self.client.ref(answer.leader)
                return time.perf_counter() - began
            await asyncio.sleep(0.005)

    async def timed(self, depth: int, total: int, act: Callable[[int], Awaitable[object]]) -> tuple[float, float]:
        """(operations per second, CPU microseconds per operation) with `depth` clients."""
        number = first = self._count
        self._count += total

        async def worker() -> None:
            nonlocal number
            while number < first + total:
                number += 1
                await act(number)

        cpu, began = self.cpu_s(), time.perf_counter()
        await asyncio.gather(*(worker() for _ in range(depth)))
        return total / (time.perf_counter() - began), (self.cpu_s() - cpu) / total * 1e6

    async def put(self, number: int) -> None:
        await self.client.ask(self.leader, Txn((), (Op("put", KEY % number, VALUE),)))

    async def swap(self, number: int) -> None:
        """As the API server creates an object: only if it is not there."""
        key = b"/swap" + KEY % number
        txn = Txn((Compare(key, "mod", "=", 0),), (Op("put", key, VALUE),), (Op("range", key),))
        await self.client.ask(self.leader, txn)

    async def get(self, number: int) -> None:
        await self.client.ask(self.leader, Range(KEY % 1))

    async def page(self, number: int) -> None:
        await self.client.ask(self.leader, Range(b"/registry/", b"/registry0", limit=500))

    async def watched(self, depth: int, total: int, watchers: int) -> float:
        """Events per second that reach `watchers`, while puts go on at `depth`."""
        streams = [self.client.stream(self.leader, WatchKeys(b"/registry/", b"/registry0")) for _ in range(watchers)]
        for stream in streams:
            await anext(stream)  # established

        async def read(stream: object) -> None:
            seen = 0
            while seen < total:
                seen += len((await anext(stream)).events)  # type: ignore[call-overload]

        began = time.perf_counter()
        readers = [asyncio.ensure_future(read(stream)) for stream in streams]
        await self.timed(depth, total, self.put)
        await asyncio.gather(*readers)
        seconds = time.perf_counter() - began
        for stream in streams:
            stream.close()
        return total * watchers / seconds


async def measure(where: str, bench: Bench, rounds: int, scale: int, path: Path) -> None:
    line(f"{where}: first leader", await bench.find_leader() * 1000, "ms")
    await bench.timed(16, scale, bench.put)  # warm
    for depth in DEPTHS:
        syncs = syncs_per_s(path)  # each time anew: a shared disk changes from second to second
        rates = [await bench.timed(depth, scale * (1 if depth == 1 else 10), bench.put) for _ in range(rounds)]
        ratio = middle(rates)[0] / syncs
        report(f"{where}: put, {depth} clients", rates, f"   {ratio:5.2f} x syncs of one file ({syncs:,.0f}/s)")
    report(f"{where}: create, 256 clients", [await bench.timed(256, 10 * scale, bench.swap) for _ in range(rounds)])
    for depth in DEPTHS:
        rates = [await bench.timed(depth, scale * (1 if depth == 1 else 10), bench.get) for _ in range(rounds)]
        report(f"{where}: linearizable get, {depth} clients", rates)
    report(f"{where}: page of 500 keys, 4 clients", [await bench.timed(4, scale // 4, bench.page)])
    line(f"{where}: watch events, 10 watchers", await bench.watched(64, 5 * scale, 10), "/s")


def middle(rates: list[tuple[float, float]]) -> tuple[float, float]:
    return statistics.median(rate for rate, _ in rates), statistics.median(cpu for _, cpu in rates)


def report(what: str, rates: list[tuple[float, float]], more: str = "") -> None:
    rate, cpu_us = middle(rates)
    line(what, rate, "/s", f"{cpu_us:8.0f} µs CPU each{more}")


def line(what: str, value: float, unit: str, more: str = "") -> None:
    print(f"{what:44s} {value:10,.0f} {unit:3s} {more}".rstrip(), flush=True)


def syncs_per_s(path: Path) -> float:
    """The anchor: append 512 bytes, fdatasync, one after the other."""
    path.mkdir(parents=True, exist_ok=True)
    fd = os.open(path / "anchor", os.O_CREAT | os.O_WRONLY | os.O_APPEND)
    began = time.perf_counter()
    for _ in range(300):
        os.write(fd, b"x" * 512)
        os.fdatasync(fd)
    os.close(fd)
    return 300 / (time.perf_counter() - began)


# -- one process ------------------------------------------------------------------------------------------------------


async def in_process(path: Path, rounds: int, scale: int) -> None:
    network = LocalNetwork()
    systems = [System(name, network.transport(), disk=path / name, log=Quiet()) for name in (*MEMBERS, "client")]
    for system in systems:
        await system.start()
    for system, member in zip(systems, MEMBERS, strict=False):
        system.spawn(lambda member=member: Etcd(member, PEERS), "etcd")  # type: ignore[misc]
    await measure("in process", Bench(systems[-1], time.process_time), rounds, scale, path)
    for system in reversed(systems):
        await system.stop()
    peak_mib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    line("in process: memory of all at the end", peak_mib, "MiB")


# -- a process each ---------------------------------------------------------------------------------------------------

Book = dict[str, tuple[str, int]]


def member_process(member: str, listener: socket.socket, book: Book, path: Path) -> None:
    async def main() -> None:
        others = {name: address for name, address in book.items() if name != member}
        transport = TcpTransport(key=b"bench", book=others, listen=(listener,))
        system = System(member, transport, disk=path / member, log=Quiet())
        await system.start()
        system.spawn(lambda: Etcd(member, PEERS), "etcd")
        await asyncio.Event().wait()

    uvloop.run(main())


async def over_tcp(book: Book, processes: list[psutil.Process], rounds: int, scale: int, path: Path) -> None:
    client = System("client", TcpTransport(key=b"bench", book=book), log=Quiet())
    await client.start()

    def cpu_s() -> float:
        return time.process_time() + sum(sum(process.cpu_times()[:2]) for process in processes)

    await measure("TCP", Bench(client, cpu_s), rounds, scale, path)
    await client.stop()


def run_processes(path: Path, rounds: int, scale: int) -> None:
    listeners = {member: socket.create_server(("127.0.0.1", 0)) for member in MEMBERS}
    book: Book = {member: listener.getsockname() for member, listener in listeners.items()}
    fork = multiprocessing.get_context("fork")
    members = [
        fork.Process(target=member_process, args=(member, listeners[member], book, path), daemon=True)
        for member in MEMBERS
    ]
    for process in members:
        process.start()
    try:
        uvloop.run(over_tcp(book, [psutil.Process(process.pid) for process in members], rounds, scale, path))
    finally:
        for process in members:
            process.terminate()
            process.join()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--scale", type=int, default=1_000, help="operations per round, times 1 to 10")
    parser.add_argument("--dir", type=Path, help="where the disks are (default: the system's temporary directory)")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=options.dir) as directory:
        path = Path(directory)
        run_processes(path / "tcp", options.rounds, options.scale)
        uvloop.run(in_process(path / "local", options.rounds, options.scale))


if __name__ == "__main__":
    main()
