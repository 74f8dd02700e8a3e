"""A whole cluster in a simulated world, for scenarios that run inside it: every wait is virtual, milliseconds real.

    async def scenario(cluster: SimulatedCluster) -> None:
        await cluster.apply(manifest)
        cluster.kill("node-1")
        await cluster.settled()

Plain test functions use the same through `Cluster` (actorkube/testing/cluster.py), one step at a time.
"""

from __future__ import annotations

import asyncio
import builtins
from collections.abc import Callable, Collection, Sequence
from typing import Any, TypeVar

import msgspec

from actorkube.cli.composition import composition
from actorkube.kube.why import Why, why
from actorkube.runtime import Actor, Ref, System
from actorkube.runtime.duration import in_seconds
from actorkube.runtime.faults import signed_seconds
from actorkube.runtime.host import Host
from actorkube.runtime.supervisor import Supervision
from actorkube.sim import World
from actorkube.sim.errors import NotConverged
from actorkube.testing.manifests import Manifest, objects_in
from actorkube.testing.options import Options
from actorkube.testing.quiet import Quiet
from actorkube.testing.resources import Resources, Target, UnknownResource, defined
from protocols.api import Create, Delete, Get, List, Patch, PatchType, ReadLog, Stored, StoredList
from protocols.errors import AskError, BadRequest, NotFound, StatusError
from protocols.message import Message, Request
from protocols.objects import Object, decode_object, encode_object, meta, name_of, namespace_of
from protocols.rules.conditions import condition_is
from protocols.rules.pods import node_of, only_container

R = TypeVar("R")
T = TypeVar("T")

API_SERVER = "apiserver"
DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"
USER = "user"  # the host from which the test speaks
FIELD_MANAGER = "actorkube-testing"
PATIENCE_S = 0.1
ASK_TIMEOUT_S = 10.0
LOOKS = 200  # of a wait, at most; a look costs about as much as a simulated second


