"""`actorkube run`: one component in processes of its own, joined to a running cluster."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from actorkube.cli.addresses import listen_anywhere
from actorkube.cli.cluster import log_to
from actorkube.cli.composition import composition
from actorkube.cli.data import DataDirectory
from actorkube.cli.errors import CliError
from actorkube.runtime.host import Host, run_process
from actorkube.runtime.processes import Child, ProcessSupervisor, Reporter
from actorkube.runtime.system import System


@dataclass(frozen=True)
class Join:
    """What `cluster` wrote for those who join: where the API server's actors listen, and the cluster's key."""

    apiserver: tuple[str, int]
    key: bytes
    octet: int


def command(options: argparse.Namespace) -> int:
    join = read_join(Path(options.join))
    data = DataDirectory(options.data)
    try:
        return _run(options, join, data)
    finally:
        data.close()


def read_join(path: Path) -> Join:
    hint = "give the join.json that `actorkube cluster` keeps in its data directory"
    try:
        fields = json.loads(path.expanduser().read_bytes())
        host, port = fields["apiserver"]
        return Join((str(host), int(port)), bytes.fromhex(fields["key"]), int(fields["octet"]))
    except OSError as error:
        raise CliError(f"cannot read {path}: {error.strerror}", hint) from None
    except (ValueError, KeyError, TypeError):
        raise CliError(f"{path} is not a join file", hint) from None


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
    hosts = root.joined_hosts(options.component, spec, options.name or options.component)
    listeners = {host.name: listen_anywhere() for host in hosts if host.listens}
    book = {"apiserver": join.apiserver} | {name: listener.getsockname() for name, listener in listeners.items()}

    def system(host: Host) -> System:
        from actorkube.runtime.tcp import TcpTransport

        others = {name: address for name, address in book.items() if name != host.name}
        own = listeners.get(host.name)
        transport = TcpTransport(key=join.key, book=others, listen=(own.dup(),) if own else ())
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
    return 0
