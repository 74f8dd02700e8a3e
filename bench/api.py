"""How many creates, gets, lists, patches and deletes of pods does the API server do per second, at what cost?

    python -m bench.api [--requests 1000] [--peer /path/to/kube-apiserver]

Three replicas of the store with fsync and an API server, in processes of their own (no scheduler and no controllers:
beside the other one are none), and this process as a client that does not look at what it reads. Where a kube-
apiserver is named (--peer, or ACTORKUBE_KUBE_APISERVER) and there is an etcd, they take turns, line by line, and
ratios are printed. Rates depend on what shares the cores: so beside them stands the API server's own processor time
for each request. Anchor in the same run: a bare aiohttp server over TLS that answers 1 KiB.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import os
import shutil
import ssl
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import uvloop

from bench.api_servers import Server, kubernetes, ours

CLIENTS = (1, 16, 64)
LISTED = 1000
POD_BYTES_MIN, POD_BYTES_MAX = 500, 4000
LISTS_SHARE = 10  # one list for so many other requests
MERGE = "application/merge-patch+json"
PODS = "/api/v1/namespaces/default/pods"

Send = Callable[[int], Awaitable[object]]


def pod(name: str, value: str = "") -> dict[str, Any]:
    """For no scheduler, and on no node: nothing touches it. With one `value` it is like others, as of one template."""
    container = {"name": "main", "image": "none", "command": ["sleep", "1000"], "env": [{"name": "N", "value": value}]}
    spec = {"schedulerName": "nobody", "containers": [container]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name, "labels": {"app": "bench"}}, "spec": spec}


def annotated(text: str) -> dict[str, Any]:
    return {"metadata": {"annotations": {"more": text * (100 // len(text))}}}


def running(message: str) -> dict[str, Any]:
    return {"status": {"phase": "Running", "message": message}}


def cpu_s(processes: Sequence[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


class Measured(NamedTuple):
    """Requests per second, and processor seconds for 1,000: of the API server, of all servers, of the client."""

    rate: float
    alone: float
    family: float
    client: float


async def measure(
    what: str,
    sends: Sequence[Send],
    total: int,
    family: Sequence[psutil.Process],
    alone: psutil.Process | None = None,
) -> Measured:
    """Prints one line. Each of `sends` is a client, and sends when it has its answer, until there are `total`."""
    numbers = iter(range(total))
    latencies: list[float] = []

    async def client(send: Send) -> None:
        for n in numbers:
            begin = time.perf_counter()
            await send(n)
            latencies.append(time.perf_counter() - begin)

    processes = [[alone] if alone is not None else [], family, [psutil.Process()]]
    before, begin = [cpu_s(some) for some in processes], time.perf_counter()
    await asyncio.gather(*(client(send) for send in sends))
    rate = total / (time.perf_counter() - begin)
    used = [(cpu_s(some) - then) * 1000 / total for some, then in zip(processes, before, strict=True)]
    cuts = statistics.quantiles(latencies, n=100)
    of_server = f" ({used[0]:.2f} the API server)" if alone is not None else ""
    print(
        f"{what:32s} {len(sends):3d} clients {rate:7.0f} /s   p50 {cuts[49] * 1000:7.2f} ms"
        f"  p99 {cuts[98] * 1000:7.2f} ms  {used[1]:6.2f} CPU-s per 1000{of_server}, client {used[2]:.2f}",
        flush=True,
    )
    return Measured(rate, *used)


class Step(NamedTuple):
    """What is asked of every server in turn."""

    what: str
    method: str
    path: Callable[[int], str]
    body: Callable[[int], object] = lambda n: None
    content_type: str = "application/json"
    encoding: str = "gzip"


def single(clients: int) -> Iterator[Step]:
    def name(n: int) -> str:
        return f"pod-{clients}-{n}"

    def path(n: int) -> str:
        return f"{PODS}/{name(n)}"

    yield Step("create", "POST", lambda n: PODS, lambda n: pod(name(n)))
    yield Step("create, each unlike", "POST", lambda n: PODS, lambda n: pod(f"own-{name(n)}", name(n)))
    yield Step("get", "GET", path)
    yield Step("patch", "PATCH", path, lambda n: annotated("y"), MERGE)
    yield Step("patch, each unlike", "PATCH", path, lambda n: annotated(str(n)), MERGE)
    yield Step("patch of the status", "PATCH", lambda n: f"{path(n)}/status", lambda n: running(str(n)), MERGE)
    yield Step("delete", "DELETE", path, lambda n: {"gracePeriodSeconds": 0})


def listing() -> Iterator[Step]:
    yield Step(f"list {LISTED}", "GET", lambda n: PODS)
    yield Step(f"list {LISTED}, not compressed", "GET", lambda n: PODS, encoding="identity")


async def run(servers: Sequence[Server], requests: int) -> None:
    for clients in CLIENTS:
        for step in single(clients):
            await turns(servers, step, clients, requests)
    for server in servers:
        await clear(server)
    fill = Step("fill", "POST", lambda n: PODS, lambda n: pod(f"listed-{n}"))
    await turns(servers, fill, CLIENTS[1], LISTED)
    for clients in CLIENTS:
        for step in listing():
            await turns(servers, step, clients, max(100, requests // LISTS_SHARE))
    for server in servers:
        await complete(server)


async def clear(server: Server) -> None:
    """Nothing of what was created before is listed."""
    connection = await server.connect("identity")
    await connection.send("DELETE", PODS, {"kind": "DeleteOptions", "apiVersion": "v1", "gracePeriodSeconds": 0})
    connection.close()


async def complete(server: Server) -> None:
    """What was listed was there to the end, and nothing else."""
    connection = await server.connect("identity")
    size = await connection.send("GET", PODS)
    connection.close()
    assert POD_BYTES_MIN < size / LISTED < POD_BYTES_MAX, (server.name, size)


async def turns(servers: Sequence[Server], step: Step, clients: int, requests: int) -> None:
    """Each server is asked, and the first is compared with the second."""
    found = [await asked(server, step, clients, requests) for server in servers]
    if len(found) == 2:
        us, them = found
        cost = them.alone / max(us.alone, 1e-9)
        print(f"    {us.rate / them.rate:.1f} times the rate, {cost:.1f} for its processor time")


async def asked(server: Server, step: Step, clients: int, requests: int) -> Measured:
    connections = [await server.connect(step.encoding) for _ in range(clients)]

    def sender(index: int) -> Send:
        send = connections[index].send
        return lambda n: send(step.method, step.path(n), step.body(n), step.content_type)

    try:
        sends = [sender(index) for index in range(clients)]
        return await measure(f"{server.name} {step.what}", sends, requests, server.family, server.alone)
    finally:
        for connection in connections:
            connection.close()


def bare_server(ready: Any, cert: str, key: str) -> None:
    from aiohttp import web

    async def main() -> None:
        async def answer(request: web.BaseRequest) -> web.Response:
            await request.read()
            return web.Response(body=b"x" * 1024)

        runner = web.ServerRunner(web.Server(answer))
        await runner.setup()
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(cert, key)
        await web.TCPSite(runner, "127.0.0.1", 0, ssl_context=context).start()
        ready.send(runner.addresses[0][1])
        await asyncio.Event().wait()

    uvloop.run(main())


@contextmanager
def bare(pki: Path, context: ssl.SSLContext) -> Iterator[Server]:
    near, far = multiprocessing.Pipe()
    arguments = (far, str(pki / "apiserver.crt"), str(pki / "apiserver.key"))
    process = multiprocessing.get_context("fork").Process(target=bare_server, args=arguments, daemon=True)
    process.start()
    assert process.pid is not None
    alone = psutil.Process(process.pid)
    try:
        yield Server("bare aiohttp", f"https://127.0.0.1:{near.recv()}", context, alone, [alone])
    finally:
        process.terminate()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=1000, help="for each line")
    parser.add_argument(
        "--peer", default=os.environ.get("ACTORKUBE_KUBE_APISERVER", ""), help="a kube-apiserver to compare with"
    )
    options = parser.parse_args()
    with ExitStack() as stack:
        ours_at, peer_at = (Path(stack.enter_context(tempfile.TemporaryDirectory())) for _ in range(2))
        servers = [stack.enter_context(ours(ours_at))]
        if options.peer and shutil.which("etcd"):
            servers.append(stack.enter_context(kubernetes(options.peer, peer_at)))
        uvloop.run(run(servers, options.requests))
        anchor = stack.enter_context(bare(ours_at / "data" / "pki", servers[0].context))
        for clients in CLIENTS:
            uvloop.run(turns([anchor], Step("", "GET", lambda n: "/"), clients, options.requests))


if __name__ == "__main__":
    main()
