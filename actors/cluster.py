"""The composition root: which actors a cluster is made of, and which host each lives on.

    etcd-0 .. etcd-2              etcd        the store's replicas
    apiserver, apiserver-2 ..     api         the only ones who talk to the store
    scheduler                     scheduler
    controller-manager            controllers
    cloud-controller-manager      controllers
    node-1 (a machine)            node-1-runtime/runtime, node-1-kubelet/kubelet, node-1-proxy/proxy

The same hosts are booted in one process, in many processes joined by TCP, and in simulation: a host is a name and a
function that spawns its actors and returns when they are ready. Components are imported inside those functions, so a
process pays only for what lives in it.
"""

from __future__ import annotations

import asyncio
import re
import socket
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from actorkube.cli.composition import UNPROTECTED, Credentials, ExternalStore, OidcOptions, Protection
from actorkube.runtime import System
from actorkube.runtime.host import Host
from actors.cluster_access import audit_config, authority, certificate_signer, encryption_of, rest_config
from actors.cluster_access import check_authentication as check_authentication
from actors.cluster_access import check_oidc as check_oidc
from actors.cluster_access import check_protection as check_protection
from actors.cluster_access import user_tokens as user_tokens
from actors.cluster_readiness import api_ready, node_ready, run_controllers, until
from actors.cluster_scheduler import check_joins, scheduler_of, scheduler_setup
from actors.cluster_scheduler import reserved_names as reserved_names
from actors.cluster_scheduler import scheduler_elects as scheduler_elects
from actors.cluster_scheduler import scheduler_notes as scheduler_notes
from actors.cluster_scheduler import scheduler_profiles as scheduler_profiles
from actors.cluster_serving import controller_flags, controllers_told, serve
from protocols.api import Ready

if TYPE_CHECKING:
    from actors.apiserver.schema.resources import Resource

API = "apiserver/api"


@dataclass(frozen=True)
class ClusterSpec:
    """What a cluster is to be like. `octet` chooses its block of addresses (127.<octet>.0.0/14).

    `data` keeps keys and certificates and the files of the process runtime; the simulation has none. `api_address` is
    where REST listens; None serves actors only. `guests` are systems beside the cluster's own whose actors may do
    everything; it may grow while the cluster runs.
    """

    data: Path | None = None
    nodes: int = 3
    etcd: int = 3
    octet: int = 64
    runtime: Literal["process", "sim"] = "process"
    api_address: tuple[str, int] | None = None
    api_listener: socket.socket | None = None
    more_api_listeners: tuple[socket.socket, ...] = ()  # those of `apiserver-2` and so on
    apiservers: int = 1
    schedulers: int = 1
    without: frozenset[str] = frozenset()  # components of somebody else's: "scheduler", "controller-manager", ...
    node_monitor_grace_s: float = 50.0
    eviction_timeout_s: float = 300.0
    guests: Mapping[str, None] = field(default_factory=dict)
    scheduler_config: Path | None = None
    token_auth_file: Path | None = None  # bearer tokens of users
    oidc: OidcOptions | None = None  # whose issuer of tokens is believed
    authentication_config: Path | None = None  # or several, by a file
    cluster: str = ""  # the name in the certificates of links, where some go over the network
    store: ExternalStore | None = None  # a real etcd, in the place of replicas of our own
    protection: Protection = UNPROTECTED
    kubernetes_version: str = ""  # whose API is served, such as "1.33"; "": 1.36

    @property
    def etcd_members(self) -> dict[str, str]:
        return {f"etcd-{n}": f"etcd-{n}/etcd" for n in range(self.etcd)}

    @property
    def api_servers(self) -> dict[str, str]:
        """The address of each, the one that others call from outside first."""
        names = ["apiserver", *(f"apiserver-{n}" for n in range(2, self.apiservers + 1))]
        return {name: f"{name}/api" for name in names}

    @property
    def apis(self) -> tuple[str, ...]:
        return tuple(self.api_servers.values())

    @property
    def scheduler_names(self) -> list[str]:
        return ["scheduler", *(f"scheduler-{n}" for n in range(2, self.schedulers + 1))]

    @property
    def service_cidr(self) -> str:
        return f"127.{self.octet + 2}.0.0/16"

    @property
    def load_balancer_cidr(self) -> str:
        return f"127.{self.octet + 3}.0.0/24"

    def node_ip(self, number: int) -> str:
        return f"127.{self.octet}.0.{number}"

    def pod_cidr(self, number: int) -> str:
        return f"127.{self.octet + 1}.{number}.0/24"


