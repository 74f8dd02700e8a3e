"""How long does a Deployment take to 1,000 Running pods on 100 simulated nodes, and what does each pod cost whom?

A real cluster in processes, whose nodes run no containers but take each of them through its life; all nodes share one
process. Anchor, in the same run: 1,000 bare pods, which nobody schedules, created over REST by 16 clients.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import aiohttp
import psutil
import uvloop

from bench.rest import Session, tls_context
from bench.start import pss_mib
from tests.cluster.live import LiveCluster

CLIENTS = 16
NAME = "scale"
APPS = "/apis/apps/v1/namespaces/default/deployments"
PODS = "/api/v1/namespaces/default/pods"
POLL_S = 0.05


class Meter:
    """The processes of a cluster by component, and the CPU time that each component used since `begin`."""

    def __init__(self, cluster: LiveCluster) -> None:
        self._processes: dict[str, list[psutil.Process]] = {}
        for name, pid in cluster.pids().items():
            component = "etcd ×3" if name.startswith("etcd") else name
            self._processes.setdefault(component, []).append(psutil.Process(pid))
        self.begin()

    def include(self, component: str, processes: list[psutil.Process]) -> None:
        """Others that take part, such as the clients. They count from now on."""
        self._processes[component] = processes
        self.begin()

    def begin(self) -> None:
        self._at = time.perf_counter()
        self._cpu_s = self._used_s()

    def _used_s(self) -> dict[str, float]:
        return {
            component: sum(sum(process.cpu_times()[:2]) for process in processes)
            for component, processes in self._processes.items()
        }

    def report(self, what: str, pods: int) -> float:
        """Prints how long it took and what it cost; returns the seconds."""
        seconds = time.perf_counter() - self._at
        cpu_s = {component: used - self._cpu_s[component] for component, used in self._used_s().items()}
        rate, each_ms = pods / seconds, sum(cpu_s.values()) / pods * 1000
        print(f"{what:34s} {seconds:7.2f} s  {rate:7.1f} pods/s  {each_ms:7.2f} ms CPU per pod", flush=True)
        for component, used in sorted(cpu_s.items(), key=lambda item: -item[1]):
            if used / pods >= 0.00005:
                print(f"    {component:30s} {used / pods * 1000:7.2f} ms CPU per pod", flush=True)
        return seconds


def template(labels: dict[str, str]) -> dict[str, Any]:
    container = {
        "name": "main",
        "image": "none",
        "command": ["serve"],
        "env": [{"name": "MODE", "value": "bench"}],
        "resources": {"requests": {"cpu": "10m", "memory": "16Mi"}},
    }
    return {"metadata": {"labels": labels}, "spec": {"containers": [container]}}


def deployment(replicas: int) -> dict[str, Any]:
    labels = {"app": NAME}
    spec = {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template(labels)}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": NAME}, "spec": spec}


def service() -> dict[str, Any]:
    spec = {"selector": {"app": NAME}, "ports": [{"port": 80, "targetPort": 8080}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": NAME}, "spec": spec}


def bare_pod(number: int) -> dict[str, Any]:
    pod = template({"app": "bare"})
    pod["metadata"]["name"] = f"bare-{number}"
    pod["spec"]["schedulerName"] = "nobody"
    return {"apiVersion": "v1", "kind": "Pod", **pod}


class Run:
    def __init__(self, session: aiohttp.ClientSession, server: str, cluster: LiveCluster, pods: int) -> None:
        self._session = session
        self._server = server
        self._send = Session(session, server)
        self._cluster = cluster
        self._pods = pods

    async def all(self, with_service: bool) -> None:
        pods = self._pods
        print(f"{'memory (PSS), no pods':34s} {pss_mib(self._cluster):7.0f} MiB", flush=True)
        meter = Meter(self._cluster)
        if with_service:
            await self._send("POST", "/api/v1/namespaces/default/services", service())
        await self._send("POST", APPS, deployment(pods))
        await self._until(lambda status: status.get("readyReplicas", 0) == pods)
        up_s = meter.report(f"0 to {pods} pods ready", pods)
        print(f"{f'memory (PSS), {pods} pods':34s} {pss_mib(self._cluster):7.0f} MiB", flush=True)
        meter.begin()
        patch = {"spec": {"replicas": 0}}
        await self._send("PATCH", f"{APPS}/{NAME}", patch, {"Content-Type": "application/merge-patch+json"})
        await self._until(lambda status: not status.get("replicas", 0))
        await self._until_no_pods()
        down_s = meter.report(f"{pods} to 0 pods", pods)
        meter.begin()
        await self._create_bare()
        anchor_s = meter.report(f"anchor: create {pods} bare pods", pods)
        print(f"up   {up_s / anchor_s:5.1f} x the anchor")
        print(f"down {down_s / anchor_s:5.1f} x the anchor")

    async def _until(self, holds: Callable[[dict[str, Any]], bool]) -> None:
        """Watch the deployment, as `kubectl rollout status` does."""
        url = f"{self._server}{APPS}?watch=true&fieldSelector=metadata.name%3D{NAME}"
        async with self._session.get(url, timeout=aiohttp.ClientTimeout(total=None)) as response:
            async for line in response.content:
                deployed = json.loads(line)["object"]
                status = deployed.get("status", {})
                if status.get("observedGeneration") == deployed["metadata"]["generation"] and holds(status):
                    return

    async def _until_no_pods(self) -> None:
        while json.loads(await self._send("GET", f"{PODS}?limit=1"))["items"]:
            await asyncio.sleep(POLL_S)

    async def _create_bare(self) -> None:
        numbers = iter(range(self._pods))

        async def client() -> None:
            for number in numbers:
                await self._send("POST", PODS, bare_pod(number))

        await asyncio.gather(*(client() for _ in range(CLIENTS)))


async def run(cluster: LiveCluster, directory: Path, pods: int, with_service: bool) -> None:
    server, context = tls_context(cluster.kubeconfig, directory)
    async with aiohttp.ClientSession(connector=aiohttp.TCPConnector(ssl=context, limit=0)) as session:
        await Run(session, server, cluster, pods).all(with_service)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pods", type=int, default=1000)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--service", action="store_true", help="with a Service that selects the pods")
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        cluster = LiveCluster(directory, "--runtime", "sim", "--nodes", str(options.nodes)).start()
        try:
            uvloop.run(run(cluster, directory, options.pods, options.service))
        finally:
            cluster.stop()


if __name__ == "__main__":
    main()
