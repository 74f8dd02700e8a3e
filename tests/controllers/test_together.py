"""All controllers in one actor, on shared views."""

from __future__ import annotations

import asyncio

from actorkube.kube.controller import views_for
from actors.controllers import ALL, controllers
from tests.controllers.test_deployment import web
from tests.controllers.test_endpoints import service, slice_endpoints
from tests.controllers.test_nodes import Kubelets
from tests.controllers.virtual_time import run
from tests.controllers.world import World


def test_each_resource_has_one_view_for_all() -> None:
    views = views_for(controllers())

    assert len(views) == len(set(views))
    assert set(ALL) >= {"deployment", "replicaset", "endpoints", "endpointslice", "node-lifecycle"}


def test_a_deployment_and_its_service_come_up_and_rest() -> None:
    async def play() -> None:
        async with World(*controllers(), together=True) as world:
            Kubelets(world, names := ["a", "b", "c"])
            world.nodes = names
            world.create("services", service())
            world.create("deployments.apps", web(5))
            await world.settled()

            assert len(slice_endpoints(world)) == 5
            assert len(world.get("endpoints", "web")["subsets"][0]["addresses"]) == 5
            before = world.revision()
            await asyncio.sleep(3600)
            assert world.revision() == before

    run(play())
