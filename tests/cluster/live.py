"""A real cluster, started by the command that users type."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import psutil

from tests.cluster.kubectl import Kubectl, require_kubectl


class LiveCluster:
    """`python -m actorkube cluster` with its data and kubeconfig below `directory`; started by `start`."""

    def __init__(self, directory: Path, *options: str) -> None:
        self.directory = directory
        self.data = directory / "data"
        self.kubeconfig = directory / "kubeconfig"
        self.output: list[str] = []
        self._options = options
        self._process: subprocess.Popen[str] | None = None

    def start(self) -> LiveCluster:
        home = self.directory / "home"
        home.mkdir(exist_ok=True)
        command = [sys.executable, "-m", "actorkube", "cluster", "--data", str(self.data)]
        command += ["--kubeconfig", str(self.kubeconfig), *self._options]
        self._process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env={**os.environ, "HOME": str(home)}
        )
        assert self._process.stdout is not None
        self.output = []
        for line in self._process.stdout:
            self.output.append(line.rstrip())
            if line.startswith("Ctrl-C"):
                return self
        raise AssertionError("the cluster did not become ready:\n" + "\n".join(self.output) + self.logs())

    def stop(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Returns the exit code; whatever it still printed is in `output`."""
        assert self._process is not None
        if self._process.poll() is None:
            self._process.send_signal(number)
        rest, _ = self._process.communicate(timeout=60)
        self.output += rest.splitlines()
        return self._process.returncode

    def kubectl(self, version: str | None = None, namespace: str = "default") -> Kubectl:
        binaries = require_kubectl()
        binary = binaries[version] if version else list(binaries.values())[-1]
        return Kubectl(binary, self.kubeconfig, self.directory / "home", namespace)

    def pids(self) -> dict[str, int]:
        found: dict[str, int] = json.loads((self.data / "processes.json").read_text())
        return found

    def kill(self, name: str) -> None:
        os.kill(self.pids()[name], signal.SIGKILL)

    def family(self) -> list[psutil.Process]:
        """Every process of the cluster, containers included."""
        assert self._process is not None
        top = psutil.Process(self._process.pid)
        return [top, *top.children(recursive=True)]

    def container_processes(self, pod: str) -> list[psutil.Process]:
        """The processes that carry the pod's name in their environment."""
        found = []
        for process in self.family():
            try:
                if process.environ().get("POD_NAME") == pod or process.environ().get("HOSTNAME") == pod:
                    found.append(process)
            except (psutil.NoSuchProcess, psutil.AccessDenied):
                continue
        return found

    def logs(self) -> str:
        """The end of each component's log, for a failure's report."""
        parts = []
        for path in sorted((self.data / "logs").glob("*.log")):
            parts.append(f"\n--- {path.name}\n{path.read_text()[-1500:]}")
        return "".join(parts)
