"""What do many watchers, a quota and many objects cost the API server?

    python -m bench.api_load [--watchers 100] [--events 1000] [--pods 20000] [--peer /path/to/kube-apiserver]

A real cluster without nodes (3 etcd replicas with fsync, TLS). 16 clients create pods, with and without a quota on
their namespace; then ConfigMaps as fast as they go while many watch, each of whom must see each; and a get is measured
again once there are many pods. Where a kube-apiserver is named (--peer, or ACTORKUBE_KUBE_APISERVER) and there is an
etcd, the watches are measured there, too. Anchor: kube-apiserver 1.36 with one etcd on such a machine, alone: 21,000
to 26,000 deliveries/s, over 1 GiB after 20,000 objects.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import re
import shutil
import statistics
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple, cast

import psutil
import uvloop

from bench.api import Send, cpu_s, measure
from bench.api_servers import Server, kubernetes, ours
from bench.http_client import Connection
from bench.scale import bare_pod

CLIENTS = 16
LIMITED = "limited"
OBJECTS = 1000
MAPS = "/api/v1/namespaces/default/configmaps"
_SEEN = re.compile(rb'"name":"seen-(\d+)"')


def pods(namespace: str = "default") -> str:
    return f"/api/v1/namespaces/{namespace}/pods"


class Watcher(asyncio.Protocol):
    """Notes when it was shown which of the objects called `seen-N`; each event has that name once."""

    def __init__(self, request: bytes, events: int) -> None:
        self.shown: list[tuple[int, float]] = []
        self.opened: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._request = request
        self._events = events
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        now = time.perf_counter()
        if not self.opened.done():
            self.opened.set_result(None)
        whole, newline, self._rest = (self._rest + data).rpartition(b"\n")
        if newline:
            self.shown += [(int(number), now) for number in _SEEN.findall(whole)]
        if len(self.shown) >= self._events and not self.done.done():
            self.done.set_result(None)
            self._transport.close()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.done.done():
            self.done.set_exception(exc or ConnectionResetError("the server closed the watch"))


class Watched(NamedTuple):
    """Deliveries per second; the API server's processor time for each with its share of the create, in microseconds."""

    rate: float
    cost: float


async def run(servers: list[Server], options: argparse.Namespace) -> None:
    mine = servers[0]
    few = min(OBJECTS, options.pods // 2)
    clients = [await mine.connect() for _ in range(CLIENTS)]
    await creates(mine, clients, few)
    found = [await watched(server, options.watchers, options.events) for server in servers]
    if len(found) == 2:
        us, them = found
        print(f"    {us.rate / them.rate:.1f} times the rate, {them.cost / us.cost:.1f} for its processor time")
    await many(mine, clients, few, options.pods)
    for client in clients:
        client.close()


async def creates(server: Server, clients: list[Connection], number: int) -> None:
    quota = {"metadata": {"name": "quota"}, "spec": {"hard": {"pods": "1000000"}}}
    await clients[0].send("POST", "/api/v1/namespaces", {"metadata": {"name": LIMITED}})
    await clients[0].send("POST", f"/api/v1/namespaces/{LIMITED}/resourcequotas", quota)
    await measure("create", [creating(client) for client in clients], number, server.family, server.alone)
    limited = [creating(client, LIMITED) for client in clients]
    await measure("create, quota", limited, number, server.family, server.alone)


def creating(client: Connection, namespace: str = "default", first: int = 0) -> Send:
    return lambda n: client.send("POST", pods(namespace), bare_pod(first + n))


async def watched(server: Server, number: int, events: int) -> Watched:
    watchers = [await watch(server, events) for _ in range(number)]
    clients = [await server.connect() for _ in range(CLIENTS)]
    sent, answered = {}, {}

    def making(client: Connection) -> Send:
        async def make(n: int) -> None:
            sent[n] = time.perf_counter()
            await client.send("POST", MAPS, {"metadata": {"name": f"seen-{n}"}, "data": {"text": "x" * 100}})
            answered[n] = time.perf_counter()

        return make

    await clients[0].send("POST", MAPS, {"metadata": {"name": "first"}})  # some servers say nothing before that
    await asyncio.gather(*(watcher.opened for watcher in watchers))
    cpu, begin = cpu_s([server.alone]), time.perf_counter()
    await measure(f"{server.name} create, watched", [making(client) for client in clients], events, server.family)
    await asyncio.gather(*(watcher.done for watcher in watchers))
    total = number * events
    rate, cost = total / (time.perf_counter() - begin), (cpu_s([server.alone]) - cpu) / total * 1e6
    shown = [one for watcher in watchers for one in watcher.shown]
    print(
        f"{server.name} {number} watchers x {events} events: {rate:.0f} deliveries/s, {cost:.1f} us CPU of the API "
        f"server each with the create; from request {delays(shown, sent)}, from answer {delays(shown, answered)}",
        flush=True,
    )
    for client in clients:
        client.close()
    return Watched(rate, cost)


def delays(shown: list[tuple[int, float]], since: dict[int, float]) -> str:
    cuts = statistics.quantiles([max(0.0, at - since[number]) for number, at in shown], n=100)
    return f"p50 {cuts[49] * 1000:.0f} ms p99 {cuts[98] * 1000:.0f} ms"


async def watch(server: Server, events: int) -> Watcher:
    headers = {"Host": server.host, "Accept": "application/json", **server.headers}
    lines = [f"GET {MAPS}?watch=true HTTP/1.1", *(f"{name}: {value}" for name, value in headers.items())]
    request = "".join(f"{line}\r\n" for line in [*lines, ""]).encode()
    return await server.open(lambda: Watcher(request, events))


async def many(server: Server, clients: list[Connection], few: int, number: int) -> None:
    def getting(client: Connection) -> Send:
        return lambda n: client.send("GET", f"{pods()}/bare-{n}")

    async def get(existing: int) -> None:
        sends = [getting(client) for client in clients]
        await measure(f"get of {existing}", sends, few, server.family, server.alone)

    await get(few)
    filling = [creating(client, first=few) for client in clients]
    await measure("fill", filling, number - few, server.family, server.alone)
    await get(number)
    print(f"the API server's process with {number} pods: {mebibytes(server.alone):.0f} MiB")


def mebibytes(process: psutil.Process) -> float:
    pss: int = process.memory_full_info().pss
    return pss / 2**20


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--watchers", type=int, default=100)
    parser.add_argument("--events", type=int, default=1000)
    parser.add_argument("--pods", type=int, default=20_000)
    parser.add_argument("--peer", default=os.environ.get("ACTORKUBE_KUBE_APISERVER", ""))
    options = parser.parse_args()
    with ExitStack() as stack:
        at, peer_at = (Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2))
        servers = [stack.enter_context(ours(at, whole=True))]
        if options.peer and shutil.which("etcd"):
            servers.append(stack.enter_context(kubernetes(options.peer, peer_at)))
        print(f"the API server's process with nothing to do: {mebibytes(servers[0].alone):.0f} MiB", flush=True)
        uvloop.run(run(servers, options))


if __name__ == "__main__":
    main()
