"""`actorkube etcd serve` as a process, for tests that call it as etcd's clients do."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
from pathlib import Path

import pytest

needs_etcdctl = pytest.mark.skipif(not shutil.which("etcdctl"), reason="etcdctl is not installed (Debian: etcd-client)")


class Served:
    """Three replicas; `ctl` asks one of them."""

    def __init__(self, data: Path, *options: str) -> None:
        self.port = free_ports(3)
        self.data = data
        command = [sys.executable, "-m", "actorkube", "etcd", "serve", "--client-port", str(self.port)]
        self._process = subprocess.Popen(
            [*command, "--data", str(data), *options], stdout=subprocess.PIPE, text=True, start_new_session=True
        )
        assert self._process.stdout is not None
        self.ready = self._process.stdout.readline()

    def ctl(self, *arguments: str, member: int = 0, stdin: str = "", check: bool = True, both: bool = False) -> str:
        done = subprocess.run(
            ["etcdctl", "--endpoints", f"127.0.0.1:{self.port + member}", *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=30,
            env={**os.environ, "ETCDCTL_API": "3"},
        )
        assert done.returncode == 0 or not check, done.stderr
        return done.stdout + done.stderr if both else done.stdout if check else done.stderr

    def leader(self) -> int:
        """The number of the member that leads."""
        statuses = [json.loads(self.ctl("endpoint", "status", "-w", "json", member=number))[0] for number in range(3)]
        leader = statuses[0]["Status"]["leader"]
        return next(n for n in range(3) if statuses[n]["Status"]["header"]["member_id"] == leader)

    def kill(self, member: int) -> None:
        """-9; whoever serves starts it again."""
        os.kill(int((self.data / f"etcd-{member}" / "etcd" / "lock").read_text()), signal.SIGKILL)

    def stop(self) -> None:
        self._process.send_signal(signal.SIGTERM)
        self._process.wait(20)
        assert self._process.stdout is not None
        self._process.stdout.close()


def free_ports(count: int) -> int:
    """The first of so many that follow one another."""
    while True:
        with socket.create_server(("127.0.0.1", 0)) as found:
            first: int = found.getsockname()[1]
        try:
            for port in range(first, first + count):
                socket.create_server(("127.0.0.1", port)).close()
            return first
        except (OSError, OverflowError):
            continue


def certificate(path: Path) -> tuple[str, str]:
    """One that vouches for itself, for 127.0.0.1: the files of it and its key."""
    cert, key = str(path / "cert.pem"), str(path / "key.pem")
    curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256"]
    names = ["-subj", "/CN=store", "-addext", "subjectAltName=IP:127.0.0.1"]
    request = ["openssl", "req", "-x509", *curve, "-nodes", "-days", "2", *names, "-keyout", key, "-out", cert]
    subprocess.run(request, check=True, capture_output=True)
    return cert, key
