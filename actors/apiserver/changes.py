"""Creating, changing and removing stored objects: what is decided on the cache, and written if the store agrees.

A change is written only if the store still has the object it was decided on. A refusal is final only when it was
decided on a confirmed state: before that, the cache is brought up to date and the change is decided again. So a caller
that named no revision is not bothered with others' writes, and nobody is refused because a cache was behind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

from actorkube.runtime import Context
from actors.apiserver.admission import admit_create, namespace_not_found
from actors.apiserver.allocate import Allocation, NotAvailable, Ranges, allocate, releases_of
from actors.apiserver.answers import already_exists, modified, not_found
from actors.apiserver.cache import Cache
from actors.apiserver.calls import Call
from actors.apiserver.commits import Commits
from actors.apiserver.custom.names import DEFINITIONS, of_group, settled
from actors.apiserver.deletion import Deletion, Mark, decide_deletion, is_finished
from actors.apiserver.feed import Feed
from actors.apiserver.incoming import check_uid
from actors.apiserver.item import Item
from actors.apiserver.keys import object_key
from actors.apiserver.patch import track_update
from actors.apiserver.rules.defaults import apply_defaults
from actors.apiserver.rules.prepare import prepare_create, prepare_update
from actors.apiserver.rules.validate import invalid, validate
from actors.apiserver.rules.validate.definitions import definition
from actors.apiserver.schema.resources import Resource
from actors.apiserver.schema.types import Types
from actors.apiserver.versions import to_served, to_stored
from actors.apiserver.writes import Refused
from protocols.errors import StatusError
from protocols.objects import Object, decode_object, meta, name_of, revision_of
from protocols.rules.names import suffix

T = TypeVar("T")
# What a change makes of the object as it is served; it may change its argument, and may be called again.
Decide = Callable[[Object], Object]

_ATTEMPTS = 8
_PRIORITY_CLASSES = "priorityclasses.scheduling.k8s.io"


@dataclass(frozen=True, slots=True)
class Settings:
    """`toleration_s` is for admission (admission.py)."""

    ranges: Ranges
    toleration_s: int = 300


class Removed(NamedTuple):
    """`gone` is False for an object that lives on with a deletionTimestamp."""

    item: Item
    gone: bool


class Changes:
    def __init__(
        self, ctx: Context, cache: Cache, feed: Feed, commits: Commits, types: Types, settings: Settings
    ) -> None:
        self._ctx = ctx
        self._cache = cache
        self._feed = feed
        self._commits = commits
        self._types = types
        self._settings = settings

    async def create(self, call: Call, obj: Object, *, applied: bool = False) -> Item:
        """Store a new object. `obj` is checked, and the call's to change; `applied` as for `change`."""
        resource = call.stored
        obj = to_stored(call.resource, obj)
        apply_defaults(call.judged, obj)
        await self._confirmed(lambda: self._admit(call, resource, obj))
        for _ in range(_ATTEMPTS):
            new = self._prepared(call.judged, obj)
            allocation = await self._confirmed(lambda new=new: self._allocated(resource, new, None))  # type: ignore[misc]
            settled = applied or call.untracked
            new = allocation.service if settled else self._tracked(call, None, allocation.service)
            self._validated(call.judged, new, None, "")
            call.name = name_of(new)
            outcome = await self._commits.put(call, new, 0, allocation.claims)
            if isinstance(outcome, Item):
                call.created = True
                return outcome
            await self._feed.confirm()
            if outcome.missing:
                raise namespace_not_found(call.namespace)
            if outcome.current is not None and not _is_generated(obj):
                raise already_exists(call.resource, call.name)
        raise already_exists(call.resource, call.name)

    async def replace(self, call: Call, copy: Callable[[], Object]) -> Item:
        """Replace the object by what `copy` returns: the same every time, and ours to change."""
        return await self._change(call, lambda item: copy())

    async def change(self, call: Call, decide: Decide, *, applied: bool = False, as_is: bool = False) -> Item:
        """Replace the object by what `decide` makes of it; once it waits for nobody any more, it is removed.

        `applied`: its managedFields are settled already. `as_is`: the server changes it, by no endpoint's rules.
        """

        def decided(item: Item) -> Object:
            return decide(to_served(call.resource, item.object()))

        return await self._change(call, decided, applied=applied, as_is=as_is)

    async def _change(
        self, call: Call, decide: Callable[[Item], Object], *, applied: bool = False, as_is: bool = False
    ) -> Item:
        async def attempt(item: Item) -> Item | Refused:
            old, resource = _known(call, item), call.stored
            new = to_stored(call.resource, decide(item))
            check_uid(call, new, old)
            if revision_of(new) not in (0, item.revision):
                raise modified(call.resource, call.name)
            if not as_is:
                apply_defaults(call.judged, new)
                new = self._updated(call.judged, old, new, call.subresource)
            allocation = self._allocated(resource, new, old)
            new = allocation.service
            if not as_is:
                self._validated(call.judged, new, old, call.subresource)
            if is_finished(resource, new):
                return await self._commits.remove(call, new, item.revision, _held(resource, old))
            if not applied:
                new = self._tracked(call, old, new)
            if _same(old, new):
                return item
            return await self._commits.put(call, new, item.revision, allocation.claims, allocation.releases)

        return await self._settled(call, attempt)

    async def remove(self, call: Call, deletion: Deletion) -> Removed:
        """Delete an object, or mark it for whoever must clean up first."""
        gone = False

        async def attempt(item: Item) -> Item | Refused:
            nonlocal gone
            obj, resource = item.object(), call.stored
            decision = decide_deletion(resource, obj, deletion, self._ctx.now)
            gone = not isinstance(decision, Mark)
            if not isinstance(decision, Mark):
                return await self._commits.remove(call, obj, item.revision, _held(resource, obj))
            return item if decision.obj == obj else await self._commits.put(call, decision.obj, item.revision)

        return Removed(await self._settled(call, attempt), gone)

    def current(self, call: Call) -> Item:
        """The object as the cache has it. Raises NotFound, or Conflict when it is not at the call's revision."""
        item = self._cache.get(call.resource.storage, call.key)
        if item is None:
            raise not_found(call.resource, call.name)
        if call.revision not in (0, item.revision):
            raise modified(call.resource, call.name)
        return item

    # -- deciding on what is there --------------------------------------------------------------------------------

    async def _settled(self, call: Call, attempt: Callable[[Item], Awaitable[Item | Refused]]) -> Item:
        confirmed = False
        for _ in range(_ATTEMPTS):
            try:
                outcome = await attempt(self.current(call))
                if isinstance(outcome, Item):
                    return outcome
            except StatusError:
                if confirmed:
                    raise
            await self._feed.confirm()
            confirmed = True
        raise modified(call.resource, call.name)

    async def _confirmed(self, decide: Callable[[], T]) -> T:
        try:
            return decide()
        except StatusError:
            await self._feed.confirm()
            return decide()

    # -- the steps ------------------------------------------------------------------------------------------------

    def _admit(self, call: Call, resource: Resource, obj: Object) -> None:
        if self._cache.get(resource.group_resource, object_key(call.namespace, name_of(obj))) is not None:
            raise already_exists(call.resource, name_of(obj))
        admit_create(resource, obj, call.namespace, self._lookup, self._default_priority, self._settings.toleration_s)

    def _lookup(self, group_resource: str, key: str) -> Object | None:
        item = self._cache.get(group_resource, key)
        return item.object() if item is not None else None

    def _default_priority(self) -> Object | None:
        classes = (decode_object(item.body) for item in self._cache.of(_PRIORITY_CLASSES).items.values())
        return max(
            (found for found in classes if found.get("globalDefault")), key=lambda found: found["value"], default=None
        )

    def _prepared(self, resource: Resource, obj: Object) -> Object:
        uid = self._ctx.uuid()
        new = prepare_create(resource, obj, now=self._ctx.now, uid=uid, suffix=suffix(uid))
        return self._settled_definition(resource, new)

    def _updated(self, resource: Resource, old: Object, new: Object, subresource: str) -> Object:
        new = prepare_update(resource, old, new, subresource)
        return new if subresource else self._settled_definition(resource, new)

    def _settled_definition(self, resource: Resource, new: Object) -> Object:
        """A definition is served with the write that makes it: its status is decided here, not by somebody later."""
        if resource.group_resource != DEFINITIONS or any(definition(new, None)):
            return new
        return settled(new, of_group(self._cache.of(DEFINITIONS).items, new["spec"]["group"]), self._ctx.now)

    def _allocated(self, resource: Resource, new: Object, old: Object | None) -> Allocation:
        if resource.group_resource != "services":
            return Allocation(new, (), ())
        taken: Mapping[str, Mapping[str, str]] = self._cache.claims
        try:
            return allocate(new, old, taken, self._settings.ranges, self._ctx.random)
        except NotAvailable as refusal:
            raise invalid(resource, name_of(new), [refusal.error]) from None

    def _validated(self, resource: Resource, new: Object, old: Object | None, subresource: str) -> None:
        errors = validate(resource, new, old, subresource)
        if errors:
            raise invalid(resource, name_of(new), errors)

    def _tracked(self, call: Call, old: Object | None, new: Object) -> Object:
        return track_update(
            self._types,
            call.judged,
            old,
            new,
            manager=call.manager,
            operation="Update",
            now=self._ctx.now,
            subresource=call.subresource,
        )


def _is_generated(obj: Object) -> bool:
    return bool(not name_of(obj) and meta(obj).get("generateName"))


def _known(call: Call, item: Item) -> Object:
    """The stored object, of a custom resource as far as the caller's version knows it."""
    obj = item.object()
    return obj if call.resource.custom is None else call.resource.custom.serve(obj, obj["apiVersion"])


def _held(resource: Resource, obj: Object) -> tuple[bytes, ...]:
    return releases_of(obj) if resource.group_resource == "services" else ()


def _same(old: Object, new: Object) -> bool:
    return _without_revision(old) == _without_revision(new)


def _without_revision(obj: Object) -> Object:
    metadata = {key: value for key, value in meta(obj).items() if key != "resourceVersion"}
    return {**obj, "metadata": metadata}
