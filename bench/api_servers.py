"""The servers that bench.api asks: a cluster of ours, and a kube-apiserver with an etcd, if there are such binaries."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TypeVar
from urllib.parse import urlsplit

import psutil

from bench.http_client import Connection, Refused
from bench.rest import tls_context
from tests.cluster.live import LiveCluster
from tests.cluster.real_kubernetes import real_apiserver

P = TypeVar("P", bound=asyncio.BaseProtocol)

LOOKS, LOOK_S = 600, 0.1
CONTROLLERS = ("controller-manager", "cloud-controller-manager")
NEVER_NOT_READY = ("--node-monitor-grace-period", "200h")  # nobody sends signs of life for nodes that are objects only


@dataclass(frozen=True)
class Server:
    """`alone` is the API server's process, `family` all of it: the store, too."""

    name: str
    address: str
    context: ssl.SSLContext
    alone: psutil.Process
    family: list[psutil.Process]
    headers: dict[str, str] = field(default_factory=dict)
    kubeconfig: Path = Path()  # for programs that are to work there

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
def ours(directory: Path, *, whole: bool = False) -> Iterator[Server]:
    """Three replicas of the store with fsync, and the API server. Scheduler and controllers only if it is to be
    `whole`: there are none beside a kube-apiserver that is measured, and each would be told of every write, by the
    same two processors."""
    with started(directory, *(() if whole else ("scheduler", *CONTROLLERS))) as cluster:
        address, context = tls_context(cluster.kubeconfig, directory)
        alone = psutil.Process(cluster.pids()["apiserver"])
        server = Server("ActorKube", address, context, alone, cluster.family())
        if not whole:
            asyncio.run(_with_account(server))
        yield server


@contextmanager
def started(directory: Path, *without: str) -> Iterator[LiveCluster]:
    """A cluster of ours that has no nodes, and not these components."""
    lacks = ("--without", ",".join(without)) if without else ()
    cluster = LiveCluster(directory, "--nodes", "0", *NEVER_NOT_READY, *lacks).start()
    try:
        yield cluster
    finally:
        cluster.stop()


async def _with_account(server: Server) -> None:
    """Pods are admitted: a controller would have made their account."""
    connection = await server.connect()
    await make_account(connection)
    connection.close()


async def make_account(connection: Connection) -> None:
    await connection.send("POST", "/api/v1/namespaces/default/serviceaccounts", {"metadata": {"name": "default"}})


@contextmanager
def kubernetes(binary: str, directory: Path, *options: str) -> Iterator[Server]:
    """One etcd with fsync. ServiceAccount admission is off: there are no controllers that would make accounts."""
    with real_apiserver(directory, *options, accounts=False, binary=binary) as real:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        assert real.etcd is not None
        family = [psutil.Process(real.etcd.pid()), psutil.Process(real.program.pid)]
        server = Server("kube-apiserver", real.url, context, family[1], family, real.authorized, real.kubeconfig)
        asyncio.run(_until_there(server, "/api/v1/namespaces/default"))
        yield server


async def _until_there(server: Server, path: str) -> None:
    connection = await server.connect()
    for _ in range(LOOKS):
        with suppress(Refused):
            await connection.send("GET", path)
            break
        await asyncio.sleep(LOOK_S)
    connection.close()
