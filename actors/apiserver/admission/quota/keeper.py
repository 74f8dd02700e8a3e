"""Keeps the status of quotas: counts again what objects that changed or went have given back.

It runs in each API server, beside the watch cache, because a recount is exact only if it and the quota's revision are
of one state of the store. Two servers that count come to the same, and the second one has nothing to write.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable

from actorkube.runtime import Context
from actors.apiserver.admission.quota import ledger
from actors.apiserver.admission.quota.quotas import QUOTAS, Quotas
from actors.apiserver.admission.quota.usage import kinds_counted
from actors.apiserver.cache import Cache, Watcher
from actors.apiserver.callers import SELF
from actors.apiserver.calls import Call
from actors.apiserver.changes import Changes
from actors.apiserver.log import Change
from actors.apiserver.schema.resources import find
from actors.apiserver.selectors import select
from protocols.errors import Answer, AskError, Expired, NotFound
from protocols.objects import Object, namespace_of, split_key

_RETRY_S = 1.0
# What goes in one go (a namespace, a scaled-down set) is counted once; many objects are counted less often, so that it
# never takes more than some hundredths of the time.
_GATHER_S = 0.05
_GATHER_PER_OBJECT_S = 20e-6
_EVENTS_TAKEN = 256


class QuotaKeeper:
    def __init__(self, ctx: Context, cache: Cache, changes: Changes, quotas: Quotas) -> None:
        self._ctx = ctx
        self._cache = cache
        self._changes = changes
        self._quotas = quotas
        self._changed = asyncio.Event()
        self._watchers: dict[str, Watcher] = {}
        self._owed: dict[str, None] = {}  # namespaces to count again

    async def run(self) -> None:
        self._recount_everything()
        try:
            while True:
                self._follow_what_is_counted()
                self._take()
                if self._owed:
                    await self._count()
                    continue
                await self._changed.wait()
                self._changed.clear()
                counted = sum(len(self._cache.of(name).items) for name in self._watchers)
                await self._ctx.sleep(_GATHER_S + counted * _GATHER_PER_OBJECT_S)
        finally:
            for watcher in self._watchers.values():
                watcher.close()

    def _recount_everything(self) -> None:
        self._owed = {split_key(key)[0]: None for key in self._cache.of(QUOTAS).items}

    def _follow_what_is_counted(self) -> None:
        wanted = {QUOTAS}
        for item in self._cache.of(QUOTAS).items.values():
            wanted |= {kinds_counted(name) for name in ledger.hard_of(item.object())}
        for name in [name for name in self._watchers if name not in wanted]:
            self._watchers.pop(name).close()
        for name in sorted(wanted - self._watchers.keys()):
            self._watchers[name] = self._cache.of(name).watch(select(name), self._cache.revision, self._changed.set)

    def _take(self) -> None:
        """Whose namespaces have changed; additions are counted with the write that makes them."""
        try:
            for name, watcher in self._watchers.items():
                while changes := watcher.take(_EVENTS_TAKEN):
                    self._owe(change.item.namespace for change in changes if _asks_for_a_count(name, change))
        except Expired:
            for watcher in self._watchers.values():
                watcher.close()
            self._watchers.clear()
            self._recount_everything()

    def _owe(self, namespaces: Iterable[str]) -> None:
        limited = {split_key(key)[0] for key in self._cache.of(QUOTAS).items}
        for namespace in namespaces:
            if namespace in limited:
                self._owed[namespace] = None
            else:
                self._quotas.forget(namespace)

    async def _count(self) -> None:
        for namespace in list(self._owed):
            try:
                async with self._quotas.turn(namespace) as turn, turn.lock:
                    await turn.done()
                    for quota in self._quotas.of(namespace):
                        await self._count_one(quota)
            except (Answer, AskError) as error:
                self._ctx.log.info("quotas are counted again later", namespace=namespace, error=str(error))
                await self._ctx.sleep(_RETRY_S)
                return
            self._owed.pop(namespace, None)

    async def _count_one(self, quota: Object) -> None:
        resource = find(QUOTAS)
        assert resource is not None
        call = Call(SELF, resource, namespace_of(quota), quota["metadata"]["name"])
        try:
            await self._changes.change(call, self._quotas.recounted, as_is=True)
        except NotFound:
            return  # gone meanwhile


def _asks_for_a_count(group_resource: str, change: Change) -> bool:
    """What was added was charged with its write, and so was a quota whose status speaks of all that it limits."""
    if group_resource != QUOTAS:
        return change.type != "ADDED"
    if change.type == "DELETED":
        return True
    quota = change.item.object()
    spec, status = quota.get("spec") or {}, quota.get("status") or {}  # one without either limits nothing
    return ledger.used_of(quota) is None or (status.get("hard") or {}) != (spec.get("hard") or {})
