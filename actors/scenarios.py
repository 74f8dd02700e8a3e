"""Scenarios of a cluster that `actorkube sim` can run: what it must survive, and what must be true then.

Each boots its hosts, works while a nemesis that the seed draws rages, heals everything, and expects that all adds up.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
from collections.abc import Sequence
from functools import partial
from typing import TypeVar

from actorkube.runtime import System
from actorkube.sim import Swarm, World, nemesis
from actorkube.sim.scenarios import Scenario
from actors.cluster import ClusterSpec, cluster_hosts, etcd_host
from protocols.api import Create, List, Patch
from protocols.errors import AlreadyExists, Answer, AskError
from protocols.etcd import Op, Range, Txn, TxnResponse
from protocols.message import Request
from protocols.objects import Object, decode_object, encode_object
from protocols.rules.conditions import condition_is

R = TypeVar("R")

RAFT = ("AppendEntries", "Appended", "RequestVote", "Voted")
PATIENCE_S = 1.0


async def store_scenario(world: World, members: int = 3, for_s: float = 30.0) -> None:
    """A writer during faults among the store's replicas: what was acknowledged is there afterwards."""
    spec = ClusterSpec(etcd=members)
    names = list(spec.etcd_members)
    await world.boot_all([etcd_host(spec, member) for member in names])
    user = await world.boot("user")
    acknowledged: dict[bytes, int] = {}
    world.when(
        "RequestVote", lambda _: world.sometimes("an election during a partition", world.is_partitioned), times=0
    )
    writing = world.loop.create_task(_write(world, user, names, acknowledged))
    await nemesis(world, names, for_s, Swarm.draw(world.chance("swarm")), messages=RAFT)
    await world.until(partial(_has_leader, user, names))
    writing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await writing
    await world.until(partial(_holds, user, names, acknowledged))


async def _write(world: World, user: System, members: list[str], acknowledged: dict[bytes, int]) -> None:
    chance = world.chance("writer")
    number = 0
    while True:
        number += 1
        key = b"key/%d" % number
        write = Txn((), (Op("put", key, b"value"),))
        with contextlib.suppress(Answer, AskError):
            answer: TxnResponse = await user.ask(user.ref(f"{chance.choice(members)}/etcd"), write, PATIENCE_S)
            acknowledged[key] = answer.revision
        await asyncio.sleep(0.05)


async def _has_leader(user: System, members: list[str]) -> bool:
    for member in members:
        with contextlib.suppress(Answer, AskError):
            await user.ask(user.ref(f"{member}/etcd"), Range(b"key/"), PATIENCE_S)
            return True
    return False


async def _holds(user: System, members: list[str], acknowledged: dict[bytes, int]) -> bool:
    """Every replica has every acknowledged write, at its revision."""
    for member in members:
        try:
            everything = Range(b"key/", b"key0", serializable=True)
            found = await user.ask(user.ref(f"{member}/etcd"), everything, PATIENCE_S)
        except (Answer, AskError):
            return False
        held = {kv.key: kv.mod_revision for kv in found.kvs}
        if any(held.get(key) != revision for key, revision in acknowledged.items()):
            return False
    return True


async def cluster_scenario(
    world: World, nodes: int = 2, replicas: int = 3, for_s: float = 30.0, apiservers: int = 1
) -> None:
    """A whole cluster: a Deployment is made and scaled during faults, and then has its pods, ready."""
    spec = ClusterSpec(
        runtime="sim", nodes=nodes, apiservers=apiservers, node_monitor_grace_s=10.0, eviction_timeout_s=5.0
    )
    hosts = cluster_hosts(spec)
    await world.boot_all(hosts)
    user = User(await world.boot("user"), spec.apis)
    working = world.loop.create_task(_deploy(world, user, replicas, for_s))
    await nemesis(world, [host.name for host in hosts], for_s, Swarm.draw(world.chance("swarm")))
    await working
    await world.converges(partial(_serves, user, replicas + 1), within_s=400.0)


async def apiservers_scenario(world: World) -> None:
    """A whole cluster with two API servers: the same, whichever of them lives."""
    await cluster_scenario(world, apiservers=2)


class User:
    """Asks the API servers in turn."""

    def __init__(self, system: System, apis: Sequence[str]) -> None:
        self._system = system
        self._apis = itertools.cycle(apis)

    async def ask(self, request: Request[R]) -> R:
        return await self._system.ask(self._system.ref(next(self._apis)), request)

    async def certainly(self, request: Request[object]) -> None:
        """Ask until it is known to have happened."""
        while True:
            try:
                await self.ask(request)
                return
            except AlreadyExists:
                return  # by an earlier attempt, whose answer was lost
            except (Answer, AskError):
                await asyncio.sleep(PATIENCE_S)


async def _deploy(world: World, user: User, replicas: int, for_s: float) -> None:
    await user.certainly(Create("deployments.apps", encode_object(_deployment(replicas)), "default"))
    await world.sleep(for_s / 2)
    patch = encode_object({"spec": {"replicas": replicas + 1}})
    await user.certainly(Patch("deployments.apps", "web", "merge", patch, "default"))


async def _serves(user: User, replicas: int) -> bool:
    try:
        listed = await user.ask(List("pods", "default"))
    except (Answer, AskError):
        return False
    pods = [decode_object(item.body, item.revision) for item in listed.items]
    return len(pods) == replicas and all(condition_is(pod, "Ready") for pod in pods)


def _deployment(replicas: int) -> Object:
    labels = {"app": "web"}
    container = {"name": "main", "image": "sim", "command": ["serve"]}
    template = {"metadata": {"labels": labels}, "spec": {"containers": [container]}}
    return {
        "apiVersion": "apps/v1",
        "kind": "Deployment",
        "metadata": {"name": "web", "namespace": "default"},
        "spec": {"replicas": replicas, "selector": {"matchLabels": labels}, "template": template},
    }


store = Scenario(store_scenario, must_reach=("raft: a leader is elected",))
cluster = Scenario(cluster_scenario)
apiservers = Scenario(apiservers_scenario)
