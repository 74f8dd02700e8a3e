"""How many pods per second are created through the API server, bound, and seen by a watcher, and what does each cost?

    python -m bench.scheduler_end_to_end [--nodes 1000] [--pods 5000] [--memory]
        [--peer /path/to/kube-apiserver --kube-scheduler /path/to/kube-scheduler]

In processes: 3 etcd replicas with fsync, API server, scheduler. Nodes are objects without kubelets and there are no
controllers, as in kube-scheduler's own scheduler_perf: 4 CPU, 32 GiB, 110 pods; pods ask for 100m and 500 MiB. Two
runs: pods created by clients over REST, bound and seen; decisions with bindings alone, for the scheduler sleeps while
the pods are created. Then, with controllers, pods that clients create, and that the controller of a replica set
creates, by messages. `--memory`: also what the scheduler takes with 50,000 pods. Where a kube-apiserver and a kube-
scheduler are named (or by ACTORKUBE_KUBE_APISERVER and ACTORKUBE_KUBE_SCHEDULER) and there is an etcd, the first is
measured with them, too, and the ratio printed. Anchor: kube-scheduler 1.36 with API server and etcd on 2 such CPUs,
alone: 340 to 360 pods/s at 1,000 nodes, 197 to 249 at 5,000.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import shutil
import signal
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar, cast

import msgspec
import psutil
import uvloop

from bench.api import MERGE
from bench.api_servers import CONTROLLERS, Server, kubernetes, make_account, started
from bench.http_client import Connection
from bench.rest import tls_context
from bench.scale import Meter
from bench.scheduler import HOST, ZONE
from tests.cluster.live import LiveCluster
from tests.cluster.real_kubernetes import scheduler as kube_scheduler

T = TypeVar("T")

CLIENTS = 32
SIZES = (500, 1000, 5000)
PODS = "/api/v1/namespaces/default/pods"
NODES = "/api/v1/nodes"
UNTAINTED = {"spec": {"taints": None}}
SETS = "/apis/apps/v1/namespaces/default/replicasets"
MANY_PODS = 50_000
UNHINDERED = ("--kube-api-qps=5000", "--kube-api-burst=5000")  # as scheduler_perf has it: by itself it asks seldom
ANCHORS = {1000: "340 to 360", 5000: "197 to 249"}


class _Spec(msgspec.Struct):
    nodeName: str = ""


class _Metadata(msgspec.Struct):
    name: str
    resourceVersion: str


class _Pod(msgspec.Struct):
    metadata: _Metadata
    spec: _Spec


class _Event(msgspec.Struct):
    object: _Pod


class Watcher(asyncio.Protocol):
    """A watch of pods that counts those it has shown on a node. Cut off (kube-apiserver does that to who reads slowly),
    it goes on where it was."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._revision = "0"
        self._bound: set[str] = set()
        self._changed = asyncio.Event()
        self._decode = msgspec.json.Decoder(_Event).decode
        self._rest = b""

    async def open(self) -> Watcher:
        await self._server.open(lambda: self)
        return self

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport, self._rest = cast(asyncio.Transport, transport), b""
        named = {"Host": self._server.host, **self._server.headers}
        headers = "".join(f"{name}: {value}\r\n" for name, value in named.items())
        # HTTP/1.0 knows no chunks, which would cut events into pieces.
        path = f"{PODS}?watch=true&resourceVersion={self._revision}"
        self._transport.write(f"GET {path} HTTP/1.0\r\n{headers}\r\n".encode())

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"{"):  # the head has lines as well
                pod = self._decode(line).object
                self._revision = pod.metadata.resourceVersion
                if pod.spec.nodeName:
                    self._bound.add(pod.metadata.name)
        self._changed.set()

    def connection_lost(self, exc: Exception | None) -> None:
        self._changed.set()

    def close(self) -> None:
        self._transport.close()

    async def until(self, number: int) -> None:
        while len(self._bound) < number:
            if self._transport.is_closing():
                await self.open()
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 120)


