"""A real kube-apiserver before an etcd of its own: what ours is compared with.

No package of Debian, PyPI or npm has one: it is built from source (docs/etcd.md says how), and named by
ACTORKUBE_KUBE_APISERVER. Where it is not, the tests that ask it are skipped.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from tests.etcd.real_etcd import RealEtcd, free_ports

NAMED = os.environ.get("ACTORKUBE_KUBE_APISERVER", "")
TOKEN = "secret"

needs_kube_apiserver = pytest.mark.skipif(
    not (NAMED and shutil.which("etcd")), reason="ACTORKUBE_KUBE_APISERVER names no kube-apiserver, or there is no etcd"
)


class KubeApiServer:
    """It has started, and is not ready yet. Whoever bears TOKEN may do all."""

    def __init__(self, path: Path, *options: str, binary: str = NAMED) -> None:
        path.mkdir(parents=True, exist_ok=True)
        self.etcd = RealEtcd(path / "etcd")
        (self.port,) = free_ports(1)
        self.url = f"https://127.0.0.1:{self.port}"
        self.authorized = {"Authorization": f"Bearer {TOKEN}"}
        key, tokens = path / "accounts.key", path / "tokens.csv"
        subprocess.run(["openssl", "genrsa", "-out", str(key), "2048"], check=True, capture_output=True)
        tokens.write_text(f"{TOKEN},admin,admin,system:masters\n")
        self._log = path / "log"
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [
                    binary,
                    f"--etcd-servers=http://{self.etcd.url.removeprefix('etcd://')}",
                    "--bind-address=127.0.0.1",
                    f"--secure-port={self.port}",
                    f"--cert-dir={path / 'certificates'}",
                    "--service-account-issuer=https://kubernetes.default.svc",
                    f"--service-account-signing-key-file={key}",
                    f"--service-account-key-file={key}",
                    f"--token-auth-file={tokens}",
                    "--authorization-mode=RBAC",
                    "--service-cluster-ip-range=10.0.0.0/24",
                    *options,
                ],
                stdout=log,
                stderr=log,
            )

    def log(self) -> str:
        """Its end, for a failure's report."""
        return self._log.read_text()[-3000:]

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait()
        self.etcd.close()
