"""A real etcd (Debian: etcd-server) for tests: members on loopback, in a directory of the test's."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

INSTALLED = shutil.which("etcd") is not None
needs_etcd = pytest.mark.skipif(
    not INSTALLED and not os.environ.get("ACTORKUBE_CI"), reason="etcd is not installed (Debian: etcd-server)"
)


class RealEtcd:
    """`members` of one cluster. `tls`: files of certificate, key and authority; clients must have one of it, too."""

    def __init__(self, path: Path, members: int = 1, tls: tuple[Path, Path, Path] | None = None) -> None:
        self._path = path
        self._tls = tls
        ports = free_ports(2 * members)
        self._clients = dict(zip([f"m{n}" for n in range(members)], ports[:members], strict=True))
        self._peers = dict(zip(self._clients, ports[members:], strict=True))
        self._processes: dict[str, subprocess.Popen[bytes]] = {}
        for member in self._clients:
            self.start(member)
        for member in self._clients:
            self.wait(member)

    @property
    def url(self) -> str:
        scheme = "etcds" if self._tls else "etcd"
        return f"{scheme}://" + ",".join(f"127.0.0.1:{port}" for port in self._clients.values())

    def start(self, member: str = "m0") -> None:
        scheme = "https" if self._tls else "http"
        client, peer = self._clients[member], self._peers[member]
        command = [
            *("etcd", "--name", member, "--data-dir", str(self._path / member), "--log-level", "error"),
            *("--listen-client-urls", f"{scheme}://127.0.0.1:{client}"),
            *("--advertise-client-urls", f"{scheme}://127.0.0.1:{client}"),
            *("--listen-peer-urls", f"http://127.0.0.1:{peer}"),
            *("--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"),
            *("--initial-cluster", ",".join(f"{m}=http://127.0.0.1:{p}" for m, p in self._peers.items())),
        ]
        if self._tls:
            certificate, key, authority = map(str, self._tls)
            command += ["--cert-file", certificate, "--key-file", key, "--trusted-ca-file", authority]
            command += ["--client-cert-auth"]
        self._path.mkdir(parents=True, exist_ok=True)
        with (self._path / f"{member}.log").open("ab") as log:
            self._processes[member] = subprocess.Popen(command, stdout=log, stderr=log)

    def wait(self, member: str = "m0", within_s: float = 60.0) -> None:
        """Until its door is open."""
        until = time.monotonic() + within_s
        while True:
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", self._clients[member]), 1):
                return
            if time.monotonic() > until:
                log = (self._path / f"{member}.log").read_text()
                raise AssertionError(f"etcd did not start:\n{log}")
            time.sleep(0.02)

    def pid(self, member: str = "m0") -> int:
        return self._processes[member].pid

    def kill(self, member: str = "m0") -> None:
        process = self._processes.pop(member)
        process.kill()
        process.wait()

    def hang(self, member: str) -> None:
        """It is there, and does nothing any more."""
        self._processes[member].send_signal(signal.SIGSTOP)

    def leader(self) -> str:
        """Who leads, as etcdctl says."""
        for member, port in self._clients.items():
            command = ["etcdctl", "--endpoints", f"127.0.0.1:{port}", "endpoint", "status", "-w", "fields"]
            said = subprocess.run(command, capture_output=True, text=True, env={**os.environ, "ETCDCTL_API": "3"})
            found = dict(line.split(" : ") for line in said.stdout.splitlines() if " : " in line)
            if found and found.get('"Leader"') == found.get('"MemberID"'):
                return member
        raise AssertionError("nobody leads")

    def close(self) -> None:
        for member in list(self._processes):
            self.kill(member)


@contextlib.contextmanager
def real_etcd(path: Path, members: int = 1, tls: tuple[Path, Path, Path] | None = None) -> Iterator[RealEtcd]:
    etcd = RealEtcd(path, members, tls)
    try:
        yield etcd
    finally:
        etcd.close()


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports
