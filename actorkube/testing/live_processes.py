"""A live cluster in processes of its own: `python -m actorkube cluster`, which ends with this process at the latest."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import NoReturn

import psutil

import actorkube
from actorkube.cli.faults import change_faults, running
from actorkube.runtime.faults import Faults
from actorkube.runtime.live import LiveClock
from actorkube.testing.options import Options

READY_WITHIN_S = 60.0
STOP_WITHIN_S = 30.0
LOOK_EVERY_S = 0.01
LOG_BYTES = 1500
COMMAND = (
    "import sys; from actorkube.runtime.processes import die_with_parent; die_with_parent(); "
    "from actorkube.cli import main; sys.exit(main())"
)


class ProcessBacking:
    """Raises AssertionError, with its output, when it does not become ready."""

    def __init__(self, options: Options, directory: Path, kubeconfig: Path) -> None:
        self._data = directory / "data"
        self._output = directory / "output"
        self._paused: dict[str, list[psutil.Process]] = {}
        command = [sys.executable, "-c", COMMAND, "cluster", *_flags(options)]
        command += ["--data", str(self._data), "--kubeconfig", str(kubeconfig)]
        home = str(Path(actorkube.__file__).parents[1])  # also where the package is used from a checkout
        path = os.pathsep.join([home, *filter(None, [os.environ.get("PYTHONPATH")])])
        with self._output.open("w") as output:
            self._process = subprocess.Popen(
                command, stdout=output, stderr=subprocess.STDOUT, env={**os.environ, "PYTHONPATH": path}
            )
        try:
            self.servers = self._ready()
        except BaseException:
            self.stop()
            raise

    def _ready(self) -> list[str]:
        end = time.monotonic() + READY_WITHIN_S
        while True:
            lines = self._output.read_text().splitlines()
            if any(line.startswith("Ctrl-C") for line in lines):
                return next(line.split()[1:] for line in lines if line.startswith("API "))
            if self._process.poll() is not None or time.monotonic() > end:
                raise AssertionError("the cluster did not become ready:\n" + "\n".join(lines) + self.component_logs())
            time.sleep(LOOK_EVERY_S)

    def stop(self) -> None:
        for name in list(self._paused):
            self.resume(name)
        family = self._family()
        self._process.terminate()
        try:
            self._process.wait(STOP_WITHIN_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        _, alive = psutil.wait_procs(family, timeout=STOP_WITHIN_S)
        for process in alive:
            process.kill()

    def _family(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    # -- faults ---------------------------------------------------------------------------------------------------

    def kill(self, name: str) -> None:
        psutil.Process(self._pid(name)).kill()

    def restart(self, name: str) -> None:
        raise NotImplementedError(f"{name}: its supervisor starts it again, unless it is a node; that one stays down")

    def pause(self, name: str) -> None:
        first = psutil.Process(self._pid(name))
        family = [first, *first.children(recursive=True)]
        for process in family:
            process.suspend()
        self._paused[name] = family

    def resume(self, name: str) -> None:
        for process in reversed(self._paused.pop(name, [])):
            with contextlib.suppress(psutil.NoSuchProcess):
                process.resume()

    def partition(self, one: str | Collection[str], other: str | Collection[str], both_ways: bool) -> None:
        change_faults(self._data, lambda faults: faults.partition(one, other, both_ways=both_ways))

    def skew(self, name: str, by: str | float) -> None:
        change_faults(self._data, lambda faults: faults.skew(name, by))

    def heal(self) -> None:
        for name in list(self._paused):
            self.resume(name)
        change_faults(self._data, Faults.heal)

    def _pid(self, name: str) -> int:
        """Of a component, or of a node: the process above its components."""
        pids = running(self._data)
        if name not in pids:
            raise KeyError(f"there is no process {name}; there are {', '.join(pids)}")
        return pids[name]

    # -- what only a cluster of one process has -----------------------------------------------------------------------

    @property
    def clock(self) -> LiveClock:
        _only_in_one("its clock")

    def settled(self, within_s: float) -> None:
        _only_in_one("settled")

    def component_logs(self) -> str:
        """The end of each component's log."""
        logs = sorted((self._data / "logs").glob("*.log"))
        return "".join(f"\n--- {path.name}\n{path.read_text()[-LOG_BYTES:]}" for path in logs)


def _flags(options: Options) -> list[str]:
    given = {
        "nodes": options.nodes,
        "etcd": options.etcd,
        "apiservers": options.apiservers,
        "runtime": options.runtime,
        "node-monitor-grace-period": options.node_monitor_grace_s,
        "pod-eviction-timeout": options.eviction_timeout_s,
    }
    return [word for flag, value in given.items() for word in (f"--{flag}", str(value))]


def _only_in_one(what: str) -> NoReturn:
    raise NotImplementedError(f'{what}: only a cluster with processes="one" can be asked from within')
