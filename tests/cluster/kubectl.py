"""kubectl, in every version that is on this machine."""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest


def kubectl_binaries() -> dict[str, Path]:
    """Version (`1.33`) -> binary: the one on the PATH, and those named kubectl.VERSION beside what it links to."""
    on_path = shutil.which("kubectl")
    if on_path is None:
        return {}
    found = {path.name.removeprefix("kubectl."): path for path in Path(on_path).resolve().parent.glob("kubectl.1.*")}
    return dict(sorted(found.items(), key=lambda item: int(item[0].split(".")[1]))) or {"on PATH": Path(on_path)}


def require_kubectl() -> dict[str, Path]:
    binaries = kubectl_binaries()
    if not binaries:
        reason = "kubectl is not installed: https://kubernetes.io/docs/tasks/tools/"
        if os.environ.get("ACTORKUBE_CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    return binaries


class KubectlError(AssertionError):
    """kubectl ended with an error; the message is what it printed."""


class Kubectl:
    """`k("get", "pods")` returns what it prints; raises KubectlError unless `check` is False."""

    def __init__(self, binary: Path, kubeconfig: Path, home: Path, namespace: str = "default") -> None:
        self._given = (kubeconfig, home, namespace)
        self._command = [str(binary), "--kubeconfig", str(kubeconfig), "--namespace", namespace]
        self._environment = {**os.environ, "HOME": str(home), "KUBECONFIG": str(kubeconfig)}

    def of(self, binary: Path) -> Kubectl:
        """The same for another binary."""
        return Kubectl(binary, *self._given)

    def __call__(self, *arguments: str, stdin: str | None = None, check: bool = True, timeout_s: float = 60) -> str:
        done = subprocess.run(
            [*self._command, *arguments],
            input=stdin,
            capture_output=True,
            text=True,
            timeout=timeout_s,
            env=self._environment,
            check=False,
        )
        if check and done.returncode != 0:
            raise KubectlError(f"kubectl {' '.join(arguments)}: {done.stderr}{done.stdout}")
        return done.stdout if check else done.stdout + done.stderr

    def start(self, *arguments: str, stderr: int | None = None) -> subprocess.Popen[str]:
        """A kubectl that keeps running, such as `get --watch`."""
        return subprocess.Popen(
            [*self._command, *arguments],
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env=self._environment,
            bufsize=1,
        )
