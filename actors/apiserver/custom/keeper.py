"""What becomes of definitions beside the writes that are asked for: names that are free again, and deletion.

A definition that is deleted takes its objects along (the finalizer customresourcecleanup.apiextensions.k8s.io): they
are asked to go, and when the last one is gone, so is the definition. Every API server does this; it is harmless twice.
"""

from __future__ import annotations

import asyncio

from actorkube.runtime import Context
from actors.apiserver.cache import Cache
from actors.apiserver.callers import SELF
from actors.apiserver.calls import Call
from actors.apiserver.changed import Looked, until_changed
from actors.apiserver.changes import Changes, Decide
from actors.apiserver.custom.names import CLEANUP, DEFINITIONS, is_settled, of_group, settled, terminating
from actors.apiserver.custom.served import Served
from actors.apiserver.deletion import Deletion
from actors.apiserver.feed import Feed
from actors.apiserver.schema.resources import Resource, find
from protocols.errors import Answer, AskError, NotFound
from protocols.objects import Object, meta, name_of, split_key

_RETRY_S = 1.0
_DELETED_AT_ONCE = 16


class Keeper:
    def __init__(self, ctx: Context, cache: Cache, feed: Feed, changes: Changes, served: Served) -> None:
        self._ctx = ctx
        self._cache = cache
        self._feed = feed
        self._changes = changes
        self._served = served
        self._done: dict[str, int] = {}  # definitions that need nothing, by name, and the revision that showed it

    async def run(self) -> None:
        while True:
            revision = self._cache.revision
            try:
                watched = await self._look()
            except (Answer, AskError) as error:
                self._ctx.log.info("definitions are looked at again later", error=str(error))
                await self._ctx.sleep(_RETRY_S)
                continue
            await until_changed(self._cache, map(Looked, [DEFINITIONS, *watched]), revision)

    async def _look(self) -> list[str]:
        """A look at the definitions that have changed; the answer is whose objects are waited for."""
        watched = []
        items = self._cache.of(DEFINITIONS).items
        self._done = {name: revision for name, revision in self._done.items() if name in items}
        for item in [item for item in items.values() if self._done.get(item.key) != item.revision]:
            definition = item.object()
            if "deletionTimestamp" in meta(definition):
                if CLEANUP in (meta(definition).get("finalizers") or ()):
                    watched.append(await self._clean_up(definition))
            elif not is_settled(definition):
                await self._settle(definition)
            else:
                self._done[item.key] = item.revision
        return watched

    async def _settle(self, definition: Object) -> None:
        def decide(current: Object) -> Object:
            others = of_group(self._cache.of(DEFINITIONS).items, current["spec"]["group"])
            return settled(current, others, self._ctx.now)

        await self._change(definition, decide)

    async def _clean_up(self, definition: Object) -> str:
        group_resource = name_of(definition)
        await self._change(definition, lambda current: terminating(current, self._ctx.now))
        resource = self._served.find(group_resource)
        if resource is not None and resource.custom is not None:
            await self._delete_all(resource.custom.storage)  # as they are kept: no webhook stands in the way
            await self._feed.confirm()
        if not self._cache.of(group_resource).items:
            await self._change(definition, _released)
        return group_resource

    async def _delete_all(self, resource: Resource) -> None:
        items = list(self._cache.of(resource.storage).items.values())
        waiting = [item.key for item in items if "deletionTimestamp" not in meta(item.object())]
        for start in range(0, len(waiting), _DELETED_AT_ONCE):
            some = waiting[start : start + _DELETED_AT_ONCE]
            await asyncio.gather(*(self._delete(Call(SELF, resource, *split_key(key))) for key in some))

    async def _delete(self, call: Call) -> None:
        try:
            await self._changes.remove(call, Deletion(propagation="Background"))
        except NotFound:
            return  # somebody else was quicker

    async def _change(self, definition: Object, decide: Decide) -> None:
        resource = find(DEFINITIONS)
        assert resource is not None
        try:
            await self._changes.change(Call(SELF, resource, name=name_of(definition)), decide, as_is=True)
        except NotFound:
            return  # gone meanwhile


def _released(definition: Object) -> Object:
    metadata = meta(definition)
    kept = [finalizer for finalizer in metadata.get("finalizers") or () if finalizer != CLEANUP]
    return {**definition, "metadata": {**metadata, "finalizers": kept}}
