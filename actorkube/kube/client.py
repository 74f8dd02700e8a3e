"""A client of the API server for actors: objects in, objects out, over the actor door (protocols/api.py).

Every call has a deadline. What certainly did not happen (NotSent, Overloaded, TooManyRequests) is repeated with
back-off until then, by another API server if there is one; what may have happened (Unknown, DeadlineExceeded) is handed
up: look again before deciding more. Refusals are raised as the `StatusError` they are.
"""

from __future__ import annotations

import builtins
from typing import Any, TypeVar

import msgspec

from actorkube.kube.bindings import Bindings
from actorkube.kube.servers import ApiServers
from actorkube.runtime import Context, Ref
from actorkube.runtime.tracing import NOT_FOLLOWED
from protocols.api import (
    Binding,
    Create,
    Delete,
    DeleteCollection,
    Get,
    List,
    Patch,
    PatchType,
    Stored,
    Subresource,
    Update,
)
from protocols.errors import Answer, AskError, NotSent, TooManyRequests
from protocols.message import Request
from protocols.objects import Object, decode_object, encode_object, name_of, namespace_of, revision_of

R = TypeVar("R")

_PAUSE_FIRST_S = 0.01
_PAUSE_MAX_S = 1.0
_PAGE = 500


class Client:
    """`created = await client.create("pods", pod)`. Methods ending in `_stored` answer with bytes and revision."""

    def __init__(self, ctx: Context, api: Ref | ApiServers | None = None, *, timeout_s: float = 10.0) -> None:
        self._ctx = ctx
        self._servers = ApiServers.of(api) if api is not None else ApiServers.known(ctx)
        self._timeout_s = timeout_s
        self._bindings = Bindings(ctx, self.ask)

    async def get(self, resource: str, name: str, namespace: str = "") -> Object:
        return _object(await self.get_stored(resource, name, namespace))

    async def list(
        self, resource: str, namespace: str = "", *, label_selector: str = "", field_selector: str = ""
    ) -> list[Object]:
        """All objects, read in pages of one revision."""
        objects: list[Object] = []
        token = ""
        while True:
            page = await self.ask(List(resource, namespace, label_selector, field_selector, _PAGE, token))
            objects += [_object(stored) for stored in page.items]
            token = page.continue_token
            if not token:
                return objects

    async def create(self, resource: str, obj: Object, *, subresource: Subresource = "", name: str = "") -> Object:
        return _object(await self.create_stored(resource, obj, subresource=subresource, name=name))

    async def update(self, resource: str, obj: Object) -> Object:
        """Replace it, provided that it still has the resourceVersion that `obj` carries (if it carries one)."""
        return _object(await self.update_stored(resource, obj))

    async def update_status(self, resource: str, obj: Object) -> Object:
        return _object(await self.update_stored(resource, obj, "status"))

    async def patch(
        self,
        resource: str,
        name: str,
        patch: Any,
        namespace: str = "",
        *,
        type: PatchType = "merge",
        subresource: Subresource = "",
        field_manager: str = "",
        force: bool = False,
    ) -> Object:
        return _object(
            await self.patch_stored(resource, name, patch, namespace, type, subresource, field_manager, force)
        )

    async def delete(
        self,
        resource: str,
        name: str,
        namespace: str = "",
        *,
        uid: str = "",
        revision: int = 0,
        grace_s: int = -1,
        propagation: str = "",
    ) -> Object:
        """Ask for deletion. The answer is the object as it was, or with its deletionTimestamp when it lives on."""
        return _object(await self.delete_stored(resource, name, namespace, uid, revision, grace_s, propagation))

    async def bind(self, namespace: str, name: str, node: str, *, uid: str = "") -> None:
        """Bind a pod to a node. Conflict when it is bound already, or is not the pod of that uid any more.

        Those of one turn are one message; but one whose cause is followed has a message of its own, which says it.
        """
        if (self._ctx.cause or NOT_FOLLOWED) is NOT_FOLLOWED:
            await self._bindings.bind(Binding(namespace, name, node, uid))
            return
        metadata: dict[str, Any] = {"name": name, "namespace": namespace, **({"uid": uid} if uid else {})}
        target = {"apiVersion": "v1", "kind": "Node", "name": node}
        binding = {"apiVersion": "v1", "kind": "Binding", "metadata": metadata, "target": target}
        await self.create_stored("pods", binding, subresource="binding", name=name)

    # -- as bytes -------------------------------------------------------------------------------------------------

    async def get_stored(self, resource: str, name: str, namespace: str = "") -> Stored:
        return await self.ask(Get(resource, name, namespace))

    async def create_stored(
        self, resource: str, obj: Object, *, subresource: Subresource = "", name: str = ""
    ) -> Stored:
        return await self.ask(Create(resource, encode_object(obj), namespace_of(obj), name, subresource))

    async def update_stored(self, resource: str, obj: Object, subresource: Subresource = "") -> Stored:
        namespace, name = namespace_of(obj), name_of(obj)
        return await self.ask(Update(resource, name, encode_object(obj), namespace, revision_of(obj), subresource))

    async def patch_stored(
        self,
        resource: str,
        name: str,
        patch: Any,
        namespace: str,
        type: PatchType,
        subresource: Subresource = "",
        field_manager: str = "",
        force: bool = False,
    ) -> Stored:
        body = msgspec.msgpack.encode(patch)
        return await self.ask(Patch(resource, name, type, body, namespace, subresource, field_manager, force))

    async def delete_stored(
        self, resource: str, name: str, namespace: str, uid: str, revision: int, grace_s: int, propagation: Any
    ) -> Stored:
        return await self.ask(Delete(resource, name, namespace, uid, revision, grace_s, propagation))

    async def delete_all(self, resource: str, namespace: str = "") -> builtins.list[Object]:
        """Ask for the deletion of all; the answer is what was there."""
        deleted = await self.ask(DeleteCollection(resource, namespace))
        return [_object(stored) for stored in deleted.items]

    # -- asking ---------------------------------------------------------------------------------------------------

    async def ask(self, request: Request[R]) -> R:
        """One request until its deadline, repeated as long as it certainly did not happen."""
        ctx = self._ctx
        deadline = ctx.now + self._timeout_s
        pause_s = _PAUSE_FIRST_S
        while True:
            server = self._servers.ref
            try:
                answered = ctx.ask(server, request, timeout_s=deadline - ctx.now)
                reply = await answered
                ctx.keep_answer_cause(answered)
                return reply
            except (Answer, AskError) as error:
                self._servers.failed(server, error)
                if not isinstance(error, (NotSent, TooManyRequests)):
                    raise
                wait_s = _wanted_pause_s(error) or pause_s * (0.5 + ctx.random.random())
                if ctx.now + wait_s >= deadline:
                    raise
            await ctx.sleep(wait_s)
            pause_s = min(2 * pause_s, _PAUSE_MAX_S)


def _wanted_pause_s(error: Exception) -> float:
    return float(error.details.get("retryAfterSeconds") or 0) if isinstance(error, TooManyRequests) else 0.0


def _object(stored: Stored) -> Object:
    return decode_object(stored.body, stored.revision)
