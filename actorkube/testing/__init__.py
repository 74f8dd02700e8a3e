"""What people import in their own tests: whole clusters, worlds of actors, faults, strategies, checks.

    def test_a_dead_node_is_replaced(cluster):                 # a fixture of the pytest plugin; time is virtual
        cluster.apply("examples/web.yaml")
        cluster.kill("node-1")
        cluster.eventually(lambda: cluster.get("deploy/web")["status"]["readyReplicas"] == 3, within="10m")

One scenario of bare actors runs in three worlds: in one process, over TCP, and in simulation:

    async def test_something(any_world):
        await any_world.boot("server", lambda system: system.spawn(Server, "server"))
        ...

Names are imported when they are first used, because the plugin is part of every pytest run of whoever has installed
the package: it must cost nothing where it is not used.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from actorkube.sim import World as SimWorld
    from actorkube.testing.cluster import Cluster
    from actorkube.testing.live import LiveCluster
    from actorkube.testing.options import Options
    from actorkube.testing.real import LocalWorld, TcpWorld, TlsWorld, UnixWorld
    from actorkube.testing.simulated import SimulatedCluster
    from actorkube.testing.world import LINK_WORLDS, WORLDS, World, make_world, run_in

_HOMES = {
    "SimWorld": ("actorkube.sim", "World"),
    "Cluster": ("actorkube.testing.cluster", "Cluster"),
    "LiveCluster": ("actorkube.testing.live", "LiveCluster"),
    "Options": ("actorkube.testing.options", "Options"),
    "LocalWorld": ("actorkube.testing.real", "LocalWorld"),
    "TcpWorld": ("actorkube.testing.real", "TcpWorld"),
    "TlsWorld": ("actorkube.testing.real", "TlsWorld"),
    "UnixWorld": ("actorkube.testing.real", "UnixWorld"),
    "SimulatedCluster": ("actorkube.testing.simulated", "SimulatedCluster"),
    "LINK_WORLDS": ("actorkube.testing.world", "LINK_WORLDS"),
    "WORLDS": ("actorkube.testing.world", "WORLDS"),
    "World": ("actorkube.testing.world", "World"),
    "make_world": ("actorkube.testing.world", "make_world"),
    "run_in": ("actorkube.testing.world", "run_in"),
}

__all__ = [
    "LINK_WORLDS",
    "WORLDS",
    "Cluster",
    "LiveCluster",
    "LocalWorld",
    "Options",
    "SimWorld",
    "SimulatedCluster",
    "TcpWorld",
    "TlsWorld",
    "UnixWorld",
    "World",
    "make_world",
    "run_in",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    module, attribute = _HOMES[name]
    return getattr(importlib.import_module(module), attribute)