class Load:
    """What is asked of any cluster."""

    def __init__(self, clients: list[Connection], watcher: Watcher, nodes: int) -> None:
        self._clients = clients
        self._watcher = watcher
        self._nodes = nodes
        self._numbers = 0

    async def begin(self) -> None:
        """There are nodes, and a first pod has gone all the way: the scheduler knows them."""
        await self.make_nodes()
        await self.place(1)

    async def make_nodes(self) -> None:
        await self._create(NODES, (make_node(index) for index in range(self._nodes)))

    async def place(self, pods: int) -> None:
        """So many are created, bound and seen."""
        await self._create(PODS, self._pods(pods))
        await self._watcher.until(self._numbers)

    def _pods(self, number: int) -> Iterator[dict[str, Any]]:
        first, self._numbers = self._numbers, self._numbers + number
        return (make_pod(index) for index in range(first, first + number))

    async def _create(self, path: str, objects: Iterator[dict[str, Any]]) -> None:
        async def create(client: Connection) -> None:
            for obj in objects:
                await client.send("POST", path, obj)

        await asyncio.gather(*map(create, self._clients))


class Run(Load):
    def __init__(self, cluster: LiveCluster, clients: list[Connection], watcher: Watcher, nodes: int) -> None:
        super().__init__(clients, watcher, nodes)
        self._cluster = cluster
        self._scheduler = cluster.pids()["scheduler"]

    async def alone(self, pods: int, memory: bool) -> float:
        """Without controllers. Returns how many seconds the first run took."""
        await make_account(self._clients[0])
        await self.make_nodes()
        for index in range(self._nodes):  # who would do that else, is not there
            await self._clients[0].send("PATCH", f"{NODES}/{node_name(index)}", UNTAINTED, MERGE)
        await self.place(1)
        beside = f" (kube-scheduler: {ANCHORS[self._nodes]})" if self._nodes in ANCHORS else ""
        seconds = await self._to_seen(f"created to seen{beside}", pods)
        await self._bindings_alone(pods)
        if memory:
            await self.place(MANY_PODS - self._numbers)
            print(
                f"{self._nodes} nodes, {self._numbers} pods: the scheduler's process takes {self._memory_mib():.0f} MiB"
            )
        return seconds

    async def with_controllers(self, pods: int) -> None:
        await self.begin()
        await self._to_seen("created to seen, with controllers", pods)
        await self._by_controller(pods)

    async def _to_seen(self, what: str, pods: int) -> float:
        meter = self._meter()
        await self.place(pods)
        return meter.report(f"{self._nodes} nodes: {what}", pods)

    async def _bindings_alone(self, pods: int) -> None:
        os.kill(self._scheduler, signal.SIGSTOP)
        try:
            meter = self._meter()
            await self._create(PODS, self._pods(pods))
            meter.report(f"{self._nodes} nodes: creates alone", pods)
        finally:
            os.kill(self._scheduler, signal.SIGCONT)
        meter.begin()
        await self._watcher.until(self._numbers)
        meter.report(f"{self._nodes} nodes: decisions and bindings alone", pods)

    async def _by_controller(self, pods: int) -> None:
        meter = self._meter()
        await self._clients[0].send("POST", SETS, replica_set(pods))
        self._numbers += pods
        await self._watcher.until(self._numbers)
        meter.report(f"{self._nodes} nodes: created by a controller to seen", pods)

    def _meter(self) -> Meter:
        meter = Meter(self._cluster)
        meter.include("this benchmark", [psutil.Process()])
        return meter

    def _memory_mib(self) -> float:
        return psutil.Process(self._scheduler).memory_full_info().pss / 2**20


def node_name(index: int) -> str:
    return f"hollow-{index}"


def make_node(index: int) -> dict[str, Any]:
    name = node_name(index)
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "", **_times()}
    size = {"cpu": "4", "memory": "32Gi", "pods": "110"}
    return {
        "apiVersion": "v1",
        "kind": "Node",
        "metadata": {"name": name, "labels": {HOST: name, ZONE: f"zone-{index % 3}"}},
        "status": {"capacity": size, "allocatable": size, "conditions": [ready]},
    }


