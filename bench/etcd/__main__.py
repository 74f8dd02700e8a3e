"""How fast is a set of three replicas, beside etcd's own on the same machine, in the same run?

Each member is a process on loopback, every write is synced to three disks, both are at their default settings. The two
take turns, round by round, so that what else the machine does hits both; a line shows medians, and the ratio beside
them. CPU is what all members use, not the clients. Both have as many connections, to the leader.
"""

from __future__ import annotations

import argparse
import asyncio
import signal
import statistics
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import NamedTuple

import uvloop

from bench.etcd import theirs
from bench.etcd.door import ActorKubeDoor
from bench.etcd.ours import ActorKube
from bench.etcd.subject import MEMBERS, Subject

CONNECTIONS_MAX = 100
PREFIX, END = b"/registry/pods/", b"/registry/pods0"
KEY = PREFIX + b"default/web-%08d"
KEYS = 10_000  # that puts and gets are about
WATCHERS = 100
LOADED = 100_000


class Rate(NamedTuple):
    per_s: float
    p50_ms: float
    p99_ms: float
    cpu_ms: float  # of all members, per 1000


Act = Callable[[Subject, int, int], Awaitable[None]]  # subject, client, number


async def load(subject: Subject, clients: int, seconds: float, act: Act, first: int = 0) -> Rate:
    """So many clients, each with one request under way."""
    number, times = first, []
    end = time.perf_counter() + seconds

    async def client(name: int) -> None:
        nonlocal number
        while (began := time.perf_counter()) < end:
            number += 1
            await act(subject, name, number)
            times.append(time.perf_counter() - began)

    cpu, began = subject.cpu_s(), time.perf_counter()
    await asyncio.gather(*(client(name) for name in range(clients)))
    took, used = time.perf_counter() - began, subject.cpu_s() - cpu
    times.sort()
    return Rate(
        len(times) / took,
        times[len(times) // 2] * 1000,
        times[int(len(times) * 0.99)] * 1000,
        used / len(times) * 1e6,
    )


def put(size: int) -> Act:
    value = b"v" * size
    return lambda subject, client, number: subject.put(client, KEY % (number % KEYS), value)


def get(*, serializable: bool) -> Act:
    return lambda subject, client, number: subject.get(client, KEY % (number % KEYS), serializable=serializable)


def page(subject: Subject, client: int, number: int) -> Awaitable[None]:
    return subject.page(client, PREFIX, END, 1000)


class Creating:
    """Keys that are not there: a transaction each."""

    def __init__(self) -> None:
        self._made = 0

    def __call__(self, subject: Subject, client: int, number: int) -> Awaitable[None]:
        self._made += 1
        return subject.create(client, b"/created/%010d" % self._made, b"v" * 256)


class Bench:
    def __init__(self, subjects: list[Subject], rounds: int, seconds: float, connections_max: int) -> None:
        self.subjects = subjects
        self.rounds = rounds
        self.seconds = seconds
        self.connections_max = connections_max

    async def rates(self, what: str, clients: int, act: Act) -> None:
        found: dict[str, list[Rate]] = {subject.name: [] for subject in self.subjects}
        for subject in self.subjects:
            await subject.connect(min(clients, self.connections_max))
            await load(subject, clients, self.seconds / 4, act)  # warm
        for _ in range(self.rounds):
            for subject in self.subjects:
                found[subject.name].append(await load(subject, clients, self.seconds, act))
        middle = {name: Rate(*map(statistics.median, zip(*rates, strict=True))) for name, rates in found.items()}
        cells = [
            f"{rate.per_s:9,.0f}/s {rate.p50_ms:6.2f}/{rate.p99_ms:6.2f} ms {rate.cpu_ms:6.0f} ms CPU"
            for rate in middle.values()
        ]
        more = ""
        if len(middle) == 2:
            ratios = [ours.per_s / other.per_s for ours, other in zip(*found.values(), strict=True)]
            ours, other = middle.values()
            more = f"{statistics.median(ratios):6.2f} x, CPU 1/{other.cpu_ms / max(ours.cpu_ms, 1e-9):.1f}"
        line(f"{what}, {clients} client{'s' * (clients > 1)}", cells, more)

    async def watched(self, clients: int) -> None:
        """Events per second that reach all watchers together, while writers do what they can."""
        rates: dict[str, list[tuple[float, float]]] = {subject.name: [] for subject in self.subjects}
        for subject in self.subjects:
            await subject.connect(10)
            watches = [await subject.watch(name, PREFIX, END) for name in range(WATCHERS)]
            for _ in range(self.rounds):
                seen, cpu, began = sum(w.events for w in watches), subject.cpu_s(), time.perf_counter()
                await load(subject, clients, self.seconds, put(256))
                events, took = sum(w.events for w in watches) - seen, time.perf_counter() - began
                rates[subject.name].append((events / took, (subject.cpu_s() - cpu) / max(events, 1) * 1e6))
            for watch in watches:
                watch.close()
        middle = [[statistics.median(column) for column in zip(*found, strict=True)] for found in rates.values()]
        cells = [f"{rate:9,.0f}/s {'':16}{cpu_ms:6.1f} ms CPU" for rate, cpu_ms in middle]
        more = f"{middle[0][0] / middle[1][0]:6.2f} x, CPU 1/{middle[1][1] / middle[0][1]:.1f}" if middle[1:] else ""
        line(f"events to {WATCHERS} watchers, {clients} writers", cells, more)

    async def restart(self) -> None:
        """kill -9 of a follower with 100,000 keys; until it has all of them again."""
        times = []
        for subject in self.subjects:
            await subject.connect(1)
            pairs = [(b"/loaded/%08d" % number, b"v" * 256) for number in range(LOADED)]
            for at in range(0, LOADED, 100):
                await subject.put_many(pairs[at : at + 100])
            leader = await subject.leader()
            follower = next(member for member in MEMBERS if member != leader)
            taken = []
            for _ in range(self.rounds):
                subject.kill(follower)
                began = time.perf_counter()
                subject.start_member(follower)
                while await subject.count_at(follower, b"/loaded/", b"/loaded0") < LOADED:
                    await asyncio.sleep(0.005)
                taken.append(time.perf_counter() - began)
            times.append(taken)
        seconds(f"restart with {LOADED:,} keys", times)

    async def failover(self) -> None:
        """kill -9 of the leader; until a write is accepted again."""
        times: list[list[float]] = []
        for subject in self.subjects:
            taken = []
            for _ in range(self.rounds):
                leader = await subject.leader()
                survivors = tuple(member for member in MEMBERS if member != leader)
                subject.kill(leader)
                began = time.perf_counter()
                while not await subject.put_anywhere(survivors, 0.2):
                    await asyncio.sleep(0.005)
                taken.append(time.perf_counter() - began)
                subject.start_member(leader)
                await subject.leader()
                await asyncio.sleep(0.5)
            times.append(taken)
        seconds("failover after kill -9 of the leader", times)


def seconds(what: str, times: list[list[float]]) -> None:
    cells = [f"{statistics.median(taken):9.2f} s ({min(taken):.2f} to {max(taken):.2f})" for taken in times]
    ratio = statistics.median(times[1]) / statistics.median(times[0]) if times[1:] else 0
    line(what, cells, f"{ratio:6.2f} x" if ratio else "")


def line(what: str, cells: list[str], more: str = "") -> None:
    print(f"{what:44s} {' | '.join(f'{cell:43s}' for cell in cells)} {more}".rstrip(), flush=True)


async def run(options: argparse.Namespace, path: Path) -> None:
    subjects: list[Subject] = [ActorKubeDoor(path / "ours") if options.grpc else ActorKube(path / "ours")]
    if theirs.installed() and not options.alone:
        subjects.append(theirs.Etcd(path / "theirs"))
    names = [f"etcd {theirs.version()}" if subject.name == "etcd" else subject.name for subject in subjects]
    line("rate, p50/p99, CPU of all members per 1000", names, "ActorKube : etcd" if len(names) > 1 else "")
    bench = Bench(subjects, options.rounds, options.seconds, options.connections)
    try:
        for subject in subjects:
            await subject.leader()
        for name, question in questions(bench):
            if options.only in name:
                await question()
    finally:
        for subject in subjects:
            await subject.stop()


Question = tuple[str, Callable[[], Awaitable[None]]]


def questions(bench: Bench) -> list[Question]:
    asked: list[Question] = []

    def rates(what: str, clients: int, act: Act) -> None:
        asked.append((f"{what}, {clients} client{'s' * (clients > 1)}", lambda: bench.rates(what, clients, act)))

    for size in (256, 2048):
        for clients in (1, 10, 100, 1000):
            rates(f"put {size} B", clients, put(size))
    for clients in (1, 100, 1000):
        rates("linearizable get", clients, get(serializable=False))
    for clients in (1, 100):
        rates("serializable get", clients, get(serializable=True))
    rates("create in a transaction", 100, Creating())
    for clients in (1, 10):
        rates("range of 1,000", clients, page)
    return [*asked, ("watch", lambda: bench.watched(32)), ("restart", bench.restart), ("failover", bench.failover)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="of one measurement")
    parser.add_argument("--quick", action="store_true", help="one short round: does it work, and roughly how fast?")
    parser.add_argument(
        "--connections", type=int, default=CONNECTIONS_MAX, help="at most; 1: as the clients of one API server have it"
    )
    parser.add_argument("--only", default="", metavar="WORDS", help="questions with these words in them")
    parser.add_argument("--alone", action="store_true", help="without etcd")
    parser.add_argument("--grpc", action="store_true", help="ours over its gRPC door, by the same client as etcd")
    parser.add_argument("--dir", type=Path, help="where the disks are (default: the system's temporary directory)")
    options = parser.parse_args()
    if options.quick:
        options.rounds, options.seconds = 1, 0.4
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(1))  # so that no member is left behind
    with tempfile.TemporaryDirectory(dir=options.dir) as directory:
        uvloop.run(run(options, Path(directory)))


if __name__ == "__main__":
    main()
