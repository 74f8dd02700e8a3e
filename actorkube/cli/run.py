"""`actorkube run`: one component in processes of its own, joined to a running cluster."""

from __future__ import annotations

import argparse
import importlib
import sys
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from actorkube.cli.cluster import log_to
from actorkube.cli.composition import composition
from actorkube.cli.data import FAULTS, DataDirectory
from actorkube.cli.errors import CliError, tell_of
from actorkube.cli.join import Join
from actorkube.cli.joined import Listing, home_of
from actorkube.cli.sockets import Sockets
from actorkube.runtime.host import Host, nothing_beside, run_process
from actorkube.runtime.processes import Child, ProcessSupervisor, Reporter
from actorkube.runtime.system import System


def command(options: argparse.Namespace) -> int:
    join = Join.read(Path(options.join))
    data = DataDirectory(options.data)
    try:
        return Run(options, join, data).run()
    finally:
        data.close()


def _scheduler_config(options: argparse.Namespace, join: Join) -> Path | None:
    """Raises CliError for what cannot be run beside the cluster."""
    if options.component != "scheduler" and options.scheduler_config:
        raise CliError(f"a {options.component} has no --scheduler-config", "leave it out")
    if options.component == "scheduler" and not join.elects:
        raise CliError(
            "the cluster's own scheduler takes no lease, so both would place the same pods",
            "start the cluster with --schedulers 2, or with leaderElection in its --scheduler-config",
        )
    if not options.scheduler_config:
        return None
    path = Path(options.scheduler_config)
    tell_of(composition().scheduler_notes(path))
    return path


class Run:
    """A component that has joined. Where the cluster is on this machine, it meets that cluster's faults."""

    def __init__(self, options: argparse.Namespace, join: Join, data: DataDirectory) -> None:
        self._options = options
        self._data = data
        root = composition()
        spec = root.ClusterSpec(
            data=data.path,
            nodes=0,
            etcd=0,
            octet=join.octet,
            runtime="process",
            apiservers=len(join.book),
            api_address=join.apiserver,
            api_listener=None,
            schedulers=2,  # who joins is not the only one, and waits for the lease
            scheduler_config=_scheduler_config(options, join),
            node_monitor_grace_s=50.0,
            eviction_timeout_s=300.0,
            kubernetes_version=join.kubernetes_version,
        )
        component = options.component
        self._name = options.name or ("node" if component == "node" else f"{component}-joined")
        self._hosts = root.joined_hosts(component, spec, self._name)
        self._sockets = Sockets(data.path)
        self._listeners = {host.name: self._sockets.listen(host.name) for host in self._hosts if host.listens}
        own = {name: listener.getsockname() for name, listener in self._listeners.items()}
        self._book = join.book | own
        self._identities = {host.name: join.identity(data.path / "pki" / "links", host.name) for host in self._hosts}
        self._key = data.cluster_key()  # of the links between our own systems
        self._home = home_of(join)
        here = self._hosts if self._home is not None else []
        self._controls = {host.name: self._sockets.listen(f"{host.name}.control") for host in here}
        self._listing = Listing(self._home, self._name, data.path, list(self._controls))

    def run(self) -> int:
        """Until a signal."""
        supervisor = ProcessSupervisor(self._on_event)
        supervisor.listen_to_signals()
        for host in self._hosts:
            for module in host.modules:
                importlib.import_module(module)
            supervisor.start(Child(host.name, lambda report, host=host: self._process(host, report)))  # type: ignore[misc]
        try:
            supervisor.run()
        finally:
            sys.stdout.flush()
            supervisor.stop()
            self._listing.end()
            self._sockets.close()
        return 0

    def _process(self, host: Host, report: Reporter) -> None:
        log_to(self._data.path / "logs" / f"{host.name}.log", self._options)
        run_process([host], self._system, report, self._beside)

    def _system(self, host: Host) -> System:
        from actorkube.runtime.tcp import TcpTransport

        others = {name: address for name, address in self._book.items() if name != host.name}
        own = self._listeners.get(host.name)
        listen = (own.dup(),) if own else ()
        transport = TcpTransport(key=self._key, book=others, listen=listen, identity=self._identities[host.name])
        return System(host.name, transport, disk=self._data.path / host.name, metrics=True)

    def _beside(self, system: System) -> AbstractAsyncContextManager[None]:
        if self._home is None:
            return nothing_beside(system)
        from actorkube.runtime.faulty import faulty

        return faulty(system, self._home / FAULTS, self._controls[system.name].dup())

    def _on_event(self, child: str, facts: dict[str, Any]) -> None:
        self._listing.note(child, facts)
        print(f"{child} {' '.join(str(value) for value in facts.values())}".rstrip(), flush=True)
