"""How many creates, gets, lists, patches and deletes per second does the API server do over HTTPS, and at what cost?

A real cluster without nodes (3 etcd replicas with fsync, API server, scheduler, controllers), in processes of their
own, and this process as the client. Anchor, in the same run: a bare aiohttp server over TLS that answers 1 KiB.
"""

from __future__ import annotations

import argparse
import asyncio
import multiprocessing
import ssl
import statistics
import tempfile
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import uvloop
import yaml

from tests.cluster.live import LiveCluster

CLIENTS = (1, 16, 64)
PODS = 1000
JSON = {"Content-Type": "application/json"}
MERGE = {"Content-Type": "application/merge-patch+json"}
CONFIGMAPS = "/api/v1/namespaces/default/configmaps"

Send = Callable[[int], Awaitable[None]]


def tls_context(kubeconfig: Path, directory: Path) -> tuple[str, ssl.SSLContext]:
    """The server's address and a client context, from the kubeconfig."""
    import base64

    config: dict[str, Any] = yaml.safe_load(kubeconfig.read_text())
    cluster, user = config["clusters"][0]["cluster"], config["users"][0]["user"]
    for name, data in (
        ("ca", cluster["certificate-authority-data"]),
        ("crt", user["client-certificate-data"]),
        ("key", user["client-key-data"]),
    ):
        (directory / name).write_bytes(base64.b64decode(data))
    context = ssl.create_default_context(cafile=directory / "ca")
    context.load_cert_chain(directory / "crt", directory / "key")
    return cluster["server"], context


def pod(n: int) -> dict[str, Any]:
    container = {"name": "main", "image": "none", "command": ["sleep", "1000"], "env": [{"name": "N", "value": str(n)}]}
    spec = {"nodeName": "nowhere", "containers": [container]}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": f"pod-{n}", "labels": {"app": "bench"}},
        "spec": spec,
    }


def cpu_s(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)


async def measure(what: str, send: Send, clients: int, total: int, servers: list[psutil.Process]) -> float:
    """Prints one line and returns requests per second."""
    numbers = iter(range(total))
    latencies: list[float] = []

    async def client() -> None:
        for n in numbers:
            begin = time.perf_counter()
            await send(n)
            latencies.append(time.perf_counter() - begin)

    cpu, begin = cpu_s(servers), time.perf_counter()
    await asyncio.gather(*(client() for _ in range(clients)))
    rate = total / (time.perf_counter() - begin)
    cpu_per_1000 = (cpu_s(servers) - cpu) * 1000 / total
    cuts = statistics.quantiles(latencies, n=100)
    print(
        f"{what:16s} {clients:3d} clients {rate:7.0f} /s   p50 {cuts[49] * 1000:7.2f} ms  p99 {cuts[98] * 1000:7.2f} ms"
        f"  {cpu_per_1000:6.2f} CPU-s per 1000",
        flush=True,
    )
    return rate


class Session:
    """An HTTPS client that reads every answer to its end and fails on a refusal."""

    def __init__(self, session: aiohttp.ClientSession, server: str) -> None:
        self._session = session
        self._server = server

    async def __call__(self, method: str, path: str, body: object = None, headers: dict[str, str] = JSON) -> bytes:
        async with self._session.request(method, self._server + path, json=body, headers=headers) as response:
            data = await response.read()
            if response.status >= 300:
                raise RuntimeError(f"{method} {path}: {response.status} {data[:300]!r}")
            return data


async def run(server: str, context: ssl.SSLContext, servers: list[psutil.Process], requests: int) -> None:
    connector = aiohttp.TCPConnector(ssl=context, limit=0)
    async with aiohttp.ClientSession(connector=connector) as session:
        send = Session(session, server)
        for clients in CLIENTS:
            await objects(send, clients, requests, servers)
        for n in range(PODS):
            await send("POST", "/api/v1/namespaces/default/pods", pod(n))
        for clients in CLIENTS:
            await measure(
                f"list {PODS} pods",
                lambda n: discard(send("GET", "/api/v1/namespaces/default/pods")),
                clients,
                max(60, requests // 20),
                servers,
            )


async def objects(send: Session, clients: int, requests: int, servers: list[psutil.Process]) -> None:
    def name(n: int) -> str:
        return f"c{clients}-{n}"

    def configmap(n: int) -> dict[str, Any]:
        return {"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": name(n)}, "data": {"text": "x" * 500}}

    await measure("create", lambda n: discard(send("POST", CONFIGMAPS, configmap(n))), clients, requests, servers)
    await measure("get", lambda n: discard(send("GET", f"{CONFIGMAPS}/{name(n)}")), clients, requests, servers)
    change = {"data": {"more": "y" * 100}}
    await measure(
        "patch", lambda n: discard(send("PATCH", f"{CONFIGMAPS}/{name(n)}", change, MERGE)), clients, requests, servers
    )
    await measure("delete", lambda n: discard(send("DELETE", f"{CONFIGMAPS}/{name(n)}")), clients, requests, servers)


async def discard(answer: Awaitable[bytes]) -> None:
    await answer


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


async def anchor(port: int, process: psutil.Process, context: ssl.SSLContext, requests: int) -> None:
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, limit=0)) as session:
        send = Session(session, f"https://127.0.0.1:{port}")
        for clients in CLIENTS:
            await measure("bare aiohttp", lambda n: discard(send("GET", "/")), clients, requests, [process])


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=1000, help="for each line")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        cluster = LiveCluster(directory, "--nodes", "0").start()
        try:
            server, context = tls_context(cluster.kubeconfig, directory)
            uvloop.run(run(server, context, cluster.family(), options.requests))
            near, far = multiprocessing.Pipe()
            pki = cluster.data / "pki"
            arguments = (far, str(pki / "apiserver.crt"), str(pki / "apiserver.key"))
            bare = multiprocessing.get_context("fork").Process(target=bare_server, args=arguments, daemon=True)
            bare.start()
            assert bare.pid is not None
            uvloop.run(anchor(near.recv(), psutil.Process(bare.pid), context, options.requests))
            bare.terminate()
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