def _times() -> dict[str, str]:
    now = time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime())
    return {"lastHeartbeatTime": now, "lastTransitionTime": now}


def make_pod(index: int) -> dict[str, Any]:
    resources = {"requests": {"cpu": "100m", "memory": "500Mi"}}
    container = {"name": "main", "image": "registry.k8s.io/pause:3.10", "resources": resources}
    metadata = {"name": f"pod-{index}", "labels": {"app": "measured"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}


def replica_set(replicas: int) -> dict[str, Any]:
    pod = make_pod(0)
    template = {"metadata": {"labels": {"app": "set"}}, "spec": pod["spec"]}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": "set"}}, "template": template}
    return {"apiVersion": "apps/v1", "kind": "ReplicaSet", "metadata": {"name": "set"}, "spec": spec}


@asynccontextmanager
async def connected(server: Server) -> AsyncIterator[tuple[list[Connection], Watcher]]:
    clients = [await server.connect() for _ in range(CLIENTS)]
    watcher = await Watcher(server).open()
    try:
        yield clients, watcher
    finally:
        for connection in (*clients, watcher):
            connection.close()


def measured(options: argparse.Namespace, nodes: int) -> float:
    """Returns how many seconds the first run took."""
    with tempfile.TemporaryDirectory() as name, started(Path(name), *CONTROLLERS) as cluster:
        seconds = uvloop.run(run(cluster, Path(name), nodes, lambda it: it.alone(options.pods, options.memory)))
    with tempfile.TemporaryDirectory() as name, started(Path(name)) as cluster:
        uvloop.run(run(cluster, Path(name), nodes, lambda it: it.with_controllers(options.pods)))
    return seconds


async def run(cluster: LiveCluster, directory: Path, nodes: int, measure: Callable[[Run], Awaitable[T]]) -> T:
    address, context = tls_context(cluster.kubeconfig, directory)
    server = Server("ActorKube", address, context, psutil.Process(cluster.pids()["apiserver"]), cluster.family())
    async with connected(server) as (clients, watcher):
        return await measure(Run(cluster, clients, watcher, nodes))


async def placed(server: Server, nodes: int, pods: int) -> float:
    """Seconds until the pods are on nodes in another's cluster."""
    async with connected(server) as (clients, watcher):
        load = Load(clients, watcher, nodes)
        await load.begin()
        began = time.perf_counter()
        await load.place(pods)
        return time.perf_counter() - began


def beside(options: argparse.Namespace, directory: Path, nodes: int, ours_s: float) -> None:
    """The same with kube-apiserver and kube-scheduler. No controllers: nodes are born without the taint that one of
    them would have to take away."""
    untainted = "--disable-admission-plugins=TaintNodesByCondition"
    with (
        kubernetes(options.peer, directory, untainted) as server,
        kube_scheduler(directory, server.kubeconfig, *UNHINDERED, binary=options.kube_scheduler),
    ):
        seconds = uvloop.run(placed(server, nodes, options.pods))
    rate = options.pods / seconds
    print(f"{nodes} nodes: kube-scheduler, created to seen {seconds:7.2f} s  {rate:7.1f} pods/s", flush=True)
    print(f"    {seconds / ours_s:.1f} times the rate", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, action="append")
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--memory", action="store_true")
    parser.add_argument("--peer", default=os.environ.get("ACTORKUBE_KUBE_APISERVER", ""))
    parser.add_argument("--kube-scheduler", default=os.environ.get("ACTORKUBE_KUBE_SCHEDULER", ""))
    options = parser.parse_args()
    for nodes in options.nodes or SIZES:
        ours_s = measured(options, nodes)
        if options.peer and options.kube_scheduler and shutil.which("etcd"):
            with tempfile.TemporaryDirectory() as name:
                beside(options, Path(name), nodes, ours_s)


if __name__ == "__main__":
    main()