def cluster_hosts(spec: ClusterSpec) -> list[Host]:
    """Every host of a cluster, in the order in which they should be started: who takes longest comes first."""
    hosts = [api_host(spec, name) for name in spec.api_servers]
    if spec.store is None:
        hosts += [etcd_host(spec, member) for member in spec.etcd_members]
    if "scheduler" not in spec.without:
        hosts += [scheduler_host(spec, name) for name in spec.scheduler_names]
    hosts += [host for host in (controller_host(spec), cloud_host(spec)) if host.name not in spec.without]
    for number in range(1, spec.nodes + 1):
        hosts += node_hosts(spec, f"node-{number}", number, f"{spec.nodes} nodes")
    return hosts


def joined_hosts(component: str, spec: ClusterSpec, name: str) -> list[Host]:
    """The hosts of one component that joins a running cluster. A node's number comes from its name (node-4)."""
    match component:
        case "node":
            number = re.search(r"(\d+)$", name)
            if number is None or not 1 <= int(number[1]) <= 250:
                from actorkube.cli.errors import CliError

                raise CliError(f"{name!r} has no number from 1 to 250 at its end", "name the node, as in --name node-4")
            return node_hosts(spec, name, int(number[1]), name)
        case "scheduler":
            check_joins(spec.scheduler_config, name)
            return [scheduler_host(spec, name)]
        case "controller-manager":
            return [controller_host(spec, name)]
        case _:
            return [cloud_host(spec, name)]


def simulated(
    *,
    nodes: int,
    etcd: int,
    apiservers: int,
    node_monitor_grace_s: float,
    eviction_timeout_s: float,
    guests: Mapping[str, None],
) -> ClusterSpec:
    """A cluster for the simulated world: no files, no REST, scripted containers."""
    return ClusterSpec(
        guests=guests,
        runtime="sim",
        nodes=nodes,
        etcd=etcd,
        apiservers=apiservers,
        node_monitor_grace_s=node_monitor_grace_s,
        eviction_timeout_s=eviction_timeout_s,
    )


def api_resources() -> Sequence[Resource]:
    """What the API server serves and keeps, by all its names."""
    from actors.apiserver.schema.resources import RESOURCES, find

    return [each for each in RESOURCES if each.stored and find(each.group_resource) is each]


def credentials(spec: ClusterSpec) -> Credentials:
    """The administrator's, made with the cluster's CA at the first start."""
    ca = authority(spec, time.time())
    admin = ca.admin()
    return Credentials(ca.ca_pem, admin.cert_pem, admin.key_pem)


def scenarios() -> dict[str, str]:
    """What `actorkube sim` can run by a short name."""
    return {name: f"actors.scenarios:{name}" for name in ("store", "cluster", "apiservers")}


# -- the control plane ------------------------------------------------------------------------------------------------


def etcd_host(spec: ClusterSpec, member: str) -> Host:
    async def boot(system: System) -> str:
        from actors.etcd.actor import Etcd
        from protocols.etcd import Status
        from protocols.etcd_members import NOT_A_MEMBER

        ref = system.spawn(lambda: Etcd(member, spec.etcd_members), "etcd")
        status = await until(system, ref, Status(), lambda status: bool(status.leader) or NOT_A_MEMBER in status.errors)
        if NOT_A_MEMBER in status.errors:
            return NOT_A_MEMBER
        return f"leader {status.leader.partition('/')[0]}  term {status.term}"

    return Host(member, f"etcd ×{spec.etcd}", boot, ("actors.etcd.actor",), listens=True)


def store_hosts(
    listeners: Sequence[socket.socket], certificate: tuple[str, str] | None = None, client_ca: str = ""
) -> list[Host]:
    """The store alone: a replica for each listener, which is open to etcd's clients."""
    members = {f"etcd-{number}": f"etcd-{number}/etcd" for number in range(len(listeners))}
    scheme = "https" if certificate else "http"
    urls = {
        member: "{}://{}:{}".format(scheme, *listener.getsockname()[:2])
        for member, listener in zip(members, listeners, strict=True)
    }

    def boot_of(member: str, listener: socket.socket) -> Callable[[System], Awaitable[str]]:
        async def boot(system: System) -> str:
            from actors.etcd.actor import Etcd
            from protocols.etcd import Status

            ref = system.spawn(lambda: Etcd(member, members), "etcd")
            await until(system, ref, Status(), lambda status: bool(status.leader))
            await open_door(system, member, len(members), listener, urls, certificate, client_ca)
            return urls[member]

        return boot

    modules = ("actors.etcd.actor", "actors.etcd.grpc.door")
    return [
        Host(member, member, boot_of(member, listener), modules, listens=True)
        for member, listener in zip(members, listeners, strict=True)
    ]


