"""How fast simulated time passes: heartbeats of 100 nodes, a cluster of 5 nodes at rest, a whole story of a cluster.

    python -m bench.sim [--seconds 300] [--nodes 100] [--runs 3]

Prints three lines, each a median. The heartbeats go to one monitor, a second apart. A cluster at rest is one where
nothing happens but leases and the heartbeats of Raft. The story: boot, a Deployment of 3 pods, a node dies, the pods
are ready on others; everything from the first line to the last, in milliseconds.
"""

from __future__ import annotations

import argparse
import statistics
import time

from actorkube.runtime import Actor, System
from actorkube.sim import World
from actors.cluster import API, ClusterSpec, cluster_hosts
from protocols.api import Create, List
from protocols.message import Lane, Message
from protocols.objects import Object, decode_object, encode_object, meta
from protocols.rules.conditions import condition_is


class BenchBeat(Message):
    lane = Lane.CONTROL
    node: str
    number: int


class BenchTick(Message):
    pass


class BenchMonitor(Actor):
    def __init__(self) -> None:
        self.heard: dict[str, float] = {}
        self.count = 0

    def receive(self, message: Message) -> object:
        assert isinstance(message, BenchBeat)
        self.heard[message.node] = self.ctx.now
        self.count += 1
        return None


class BenchNode(Actor):
    def __init__(self) -> None:
        self.number = 0

    async def on_start(self) -> None:
        self.monitor = self.ctx.ref("monitor/monitor")
        self.name = self.ctx.self_ref.address.system
        await self.ctx.sleep(self.ctx.random.random())
        self.ctx.every(1.0, BenchTick())

    def receive(self, message: Message) -> object:
        self.number += 1
        self.ctx.tell(self.monitor, BenchBeat(self.name, self.number))
        return None


def boot_monitor(system: System) -> None:
    system.spawn(BenchMonitor, "monitor")


def boot_node(system: System) -> None:
    system.spawn(BenchNode, "node")


def run(nodes: int, seconds: float) -> tuple[float, int]:
    """Seconds of this machine, and heartbeats that were heard."""

    async def scenario(world: World) -> tuple[float, int]:
        await world.boot("monitor", boot_monitor)
        for number in range(nodes):
            await world.boot(f"node-{number}", boot_node)
        began = time.perf_counter()
        await world.sleep(seconds)
        took = time.perf_counter() - began
        monitor = world.system("monitor").actor("monitor")
        assert isinstance(monitor, BenchMonitor)
        assert monitor.count >= nodes * (seconds - 3)
        return took, monitor.count

    return World.run_sync(scenario)


def rest(nodes: int, seconds: float) -> float:
    """Seconds of this machine."""

    async def scenario(world: World) -> float:
        await world.boot_all(cluster_hosts(ClusterSpec(runtime="sim", nodes=nodes)))
        await world.sleep(30)
        began = time.perf_counter()
        await world.sleep(seconds)
        return time.perf_counter() - began

    return World.run_sync(scenario)


def story() -> float:
    """Seconds of this machine."""
    spec = ClusterSpec(runtime="sim", nodes=3, node_monitor_grace_s=10.0, eviction_timeout_s=5.0)

    async def scenario(world: World) -> None:
        await world.boot_all(cluster_hosts(spec))
        user = await world.boot("user")
        api = user.ref(API)
        await user.ask(api, Create("deployments.apps", encode_object(deployment(3)), "default"))
        while len(await serving(user)) < 3:
            await world.sleep(0.2)
        for part in ("runtime", "kubelet", "proxy"):
            world.crash(f"node-1-{part}")
        while len([node for node in await serving(user) if node != "node-1"]) < 3:
            await world.sleep(1.0)

    began = time.perf_counter()
    World.run_sync(scenario)
    return time.perf_counter() - began


async def serving(user: System) -> list[str]:
    """The nodes of the pods that are ready and stay."""
    listed = await user.ask(user.ref(API), List("pods", "default"))
    pods = [decode_object(item.body, item.revision) for item in listed.items]
    ready = [pod for pod in pods if condition_is(pod, "Ready") and "deletionTimestamp" not in meta(pod)]
    return [pod["spec"]["nodeName"] for pod in ready]


def deployment(replicas: int) -> Object:
    labels = {"app": "web"}
    containers = [{"name": "main", "image": "sim", "command": ["serve"]}]
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {
            "replicas": replicas,
            "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": containers}},
        },
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seconds", type=float, default=300)
    parser.add_argument("--nodes", type=int, default=100)
    parser.add_argument("--runs", type=int, default=3)
    options = parser.parse_args()
    results = [run(options.nodes, options.seconds) for _ in range(options.runs)]
    speed = statistics.median(options.seconds / took for took, _ in results)
    rate = statistics.median(count / took for took, count in results)
    print(f"sim: {options.nodes} nodes, a heartbeat each second: {speed:.0f} simulated s/s ({rate:,.0f} messages/s)")
    idle = statistics.median(options.seconds / rest(5, options.seconds) for _ in range(options.runs))
    print(f"sim: a cluster of 5 nodes at rest: {idle:.0f} simulated s/s")
    story()  # imports what it needs
    took_ms = statistics.median(story() * 1000 for _ in range(options.runs))
    print(f"sim: boot a cluster, deploy, lose a node, converge: {took_ms:.0f} ms")


if __name__ == "__main__":
    main()
