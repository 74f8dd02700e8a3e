"""`actorkube cluster`: lay out the hosts of a cluster over processes, start them, and stay until told to stop."""

from __future__ import annotations

import argparse
import importlib
import json
import os
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from actorkube.cli.addresses import Block, listen_anywhere, listen_for_api, listen_for_more, take_block
from actorkube.cli.checklist import Checklist
from actorkube.cli.composition import Composition, ExternalStore, OidcOptions, Protection, composition
from actorkube.cli.data import FAULTS, LINKS, REVOKED, SOCKET, DataDirectory, write_private
from actorkube.cli.errors import CliError, tell_of
from actorkube.cli.faults import begin_faults
from actorkube.cli.kubeconfig import DEFAULT, write_kubeconfig
from actorkube.cli.sockets import Sockets
from actorkube.runtime.certificates import Issued
from actorkube.runtime.duration import format_duration
from actorkube.runtime.host import Host, run_process
from actorkube.runtime.processes import Child, ProcessSupervisor, Reporter
from actorkube.runtime.system import System
from protocols.message import table_digest

AHEAD_LEAST_S = 1.0  # less is as good as right
READY_TIMEOUT_S = 60.0
COMMON_MODULES = (
    "uvloop",
    "setproctitle",
    "actorkube.runtime.tcp",
    "actorkube.runtime.faulty",
)  # what every process needs


def command(options: argparse.Namespace) -> int:
    began = process_start()
    virtual = options.time == "virtual"
    if virtual and options.processes == "many":
        raise CliError("one clock rules one process, so its hosts cannot live in many", "leave --processes many out")
    if options.scheduler_config is not None:
        tell_of(composition().scheduler_notes(Path(options.scheduler_config)))  # or refused now, not later
    if options.token_auth_file is not None:
        composition().user_tokens(Path(options.token_auth_file))  # refused now, too
    oidc = oidc_options(options)
    if options.authentication_config is not None:
        if oidc is not None:
            raise CliError("issuers are in a file or named by --oidc-issuer-url", "leave one of them out")
        composition().check_authentication(Path(options.authentication_config))  # refused now, too
    if options.kubernetes_version:
        options.kubernetes_version = composition().kubernetes_version(options.kubernetes_version)
    protection = protection_of(options)
    composition().check_protection(protection)
    store = external_store(options)
    data = DataDirectory(options.data)
    data.note_scheduler_config(options.scheduler_config)
    try:
        if not virtual and (ahead_s := data.ahead_s(time.time())) >= AHEAD_LEAST_S:
            print(ahead_warning(ahead_s), file=sys.stderr, flush=True)
        block, held = take_block(data.path)
        with held, listen_for_api(options.api_port, data.path) as api:
            cluster = Cluster(options, data, block, api, store, oidc, began)
            return cluster.in_one_process() if virtual or options.processes == "one" else cluster.in_many_processes()
    finally:
        data.close()


def protection_of(options: argparse.Namespace) -> Protection:
    return Protection(
        options.audit_policy_file,
        options.audit_log_path,
        options.audit_log_maxsize,
        options.audit_log_maxbackup,
        options.encryption_provider_config,
    )


def oidc_options(options: argparse.Namespace) -> OidcOptions | None:
    """The issuer that the user wants; None: none. Raises CliError."""
    if options.oidc_issuer_url is None:
        if options.oidc_client_id:
            raise CliError("a client of which issuer?", "say --oidc-issuer-url https://...")
        return None
    oidc = OidcOptions(
        options.oidc_issuer_url,
        options.oidc_client_id,
        options.oidc_username_claim,
        options.oidc_username_prefix,
        options.oidc_groups_claim,
        options.oidc_groups_prefix,
        tuple(options.oidc_required_claim),
        options.oidc_ca_file,
    )
    composition().check_oidc(oidc)  # refused now, not by the API server later
    return oidc


