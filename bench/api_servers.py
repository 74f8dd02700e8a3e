"""The servers that bench.api asks: a cluster of ours, and a kube-apiserver with an etcd, if there are such binaries."""

from __future__ import annotations

import asyncio
import ssl
import subprocess
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
from tests.cluster.live import LiveCluster
from tests.etcd.served import free_ports

P = TypeVar("P", bound=asyncio.BaseProtocol)

READY_WITHIN_S = 60
TOKEN = "secret"


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
def kubernetes(binary: str, directory: Path) -> Iterator[Server]:
    """One etcd with fsync. ServiceAccount admission is off: there are no controllers that would make accounts."""
    port = free_ports(3)
    key, tokens, log = directory / "accounts.key", directory / "tokens.csv", (directory / "log").open("wb")
    subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
    tokens.write_text(f"{TOKEN},admin,admin,system:masters\n")
    of_etcd, of_peers = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port + 1}"
    etcd = ["etcd", "--data-dir", str(directory / "etcd"), "--listen-client-urls", of_etcd]
    etcd += ["--advertise-client-urls", of_etcd, "--listen-peer-urls", of_peers]
    etcd += ["--initial-advertise-peer-urls", of_peers, "--initial-cluster", f"default={of_peers}"]
    apiserver = [
        binary,
        f"--etcd-servers={of_etcd}",
        "--bind-address=127.0.0.1",
        f"--secure-port={port + 2}",
        f"--cert-dir={directory / 'certificates'}",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-signing-key-file={key}",
        f"--service-account-key-file={key}",
        f"--token-auth-file={tokens}",
        "--authorization-mode=RBAC",
        "--service-cluster-ip-range=10.0.0.0/24",
        "--disable-admission-plugins=ServiceAccount",
    ]
    started = [subprocess.Popen(command, stdout=log, stderr=log) for command in (etcd, apiserver)]
    try:
        context = ssl.create_default_context()
        context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
        family = [psutil.Process(process.pid) for process in started]
        authorized = {"Authorization": f"Bearer {TOKEN}"}
        server = Server("kube-apiserver", f"https://127.0.0.1:{port + 2}", context, family[1], family, authorized)
        asyncio.run(_ready(server, started))
        yield server
    finally:
        for process in reversed(started):
            process.terminate()
            process.wait()
        log.close()


async def _ready(server: Server, started: list[subprocess.Popen[bytes]]) -> None:
    until = time.monotonic() + READY_WITHIN_S
    while True:
        try:
            connection = await server.connect()
            await connection.send("GET", "/readyz")
            await connection.send("GET", "/api/v1/namespaces/default")
            connection.close()
            return
        except (OSError, Refused) as error:
            ended = [process.args for process in started if process.poll() is not None]
            if ended or time.monotonic() > until:
                raise RuntimeError(f"kube-apiserver does not become ready: {error} {ended}") from None
        await asyncio.sleep(0.1)
