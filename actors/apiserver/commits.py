"""The end of every write: the object's bytes go to the store in one transaction, and become visible before the answer.

What the store refuses comes back as `Refused`, for the caller to look again and decide anew.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from actorkube.runtime import Context
from actorkube.runtime.tracing import note
from actors.apiserver.cache import Cache
from actors.apiserver.calls import Call
from actors.apiserver.feed import Feed
from actors.apiserver.item import Item
from actors.apiserver.keys import store_key
from actors.apiserver.schema.resources import Resource
from actors.apiserver.store import Store
from actors.apiserver.writes import Charge, Claim, Committed, Guard, Refused, Write
from protocols.errors import Answer, AskError, RequestEntityTooLarge, ServiceUnavailable
from protocols.etcd import LeaseNotFound
from protocols.objects import Object, encode_object, key_of, uid_of

EVENT_TTL_S = 3600
_LEASE_SHARED_S = 300  # events of five minutes share one lease, which outlives the last of them by its time to live
OBJECT_BYTES_MAX = 3 * 1024 * 1024


class Change(NamedTuple):
    """An object that is to take the place of what is stored at `revision`."""

    resource: Resource
    obj: Object
    revision: int


class Commits:
    def __init__(self, ctx: Context, store: Store, feed: Feed, cache: Cache) -> None:
        self._ctx = ctx
        self._store = store
        self._feed = feed
        self._cache = cache
        self._event_lease = 0
        self._event_lease_until = 0.0

    async def put(
        self,
        call: Call,
        obj: Object,
        revision: int,
        claims: tuple[Claim, ...] = (),
        releases: tuple[bytes, ...] = (),
        charges: tuple[Charge, ...] = (),
        guards: tuple[Guard, ...] = (),
        body: bytes = b"",
    ) -> Item | Refused:
        """Store an object that is still at `revision` (0: does not exist yet). A dry run stops short of it.

        `body`: what `obj` is encoded, where that is known.
        """
        resource, key, body = call.stored, key_of(obj), body or encode_object(obj)
        _check_size(body)
        if call.dry_run:
            return Item(key, body, revision)
        parents = (store_key("namespaces", call.namespace),) if resource.namespaced and not revision else ()
        lease = await self._lease() if resource.group_resource == "events" else 0
        path = store_key(resource.group_resource, key)
        try:
            write = Write(path, body, revision, uid_of(obj), parents, claims, releases, charges, guards, lease)
            outcome = await self._store.commit(write)
        except LeaseNotFound:
            self._event_lease_until = 0.0
            return await self.put(call, obj, revision, claims, releases, charges, guards, body)
        if isinstance(outcome, Refused):
            return outcome
        assert outcome.body is not None
        note(object=f"{resource.group_resource} {key}", revision=outcome.revision)
        await self._visible(outcome.revision)
        kept = self._cache.get(resource.group_resource, key)
        if kept is not None and kept.revision == outcome.revision:
            if call.shown:
                kept.show(obj)
            return kept  # whoever renders it renders it for all
        return Item(key, outcome.body, outcome.revision)

    async def put_all(self, changes: Sequence[Change]) -> list[Committed | Refused | Answer | AskError]:
        """Store changed objects, each by a transaction of its own, and say what became of each."""
        outcomes = await asyncio.gather(*map(self._outcome, changes))
        newest = max((each.revision for each in outcomes if isinstance(each, Committed)), default=0)
        if newest:
            await self._visible(newest)
        return outcomes

    async def _outcome(self, change: Change) -> Committed | Refused | Answer | AskError:
        resource, obj, revision = change
        path, body = store_key(resource.group_resource, key_of(obj)), encode_object(obj)
        try:
            _check_size(body)
            return await self._store.commit(Write(path, body, revision, uid_of(obj)))
        except (Answer, AskError) as error:
            return error

    def is_stale(self, resource: Resource, key: str) -> bool:
        """Whether an object is to be written anew although it stays as it is: the keys that seal it have changed."""
        return self._store.is_stale(store_key(resource.group_resource, key))

    async def create_all(self, objects: Sequence[tuple[Resource, Object]]) -> None:
        """Store objects of the server's own in one transaction; none of them when one exists already."""
        await self._store.create_all(
            [(store_key(resource.group_resource, key_of(obj)), encode_object(obj)) for resource, obj in objects]
        )

    async def remove(self, call: Call, obj: Object, revision: int, releases: tuple[bytes, ...] = ()) -> Item | Refused:
        """Delete an object that is still at `revision`; the answer is its last state, at the revision of its end."""
        resource, key = call.stored, key_of(obj)
        last = Item(key, encode_object(obj), revision)
        if call.dry_run:
            return last
        path = store_key(resource.group_resource, key)
        outcome = await self._store.commit(Write(path, None, revision, uid_of(obj), releases=releases))
        if isinstance(outcome, Refused):
            return outcome
        note(object=f"{resource.group_resource} {key}", revision=outcome.revision)
        await self._visible(outcome.revision)
        return last.at(outcome.revision)

    async def _visible(self, revision: int) -> None:
        """It has happened, whatever comes now: reads that must see it find out for themselves."""
        try:
            await self._feed.reached(revision)
        except ServiceUnavailable:
            self._ctx.log.warning("a write is not in the watch cache yet", revision=revision)

    async def _lease(self) -> int:
        if self._ctx.now >= self._event_lease_until:
            self._event_lease = await self._store.grant_lease(EVENT_TTL_S + _LEASE_SHARED_S)
            self._event_lease_until = self._ctx.now + _LEASE_SHARED_S
        return self._event_lease


def _check_size(body: bytes) -> None:
    if len(body) > OBJECT_BYTES_MAX:
        raise RequestEntityTooLarge(f"Request entity too large: limit is {OBJECT_BYTES_MAX}")
