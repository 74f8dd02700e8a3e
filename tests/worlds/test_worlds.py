"""One scenario, three worlds: in one process, over TCP, and in simulation the same cluster does the same things."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorkube.testing import WORLDS
from actorkube.testing.world import World, run_in
from actors.cluster import ClusterSpec, cluster_hosts
from tests.worlds.goals import Goal, Wanted, check_history, history
from tests.worlds.user import User


async def life_of_a_deployment(world: World) -> None:
    await world.boot_all(cluster_hosts(ClusterSpec(runtime="sim", nodes=2)))
    system = await world.boot("user")
    user, goal = User(system), Goal()

    goal.deployments["web"] = Wanted(3)
    goal.services["web"] = None
    await user.deploy("web", 3)
    await user.serve("web")
    await world.until(lambda: goal.reached(user), 30)

    goal.deployments["web"] = Wanted(5, "v2")
    await user.scale("web", 5)
    await user.set_version("web", "v2")
    await world.until(lambda: goal.reached(user), 60)

    world.crash("apiserver")
    world.crash("scheduler")
    await world.restart("apiserver")
    await world.restart("scheduler")
    goal.deployments["web"] = Wanted(6, "v2")
    await user.scale("web", 6)
    await world.converges(lambda: goal.reached(user), 60)

    check_history(await history(system))


@pytest.mark.parametrize("kind", WORLDS)
def test_a_deployment_lives_the_same_life_in_every_world(kind: str, tmp_path: Path) -> None:
    run_in(kind, life_of_a_deployment, tmp_path)
