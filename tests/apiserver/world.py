"""An API server before a real store, in one process, and what tests say to it."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import msgspec

from actorkube.runtime import Actor, Ref, Stream
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.system import System
from actors.apiserver.actor import ApiServer
from actors.etcd.actor import Etcd, EtcdConfig
from protocols import api
from protocols.message import Request
from protocols.objects import Object, decode_object, encode_object, namespace_of
from tests.apiserver.lossy import Lossy

R = TypeVar("R")


class World:
    """Systems on one network. `verbs` answer with objects; `ask` with what the message says."""

    def __init__(self, directory: Path) -> None:
        self.network = LocalNetwork()
        self.directory = directory
        self.systems: dict[str, System] = {}
        self.api: Ref
        self.lossy: Lossy  # in the way to the store, where a test put one

    async def system(self, name: str) -> System:
        if name not in self.systems:
            system = System(name, self.network.transport(), seed=1, disk=self.directory / name)
            await system.start()
            self.systems[name] = system
        return self.systems[name]

    async def store(self, members: Sequence[str] = ("etcd-0",), config: EtcdConfig | None = None) -> list[str]:
        peers = {member: f"{member}/etcd" for member in members}
        for member in members:
            (await self.system(member)).spawn(lambda member=member: Etcd(member, peers, config), "etcd")  # type: ignore[misc]
        return list(peers.values())

    async def api_server(self, store: Sequence[str], system: str = "apiserver", **options: Any) -> Ref:
        ref = (await self.system(system)).spawn(lambda: ApiServer(store, **options), "api")
        await self.systems["test"].ask(ref, api.Ready(), timeout_s=10.0)
        return ref

    async def actor(self, system: str, name: str, actor: Actor) -> Ref:
        return (await self.system(system)).spawn(lambda: actor, name)

    async def stop(self) -> None:
        for system in reversed(self.systems.values()):
            await system.stop()

    async def stop_system(self, name: str) -> None:
        await self.systems.pop(name).stop()

    async def restart(self, **options: Any) -> None:
        """Stop the API server and start another one before the same store."""
        await self.stop_system("apiserver")
        await asyncio.sleep(0)  # the links to the old one end in the next loop turn
        self.api = await self.api_server(["etcd-0/etcd"], **options)

    # -- what tests say -------------------------------------------------------------------------------------------

    async def ask(self, request: Request[R], timeout_s: float = 10.0) -> R:
        return await self.systems["test"].ask(self.api, request, timeout_s)

    def stream(self, request: api.Watch, window: int = 64) -> Stream[api.WatchEvent]:
        return self.systems["test"].stream(self.api, request, window)

    async def get(self, resource: str, name: str, namespace: str = "default", subresource: Any = "") -> Object:
        return _object(await self.ask(api.Get(resource, name, namespace, subresource)))

    async def names(self, resource: str, namespace: str = "default", labels: str = "", fields: str = "") -> list[str]:
        answer = await self.ask(api.List(resource, namespace, labels, fields))
        return [_object(stored)["metadata"]["name"] for stored in answer.items]

    async def create(self, resource: str, obj: Object, **options: Any) -> Object:
        return _object(await self.ask(api.Create(resource, encode_object(obj), namespace_of(obj), **options)))

    async def update(self, resource: str, obj: Object, subresource: Any = "", **options: Any) -> Object:
        metadata = obj["metadata"]
        revision = options.pop("revision", int(metadata.get("resourceVersion") or 0))
        namespace = metadata.get("namespace", "")
        body = encode_object(obj)
        return _object(
            await self.ask(api.Update(resource, metadata["name"], body, namespace, revision, subresource, **options))
        )

    async def patch(
        self, resource: str, name: str, patch: Any, namespace: str = "default", type: Any = "merge", **options: Any
    ) -> Object:
        body = msgspec.msgpack.encode(patch)
        return _object(await self.ask(api.Patch(resource, name, type, body, namespace, **options)))

    async def delete(self, resource: str, name: str, namespace: str = "default", **options: Any) -> Object:
        return _object(await self.ask(api.Delete(resource, name, namespace, **options)))


@asynccontextmanager
async def world(directory: Path, **options: Any) -> AsyncIterator[World]:
    """One store replica and one API server with these options; tests speak as the system `test`."""
    here = World(directory)
    await here.system("test")
    try:
        here.api = await here.api_server(await here.store(), **options)
        yield here
    finally:
        await here.stop()


def _object(stored: api.Stored) -> Object:
    return decode_object(stored.body, stored.revision)


def config_map(name: str, namespace: str = "default", **metadata: Any) -> Object:
    head = {"apiVersion": "v1", "kind": "ConfigMap"}
    return {**head, "metadata": {"name": name, "namespace": namespace, **metadata}, "data": {"a": "1"}}


def pod(name: str, namespace: str = "default", node: str = "", **metadata: Any) -> Object:
    spec: Object = {"containers": [{"name": "main", "image": "example"}]}
    if node:
        spec["nodeName"] = node
    head = {"apiVersion": "v1", "kind": "Pod"}
    return {**head, "metadata": {"name": name, "namespace": namespace, **metadata}, "spec": spec}


def deployment(name: str, replicas: int = 3) -> Object:
    template = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [{"name": "main", "image": "example"}]}}
    spec = {"replicas": replicas, "selector": {"matchLabels": {"app": name}}, "template": template}
    metadata = {"name": name, "namespace": "default"}
    return {"apiVersion": "apps/v1", "kind": "Deployment", "metadata": metadata, "spec": spec}


def service(name: str, type: str = "ClusterIP", namespace: str = "default", **spec: Any) -> Object:
    ports = spec.pop("ports", [{"port": 80}])
    metadata = {"name": name, "namespace": namespace}
    return {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": metadata,
        "spec": {"type": type, "selector": {"app": name}, "ports": ports, **spec},
    }


def namespace(name: str) -> Object:
    return {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
