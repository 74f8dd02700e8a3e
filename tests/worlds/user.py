"""A user of a cluster, in whichever world: asks the API server by message, and remembers what was acknowledged."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any, TypeVar

from actorkube.runtime import System
from actorkube.testing.operations import deployment, note
from protocols.api import Create, Delete, Get, List, Patch, Stored
from protocols.errors import AlreadyExists, Answer, AskError, NotFound, StatusError
from protocols.message import Request
from protocols.objects import Object, decode_object, encode_object, name_of

R = TypeVar("R")
DEPLOYMENTS = "deployments.apps"
PATIENCE_S = 0.3


class User:
    """Every operation is repeated until it is known to have happened; that is what people do."""

    def __init__(self, system: System) -> None:
        self._system = system
        self._api = system.ref("apiserver/api")
        self.acknowledged: dict[str, None] = {}  # configmaps

    async def deploy(self, name: str, replicas: int, version: str = "v1") -> None:
        await self.create(DEPLOYMENTS, deployment(name, replicas, version))

    async def serve(self, name: str) -> None:
        await self.create("services", service(name))

    async def scale(self, name: str, replicas: int) -> None:
        await self._patch(name, {"spec": {"replicas": replicas}})

    async def set_version(self, name: str, version: str) -> None:
        await self._patch(name, {"spec": {"template": {"metadata": {"annotations": {"version": version}}}}})

    async def delete(self, name: str, resource: str = DEPLOYMENTS) -> None:
        await self._certainly(lambda: Delete(resource, name, "default"), NotFound)

    async def note(self, name: str) -> None:
        """Write a configmap; once this returns, it must never be lost."""
        await self.create("configmaps", note(name))
        self.acknowledged[name] = None

    async def names(self, resource: str) -> set[str]:
        return {name_of(obj) for obj in await self.objects(resource)}

    async def objects(self, resource: str, namespace: str = "default") -> list[Object]:
        listed = await self._certainly(lambda: List(resource, namespace))
        assert listed is not None
        return [decode_object(item.body, item.revision) for item in listed.items]

    async def get(self, resource: str, name: str) -> Object | None:
        stored: Stored | None = await self._certainly(lambda: Get(resource, name, "default"), NotFound)
        return None if stored is None else decode_object(stored.body, stored.revision)

    async def create(self, resource: str, obj: Object) -> None:
        await self._certainly(lambda: Create(resource, encode_object(obj), "default"), AlreadyExists)

    async def _patch(self, name: str, patch: dict[str, Any]) -> None:
        await self._certainly(lambda: Patch(DEPLOYMENTS, name, "merge", encode_object(patch), "default"), NotFound)

    async def _certainly(self, request: Callable[[], Request[R]], *fine: type[Answer]) -> R | None:
        """Ask until there is an answer; one of `fine` says that an earlier attempt has done it."""
        while True:
            try:
                return await self._system.ask(self._api, request(), timeout_s=5)
            except fine:
                return None
            except StatusError as refusal:
                if refusal.code < 500 and refusal.code != 429:
                    raise
            except (Answer, AskError):
                pass
            await asyncio.sleep(PATIENCE_S)


def service(name: str) -> Object:
    spec = {"selector": {"app": name}, "ports": [{"port": 80}]}
    return {"apiVersion": "v1", "kind": "Service", "metadata": {"name": name, "namespace": "default"}, "spec": spec}
