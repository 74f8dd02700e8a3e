"""A simulated cluster with two API servers: under faults, and when one of them never comes back."""

from __future__ import annotations

import pytest

from actorkube.sim import World
from actorkube.testing.options import Options
from actorkube.testing.simulated import SimulatedCluster
from actors.scenarios import apiservers_scenario
from tests.effort import seeds

WEB = """
apiVersion: apps/v1
kind: Deployment
metadata: {name: web}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}}
    spec: {containers: [{name: main, image: sim, command: [serve]}]}
"""


@pytest.mark.slow
@pytest.mark.parametrize("seed", seeds(2))
def test_a_cluster_of_two_api_servers_converges_whatever_failed(seed: int) -> None:
    World.run_sync(apiservers_scenario, seed)


@pytest.mark.slow
@pytest.mark.parametrize("gone", ["apiserver", "apiserver-2"])
def test_the_cluster_goes_on_with_the_server_that_is_left(gone: str) -> None:
    async def scenario(world: World) -> None:
        cluster = SimulatedCluster(world, Options(nodes=2, apiservers=2, node_monitor_grace_s=20.0))
        await cluster.boot()
        await cluster.apply(WEB)
        await cluster.wait("deploy/web", "Available")

        cluster.kill(gone)
        await cluster.scale("deploy/web", 5)
        await cluster.wait("deploy/web", lambda obj: obj["status"].get("readyReplicas") == 5, within="3m")
        await world.sleep(60)

        nodes = await cluster.list("nodes")
        assert all(ready(node) for node in nodes), "heartbeats arrive by the other server"

    World.run_sync(scenario, 5)


def ready(node: dict) -> bool:  # type: ignore[type-arg]
    return any(each["type"] == "Ready" and each["status"] == "True" for each in node["status"]["conditions"])
