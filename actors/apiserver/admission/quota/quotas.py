"""The quotas of a namespace at the moment of a write: what goes into its transaction, and who counts on whom.

Writers of one API server that are charged to one namespace take turns to decide, and do not wait for each other's
writes: each decides on what the quotas will be once those under way are done, and its transaction says so. Where one of
them is refused, so are all that counted on it, and they decide anew; nobody is refused for want of room before those
under way are done. Writers of different servers meet in the store, where one is refused and decides anew.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.quota import ledger
from actors.apiserver.admission.quota.ledger import Exceeded
from actors.apiserver.admission.quota.usage import (
    NOTHING,
    PODS,
    PVCS,
    SERVICES,
    Amounts,
    Usage,
    kinds_counted,
    usage_of,
)
from actors.apiserver.admission.stored import Stored
from actors.apiserver.cache import Cache
from actors.apiserver.keys import range_of, store_key
from actors.apiserver.values import new_mark, value_of
from actors.apiserver.writes import Charge, Guard
from protocols.objects import Object, encode_object, key_of, revision_of

QUOTAS = "resourcequotas"
# What may take more room when it is changed; everything else takes it when it is created.
_GROWING = frozenset({PODS, PVCS, SERVICES})
_NEVER_COUNTED = "events"


@dataclass(frozen=True, slots=True)
class Charged:
    """A quota with a charge that is under way: the object, and the value that the store will have of it."""

    quota: Object
    charge: Charge


Chain = dict[str, Charged]  # by the quota's key: the last charge that is under way
_NOTHING_UNDER_WAY: Chain = {}


class Turn:
    """One namespace: who decides, and what is under way."""

    def __init__(self) -> None:
        self.lock = asyncio.Lock()
        self.wanted = 0  # by how many, whoever has it and whose writes are under way included
        self.chain: Chain = {}
        self._under_way = 0
        self._done = asyncio.Event()

    def begin(self, charged: list[Charged]) -> Chain:
        """A write with these charges is about to be sent; returns what to hand to `end`."""
        self._under_way += 1
        self._done.clear()
        self.chain.update({key_of(each.quota): each for each in charged})
        return self.chain

    def end(self, chain: Chain, *, happened: bool) -> None:
        """What counted on a write that did not happen is refused as well: the next one decides on what is stored."""
        self._under_way -= 1
        if not self._under_way:
            self._done.set()
        if not self._under_way or (self.chain is chain and not happened):
            self.chain = {}

    async def done(self) -> None:
        """Until nothing is under way."""
        while self._under_way:
            await self._done.wait()


class Quotas:
    def __init__(self, cache: Cache, stored: Stored, chance: random.Random) -> None:
        self._cache = cache
        self._stored = stored
        self._random = chance
        self._turns: dict[str, Turn] = {}
        self._usages: dict[tuple[str, str], dict[str, tuple[int, Usage]]] = {}

    def of(self, namespace: str) -> list[Object]:
        return self._stored.of(QUOTAS, namespace) if namespace else []

    def concern(self, attributes: Attributes) -> bool:
        """Whether a quota may have something to say."""
        return _may_be_counted(attributes) and bool(self.of(attributes.namespace))

    def charges(self, attributes: Attributes, chain: Chain) -> list[Charged]:
        """What the change's transaction says about quotas. Raises Forbidden where there is no room."""
        resource = attributes.resource.group_resource
        new = usage_of(resource, attributes.obj)
        old = usage_of(resource, attributes.old) if attributes.old else NOTHING
        charges = []
        for quota in self.of(attributes.namespace):
            try:
                charge = self._charge(quota, attributes, new, old, chain.get(key_of(quota)))
            except Exceeded as refusal:
                raise attributes.refusal(str(refusal)) from None
            charges += [charge] if charge is not None else []
        return charges

    def guard(
        self, attributes: Attributes, charged: Sequence[Charged] = (), chain: Chain = _NOTHING_UNDER_WAY
    ) -> tuple[Guard, ...]:
        """That charges speak of all quotas there are, and those that are not charged are as they were decided on:
        another API server may just have made or changed one."""
        namespace = attributes.namespace
        if not namespace or not _may_be_counted(attributes):
            return ()
        cached = self._cache.of(QUOTAS)
        quotas = list(cached.of(namespace)) if cached.items else []
        newest = max((item.revision for item in quotas), default=0)
        guards = [Guard(*range_of(QUOTAS, namespace), newest, "create")]
        keys = {key_of(each.quota) for each in charged}
        for item in quotas:
            if item.key not in keys:
                before = chain.get(item.key)
                after = before.charge.value if before is not None else b""
                guards.append(Guard(store_key(QUOTAS, item.key), b"", item.revision, after=after))
        return tuple(guards)

    @asynccontextmanager
    async def turn(self, namespace: str) -> AsyncIterator[Turn]:
        """Whoever decides holds the turn's lock meanwhile."""
        turn = self._turns.setdefault(namespace, Turn())
        turn.wanted += 1
        try:
            yield turn
        finally:
            turn.wanted -= 1
            if not turn.wanted:
                del self._turns[namespace]

    def recounted(self, quota: Object) -> Object:
        """The quota with what is used now, by the watch cache: exact as of the revision that it has reached."""
        return ledger.with_status(quota, self._count(quota))

    def forget(self, namespace: str) -> None:
        """No quota is left there: what its objects count as need not be known."""
        for key in [key for key in self._usages if key[1] == namespace]:
            del self._usages[key]

    def _charge(
        self, quota: Object, attributes: Attributes, new: Usage, old: Usage, before: Charged | None
    ) -> Charged | None:
        after, revision = b"", revision_of(quota)
        if before is not None:
            quota, after = before.quota, before.charge.value
        change = ledger.difference(quota, new, old)
        if not change:
            return None
        if not attributes.old:
            ledger.check_said(quota, attributes.resource.group_resource, attributes.obj)
        used = ledger.used_of(quota)
        if used is None:
            used = self._count(quota)
        changed = ledger.with_status(quota, ledger.charged(quota, used, change))
        value = value_of(encode_object(changed), new_mark(self._random))
        return Charged(changed, Charge(store_key(QUOTAS, key_of(quota)), value, revision, after))

    def _count(self, quota: Object) -> Amounts:
        namespace = quota["metadata"]["namespace"]
        kinds = {kinds_counted(name) for name in ledger.hard_of(quota)}
        return ledger.counted(quota, (usage for kind in sorted(kinds) for usage in self._usages_of(kind, namespace)))

    def _usages_of(self, group_resource: str, namespace: str) -> Iterator[Usage]:
        """What each object there counts as: looked at again only when it has changed."""
        before = self._usages.get((group_resource, namespace), {})
        now: dict[str, tuple[int, Usage]] = {}
        for item in self._cache.of(group_resource).of(namespace):
            kept = before.get(item.key)
            if kept is None or kept[0] != item.revision:
                kept = (item.revision, usage_of(group_resource, item.object()))
            now[item.key] = kept
        self._usages[group_resource, namespace] = now
        return (usage for _, usage in now.values())


def _may_be_counted(attributes: Attributes) -> bool:
    resource = attributes.resource.group_resource
    if attributes.subresource:
        return (resource, attributes.subresource) == ("pods", "resize")
    if resource == _NEVER_COUNTED:
        return False
    return attributes.operation == "CREATE" or resource in _GROWING
