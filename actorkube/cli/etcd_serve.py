"""`actorkube etcd serve`: the store alone, each replica a process, open to etcd's clients on ports side by side."""

from __future__ import annotations

import argparse
import socket
import ssl
import sys
import time
from collections.abc import Callable

from actorkube.cli.cluster import import_all, log_to
from actorkube.cli.composition import composition
from actorkube.cli.data import DataDirectory
from actorkube.cli.errors import CliError
from actorkube.cli.etcd_peers import LINKS, add_peer_arguments, forget_peers, listen_for_peers, note_peers
from actorkube.cli.sockets import Sockets
from actorkube.runtime.host import Host, run_process
from actorkube.runtime.identity import Identity, LinkAuthority
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
    add_peer_arguments(parser, "the first one's, for members on other machines; the others' follow it")
    add("--log-level", choices=("debug", "info", "warning", "error"), default="info", help="for DIR/logs/*.log")
    add("--log-format", choices=("text", "json"), default="text")


def add_tls_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--cert-file", metavar="FILE", help="with --key-file: clients speak TLS")
    add("--key-file", metavar="FILE")
    add("--trusted-ca-file", metavar="FILE", help="clients must have a certificate of this authority")


def tls_of(options: argparse.Namespace) -> tuple[str, str] | None:
    """The files of certificate and key. Raises CliError for one without the other, or with which TLS cannot begin."""
    if bool(options.cert_file) is not bool(options.key_file) or (options.trusted_ca_file and not options.cert_file):
        raise CliError("TLS needs a certificate and its key", "give --cert-file and --key-file")
    if not options.cert_file:
        return None
    _check_tls(options.cert_file, options.key_file, options.trusted_ca_file or "")
    return options.cert_file, options.key_file


def _check_tls(certificate: str, key: str, authority: str) -> None:
    """Here, and not only in each replica, which would start again and again."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    at = f"--cert-file {certificate} and --key-file {key}"
    try:
        for file in (certificate, key):
            open(file, "rb").close()  # the error of what follows names no file
        context.load_cert_chain(certificate, key, password=lambda: b"")
        if authority:
            at = f"--trusted-ca-file {authority}"
            context.load_verify_locations(authority)
    except OSError as error:
        raise CliError(f"no TLS with {at}: {error}", "give PEM files that fit, the key without a password") from error


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
    peers = _listen_for_peers(options, data, sorted(waiting))
    identities = _identities(data, list(peers))
    key, sockets = data.cluster_key(), Sockets(data.path)
    links = {host.name: sockets.listen(host.name) for host in hosts}

    def on_event(child: str, facts: dict[str, object]) -> None:
        if facts["event"] == "ready":
            waiting.discard(str(facts.get("host", child)))

    def system(host: Host) -> System:
        from actorkube.runtime.tcp import TcpTransport

        book = {name: link.getsockname() for name, link in links.items() if name != host.name}
        own = [listener[host.name].dup() for listener in (links, peers) if host.name in listener]
        transport = TcpTransport(key=key, book=book, listen=tuple(own), identity=identities.get(host.name))
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
        forget_peers(data.path)
        for listener in peers.values():
            listener.close()
    return 0


def _listen_for_peers(options: argparse.Namespace, data: DataDirectory, names: list[str]) -> dict[str, socket.socket]:
    if options.peer_port is None:
        return {}
    listeners = listen_for_peers(options.peer_host, options.peer_port, names)
    note_peers(data.path, listeners)
    return listeners


def _identities(data: DataDirectory, names: list[str]) -> dict[str, Identity]:
    """Of those who listen over TCP."""
    if not names:
        return {}
    authority = LinkAuthority(data.path / LINKS, data.cluster_name(), time.time())
    return {name: authority.identity(name) for name in names}
