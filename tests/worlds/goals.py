"""What a cluster must have reached when it has settled, and what must be true of its whole history."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field

from actorkube.runtime import System
from actorkube.sim import Fault, World, play
from actors.apiserver.values import body_of
from protocols.etcd import Event, Status, WatchKeys
from protocols.objects import Object, decode_object, meta, name_of, uid_of
from protocols.rules.conditions import condition_is
from tests.worlds.user import User

# What is written for ever, because it says that somebody is alive, or how often something was seen.
HEARTBEATS = ("/registry/coordination.k8s.io/leases/", "/registry/core/events/")


@dataclass
class Wanted:
    """A deployment as the user left it."""

    replicas: int
    version: str = "v1"


@dataclass
class Goal:
    deployments: dict[str, Wanted] = field(default_factory=dict)
    services: dict[str, None] = field(default_factory=dict)

    async def reached(self, user: User) -> bool:
        return not await self.missing(user)

    async def missing(self, user: User) -> list[str]:
        """What is not yet as it should be, in words."""
        pods = await user.objects("pods")
        complaints = [f"pod {name_of(p)} belongs to nobody" for p in pods if app_of(p) not in self.deployments]
        for name, wanted in self.deployments.items():
            good = [p for p in pods if app_of(p) == name and is_serving(p) and version_of(p) == wanted.version]
            mine = [p for p in pods if app_of(p) == name]
            if not len(good) == len(mine) == wanted.replicas:
                complaints.append(f"{name}: {len(good)} serving of {len(mine)}, wanted {wanted.replicas}")
            status = ((await user.get("deployments.apps", name)) or {}).get("status") or {}
            if status.get("readyReplicas", 0) != wanted.replicas:
                complaints.append(f"{name}: its status says {status}")
        for name in self.services:
            wanted_ready = self.deployments[name].replicas if name in self.deployments else 0
            if (ready := await ready_endpoints(user, name)) != wanted_ready:
                complaints.append(f"service {name}: {ready} endpoints, wanted {wanted_ready}")
        return complaints


async def ready_endpoints(user: User, service: str) -> int:
    slices = await user.objects("endpointslices.discovery.k8s.io")
    mine = [s for s in slices if (meta(s).get("labels") or {}).get("kubernetes.io/service-name") == service]
    return sum(bool(e["conditions"].get("ready")) for s in mine for e in s.get("endpoints") or ())


def app_of(pod: Object) -> str:
    return str((meta(pod).get("labels") or {}).get("app", ""))


def version_of(pod: Object) -> str:
    return str((meta(pod).get("annotations") or {}).get("version", ""))


def is_serving(pod: Object) -> bool:
    return condition_is(pod, "Ready") and "deletionTimestamp" not in meta(pod)


# -- faults -----------------------------------------------------------------------------------------------------------


async def settles(
    world: World, system: System, faults: list[Fault], begin: Awaitable[None], all_well: Callable[[], Awaitable[bool]]
) -> None:
    """Whatever happens while it begins: once that is healed all becomes well and stays so, and writing stops."""
    beginning = asyncio.ensure_future(begin)
    await play(world, faults)
    await world.recover()
    await beginning
    await world.until(all_well, 400.0)
    await world.sleep(40.0)
    before = (await history(system))[-1].kv.mod_revision
    await world.sleep(40.0)
    assert writes_since(await history(system), before) == []
    assert await all_well()


# -- history ----------------------------------------------------------------------------------------------------------


async def history(system: System, member: str = "etcd-0") -> list[Event]:
    """Every event of the store so far, from one replica's log."""
    etcd = system.ref(f"{member}/etcd")
    newest = (await system.ask(etcd, Status())).revision
    events: list[Event] = []
    async with system.stream(etcd, WatchKeys(b"\0", b"\0", 1)) as stream:
        async for response in stream:
            events += response.events
            if events and events[-1].kv.mod_revision >= newest:
                return events
    raise AssertionError("the watch ended")


def check_history(events: list[Event]) -> None:
    """Revisions only grow, and no pod is ever on two nodes."""
    revisions = [event.kv.mod_revision for event in events]
    assert revisions == sorted(revisions)
    nodes: dict[str, str] = {}
    for event in events:
        if event.type == "put" and event.kv.key.startswith(b"/registry/core/pods/"):
            pod = decode_object(body_of(event.kv.value))
            node = (pod.get("spec") or {}).get("nodeName", "")
            known = nodes.setdefault(uid_of(pod), node) or node
            assert known == node, f"{name_of(pod)} was on {known} and then on {node or 'no node'}"
            nodes[uid_of(pod)] = known


def writes_since(events: list[Event], revision: int) -> list[str]:
    """Keys that were written after a revision, heartbeats left out."""
    return [
        event.kv.key.decode()
        for event in events
        if event.kv.mod_revision > revision and not event.kv.key.decode().startswith(HEARTBEATS)
    ]
