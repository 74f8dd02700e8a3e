"""When a simulated cluster has settled: nothing but signs of life is stored, and nobody has work left.

Time and watching cost nothing that a cluster at rest does not cost anyway: the store counts its changes, so a look is
one question to the leader, and only when the count has moved are the changed keys fetched.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Collection

from actorkube.runtime import System
from actorkube.runtime.settled import busy, name_some
from actorkube.sim import World
from actorkube.sim.errors import NotConverged
from protocols.controller import Activity, AskActivity
from protocols.errors import Answer, AskError
from protocols.etcd import Status, WatchKeys

# What is stored for ever, because it says that somebody is alive, or tells what was done.
SIGNS_OF_LIFE = (b"/registry/coordination.k8s.io/leases/", b"/registry/core/events/")
WORKERS = {
    "controller-manager": "controllers",
    "cloud-controller-manager": "controllers",
    "scheduler": "scheduler",
}
LOOK_EVERY_S = 0.1
ASK_TIMEOUT_S = 2.0


class Quiet:
    """`hosts` are the cluster's own; questions come from the system that `user` gives."""

    def __init__(self, world: World, user: Callable[[], System], hosts: Collection[str]) -> None:
        self._world = world
        self._user = user
        self._replicas = [host for host in hosts if host.startswith("etcd-")]
        self._workers = {host: actor for host, actor in WORKERS.items() if host in hosts}

    async def wait(self, within_s: float, quiet_s: float) -> None:
        """NotConverged says who was busy, or what was written last."""
        loop = self._world.loop
        end = loop.time() + within_s
        seen, changed_at = await self._revision(), loop.time()
        reason = f"it was not watched for {quiet_s} s yet"
        while True:
            if seen and loop.time() - changed_at >= quiet_s:
                left = await self._busy()
                if not left:
                    return
                reason = name_some(left)
            if loop.time() >= end:
                raise NotConverged(f"not settled within {within_s} s; {reason}")
            await asyncio.sleep(LOOK_EVERY_S)
            newest = await self._revision()
            if newest != seen:
                keys = await self._written(seen + 1, newest) if seen < newest else [b"(unknown)"]
                if keys:
                    changed_at = loop.time()
                    reason = f"last written: {keys[-1].decode()}"
                seen = newest

    async def _revision(self) -> int:
        """The newest of what the living replicas have applied; 0 when none answers."""
        revisions = [0]
        for replica in self._replicas:
            if self._world.is_up(replica):
                user = self._user()
                try:
                    status = await user.ask(user.ref(f"{replica}/etcd"), Status(), timeout_s=ASK_TIMEOUT_S)
                except (AskError, Answer):
                    continue
                if status.leader == f"{replica}/etcd":
                    return status.revision
                revisions.append(status.revision)
        return max(revisions)

    async def _written(self, first: int, last: int) -> list[bytes]:
        """Keys that were changed from one revision to another, signs of life left out."""
        user = self._user()
        for replica in self._replicas:
            if not self._world.is_up(replica):
                continue
            keys: list[bytes] = []
            try:
                async with asyncio.timeout(ASK_TIMEOUT_S):  # a replica that is cut off does not know of them
                    await self._read(user, replica, first, last, keys)
                    return keys
            except (AskError, Answer, TimeoutError):
                continue
        return [b"(unknown)"]

    async def _read(self, user: System, replica: str, first: int, last: int, keys: list[bytes]) -> None:
        async with user.stream(user.ref(f"{replica}/etcd"), WatchKeys(b"\0", b"\0", first)) as changes:
            async for response in changes:
                changed = [event.kv for event in response.events]
                keys += [kv.key for kv in changed if not kv.key.startswith(SIGNS_OF_LIFE)]
                if changed and changed[-1].mod_revision >= last:
                    return

    async def _busy(self) -> list[str]:
        """Who has work left, in words; who is down has none."""
        words = [words for host in self._workers if (words := await self._work_of(host))]
        return words or busy(self._world.system(host) for host in self._world.hosts if self._world.is_up(host))

    async def _work_of(self, host: str) -> str:
        if not self._world.is_up(host):
            return ""
        system = self._world.system(host)  # its own: controllers only dial, nobody can dial them
        ref = system.ref(f"{host}/{self._workers[host]}")
        try:
            async with asyncio.timeout(ASK_TIMEOUT_S):  # the time of a paused host stands still
                activity: Activity = await system.ask(ref, AskActivity(), timeout_s=ASK_TIMEOUT_S)
        except (AskError, Answer, TimeoutError) as error:
            return f"{host} does not say: {type(error).__name__}"
        return "" if activity.settled else f"{host} is busy: {activity}"
