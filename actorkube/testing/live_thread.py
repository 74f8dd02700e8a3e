"""A live cluster in a thread of this process: all hosts on one loop, whose clock the test may move."""

from __future__ import annotations

import socket
from collections import deque
from collections.abc import Collection
from pathlib import Path
from typing import Any

from actorkube.cli.composition import composition
from actorkube.cli.kubeconfig import write_kubeconfig
from actorkube.runtime.live import LiveClock, LiveHosts, live
from actorkube.testing.options import Options

OCTET = 64  # of simulated addresses: nobody listens there
LOG_LINES = 40


class LastLines:
    """A log (actorkube.runtime.log.Log) that keeps its last warnings and errors, for a failed test's report."""

    def __init__(self, lines: deque[str] | None = None, bound: str = "") -> None:
        self.lines: deque[str] = deque(maxlen=LOG_LINES) if lines is None else lines
        self._bound = bound

    def bind(self, **values: Any) -> LastLines:
        return LastLines(self.lines, " ".join([self._bound, *(f"{k}={v}" for k, v in values.items())]).strip())

    def debug(self, event: str, **values: Any) -> None:
        return

    info = debug

    def warning(self, event: str, **values: Any) -> None:
        said = " ".join(f"{key}={value}" for key, value in values.items())
        self.lines.append(f"{self._bound} {event} {said}".strip()[:500])

    error = warning


class ThreadBacking:
    """Raises TimeoutError when it does not become ready."""

    def __init__(self, options: Options, directory: Path, kubeconfig: Path) -> None:
        self._log = LastLines()
        self._listeners = [socket.create_server(("127.0.0.1", 0), backlog=256) for _ in range(options.apiservers)]
        listener, *more = self._listeners
        self.servers = [f"https://127.0.0.1:{each.getsockname()[1]}" for each in self._listeners]
        root = composition()
        spec = root.ClusterSpec(
            data=directory,
            nodes=options.nodes,
            etcd=options.etcd,
            octet=OCTET,
            runtime="sim",
            api_address=listener.getsockname(),
            api_listener=listener,
            more_api_listeners=tuple(more),
            apiservers=options.apiservers,
            node_monitor_grace_s=options.node_monitor_grace_s,
            eviction_timeout_s=options.eviction_timeout_s,
        )
        self._hosts: LiveHosts = live(root.cluster_hosts(spec), directory, log=self._log)
        try:
            self._hosts.start()
            write_kubeconfig(kubeconfig, servers=self.servers, data=directory, **root.credentials(spec)._asdict())
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        self._hosts.stop()
        for listener in self._listeners:
            listener.close()

    @property
    def clock(self) -> LiveClock:
        return self._hosts.clock

    def settled(self, within_s: float) -> None:
        self._hosts.settled(within_s).result()

    def kill(self, name: str) -> None:
        self._hosts.kill(name).result()

    def restart(self, name: str) -> None:
        self._hosts.restart(name).result()

    def pause(self, name: str) -> None:
        raise NotImplementedError(f'{name} is no process that could be stopped: use processes="many", or `kill`')

    def resume(self, name: str) -> None:
        self.pause(name)

    def partition(self, one: str | Collection[str], other: str | Collection[str], both_ways: bool) -> None:
        self._hosts.partition(one, other, both_ways=both_ways).result()

    def skew(self, name: str, by: str | float) -> None:
        self._hosts.skew(name, by).result()

    def heal(self) -> None:
        self._hosts.heal().result()

    def component_logs(self) -> str:
        return "\n".join(self._log.lines)