def external_store(options: argparse.Namespace) -> ExternalStore | None:
    """The real etcd that the user wants, which answers; None: replicas of our own. Raises CliError."""
    if options.store is None:
        if options.store_ca or options.store_cert or options.store_key:
            raise CliError("certificates of which store?", "say --store etcds://HOST:PORT")
        return None
    if options.etcd is not None:
        raise CliError("--etcd counts replicas of our own, and --store wants another's", "leave one of them out")
    if options.time == "virtual":
        raise CliError("a real etcd's time cannot be virtual", "leave --store out")
    store = ExternalStore(options.store, options.store_ca, options.store_cert, options.store_key)
    print(f"the store is {composition().find_store(store)}", flush=True)
    return store


class Cluster:
    """One run of a cluster on this machine."""

    def __init__(
        self,
        options: argparse.Namespace,
        data: DataDirectory,
        block: Block,
        api: socket.socket,
        store: ExternalStore | None,
        oidc: OidcOptions | None,
        began: float,
    ) -> None:
        self._options = options
        self._data = data
        self._root: Composition = composition()
        self._api = api
        more = listen_for_more(api, options.apiservers, data.path)
        self._servers = [f"https://127.0.0.1:{listener.getsockname()[1]}" for listener in (api, *more)]
        self._spec = self._root.ClusterSpec(
            data=data.path,
            nodes=options.nodes,
            etcd=data.begin_store(options.etcd) if store is None else 0,
            octet=block.octet,
            runtime=options.runtime,
            api_address=api.getsockname(),
            api_listener=api,
            more_api_listeners=tuple(more),
            apiservers=options.apiservers,
            schedulers=options.schedulers,
            without=options.without,
            node_monitor_grace_s=options.node_monitor_grace_period,
            eviction_timeout_s=options.pod_eviction_timeout,
            cluster=data.cluster_name(),
            store=store,
            scheduler_config=Path(options.scheduler_config) if options.scheduler_config else None,
            token_auth_file=Path(options.token_auth_file) if options.token_auth_file else None,
            oidc=oidc,
            authentication_config=Path(options.authentication_config) if options.authentication_config else None,
            kubernetes_version=options.kubernetes_version,
            protection=protection_of(options),
        )
        self._hosts = self._root.cluster_hosts(self._spec)
        self._listeners: dict[str, socket.socket] = {}
        self._controls: dict[str, socket.socket] = {}
        self._outside: dict[str, socket.socket] = {}  # for those who join (`actorkube run`): API servers', under TLS
        self._key = data.cluster_key()
        self._pids: dict[str, int] = {}
        self._announced = False
        self._checklist = Checklist(steps(self._hosts), sys.stdout, began)

    # -- many processes -------------------------------------------------------------------------------------------

    def in_many_processes(self) -> int:
        supervisor = ProcessSupervisor(self._on_event)
        supervisor.listen_to_signals()
        sockets = Sockets(self._data.path)
        self._listeners = {host.name: sockets.listen(host.name) for host in self._hosts if host.listens}
        self._controls = {host.name: sockets.listen(f"{host.name}.control") for host in self._hosts}
        begin_faults(self._data.path, list(self._controls))
        self._outside = {name: listen_anywhere() for name in self._spec.api_servers}
        try:
            import_all(COMMON_MODULES)
            table_digest()
            for name, hosts in machines(self._hosts):
                import_all([module for host in hosts for module in host.modules])
                machine = bool(hosts[0].machine) and not hosts[0].light
                run = self._machine(name, hosts) if machine else self._process(name, hosts)
                supervisor.start(Child(name, run, restart=not machine))
                supervisor.poll()
            stopped = supervisor.run(lambda: self._checklist.complete, READY_TIMEOUT_S)
            if not stopped and not self._checklist.complete:
                raise CliError(
                    f"not ready after {READY_TIMEOUT_S:.0f} s: {', '.join(self._checklist.waiting())}",
                    f"see {self._keep_logs()}",
                )
            if not stopped:
                self._write_kubeconfig()
                self._write_join()
                self._announce()
                supervisor.run()
        finally:
            self._announced = False
            self._checklist.line("stopping")
            supervisor.stop()
            sockets.close()
        return 0

    def _process(self, name: str, hosts: Sequence[Host]) -> Callable[[Reporter], None]:
        def run(report: Reporter) -> None:
            log_to(self._data.path / "logs" / f"{name}.log", self._options)
            run_process(hosts, self._system, report, self._faulty)

        return run

    def _machine(self, name: str, hosts: Sequence[Host]) -> Callable[[Reporter], None]:
        """A node: a process whose children are the node's components; it dies as a machine does, as a whole."""

        def run(report: Reporter) -> None:
            log_to(self._data.path / "logs" / f"{name}.log", self._options)
            inner = ProcessSupervisor(lambda child, facts: report(**{"host": child, **facts}), "actorkube")
            inner.listen_to_signals()
            for host in hosts:
                inner.start(Child(host.name, self._process(host.name, [host])))
            inner.run()
            inner.stop()

        return run

    def _system(self, host: Host) -> System:
        from actorkube.runtime.identity import Identity
        from actorkube.runtime.tcp import TcpTransport

        book = {name: listener.getsockname() for name, listener in self._listeners.items() if name != host.name}
        own = self._listeners.get(host.name)
        listen = [own.dup()] if own is not None else []
        identity = None
        if host.name in self._outside:
            listen.append(self._outside[host.name].dup())
            identity = Identity(
                self._spec.cluster,
                *self._link_files(host.name),
                revoked_file=self._data.path / REVOKED,
                renewal=lambda now: self._renew_link(host.name, now),
            )
        here = frozenset(host.name for host in self._hosts)
        reserved = self._root.reserved_names(self._spec)
        transport = TcpTransport(
            key=self._key, book=book, listen=tuple(listen), identity=identity, here=here, reserved=reserved
        )
        system = System(host.name, transport, disk=self._data.path / host.name, metrics=True)
        system.follow(self._options.trace)
        return system

    def _faulty(self, system: System) -> AbstractAsyncContextManager[None]:
        from actorkube.runtime.faulty import faulty

        return faulty(system, self._data.path / FAULTS, self._controls[system.name].dup())

    def _link_files(self, name: str) -> tuple[Path, Path, Path]:
        """The API server has made them by the time it is ready; they are read when somebody calls from outside."""
        pki = self._data.path / LINKS
        own = Issued.at(pki, name)
        return pki / "ca.crt", own.cert_file, own.key_file

    def _renew_link(self, name: str, now: float) -> None:
        from actorkube.runtime.identity import LinkAuthority

        LinkAuthority(self._data.path / LINKS, self._spec.cluster, now).renew(name)

    # -- one process ----------------------------------------------------------------------------------------------

    def in_one_process(self) -> int:
        from actorkube.cli.one_process import run_hosts

        terminal = sys.stdout
        self._checklist = Checklist(steps(self._hosts), terminal, process_start())
        log_to(self._data.path / "logs" / "cluster.log", self._options)
        self._pids["cluster"] = os.getpid()
        self._write_pids()

        def ready(name: str, note: str) -> None:
            self._on_event(name, {"event": "ready", "note": note, "at": time.monotonic()})
            if self._checklist.complete:
                self._write_kubeconfig()
                self._announce()

        control = self._data.path / SOCKET if self._options.time == "virtual" else None
        run_hosts(self._hosts, self._data.path, ready, control, self._options.trace)
        return 0

    # -- what is told to the user ---------------------------------------------------------------------------------

    def _on_event(self, child: str, facts: dict[str, Any]) -> None:
        name = facts.get("host", child)
        match facts["event"]:
            case "ready":
                self._checklist.ready(name, facts["note"], facts["at"])
            case "started":
                self._pids[name] = facts["pid"]
                self._write_pids()
                if self._announced:
                    self._checklist.line(f"  {name} runs again (process {facts['pid']})")
            case "exited":
                self._pids.pop(name, None)
                self._write_pids()
                if self._announced:
                    self._checklist.line(f"  {name} {ending(facts['status'])}{self._what_follows(name)}")
            case "given_up":
                self._checklist.line(f"  {name} died {facts['restarts'] + 1} times in a minute: not started again")

    def _what_follows(self, name: str) -> str:
        if any(host.machine == name and not host.light for host in self._hosts):
            return ": this node stays down, its pods move to others after the eviction timeout"
        return ": it is started again"

    def _write_kubeconfig(self) -> None:
        credentials = self._root.credentials(self._spec)
        self._kubeconfig = Path(self._options.kubeconfig or DEFAULT).expanduser()
        write_kubeconfig(self._kubeconfig, servers=self._servers, data=self._data.path, **credentials._asdict())

    def _write_join(self) -> None:
        """Also those of guests by name: the address is another one after each start."""
        from actorkube.cli.guests import write_joins

        elects = self._root.scheduler_elects(self._spec)
        write_joins(
            self._data.path,
            {name: listener.getsockname()[:2] for name, listener in self._outside.items()},
            self._spec.octet,
            self._spec.cluster,
            elects=elects,
            kubernetes_version=self._spec.kubernetes_version,
        )

    def _write_pids(self) -> None:
        write_private(self._data.path / "processes.json", json.dumps(self._pids).encode())

    def _announce(self) -> None:
        self._announced = True
        line = self._checklist.line
        line("")
        line(f"API         {' '.join(self._servers)}")
        line(f"kubeconfig  {self._kubeconfig}")
        line(f"data        {self._data.path}{' (removed at the end)' if self._data.temporary else ''}")
        line("")
        line(f"try:  export KUBECONFIG={self._kubeconfig}")
        line("      kubectl get nodes -o wide")
        line("      kubectl apply -f examples/web.yaml")
        if self._options.time == "virtual":
            line("      python -m actorkube time pause|resume|step|advance 5m|x10|show")
        line("Ctrl-C stops everything, pods included.")

    def _keep_logs(self) -> Path:
        self._data.temporary = False
        return self._data.path / "logs"


