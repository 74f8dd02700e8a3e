"""The servers that bench.api asks: a cluster of ours, and a kube-apiserver with an etcd, if there are such binaries."""

from __future__ import annotations

import asyncio
import ssl
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import psutil

from bench.http_client import Connection, Refused
from bench.rest import tls_context
from tests.cluster.kube_apiserver import KubeApiServer
from tests.cluster.live import LiveCluster

P = TypeVar("P", bound=asyncio.BaseProtocol)

READY_WITHIN_S = 60


@dataclass(frozen=True)
class Server:
    """`alone` is the API server's process, `family` all of it: the store, and with ours scheduler and controllers."""

    name: str
    address: str
    context: ssl.SSLContext
    alone: psutil.Process
    family: list[psutil.Process]
    headers: dict[str, str] = field(default_factory=dict)

    @property
    def host(self) -> str:
        return urlsplit(self.address).netloc

    async def connect(self, encoding: str = "gzip") -> Connection:
        headers = {**self.headers, "Accept-Encoding": encoding}
        return await self.open(lambda: Connection(self.host, headers))

    async def open(self, protocol: Callable[[], P]) -> P:
        at = urlsplit(self.address)
        _, opened = await asyncio.get_running_loop().create_connection(protocol, at.hostname, at.port, ssl=self.context)
        return opened


@contextmanager
def ours(directory: Path) -> Iterator[Server]:
    cluster = LiveCluster(directory, "--nodes", "0").start()
    try:
        address, context = tls_context(cluster.kubeconfig, directory)
        alone = psutil.Process(cluster.pids()["apiserver"])
        yield Server("ActorKube", address, context, alone, cluster.family())
    finally:
        cluster.stop()


@contextmanager
def kubernetes(binary: str, directory: Path, *options: str) -> Iterator[Server]:
    """One etcd with fsync. ServiceAccount admission is off: there are no controllers that would make accounts."""
    real = KubeApiServer(directory, "--disable-admission-plugins=ServiceAccount", *options, binary=binary)
    try:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        family = [psutil.Process(real.etcd.pid()), psutil.Process(real.process.pid)]
        server = Server("kube-apiserver", real.url, context, family[1], family, real.authorized)
        asyncio.run(_ready(server, real))
        yield server
    finally:
        real.stop()


async def _ready(server: Server, real: KubeApiServer) -> None:
    until = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            connection = await server.connect()
            await connection.send("GET", "/readyz")
            await connection.send("GET", "/api/v1/namespaces/default")
            connection.close()
            return
        except (OSError, Refused) as error:
            if real.process.poll() is not None or time.monotonic() > until:
                raise RuntimeError(f"kube-apiserver does not become ready: {error}\n{real.log()}") from None
        await asyncio.sleep(0.1)