async def open_door(
    system: System,
    member: str,
    begun_with: int,
    listener: socket.socket,
    urls: Mapping[str, str],
    certificate: tuple[str, str] | None = None,
    client_ca: str = "",
) -> None:
    """For etcd's clients, beside that replica of a store that was begun with so many. Returns when it is open."""
    from actors.etcd.grpc.door import Door, DoorConfig, IsOpen, cluster_id

    number = cluster_id(f"etcd-{each}" for each in range(begun_with))
    config = DoorConfig(member, f"{member}/etcd", number, listener, urls, certificate, client_ca)
    door = system.spawn(lambda: Door(config), "door")
    await until(system, door, IsOpen(), lambda _: True)


def api_host(spec: ClusterSpec, name: str = "apiserver") -> Host:
    async def boot(system: System) -> str:
        from actors.apiserver.actor import ApiServer
        from actors.apiserver.callers import GuestUsers

        rest = rest_config(spec, time.time(), name) if spec.api_address is not None else None
        toleration_s = int(spec.eviction_timeout_s)
        replicas = list(spec.etcd_members.values()) if spec.store is None else [external_etcd(system, spec.store)]
        system.spawn(
            lambda: ApiServer(
                replicas,
                rest=rest,
                service_cidr=spec.service_cidr,
                toleration_s=toleration_s,
                users=GuestUsers(spec.guests),
                kubernetes_version=spec.kubernetes_version,
                alone=spec.apiservers == 1,
                sole_writer=spec.store is None,
                pod_tokens=rest is not None and spec.runtime == "process",
                audit=audit_config(spec.protection, name),
                encryption=encryption_of(spec.protection),
            ),
            "api",
        )
        await until(system, system.ref(spec.api_servers[name]), Ready(), lambda _: True)
        return "https://{}:{}".format(*rest.address) if rest else ""

    return Host(name, "apiserver" if spec.apiservers == 1 else f"apiserver ×{spec.apiservers}", boot, listens=True)


def external_etcd(system: System, store: ExternalStore) -> str:
    """The address of an actor that answers as our replicas do."""
    from actors.etcd.external.actor import ExternalEtcd
    from actors.etcd.external.address import parse

    where = parse(*store)
    return str(system.spawn(lambda: ExternalEtcd(where), "store").address)


def kubernetes_version(text: str) -> str:
    """The version of the API that "1.33", "v1.33" and "1.33.4" mean. Raises CliError when it is not carried."""
    from actorkube.cli.errors import CliError
    from actors.apiserver.schema.types import served_version

    try:
        return served_version(text)
    except LookupError as error:
        raise CliError(*error.args) from None


def find_store(store: ExternalStore) -> str:
    """Which etcd answers there, for the user. Raises CliError where none does, or it is no store for this cluster."""
    from actorkube.cli.errors import CliError
    from actors.apiserver.keys import ROOT, ROOT_END
    from actors.etcd.external.address import parse
    from actors.etcd.external.look import look

    try:
        found = asyncio.run(look(parse(*store), ROOT, ROOT_END))
    except ValueError as error:
        raise CliError(str(error), "see actorkube cluster --help") from None
    except OSError as error:
        raise CliError(f"no etcd answers: {error}", "start it first, or leave --store out") from None
    if found.value.startswith((b"k8s", b"{")):  # ours are neither kube-apiserver's protobuf nor its JSON
        raise CliError(
            f"the etcd at {store.url} holds objects of another API server", "use an etcd of this cluster's own"
        )
    return f"etcd {found.version} at {store.url.partition('://')[2]}"


def scheduler_host(spec: ClusterSpec, name: str = "scheduler") -> Host:
    async def boot(system: System) -> str:
        await api_ready(system, spec)  # numpy costs 100 ms of CPU, which whoever everybody waits for needs first
        setup = scheduler_setup(spec.scheduler_config, spec.schedulers)
        system.spawn(scheduler_of(setup, spec.apis), "scheduler")
        flags = {"leader-elect": str(setup.election is not None).lower()}
        if spec.scheduler_config is not None:
            flags["config"] = str(spec.scheduler_config)
        serve(system, spec, "kube-scheduler", "scheduler", setup.told, ("resources",), flags)
        return ""

    step = "scheduler" if spec.schedulers == 1 else f"scheduler ×{spec.schedulers}"
    return Host(name, step, boot, ("actorkube.kube.actor",))


