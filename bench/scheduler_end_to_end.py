"""How many pods per second are created through the API server, bound, and seen by a watcher, and what does each cost?

    python -m bench.scheduler_end_to_end [--nodes 1000] [--pods 5000] [--memory]

A real cluster in processes (3 etcd replicas with fsync, API server, scheduler, controllers). Its nodes are objects
without kubelets, as in kube-scheduler's own scheduler_perf: 4 CPU, 32 GiB, 110 pods; pods ask for 100m and 500 MiB.
Three runs: pods created by clients over REST, bound and seen; decisions with bindings alone, for the scheduler sleeps
while the pods are created; and pods that the controller of a replica set creates, by messages. `--memory`: also what
the scheduler takes with 50,000 pods. Anchor: kube-scheduler 1.36 with API server and etcd on 2 such CPUs, alone: 340 to
360 pods/s at 1,000 nodes, 197 to 249 at 5,000.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import signal
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, cast

import msgspec
import psutil
import uvloop

from bench.api_servers import Server
from bench.http_client import Connection
from bench.rest import tls_context
from bench.scale import Meter
from bench.scheduler import HOST, ZONE
from tests.cluster.live import LiveCluster

CLIENTS = 32
SIZES = (500, 1000, 5000)
PODS = "/api/v1/namespaces/default/pods"
SETS = "/apis/apps/v1/namespaces/default/replicasets"
MANY_PODS = 50_000
NEVER_NOT_READY = "200h"  # nobody sends signs of life for these nodes
ANCHORS = {1000: "340 to 360", 5000: "197 to 249"}


class _Spec(msgspec.Struct):
    nodeName: str = ""


class _Named(msgspec.Struct):
    name: str


class _Pod(msgspec.Struct):
    metadata: _Named
    spec: _Spec


class _Event(msgspec.Struct):
    object: _Pod


class Watcher(asyncio.Protocol):
    """A watch of pods that counts those it has shown on a node."""

    def __init__(self, server: Server) -> None:
        headers = "".join(f"{name}: {value}\r\n" for name, value in {"Host": server.host, **server.headers}.items())
        self._request = f"GET {PODS}?watch=true HTTP/1.1\r\n{headers}\r\n".encode()
        self._bound: set[str] = set()
        self._changed = asyncio.Event()
        self._decode = msgspec.json.Decoder(_Event).decode
        self._rest = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)
        self._transport.write(self._request)

    def data_received(self, data: bytes) -> None:
        *lines, self._rest = (self._rest + data).split(b"\n")
        for line in lines:
            if line.startswith(b"{"):  # the head, and the lengths of chunks, are lines as well
                pod = self._decode(line).object
                if pod.spec.nodeName:
                    self._bound.add(pod.metadata.name)
        self._changed.set()

    def close(self) -> None:
        self._transport.close()

    async def until(self, number: int) -> None:
        while len(self._bound) < number:
            self._changed.clear()
            await asyncio.wait_for(self._changed.wait(), 120)


class Run:
    def __init__(self, cluster: LiveCluster, clients: list[Connection], watcher: Watcher, nodes: int) -> None:
        self._clients = clients
        self._watcher = watcher
        self._cluster = cluster
        self._scheduler = cluster.pids()["scheduler"]
        self._nodes = nodes
        self._numbers = 0

    async def all(self, pods: int, memory: bool) -> None:
        await self._create("/api/v1/nodes", (make_node(index) for index in range(self._nodes)))
        await self._settle()
        beside = f" (kube-scheduler: {ANCHORS[self._nodes]})" if self._nodes in ANCHORS else ""
        meter = self._meter()
        await self._create(PODS, self._pods(pods))
        await self._watcher.until(self._numbers)
        meter.report(f"{self._nodes} nodes: created to seen{beside}", pods)
        await self._bindings_alone(pods)
        await self._by_controller(pods)
        if memory:
            await self._create(PODS, self._pods(MANY_PODS - self._numbers))
            await self._watcher.until(self._numbers)
            print(
                f"{self._nodes} nodes, {self._numbers} pods: the scheduler's process takes {self._memory_mib():.0f} MiB"
            )

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

    async def _settle(self) -> None:
        """A first pod has gone all the way: the scheduler knows the nodes."""
        await self._create(PODS, self._pods(1))
        await self._watcher.until(self._numbers)

    def _meter(self) -> Meter:
        meter = Meter(self._cluster)
        meter.include("this benchmark", [psutil.Process()])
        return meter

    def _pods(self, number: int) -> Iterator[dict[str, Any]]:
        first, self._numbers = self._numbers, self._numbers + number
        return (make_pod(index) for index in range(first, first + number))

    async def _create(self, path: str, objects: Iterator[dict[str, Any]]) -> None:
        async def create(client: Connection) -> None:
            for obj in objects:
                await client.send("POST", path, obj)

        await asyncio.gather(*map(create, self._clients))

    def _memory_mib(self) -> float:
        return psutil.Process(self._scheduler).memory_full_info().pss / 2**20


def make_node(index: int) -> dict[str, Any]:
    name = f"hollow-{index}"
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


async def run(cluster: LiveCluster, directory: Path, nodes: int, pods: int, memory: bool) -> None:
    address, context = tls_context(cluster.kubeconfig, directory)
    server = Server("ActorKube", address, context, psutil.Process(cluster.pids()["apiserver"]), cluster.family())
    clients = [await server.connect() for _ in range(CLIENTS)]
    watcher = await server.open(lambda: Watcher(server))
    await Run(cluster, clients, watcher, nodes).all(pods, memory)
    for connection in (*clients, watcher):
        connection.close()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--nodes", type=int, action="append")
    parser.add_argument("--pods", type=int, default=5000)
    parser.add_argument("--memory", action="store_true")
    options = parser.parse_args()
    for nodes in options.nodes or SIZES:
        with tempfile.TemporaryDirectory() as name:
            cluster = LiveCluster(Path(name), "--nodes", "0", "--node-monitor-grace-period", NEVER_NOT_READY).start()
            try:
                uvloop.run(run(cluster, Path(name), nodes, options.pods, options.memory))
            finally:
                cluster.stop()


if __name__ == "__main__":
    main()
