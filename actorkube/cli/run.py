"""`actorkube run`: one component in processes of its own, joined to a running cluster."""

from __future__ import annotations

import argparse
import importlib
import sys
from pathlib import Path
from typing import Any

from actorkube.cli.cluster import log_to
from actorkube.cli.composition import composition
from actorkube.cli.data import DataDirectory
from actorkube.cli.join import Join
from actorkube.cli.sockets import Sockets
from actorkube.runtime.host import Host, run_process
from actorkube.runtime.processes import Child, ProcessSupervisor, Reporter
from actorkube.runtime.system import System


def command(options: argparse.Namespace) -> int:
    join = Join.read(Path(options.join))
    data = DataDirectory(options.data)
    try:
        return _run(options, join, data)
    finally:
        data.close()


def _run(options: argparse.Namespace, join: Join, data: DataDirectory) -> int:
    root = composition()
    spec = root.ClusterSpec(
        data=data.path,
        nodes=0,
        etcd=0,
        octet=join.octet,
        runtime="process",
        api_address=join.apiserver,
        api_listener=None,
        node_monitor_grace_s=50.0,
        eviction_timeout_s=300.0,
    )
    name = options.name or ("node" if options.component == "node" else f"{options.component}-joined")
    hosts = root.joined_hosts(options.component, spec, name)
    sockets = Sockets(data.path)
    listeners = {host.name: sockets.listen(host.name) for host in hosts if host.listens}
    book = {"apiserver": join.apiserver} | {name: listener.getsockname() for name, listener in listeners.items()}
    identities = {host.name: join.identity(data.path / "pki" / "links", host.name) for host in hosts}
    key = data.cluster_key()  # of the links between our own systems

    def system(host: Host) -> System:
        from actorkube.runtime.tcp import TcpTransport

        others = {name: address for name, address in book.items() if name != host.name}
        own = listeners.get(host.name)
        listen = (own.dup(),) if own else ()
        transport = TcpTransport(key=key, book=others, listen=listen, identity=identities[host.name])
        return System(host.name, transport, disk=data.path / host.name, metrics=True)

    def process(host: Host, report: Reporter) -> None:
        log_to(data.path / "logs" / f"{host.name}.log", options)
        run_process([host], system, report)

    def on_event(child: str, facts: dict[str, Any]) -> None:
        print(f"{child} {' '.join(str(value) for value in facts.values())}".rstrip(), flush=True)

    supervisor = ProcessSupervisor(on_event)
    supervisor.listen_to_signals()
    for host in hosts:
        for module in host.modules:
            importlib.import_module(module)
        supervisor.start(Child(host.name, lambda report, host=host: process(host, report)))  # type: ignore[misc]
    try:
        supervisor.run()
    finally:
        sys.stdout.flush()
        supervisor.stop()
        sockets.close()
    return 0