class SimulatedCluster:
    """`await boot()` once, inside the world that it is given."""

    def __init__(self, world: World, options: Options) -> None:
        self.world = world
        self.options = options
        self._guests: dict[str, None] = {}  # hosts of the test's own actors
        root = composition()
        self._spec = root.simulated(
            nodes=options.nodes,
            etcd=options.etcd,
            apiservers=options.apiservers,
            node_monitor_grace_s=options.node_monitor_grace_s,
            eviction_timeout_s=options.eviction_timeout_s,
            guests=self._guests,
        )
        self._apis: Sequence[str] = self._spec.apis
        self._asked = 0  # which of them is asked: the next one, when it does not answer
        self._hosts: Sequence[Host] = root.cluster_hosts(self._spec)
        self.resources = Resources(root.api_resources())
        self._quiet = Quiet(world, self._system, [host.name for host in self._hosts])

    async def boot(self) -> None:
        self.world.follow()
        await self.world.boot_all(self._hosts)
        await self.world.boot(USER, listens=False)

    def _system(self) -> System:
        return self.world.system(USER)

    # -- objects --------------------------------------------------------------------------------------------------

    async def apply(self, manifest: Manifest, namespace: str = "default") -> list[Object]:
        """As `kubectl apply --server-side --force-conflicts`; the objects as they are stored now, in order."""
        return [await self._apply(obj, namespace) for obj in objects_in(manifest)]

    async def _apply(self, obj: Object, namespace: str) -> Object:
        target = await self._target(obj, "", namespace)
        body = encode_object(obj)
        patch = Patch(target.resource, target.name, "apply", body, target.namespace, "", FIELD_MANAGER, True)
        return _object(await self.certainly(patch))

    async def create(self, obj: Object, namespace: str = "default") -> Object:
        """Raises AlreadyExists, Invalid and the other refusals of the API server, as all of these do."""
        resource = await self._found(lambda: self.resources.of(obj))
        where = meta(obj).get("namespace") or namespace if resource.namespaced else ""
        return _object(await self.ask(self._api, Create(resource.group_resource, encode_object(obj), where)))

    async def get(self, what: str | Object, name: str = "", namespace: str = "default") -> Object:
        """`get("deploy/web")`, `get("deploy", "web")`, or again what one has. Raises NotFound."""
        target = await self._target(what, name, namespace)
        return _object(await self.certainly(Get(target.resource, target.name, target.namespace)))

    async def why(self, what: str | Object, name: str = "", namespace: str = "default", *, latest: bool = False) -> Why:
        """Why it was created, or changed last: the way back to the first cause. Also of what is gone. NotFound."""
        target = await self._target(what, name, namespace)
        return await why(self._system(), target.resource, target.name, target.namespace, latest=latest)

    async def list(
        self, resource: str, namespace: str = "default", *, labels: str = "", fields: str = ""
    ) -> list[Object]:
        """Objects by name; namespace "" lists all namespaces. Selectors as kubectl's -l and --field-selector."""
        found = await self._found(lambda: self.resources.named(resource))
        where = namespace if found.namespaced else ""
        listed: StoredList = await self.certainly(List(found.group_resource, where, labels, fields))
        return [_object(stored) for stored in listed.items]

    async def patch(
        self,
        what: str | Object,
        patch: Any,
        name: str = "",
        namespace: str = "default",
        *,
        type: PatchType = "merge",
        subresource: Any = "",
    ) -> Object:
        target = await self._target(what, name, namespace)
        body = msgspec.msgpack.encode(patch)
        request = Patch(target.resource, target.name, type, body, target.namespace, subresource, FIELD_MANAGER)
        return _object(await self.certainly(request))

    async def scale(self, what: str | Object, replicas: int, namespace: str = "default") -> Object:
        return await self.patch(what, {"spec": {"replicas": replicas}}, namespace=namespace)

    async def delete(
        self, what: str | Object, name: str = "", namespace: str = "default", *, grace_s: int = -1
    ) -> None:
        """Asks for deletion, as kubectl does: what belongs to it goes, too. It is over when `wait(what, "deleted")`
        returns. What is gone already is fine."""
        target = await self._target(what, name, namespace)
        delete = Delete(target.resource, target.name, target.namespace, grace_s=grace_s, propagation="Background")
        try:
            await self.certainly(delete)
        except NotFound:
            return

    async def logs(
        self,
        pod: str | Object,
        container: str = "",
        namespace: str = "default",
        *,
        previous: bool = False,
        tail: int | None = None,
    ) -> str:
        """What a container of a pod ("web-1", "pod/web-1", an object) has printed, as `kubectl logs`: its `tail` last
        lines, or all; `previous`: before its last restart. Raises NotFound, BadRequest where there is no log yet,
        and AskError or TimeoutError where the kubelet does not answer.

        A simulated container prints what the annotation `actorkube.dev/sim-prints` says, when it starts."""
        what = f"pod/{pod}" if isinstance(pod, str) and "/" not in pod else pod
        found = await self.get(what, namespace=namespace)
        request = ReadLog(
            namespace_of(found),
            name_of(found),
            container or only_container(found),
            previous=previous,
            tail_lines=-1 if tail is None else tail,
        )
        if not node_of(found):
            raise BadRequest(f"pod {name_of(found)} does not have a host assigned")
        system = self.world.system(API_SERVER)  # kubelets only dial, so it is who reaches them
        kubelet = system.ref(f"{node_of(found)}-kubelet/kubelet")
        async with asyncio.timeout(ASK_TIMEOUT_S), system.stream(kubelet, request) as chunks:
            return b"".join([chunk.data async for chunk in chunks]).decode(errors="replace")

    async def _target(self, what: str | Object, name: str, namespace: str) -> Target:
        return await self._found(lambda: self.resources.target(what, name, namespace))

    async def _found(self, look: Callable[[], T]) -> T:
        """What is not known may have been defined since the last look. Raises UnknownResource."""
        try:
            return look()
        except UnknownResource:
            for definition in await self.list(DEFINITIONS, ""):
                self.resources.add(list(defined(definition)))
            return look()

    async def ask(self, address: str | Ref, request: Request[R], timeout_s: float = ASK_TIMEOUT_S) -> R:
        """Any request to any actor: what `spawn` returned, or "node-1-kubelet/kubelet" for example; no second try."""
        system = self._system()
        return await system.ask(system.ref(_text(address)), request, timeout_s=timeout_s)

    def tell(self, address: str | Ref, message: Message) -> None:
        system = self._system()
        system.tell(system.ref(_text(address)), message)

    async def certainly(self, request: Request[R], patience_s: float = 60.0) -> R:
        """Ask the API server until there is an answer: what is asked here may be asked twice."""
        loop = self.world.loop
        end = loop.time() + patience_s
        while True:
            try:
                return await self.ask(self._api, request)
            except StatusError as refusal:
                if loop.time() >= end or (refusal.code < 500 and refusal.code != 429):
                    raise
            except AskError:
                if loop.time() >= end:
                    raise
            self._asked += 1
            await asyncio.sleep(PATIENCE_S)

    @property
    def _api(self) -> str:
        return self._apis[self._asked % len(self._apis)]

    # -- waiting --------------------------------------------------------------------------------------------------

    async def wait(
        self, what: str | Object, until: str | Callable[[Object], object] = "Ready", within: str | float = "5m"
    ) -> Object | None:
        """Until the object has that condition ("Ready", "Available") or phase ("Running"), is "deleted" (returns
        None), or a function of it is true. Raises NotConverged."""
        target = await self._target(what, "", "default")
        end = self.world.loop.time() + in_seconds(within)
        while True:
            found = await self._look(target)
            if (found is None and until == "deleted") or (found is not None and _holds(found, until)):
                return found
            if self.world.loop.time() >= end:
                state = "it does not exist" if found is None else f"its status: {found.get('status')}"
                raise NotConverged(f"{target} not {until} within {within}; {state}")
            await asyncio.sleep(look_every_s(in_seconds(within)))

    async def _look(self, target: Target) -> Object | None:
        try:
            return _object(await self.certainly(Get(target.resource, target.name, target.namespace)))
        except NotFound:
            return None

    async def settled(self, within: str | float = "10m", quiet: str | float = "2s") -> None:
        """Wait until nothing is queued and no work is due. Exactly: for `quiet` in a row nothing was stored but
        signs of life (leases) and Kubernetes events; then every controller and scheduler that is up has complete
        views and nothing queued, retried or worked on; and no actor, yours included, has a message that waits, is at
        work, or waits for an answer. What only waits for its time (a container's back-off, an eviction timeout, a
        cron) is not due: `advance` to it. Raises NotConverged, which says who was still busy."""
        await self._quiet.wait(in_seconds(within), in_seconds(quiet))

    # -- hosts ----------------------------------------------------------------------------------------------------

    @property
    def nodes(self) -> builtins.list[str]:
        return [f"node-{number}" for number in range(1, self.options.nodes + 1)]

    def hosts(self, *names: str) -> builtins.list[str]:
        """The simulated hosts behind a name: a node is three, "etcd" all its replicas, "apiserver" itself."""
        found = [host for name in names for host in self._behind(name)]
        return list(dict.fromkeys(found))

    def _behind(self, name: str) -> builtins.list[str]:
        known = list(self.world.hosts)
        found = [name] if name in known else [host for host in known if host.rpartition("-")[0] == name]
        if not found:
            raise ValueError(f"there is no {name!r} in this cluster; there are {', '.join(known)} and {self.nodes}")
        return found

    async def spawn(self, name: str, factory: Callable[[], Actor], supervision: Supervision | None = None) -> Ref:
        """An actor of your own in the cluster, on a host of its own of the same name (kill it, partition it).

        The API server takes it for an administrator.
        """
        self._guests[name] = None
        await self.world.boot(name, lambda system: _spawn(system, name, factory, supervision))
        return self._system().ref(f"{name}/{name}")

    def actor(self, address: str) -> Actor:
        """The living actor itself, to look at. KeyError when it is down."""
        system, _, name = address.partition("/")
        return self.world.system(system).actor(name or system)

    def kill(self, *names: str) -> None:
        """As kill -9, or as a power cut: it stays down until `restart`; what it had not synced may be gone."""
        for host in self.hosts(*names):
            self.world.crash(host)

    async def restart(self, *names: str) -> None:
        """Start again whoever is down, on the same disk; returns when all have booted."""
        await asyncio.gather(*(self.world.restart(host) for host in self.hosts(*names)))

    def pause(self, *names: str) -> None:
        for host in self.hosts(*names):
            self.world.pause(host)

    def resume(self, *names: str) -> None:
        for host in self.hosts(*names):
            self.world.resume(host)

    def partition(
        self, one: str | Collection[str], other: str | Collection[str] = (), *, both_ways: bool = True
    ) -> None:
        """Nothing gets from one side to the other. Without `other`: from everybody else, but for the test itself."""
        inside = self.hosts(*_names(one))
        outside = self.hosts(*_names(other)) or [h for h in self.world.hosts if h not in inside and h != USER]
        self.world.partition(inside, outside, both_ways=both_ways)

    def skew(self, name: str, by: str | float) -> None:
        """Set the clock so far ahead of the others' ("-5m": behind); it jumps forward, or stands still until then."""
        for host in self.hosts(name):
            self.world.skew(host, signed_seconds(by))

    def heal(self) -> None:
        """End all faults; who was killed stays down."""
        self.world.heal()

    async def recover(self) -> None:
        """End all faults, start whoever is down, and wait until all have booted."""
        await self.world.recover()


def _text(address: str | Ref) -> str:
    return address if isinstance(address, str) else str(address.address)


def look_every_s(within_s: float) -> float:
    return min(1.0, max(0.02, within_s / LOOKS))


def _names(one: str | Collection[str]) -> Collection[str]:
    return (one,) if isinstance(one, str) else one


def _spawn(system: System, name: str, factory: Callable[[], Actor], supervision: Supervision | None) -> None:
    system.spawn(factory, name, supervision)


def _object(stored: Stored) -> Object:
    return decode_object(stored.body, stored.revision)


def _holds(obj: Object, until: str | Callable[[Object], object]) -> bool:
    if not isinstance(until, str):
        return bool(until(obj))
    return condition_is(obj, until) or (obj.get("status") or {}).get("phase") == until
