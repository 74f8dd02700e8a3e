"""Same seed, same trace: a whole cluster under faults, run in processes with different hash seeds."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest

SCRIPT = """
from actorkube.sim import Swarm, World, nemesis
from actors.cluster import cluster_hosts
from tests.worlds.test_convergence import HOSTS, SPEC
from tests.worlds.user import User

async def scenario(world):
    await world.boot_all(cluster_hosts(SPEC))
    user = User(await world.boot("user"))
    await user.deploy("web", 3)
    await nemesis(world, HOSTS, 15.0, Swarm.draw(world.chance("swarm")))
    await world.recover()
    await user.delete("web")
    await world.sleep(10)

world = World({seed})
world.run(scenario)
print(world.trace.hash, world.loop.steps)
world.close()
"""


def trace(seed: int, hash_seed: str) -> str:
    environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
    command = [sys.executable, "-c", SCRIPT.replace("{seed}", str(seed))]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr[-3000:]
    return done.stdout


@pytest.mark.slow
def test_a_cluster_under_faults_leaves_the_same_trace_in_any_process_and_another_under_another_seed() -> None:
    traces = [trace(11, hash_seed) for hash_seed in ("0", "4242")]

    assert traces[0] == traces[1]
    assert trace(12, "0") != traces[0]