def controller_host(spec: ClusterSpec, name: str = "controller-manager") -> Host:
    async def boot(system: System) -> str:
        from actorkube.kube.actor import ControllerActor
        from actors.controllers import controllers

        await api_ready(system, spec)  # which has made the CA, where there is one
        root_ca = (
            authority(spec, time.time()).ca_pem.decode()
            if spec.data is not None and spec.api_address is not None
            else ""
        )
        sign = certificate_signer(spec) if root_ca else None
        values = controllers(node_monitor_grace_s=spec.node_monitor_grace_s, root_ca=root_ca, sign=sign)
        note = await run_controllers(system, spec, lambda: ControllerActor(values, spec.apis), len(values))
        told, flags = partial(controllers_told, spec), controller_flags(spec)
        serve(system, spec, "kube-controller-manager", "controllers", told, flags=flags)
        return note

    return Host(name, "controller-manager", boot, ("actorkube.kube.actor",))


def cloud_host(spec: ClusterSpec, name: str = "cloud-controller-manager") -> Host:
    async def boot(system: System) -> str:
        from actorkube.kube.actor import ControllerActor
        from actors.cloud.controllers import controllers
        from actors.cloud.local import LocalProvider

        values = controllers(LocalProvider(spec.load_balancer_cidr))
        return await run_controllers(system, spec, lambda: ControllerActor(values, spec.apis), len(values))

    return Host(name, "cloud-controller-manager", boot, ("actorkube.kube.actor",))


# -- nodes ------------------------------------------------------------------------------------------------------------


def node_hosts(spec: ClusterSpec, node: str, number: int, step: str) -> list[Host]:
    """A machine: runtime shim, kubelet and proxy, which live and die together. Simulated nodes share one process."""
    light = spec.runtime == "sim"
    machine = "simulated-nodes" if light else node
    boots = {
        "runtime": (runtime_boot(spec, node), "actors.runtime.actor"),
        "kubelet": (kubelet_boot(spec, node, number), "actors.kubelet.actor"),
        "proxy": (proxy_boot(spec, node), "actors.proxy.actor"),
    }
    return [
        Host(f"{node}-{what}", step, boot, (module,), listens=what == "runtime", machine=machine, light=light)
        for what, (boot, module) in boots.items()
    ]


def runtime_boot(spec: ClusterSpec, node: str) -> Callable[[System], Awaitable[str]]:
    async def boot(system: System) -> str:
        from actors.runtime.actor import RuntimeShim
        from actors.runtime.backend import Backend
        from protocols.cri import GetVersion

        def backend() -> Backend:
            if spec.runtime == "sim" or spec.data is None:
                from actors.runtime.sim import SimBackend

                return SimBackend()
            from actors.runtime.process import ProcessBackend

            return ProcessBackend(spec.data / f"{node}-runtime")

        ref = system.spawn(lambda: RuntimeShim(backend), "runtime")
        await until(system, ref, GetVersion(), lambda _: True)
        return "Ready"

    return boot


def kubelet_boot(spec: ClusterSpec, node: str, number: int) -> Callable[[System], Awaitable[str]]:
    async def boot(system: System) -> str:
        from actors.kubelet.actor import Kubelet

        system.spawn(
            lambda: Kubelet(
                node,
                runtime=f"{node}-runtime/runtime",
                node_ip=spec.node_ip(number),
                pod_cidr=spec.pod_cidr(number),
                lease_renew_s=min(10.0, spec.node_monitor_grace_s / 5),
                in_cloud=True,
                kubernetes_version=spec.kubernetes_version,
                api=spec.apis,
            ),
            "kubelet",
        )
        await node_ready(system, spec, node)
        return "Ready"

    return boot


def proxy_boot(spec: ClusterSpec, node: str) -> Callable[[System], Awaitable[str]]:
    async def boot(system: System) -> str:
        from actors.proxy.actor import Proxy
        from actors.proxy.backend import Backend

        def backend() -> Backend:
            if spec.runtime == "sim":
                from actors.proxy.sim import SimBackend

                return SimBackend()
            from actors.proxy.userspace import UserspaceBackend

            return UserspaceBackend()

        system.spawn(lambda: Proxy(node, backend, spec.apis), "proxy")
        await api_ready(system, spec)
        return "Ready"

    return boot
