"""The end of every write: the object's bytes go to the store in one transaction, and become visible before the answer.

What the store refuses comes back as `Refused`, for the caller to look again and decide anew.
"""

from __future__ import annotations

from actorkube.runtime import Context
from actorkube.runtime.tracing import note
from actors.apiserver.cache import Cache
from actors.apiserver.calls import Call
from actors.apiserver.feed import Feed
from actors.apiserver.item import Item
from actors.apiserver.keys import store_key
from actors.apiserver.store import Store
from actors.apiserver.writes import Claim, Committed, Refused, Write
from protocols.errors import RequestEntityTooLarge, ServiceUnavailable
from protocols.etcd import LeaseNotFound
from protocols.objects import Object, encode_object, key_of, uid_of

EVENT_TTL_S = 3600
_LEASE_SHARED_S = 300  # events of five minutes share one lease, which outlives the last of them by its time to live
OBJECT_BYTES_MAX = 3 * 1024 * 1024


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
    ) -> Item | Refused:
        """Store an object that is still at `revision` (0: does not exist yet). A dry run stops short of it."""
        resource, key, body = call.stored, key_of(obj), encode_object(obj)
        if len(body) > OBJECT_BYTES_MAX:
            raise RequestEntityTooLarge(f"Request entity too large: limit is {OBJECT_BYTES_MAX}")
        if call.dry_run:
            return Item(key, body, revision)
        parents = (store_key("namespaces", call.namespace),) if resource.namespaced and not revision else ()
        lease = await self._lease() if resource.group_resource == "events" else 0
        path = store_key(resource.group_resource, key)
        try:
            write = Write(path, body, revision, uid_of(obj), parents, claims, releases, lease)
            outcome = await self._store.commit(write)
        except LeaseNotFound:
            self._event_lease_until = 0.0
            return await self.put(call, obj, revision, claims, releases)
        if isinstance(outcome, Refused):
            return outcome
        assert outcome.body is not None
        note(object=f"{resource.group_resource} {key}", revision=outcome.revision)
        await self._visible(outcome)
        kept = self._cache.get(resource.group_resource, key)
        if kept is not None and kept.revision == outcome.revision:
            return kept  # whoever renders it renders it for all
        return Item(key, outcome.body, outcome.revision)

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
        await self._visible(outcome)
        return last.at(outcome.revision)

    async def _visible(self, committed: Committed) -> None:
        """It has happened, whatever comes now: reads that must see it find out for themselves."""
        try:
            await self._feed.reached(committed.revision)
        except ServiceUnavailable:
            self._ctx.log.warning("a write is not in the watch cache yet", revision=committed.revision)

    async def _lease(self) -> int:
        if self._ctx.now >= self._event_lease_until:
            self._event_lease = await self._store.grant_lease(EVENT_TTL_S + _LEASE_SHARED_S)
            self._event_lease_until = self._ctx.now + _LEASE_SHARED_S
        return self._event_lease
