"""A node in the simulated world: a real etcd and API server, a kubelet, a runtime shim with scripted containers."""

from __future__ import annotations

from collections.abc import Callable, Coroutine
from typing import Any

from actorkube.kube import Client
from actorkube.runtime import Actor
from actorkube.sim import World
from actors.cluster import ClusterSpec, api_host, etcd_host, node_hosts
from actors.kubelet.actor import Kubelet
from actors.runtime.actor import RuntimeShim
from protocols.api import ReadLog
from protocols.errors import NotFound
from protocols.objects import Object
from protocols.rules.conditions import condition_is

KUBELET, RUNTIME = "node-1-kubelet", "node-1-runtime"
TRUSTED = "controller-manager"  # a system that may do to pods what these tests do
SPEC = ClusterSpec(nodes=1, etcd=1, runtime="sim")


class User(Actor):
    """kubectl's place in the world."""


class NodeWorld:
    def __init__(self, world: World, user: User) -> None:
        self.world = world
        self.user = user
        self.client = Client(user.ctx, timeout_s=30)

    async def create(self, name: str = "web", **fields: Any) -> Object:
        return await self.client.create("pods", pod(name, **fields))

    async def pod(self, name: str = "web") -> Object | None:
        try:
            return await self.client.get("pods", name, "default")
        except NotFound:
            return None

    async def reaches(self, name: str, check: Callable[[Object], object], within_s: float = 60.0) -> Object:
        """The pod as it is when the check first holds."""
        found: list[Object] = []

        async def holds() -> bool:
            now = await self.pod(name)
            if now is not None and check(now):
                found.append(now)
            return bool(found)

        await self.world.until(holds, within_s)
        return found[0]

    async def ready(self, name: str = "web", within_s: float = 60.0) -> Object:
        return await self.reaches(name, lambda pod: condition_is(pod, "Ready"), within_s)

    async def gone(self, name: str = "web", within_s: float = 120.0) -> None:
        async def holds() -> bool:
            return await self.pod(name) is None

        await self.world.until(holds, within_s)

    async def delete(self, name: str = "web", grace_s: int = -1) -> None:
        await self.client.delete("pods", name, "default", grace_s=grace_s)

    async def log(self, name: str = "web", container: str = "main", **request: Any) -> str:
        """As the API server asks for it: the kubelet is reached only by those that it has connected to."""
        apiserver = self.world.system("apiserver")
        message = ReadLog("default", name, container, **request)
        async with apiserver.stream(apiserver.ref(f"{KUBELET}/kubelet"), message) as chunks:
            return b"".join([chunk.data async for chunk in chunks]).decode()

    async def events(self) -> list[tuple[str, str]]:
        return [(event["reason"], event["message"]) for event in await self.client.list("events", "default")]

    @property
    def shim(self) -> RuntimeShim:
        shim = self.world.system(RUNTIME).actor("runtime")
        assert isinstance(shim, RuntimeShim)
        return shim

    @property
    def kubelet(self) -> Kubelet:
        kubelet = self.world.system(KUBELET).actor("kubelet")
        assert isinstance(kubelet, Kubelet)
        return kubelet

    def running(self) -> list[str]:
        return sorted(each.name for each in self.shim._ledger.running())

    def instances(self) -> int:
        """How many containers the runtime has ever been asked to run in its present life, as far as it remembers."""
        return len(self.shim._ledger.containers)

    def is_empty(self) -> bool:
        ledger = self.shim._ledger
        return not (ledger.sandboxes or ledger.containers or self.kubelet._workers or self.kubelet._link.facts)


def pod(name: str = "web", *, sim: dict[str, str] | None = None, node: str = "node-1", **spec: Any) -> Object:
    annotations = {f"actorkube.dev/sim-{key}": value for key, value in (sim or {}).items()}
    spec.setdefault("containers", [{"name": "main", "image": "label", "command": ["run"]}])
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": "default", "annotations": annotations},
        "spec": {"nodeName": node, **spec},
    }


def run(
    scenario: Callable[[NodeWorld], Coroutine[Any, Any, None]],
    seed: int = 0,
    spec: ClusterSpec = SPEC,
    **options: Any,
) -> None:
    """The scenario in a world of its own, with a node that is ready."""

    async def begin(world: World) -> None:
        await boot(world, spec)
        await scenario(await enter(world))

    World.run_sync(begin, seed, **options)


async def boot(world: World, spec: ClusterSpec = SPEC) -> None:
    await world.boot_all([etcd_host(spec, "etcd-0"), api_host(spec), *_node(spec)])


async def enter(world: World) -> NodeWorld:
    system = await world.boot(TRUSTED, lambda system: system.spawn(User, "user"))
    user = system.actor("user")
    assert isinstance(user, User)
    return NodeWorld(world, user)


def _node(spec: ClusterSpec) -> list[Any]:
    return [host for host in node_hosts(spec, "node-1", 1, "node") if not host.name.endswith("-proxy")]
