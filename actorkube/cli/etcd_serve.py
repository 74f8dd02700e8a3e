"""`actorkube etcd serve`: the store alone, each replica a process, open to etcd's clients on ports side by side."""

from __future__ import annotations

import argparse
import socket
import sys
from collections.abc import Callable

from actorkube.cli.cluster import import_all, log_to
from actorkube.cli.composition import composition
from actorkube.cli.data import DataDirectory
from actorkube.cli.errors import CliError
from actorkube.cli.sockets import Sockets
from actorkube.runtime.host import Host, run_process
from actorkube.runtime.processes import Child, ProcessSupervisor, Reporter
from actorkube.runtime.system import System
from protocols.message import table_digest

READY_TIMEOUT_S = 60.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--replicas", type=int, choices=range(1, 8), metavar="N", help="replicas (default: as in DIR, or 3)")
    add("--client-port", type=int, default=2379, metavar="PORT", help="the first one's; the others' follow it")
    add("--data", metavar="DIR", help="keep the store's state here; a second start continues from it")
    add_tls_arguments(parser)
    add("--log-level", choices=("debug", "info", "warning", "error"), default="info", help="for DIR/logs/*.log")
    add("--log-format", choices=("text", "json"), default="text")


def add_tls_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--cert-file", metavar="FILE", help="with --key-file: clients speak TLS")
    add("--key-file", metavar="FILE")
    add("--trusted-ca-file", metavar="FILE", help="clients must have a certificate of this authority")


def tls_of(options: argparse.Namespace) -> tuple[str, str] | None:
    """The files of certificate and key. Raises CliError for one without the other."""
    if bool(options.cert_file) is not bool(options.key_file) or (options.trusted_ca_file and not options.cert_file):
        raise CliError("TLS needs a certificate and its key", "give --cert-file and --key-file")
    return (options.cert_file, options.key_file) if options.cert_file else None


def command(options: argparse.Namespace) -> int:
    tls_of(options)
    data = DataDirectory(options.data)
    listeners: list[socket.socket] = []
    try:
        listeners = listen(options.client_port, data.begin_store(options.replicas))
        return _serve(options, data, listeners)
    finally:
        data.close()
        for listener in listeners:
            listener.close()


def listen(first: int, count: int) -> list[socket.socket]:
    listeners: list[socket.socket] = []
    for port in range(first, first + count):
        try:
            listeners.append(socket.create_server(("127.0.0.1", port), backlog=1024))
        except (OSError, OverflowError) as error:
            for listener in listeners:
                listener.close()
            raise CliError(f"port {port} cannot be had: {error}", "choose another with --client-port") from error
    return listeners


def _serve(options: argparse.Namespace, data: DataDirectory, listeners: list[socket.socket]) -> int:
    hosts = composition().store_hosts(listeners, tls_of(options), options.trusted_ca_file or "")
    waiting = {host.name for host in hosts}
    key, sockets = data.cluster_key(), Sockets(data.path)
    links = {host.name: sockets.listen(host.name) for host in hosts}

    def on_event(child: str, facts: dict[str, object]) -> None:
        if facts["event"] == "ready":
            waiting.discard(str(facts.get("host", child)))

    def system(host: Host) -> System:
        from actorkube.runtime.tcp import TcpTransport

        book = {name: link.getsockname() for name, link in links.items() if name != host.name}
        transport = TcpTransport(key=key, book=book, listen=(links[host.name].dup(),))
        return System(host.name, transport, disk=data.path / host.name, metrics=True)

    def process(host: Host) -> Callable[[Reporter], None]:
        def run(report: Reporter) -> None:
            log_to(data.path / "logs" / f"{host.name}.log", options)
            run_process([host], system, report)

        return run

    supervisor = ProcessSupervisor(on_event)
    supervisor.listen_to_signals()
    try:
        import_all(("uvloop", "setproctitle", "actorkube.runtime.tcp", *hosts[0].modules))
        table_digest()
        for host in hosts:
            supervisor.start(Child(host.name, process(host)))
        stopped = supervisor.run(lambda: not waiting, READY_TIMEOUT_S)
        if not stopped and waiting:
            data.temporary = False
            raise CliError(f"not ready: {', '.join(sorted(waiting))}", f"see {data.path / 'logs'}")
        if not stopped:
            endpoints = ",".join(f"127.0.0.1:{listener.getsockname()[1]}" for listener in listeners)
            print(f"ready: etcdctl --endpoints {endpoints} put greeting hello", file=sys.stdout, flush=True)
            supervisor.run()
    finally:
        supervisor.stop()
        sockets.close()
    return 0