def import_all(modules: Sequence[str]) -> None:
    """Before the fork, so that every process forked later shares them and none waits for them."""
    for module in modules:
        importlib.import_module(module)


def steps(hosts: Sequence[Host]) -> list[tuple[str, list[str]]]:
    """The checklist's steps in the order of the hosts, each with the hosts that it waits for."""
    found: dict[str, list[str]] = {}
    for host in hosts:
        found.setdefault(host.step, []).append(host.name)
    return list(found.items())


def machines(hosts: Sequence[Host]) -> list[tuple[str, list[Host]]]:
    """Processes of the top supervisor: a host of its own, or all hosts of one machine."""
    found: dict[str, list[Host]] = {}
    for host in hosts:
        found.setdefault(host.machine or host.name, []).append(host)
    return list(found.items())


def ahead_warning(ahead_s: float) -> str:
    return (
        f"actorkube: the clock of these data is {format_duration(ahead_s)} ahead (--time virtual left it there):\n"
        "until real time gets there, ages and time stamps are wrong. With --time virtual it goes on where it was."
    )


def ending(status: int) -> str:
    if status < 0:
        return f"was ended by {signal.Signals(-status).name}"
    return f"ended with code {status}"


def log_to(path: Path, options: argparse.Namespace) -> None:
    """Send this process's standard error, and its log, to a file."""
    from actorkube.runtime.log import configure

    fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    os.dup2(fd, 2)
    os.close(fd)
    configure(options.log_level, json=options.log_format == "json")


def process_start() -> float:
    """When this process was started by the user, on the monotonic clock (to 10 ms where /proc tells)."""
    try:
        with open("/proc/self/stat") as stat:
            ticks = int(stat.read().rsplit(")", 1)[1].split()[19])
    except OSError:
        return time.monotonic()
    return min(time.monotonic(), ticks / os.sysconf("SC_CLK_TCK"))
