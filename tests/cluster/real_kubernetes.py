"""The programs of a real Kubernetes, for comparisons: on loopback, with their data below a directory of the test's.

Nobody packages them: who has built some names them in ACTORKUBE_KUBE_APISERVER, ACTORKUBE_KUBE_CONTROLLER_MANAGER and
ACTORKUBE_KUBE_SCHEDULER, and tests that need one that is not named are skipped.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from tests.cluster.kubectl import Kubectl, require_kubectl
from tests.etcd.real_etcd import RealEtcd, free_ports, real_etcd

APISERVER = os.environ.get("ACTORKUBE_KUBE_APISERVER", "")
CONTROLLER_MANAGER = os.environ.get("ACTORKUBE_KUBE_CONTROLLER_MANAGER", "")
SCHEDULER = os.environ.get("ACTORKUBE_KUBE_SCHEDULER", "")
needs_apiserver = pytest.mark.skipif(not APISERVER, reason="ACTORKUBE_KUBE_APISERVER names no kube-apiserver")
needs_controller_manager = pytest.mark.skipif(
    not CONTROLLER_MANAGER, reason="ACTORKUBE_KUBE_CONTROLLER_MANAGER names no kube-controller-manager"
)
needs_scheduler = pytest.mark.skipif(not SCHEDULER, reason="ACTORKUBE_KUBE_SCHEDULER names no kube-scheduler")

READY_WITHIN_S = 60.0
_TOKEN = "secret"
_PROBLEM = re.compile(r"^(?:\S+ )?[EF]\d{4} \S+ +\d+ (.*)$", re.MULTILINE)


class Program:
    """One that runs, and its log."""

    def __init__(self, directory: Path, binary: str, *options: str) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        self.log = directory / f"{Path(binary).name}.log"
        with self.log.open("ab") as log:
            self._process = subprocess.Popen([binary, *options], stdout=log, stderr=log)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def ended(self) -> bool:
        return self._process.poll() is not None

    def problems(self) -> list[str]:
        """What it calls errors, without times."""
        return _PROBLEM.findall(self.log.read_text())

    def stop(self) -> None:
        self._process.terminate()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()


class RealApiServer:
    """A kube-apiserver that is ready; `options`: those that name its store, and others. Without ServiceAccount
    admission nobody has to make accounts before pods can be made."""

    def __init__(self, directory: Path, *options: str, accounts: bool = True, binary: str = APISERVER) -> None:
        directory.mkdir(parents=True, exist_ok=True)
        (self.port,) = free_ports(1)
        self.url = f"https://127.0.0.1:{self.port}"
        self.authorized = {"Authorization": f"Bearer {_TOKEN}"}
        self.etcd: RealEtcd | None = None  # where it has one of its own
        self.directory = directory
        self.kubeconfig = directory / "kubeconfig"
        self.key = directory / "accounts.key"
        self.authority = directory / "certificates" / "apiserver.crt"
        subprocess.run(["openssl", "genrsa", "-out", str(self.key), "2048"], check=True, capture_output=True)
        (directory / "tokens.csv").write_text(f"{_TOKEN},admin,admin,system:masters\n")
        self.kubeconfig.write_text(yaml.safe_dump(_kubeconfig(self.url)))
        self.program = Program(
            directory,
            binary,
            "--bind-address=127.0.0.1",
            f"--secure-port={self.port}",
            f"--cert-dir={directory / 'certificates'}",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-signing-key-file={self.key}",
            f"--service-account-key-file={self.key}",
            f"--token-auth-file={directory / 'tokens.csv'}",
            "--authorization-mode=Node,RBAC",
            "--enable-admission-plugins=NodeRestriction",
            "--service-cluster-ip-range=10.0.0.0/24",
            *(() if accounts else ("--disable-admission-plugins=ServiceAccount",)),
            *options,
        )
        until = time.monotonic() + READY_WITHIN_S
        while not self._is_ready():
            if self.program.ended or time.monotonic() > until:
                raise AssertionError("kube-apiserver does not become ready: " + self.program.log.read_text()[-2000:])
            time.sleep(0.2)

    def _is_ready(self) -> bool:
        import ssl

        trusting = ssl.create_default_context()
        trusting.check_hostname, trusting.verify_mode = False, ssl.CERT_NONE
        asked = urllib.request.Request(f"{self.url}/readyz", headers=self.authorized)
        try:
            with urllib.request.urlopen(asked, context=trusting, timeout=5) as answer:
                return bool(answer.status == 200)
        except OSError:
            return False

    def kubectl(self, namespace: str = "default") -> Kubectl:
        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        return Kubectl(list(require_kubectl().values())[-1], self.kubeconfig, home, namespace)

    def stop(self) -> None:
        self.program.stop()


@contextlib.contextmanager
def real_apiserver(
    directory: Path, *options: str, accounts: bool = True, binary: str = APISERVER
) -> Iterator[RealApiServer]:
    """On a real etcd of its own."""
    with real_etcd(directory / "etcd") as etcd:
        servers = "--etcd-servers=" + etcd.url.replace("etcd://", "http://")
        server = RealApiServer(directory / "apiserver", servers, *options, accounts=accounts, binary=binary)
        server.etcd = etcd
        try:
            yield server
        finally:
            server.stop()


@contextlib.contextmanager
def component(directory: Path, kubeconfig: Path, binary: str, *options: str) -> Iterator[Program]:
    """What works on an API server, and has a page of its own."""
    (port,) = free_ports(1)
    own = (f"--secure-port={port}", "--bind-address=127.0.0.1", f"--cert-dir={directory}")
    program = Program(directory, binary, f"--kubeconfig={kubeconfig}", *own, *options)
    try:
        yield program
    finally:
        program.stop()


def controller_manager(
    directory: Path, kubeconfig: Path, *options: str, binary: str = CONTROLLER_MANAGER
) -> contextlib.AbstractContextManager[Program]:
    return component(directory, kubeconfig, binary, "--use-service-account-credentials=true", *options)


def scheduler(
    directory: Path, kubeconfig: Path, *options: str, binary: str = SCHEDULER
) -> contextlib.AbstractContextManager[Program]:
    return component(directory, kubeconfig, binary, *options)


def _kubeconfig(server: str) -> dict[str, object]:
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "real",
        "contexts": [{"name": "real", "context": {"cluster": "real", "user": "admin"}}],
        "clusters": [{"name": "real", "cluster": {"server": server, "insecure-skip-tls-verify": True}}],
        "users": [{"name": "admin", "user": {"token": _TOKEN}}],
    }
