"""The one way in, for REST and for actors: each verb authorised, its body checked, its subresource found.

Reading is in reads.py, the writing of stored objects in changes.py; here stands what each verb and subresource means.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from itertools import chain, repeat
from typing import Any

import msgspec

from actorkube.runtime import Context
from actors.apiserver.answers import method_not_allowed
from actors.apiserver.binding import bound
from actors.apiserver.cache import Watcher
from actors.apiserver.callers import Caller, authorize
from actors.apiserver.calls import Call
from actors.apiserver.changes import Changes, Removed
from actors.apiserver.custom.served import Served
from actors.apiserver.deletion import Deletion, deletion_of
from actors.apiserver.eviction import budget_to_spend, spent
from actors.apiserver.incoming import accept, accept_kind
from actors.apiserver.item import Item, Made
from actors.apiserver.patch import apply_patch
from actors.apiserver.reads import CURRENT, Listing, Query, Reads
from actors.apiserver.reviews import answer_review
from actors.apiserver.scale import check_scale, scale_of, scaled
from actors.apiserver.schema.resources import find, subresource_verbs
from actors.apiserver.schema.types import Types
from protocols.api import PatchType
from protocols.errors import BadRequest, NotFound, UnsupportedMediaType
from protocols.objects import Object, encode_object, key_of, name_of, revision_of

_DELETED_AT_ONCE = 16
_SCALE = ("autoscaling/v1", "Scale")
_BUDGETS = "poddisruptionbudgets.policy"

ByToken = Callable[[str], Caller | None]


class Pipeline:
    def __init__(
        self, ctx: Context, reads: Reads, changes: Changes, types: Types, served: Served, by_token: ByToken
    ) -> None:
        self.reads = reads
        self.served = served
        self.types = types
        self._ctx = ctx
        self._changes = changes
        self._by_token = by_token

    # -- reading --------------------------------------------------------------------------------------------------

    async def get(self, call: Call, revision: int = CURRENT) -> Item:
        permit(call, "get")
        item = await self.reads.get(call, revision)
        return _as_item(scale_of(call.resource, item.object())) if call.subresource == "scale" else item

    async def list(self, call: Call, query: Query) -> Listing:
        permit(call, "list")
        return await self.reads.list(call, query)

    async def watch(self, call: Call, query: Query, revision: int, wake: Callable[[], None]) -> Watcher:
        """Changes after `revision`, which may be one that only another API server has seen yet. Raises Expired."""
        permit(call, "watch")
        return await self.reads.watch(call, query, revision, wake)

    # -- creating -------------------------------------------------------------------------------------------------

    async def create(self, call: Call, body: object) -> Item:
        """Create an object, or POST a subresource or a review. A binding or eviction answers with its pod."""
        permit(call, "create")
        if call.subresource == "binding" or call.resource.plural == "bindings":
            return await self._bind(call, body)
        if call.subresource == "eviction":
            return await self._evict(call, body)
        if call.subresource:
            raise method_not_allowed(call.resource, call.subresource, "create")
        obj = accept(self.types, call, body)
        if revision_of(obj):
            raise BadRequest("resourceVersion should not be set on objects to be created")
        if call.resource.stored:
            return await self._changes.create(call, obj)
        answer = answer_review(call.resource, obj, call.caller, self._by_token, self.served)
        if answer is None:
            raise method_not_allowed(call.resource, "", "create")
        return _as_item(answer)

    async def _bind(self, call: Call, body: object) -> Item:
        binding = accept_kind(self.types, call, body, "v1", "Binding")
        call = _of(call, "pods", call.name)
        return await self._changes.change(
            call, lambda pod: bound(call.resource, pod, binding, self._ctx.now), as_is=True
        )

    async def _evict(self, call: Call, body: object) -> Item:
        eviction = accept_kind(self.types, call, body, "policy/v1", "Eviction")
        pod = (await self.reads.get(call)).object()
        budgets = await self.reads.list(_of(call, _BUDGETS), Query(revision=0))
        budget = budget_to_spend(pod, [item.object() for item in budgets.items])
        if budget is not None:
            spending = _of(call, _BUDGETS, name_of(budget))
            await self._changes.change(spending, lambda current: spent(current, pod, self._ctx.now), as_is=True)
        return (await self._changes.remove(call, deletion_of(eviction.get("deleteOptions") or {}))).item

    # -- changing -------------------------------------------------------------------------------------------------

    async def update(self, call: Call, body: object) -> Item:
        permit(call, "update")
        if call.subresource == "scale":
            scale = accept_kind(self.types, call, body, *_SCALE)
            return await self._rescale(call, lambda _: scale)
        obj = accept(self.types, call, body)
        call.revision = call.revision or revision_of(obj)
        # Decided more than once, it must start from the same every time: what follows changes it in place.
        kept = msgspec.msgpack.encode(obj)
        copies = chain((obj,), map(msgspec.msgpack.decode, repeat(kept)))
        return await self._changes.replace(call, lambda: next(copies))

    async def patch(self, call: Call, type: PatchType, patch: Any) -> Item:
        """Change what the patch says. An apply creates what does not exist."""
        permit(call, "patch")
        if call.subresource == "scale":
            return await self._rescale(call, lambda scale: self._patched(call, _scale_patch(type), patch, scale))
        if type != "apply":
            return await self._changes.change(call, lambda old: self._patched(call, type, patch, old))
        try:
            return await self._changes.change(call, lambda old: self._patched(call, type, patch, old), applied=True)
        except NotFound:
            new = self._patched(call, type, patch, None)
            return await self._changes.create(call, new, applied=True)

    def _patched(self, call: Call, type: PatchType, patch: Any, current: Object | None) -> Object:
        call.warnings.clear()  # of an earlier attempt
        patched = apply_patch(
            self.types,
            call.resource,
            type,
            current,
            patch,
            manager=call.manager,
            force=call.force,
            now=self._ctx.now,
            subresource=call.subresource,
        )
        if call.subresource == "scale":
            return accept_kind(self.types, call, patched, *_SCALE)
        return accept(self.types, call, patched)

    async def _rescale(self, call: Call, decide: Callable[[Object], Object]) -> Item:
        def rescaled(obj: Object) -> Object:
            scale = decide(scale_of(call.resource, obj))
            check_scale(call.resource, call.name, scale)
            new = scaled(call.resource, obj, scale)
            new["metadata"]["resourceVersion"] = str(revision_of(scale) or revision_of(obj))
            return new

        item = await self._changes.change(call, rescaled)
        return _as_item(scale_of(call.resource, item.object()))

    # -- deleting -------------------------------------------------------------------------------------------------

    async def delete(self, call: Call, deletion: Deletion) -> Removed:
        permit(call, "delete")
        return await self._changes.remove(call, deletion)

    async def delete_collection(self, call: Call, query: Query, deletion: Deletion) -> Listing:
        """Delete all that is selected; the answer is what was there."""
        permit(call, "deletecollection")
        listing = await self.reads.list(call, query)
        for start in range(0, len(listing.items), _DELETED_AT_ONCE):
            some = listing.items[start : start + _DELETED_AT_ONCE]
            await asyncio.gather(*(self._delete_one(call, item, deletion) for item in some))
        return listing

    async def _delete_one(self, call: Call, item: Item, deletion: Deletion) -> None:
        try:
            await self._changes.remove(replace(call, namespace=item.namespace, name=item.name), deletion)
        except NotFound:
            return  # somebody else was quicker


def permit(call: Call, verb: str) -> None:
    """Whether there is such a thing to do, and whether the caller may: asked before a body is even read."""
    resource, subresource = call.resource, call.subresource
    if subresource and subresource not in resource.subresources:
        raise NotFound("the server could not find the requested resource")
    if verb not in (subresource_verbs(subresource) if subresource else resource.verbs):
        raise method_not_allowed(resource, subresource, verb)
    authorize(call.caller, verb, resource, call.namespace, call.name, subresource)


def _of(call: Call, group_resource: str, name: str = "") -> Call:
    """The same caller about another resource of the same namespace."""
    resource = find(group_resource)
    assert resource is not None, group_resource
    return replace(call, resource=resource, name=name, subresource="", revision=0)


def _as_item(obj: Object) -> Item:
    return Made(key_of(obj), encode_object(obj), revision_of(obj))


def _scale_patch(type: PatchType) -> PatchType:
    """A Scale has no lists, so a strategic merge patch of it is a merge patch; it cannot be applied."""
    if type == "apply":
        raise UnsupportedMediaType("server-side apply of the scale subresource is not supported")
    return "merge" if type == "strategic" else type
