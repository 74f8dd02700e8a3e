"""How fast simulated time passes: 100 nodes that each send a heartbeat a second to a monitor, for some minutes.

    python bench/sim.py [--seconds 300] [--nodes 100] [--runs 3]

Prints one line: the median of simulated seconds per second of this machine, with messages per second beside it.
"""

from __future__ import annotations

import argparse
import statistics
import time

from actorkube.runtime import Actor, System
from actorkube.sim import World
from protocols.message import Lane, Message


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


if __name__ == "__main__":
    main()
