"""The scenario of the determinism tests, also run as a program: prints the hash of its trace.

python tests/sim/heartbeats.py SEED
"""

from __future__ import annotations

import contextlib
import sys

from actorkube.runtime import System
from actorkube.sim import World, nemesis
from actorkube.sim.network import KEEPALIVE_S
from tests.sim.messages import Counter, Monitor, Node, SimAdd, SimNumbers


async def scenario(world: World) -> None:
    def monitor(system: System) -> None:
        system.spawn(Monitor, "monitor")
        system.spawn(Counter, "counter")

    def node(system: System) -> None:
        system.spawn(lambda: Node("monitor/monitor", 0.3), "node")

    await world.boot("monitor", monitor)
    names = [f"node-{number}" for number in range(5)]
    for name in names:
        await world.boot(name, node)
    user = await world.boot("user")
    plague = world.loop.create_task(nemesis(world, ["monitor", *names], 20))
    for number in range(20):
        with contextlib.suppress(Exception):
            await user.ask(user.ref("monitor/counter"), SimAdd(1, str(number)), timeout_s=1)
            async for _ in user.stream(user.ref("monitor/counter"), SimNumbers(20), window=4):
                pass
        await world.sleep(0.5)
    await plague
    world.partition({"monitor"}, set(names))
    await world.sleep(KEEPALIVE_S + 0.05)  # all connections are given up, and healed before everybody has noticed
    await world.recover()
    await world.sleep(5)
    world.crash("monitor")  # it has a connection to everybody
    await world.sleep(5)


def main() -> None:
    seed = int(sys.argv[1])
    with contextlib.closing(World(seed, record=True)) as world:
        world.run(scenario)
        print(world.trace.hash, world.trace.count, hash("a") & 0xFFFF)


if __name__ == "__main__":
    main()
