"""Creating, changing and removing stored objects: what is decided on the cache, and written if the store agrees.

A change is written only if the store still has the object it was decided on. A refusal is final only when it was
decided on a confirmed state: before that, the cache is brought up to date and the change is decided again. So a caller
that named no revision is not bothered with others' writes, and nobody is refused because a cache was behind.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import NamedTuple, TypeVar

from actorkube.runtime import Context
from actors.apiserver.access.authorizer import Authorizer
from actors.apiserver.access.escalation import check_escalation
from actors.apiserver.access.signers import check_signers, identified
from actors.apiserver.admission.attributes import Attributes, Operation
from actors.apiserver.admission.namespace_lifecycle import namespace_not_found
from actors.apiserver.admission.quota.quotas import QUOTAS, Charged, Turn
from actors.apiserver.admission.stages import Admission
from actors.apiserver.allocate import IPS, Allocation, NotAvailable, Ranges, allocate, releases_of
from actors.apiserver.answers import already_exists, modified, not_at_this_time, not_found
from actors.apiserver.cache import Cache
from actors.apiserver.calls import Call
from actors.apiserver.commits import Commits
from actors.apiserver.conversions import Conversions
from actors.apiserver.custom.names import DEFINITIONS, of_group, settled
from actors.apiserver.deletion import Deletion, Mark, decide_deletion, is_finished
from actors.apiserver.feed import Feed
from actors.apiserver.incoming import accept, check_uid
from actors.apiserver.item import Item
from actors.apiserver.keys import object_key, range_of, store_key
from actors.apiserver.patch import as_sent, track_update, tracked_like
from actors.apiserver.rules.defaults import apply_defaults
from actors.apiserver.rules.prepare import prepare_create, prepare_update
from actors.apiserver.rules.signing_requests import stamped
from actors.apiserver.rules.updating import check_revision_named
from actors.apiserver.rules.validate import invalid, validate
from actors.apiserver.rules.validate.definitions import definition
from actors.apiserver.rules.warn import warnings
from actors.apiserver.schema.resources import Resource, find
from actors.apiserver.schema.types import Types
from actors.apiserver.service_addresses import ADDRESSES, Taken, recorded, released
from actors.apiserver.settled import has_settled_spec, keeps_spec
from actors.apiserver.versions import served, to_stored
from actors.apiserver.writes import Guard, Refused
from protocols.errors import InternalError, Invalid, StatusError
from protocols.objects import Object, meta, name_of, revision_of
from protocols.rules.certificate_signers import RESOURCE as SIGNING_REQUESTS
from protocols.rules.names import suffix

T = TypeVar("T")
# What a change makes of the object as it is served; it may change its argument, and may be called again.
Decide = Callable[[Object], Object]

_ATTEMPTS = 64  # Kubernetes has no bound: a server that writes while another does, too, loses many times in a row
_ACCOUNT_LOOKS, _ACCOUNT_LOOK_S = 50, 0.03
_CHARGES = 16  # how often a write is charged anew when other API servers write there too


class Decided(NamedTuple):
    """What is stored, and what shall be; `ready`: as all but admission makes it."""

    old: Object
    new: Object
    ready: bool = False


class Removed(NamedTuple):
    """`gone` is False for an object that lives on with a deletionTimestamp."""

    item: Item
    gone: bool


class Changes:
    def __init__(
        self,
        ctx: Context,
        cache: Cache,
        feed: Feed,
        commits: Commits,
        types: Types,
        ranges: Ranges,
        admission: Admission,
        authorizer: Authorizer,
        conversions: Conversions,
    ) -> None:
        self._authorizer = authorizer
        self._conversions = conversions
        self._ctx = ctx
        self._cache = cache
        self._feed = feed
        self._commits = commits
        self._types = types
        self._ranges = ranges
        self._admission = admission

    async def create(self, call: Call, obj: Object, *, applied: bool = False) -> Item:
        """Store a new object. `obj` is checked, and the call's to change; `applied` as for `change`."""
        resource = call.stored
        obj = to_stored(call.resource, obj)
        apply_defaults(call.judged, obj)
        sent = None if applied or call.untracked else self._tracked(call, None, as_sent(call.judged, obj))
        await self._awaited(call, obj)
        admitted = await self._confirmed(lambda: self._admit(call, resource, obj))
        obj = await self._mutated(call, "CREATE", obj, {})
        for _ in range(_ATTEMPTS):
            guards = (*admitted, *self._others(resource))
            new = identified(call, self._prepared(call.judged, obj))
            try:
                allocation = await self._confirmed(lambda new=new: self._allocated(resource, new, None))  # type: ignore[misc]
            except Invalid:
                self._look_for_another(call, new)  # what is asked for may be taken by the object itself
                raise
            new = allocation.service if sent is None else tracked_like(allocation.service, sent)
            self._validated(call, new, None)
            if not _is_generated(obj):
                await self._confirmed(lambda new=new: self._look_for_another(call, new))  # type: ignore[misc]
            call.name = name_of(new)
            check_escalation(self._authorizer, call, new, None)
            check_signers(self._authorizer, call, new, None)
            attributes = self._attributes(call, "CREATE", new, {})
            await self._confirmed(lambda attributes=attributes: self._admission.chain.judge(attributes))  # type: ignore[misc]
            await self._admission.ask(attributes)
            outcome = await self._put(call, attributes, 0, allocation, guards)
            if isinstance(outcome, Item):
                call.created = True
                await self._conversions.prepare(call.resource, [outcome])
                return outcome
            await self._feed.confirm()
            if outcome.missing:
                raise namespace_not_found(call.namespace)
            if outcome.current is not None and not _is_generated(obj):
                there = self._cache.get(resource.group_resource, call.key)
                raise already_exists(call.resource, call.name, obj, there.object() if there is not None else None)
            if outcome.overtaken:
                admitted = self._admit(call, resource, obj)
        raise not_at_this_time(call.resource)

    async def replace(self, call: Call, copy: Callable[[], Object]) -> Item:
        """Replace the object by what `copy` returns: the same every time, and ours to change."""

        def replaced(item: Item) -> Decided:
            check_revision_named(call.stored, call.name, call.revision)
            return Decided(_known(call, item), copy())

        return await self._change(call, replaced)

    async def change(
        self,
        call: Call,
        decide: Decide,
        *,
        applied: bool = False,
        as_is: bool = False,
        where_settled: Callable[[Object], Decided] | None = None,
    ) -> Item:
        """Replace the object by what `decide` makes of it; once it waits for nobody any more, it is removed.

        `applied`: its managedFields are settled already. `as_is`: the server changes it, by no endpoint's rules.
        `where_settled` decides where the object's spec is settled (settled.py): it changes nothing of its argument, and
        what it makes of that has the same spec.
        """

        def decided(item: Item) -> Decided:
            old = _known(call, item)
            if where_settled is not None and not self._admission.may_mutate():
                if has_settled_spec(self._types, call.resource, old):
                    return where_settled(old)
            return Decided(old, decide(served(call.resource, item)))

        return await self._change(call, decided, applied=applied, as_is=as_is)

    async def _change(
        self, call: Call, decide: Callable[[Item], Decided], *, applied: bool = False, as_is: bool = False
    ) -> Item:
        async def attempt(item: Item) -> Item | Refused:
            resource = call.stored
            guards = self._others(resource)  # as of the moment of each decision: webhooks take their time
            old, new, ready = decide(item)
            if ready:
                return await self._admitted(call, old, new, item.revision, Allocation(new, (), ()), guards)
            new = to_stored(call.resource, new)
            check_uid(call, new, old)
            if revision_of(new) not in (0, item.revision):
                raise modified(call.resource, call.name)
            if not as_is:
                if not keeps_spec(new, old):
                    apply_defaults(call.judged, new)
                    self._admission.chain.complete(self._attributes(call, "UPDATE", new, old))
                new = await self._mutated(call, "UPDATE", new, old)
                guards = self._others(resource)
                new = self._updated(call.judged, old, new, call.subresource)
            allocation = self._allocated(resource, new, old)
            new = allocation.service
            if not as_is:
                self._validated(call, new, old)
                check_escalation(self._authorizer, call, new, old)
                check_signers(self._authorizer, call, new, old)
            if not applied:
                new = self._tracked(call, old, new)
            if is_finished(resource, new):
                return await self._commits.remove(call, new, item.revision, _held(resource, old))
            if _same(old, new) and not self._is_kept_otherwise(call, item):
                return item
            if as_is:
                claims, releases = allocation.claims, allocation.releases
                return await self._commits.put(call, new, item.revision, claims, releases, guards=guards)
            return await self._admitted(call, old, new, item.revision, allocation, guards)

        return await self._settled(call, attempt)

    async def _admitted(
        self, call: Call, old: Object, new: Object, revision: int, allocation: Allocation, guards: tuple[Guard, ...]
    ) -> Item | Refused:
        """The change, if those who judge let it through."""
        attributes = self._attributes(call, "UPDATE", new, old)
        self._admission.chain.judge(attributes)
        await self._admission.ask(attributes)
        return await self._put(call, attributes, revision, allocation, guards)

    async def remove(self, call: Call, deletion: Deletion, *, as_is: bool = False) -> Removed:
        """Delete an object, or mark it for whoever must clean up first. `as_is` as for `change`."""
        gone = False

        async def attempt(item: Item) -> Item | Refused:
            nonlocal gone
            obj, resource = item.object(), call.stored
            old = obj if call.resource.custom is None else _known(call, item)
            decision = decide_deletion(resource, obj, deletion, self._ctx.now)
            gone = not isinstance(decision, Mark)
            if not as_is:
                await self._mutated(call, "DELETE", {}, old)
                attributes = self._attributes(call, "DELETE", {}, old)
                self._admission.chain.judge(attributes)
                await self._admission.ask(attributes)
            if not isinstance(decision, Mark):
                return await self._commits.remove(call, decision.obj, item.revision, _held(resource, obj))
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
                item = self.current(call)
                await self._conversions.prepare(call.resource, [item])
                outcome = await attempt(item)
                if isinstance(outcome, Item):
                    await self._conversions.prepare(call.resource, [outcome])
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

    def _admit(self, call: Call, resource: Resource, obj: Object) -> tuple[Guard, ...]:
        """What must stay as it is until the object is stored: that of its namespace."""
        self._admission.chain.complete(self._attributes(call, "CREATE", obj, {}))
        namespace = self._cache.get("namespaces", call.namespace) if resource.namespaced else None
        if namespace is None:
            return ()
        return (Guard(store_key("namespaces", call.namespace), b"", namespace.revision),)

    def _look_for_another(self, call: Call, new: Object) -> None:
        """What is wrong with an object is said first, as in Kubernetes; whether it may be is not asked any more."""
        there = self._cache.get(call.stored.group_resource, object_key(call.namespace, name_of(new)))
        if there is not None:
            raise already_exists(call.resource, name_of(new), new, there.object())

    def _others(self, resource: Resource) -> tuple[Guard, ...]:
        """That there are no other definitions than those beside which the names of one are settled."""
        if resource.group_resource != DEFINITIONS:
            return ()
        newest = max((item.revision for item in self._cache.of(DEFINITIONS).items.values()), default=0)
        return (Guard(*range_of(DEFINITIONS), newest),)

    async def _awaited(self, call: Call, obj: Object) -> None:
        """A pod of a namespace that has just been made waits for its account, about as long as in Kubernetes."""
        attributes = self._attributes(call, "CREATE", obj, {})
        for _ in range(_ACCOUNT_LOOKS):
            if not self._admission.chain.comes_early(attributes):
                return
            await self._ctx.sleep(_ACCOUNT_LOOK_S)

    async def _mutated(self, call: Call, operation: Operation, obj: Object, old: Object) -> Object:
        """What policies and webhooks make of it: the plugins then complete it again."""
        if not self._admission.may_mutate():
            return obj
        attributes = self._attributes(call, operation, obj, old)

        async def accepted(patched: Object, seen_as: Resource) -> Object:
            # A name that is still to be generated is not one that the request gave.
            name = call.name if old else ""
            again = replace(call, resource=seen_as, name=name, validation="Ignore", sent=None)
            checked = to_stored(seen_as, accept(self._types, again, patched, refuse=_mutated_badly))
            new = await self._conversions.converted(call.resource, checked)
            apply_defaults(call.judged, new)
            self._admission.chain.complete(self._attributes(call, operation, new, old))
            return new

        await self._admission.mutate(attributes, accepted)
        return attributes.obj

    def _attributes(self, call: Call, operation: Operation, new: Object, old: Object) -> Attributes:
        return Attributes(
            operation,
            call.judged,
            call.namespace,
            call.caller,
            new,
            old,
            call.subresource,
            call.dry_run,
            call.warnings,
            call.resource,
            call.annotations,
            options=call.options,
        )

    async def _put(
        self, call: Call, attributes: Attributes, revision: int, allocation: Allocation, guards: tuple[Guard, ...]
    ) -> Item | Refused:
        """Write what was admitted, charged to the quotas of its namespace. A quota that changed meanwhile is charged
        anew."""
        quotas, claims, releases = self._admission.quotas, allocation.claims, allocation.releases
        new = await self._conversions.to_store(call.resource, attributes.obj)
        if not quotas.concern(attributes):
            guards = (*guards, *quotas.guard(attributes))
            return await self._commits.put(call, new, revision, claims, releases, guards=guards)
        async with quotas.turn(call.namespace) as turn:
            for _ in range(_CHARGES):
                async with turn.lock:
                    charged = await self._charged(attributes, turn)
                    guarded = (*guards, *quotas.guard(attributes, charged, turn.chain))
                    chain = turn.begin([] if call.dry_run else charged)
                # Nobody else decides before this is sent, so the store sees charges in the order of their turns.
                outcome: Item | Refused | None = None
                try:
                    charges = tuple(each.charge for each in charged)
                    outcome = await self._commits.put(call, new, revision, claims, releases, charges, guarded)
                finally:
                    turn.end(chain, happened=isinstance(outcome, Item))
                if isinstance(outcome, Item) or not outcome.outdated:
                    return outcome
                await self._feed.confirm()
        resource = find(QUOTAS)
        assert resource is not None
        raise modified(resource, call.namespace)

    async def _charged(self, attributes: Attributes, turn: Turn) -> list[Charged]:
        try:
            return self._admission.quotas.charges(attributes, turn.chain)
        except StatusError:
            await turn.done()  # room that was taken for a write that is refused is there again
            return await self._confirmed(lambda: self._admission.quotas.charges(attributes, {}))

    def _prepared(self, resource: Resource, obj: Object) -> Object:
        uid = self._ctx.uuid()
        ending = suffix(uid) if _is_generated(obj) else ""
        version = self._types.version
        new = prepare_create(resource, obj, now=self._ctx.now, uid=uid, suffix=ending, version=version)
        return self._settled_definition(resource, new)

    def _updated(self, resource: Resource, old: Object, new: Object, subresource: str) -> Object:
        new = prepare_update(resource, old, new, subresource)
        if resource.group_resource == SIGNING_REQUESTS:
            return stamped(new, old, self._ctx.now)
        return new if subresource else self._settled_definition(resource, new)

    def _settled_definition(self, resource: Resource, new: Object) -> Object:
        """A definition is served with the write that makes it: its status is decided here, not by somebody later."""
        if resource.group_resource != DEFINITIONS or any(definition(new, None)):
            return new
        return settled(new, of_group(self._cache.of(DEFINITIONS).items, new["spec"]["group"]), self._ctx.now)

    def _allocated(self, resource: Resource, new: Object, old: Object | None) -> Allocation:
        if resource.group_resource != "services":
            return Allocation(new, (), ())
        claims: Mapping[str, Mapping[str, str]] = self._cache.claims
        taken = {**claims, IPS: Taken(claims.get(IPS, {}), self._cache.of(ADDRESSES).items)}
        try:
            allocation = allocate(new, old, taken, self._ranges, self._ctx.random)
        except NotAvailable as refusal:
            raise invalid(resource, name_of(new), [refusal.error]) from None
        addresses = find(ADDRESSES)
        if addresses is None or not self._types.has(addresses):
            return allocation  # this version of Kubernetes has no such kind
        return recorded(allocation, self._ctx.now, self._ctx.uuid)

    def _validated(self, call: Call, new: Object, old: Object | None) -> None:
        errors = validate(call.judged, new, old, call.subresource if old is not None else "")
        if errors:
            raise invalid(call.judged, name_of(new), errors)
        if not call.subresource:
            call.warnings += warnings(call.judged, new, old)

    def _is_kept_otherwise(self, call: Call, item: Item) -> bool:
        """In a form in which it would not be written now: who migrates objects writes them as they are."""
        return _is_of_another_version(call.resource, item) or self._commits.is_stale(call.stored, item.key)

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
    obj = item.object_for(call.resource)
    return obj if call.resource.custom is None else call.resource.custom.serve(obj, obj["apiVersion"])


def _is_of_another_version(resource: Resource, item: Item) -> bool:
    webhook = resource.custom.webhook if resource.custom is not None else None
    if webhook is None or resource.custom is None:
        return False
    return bool(item.object()["apiVersion"] != resource.custom.storage.api_version)


def _held(resource: Resource, obj: Object) -> tuple[bytes, ...]:
    return released(releases_of(obj)) if resource.group_resource == "services" else ()


def _same(old: Object, new: Object) -> bool:
    return _without_revision(old) == _without_revision(new)


def _without_revision(obj: Object) -> Object:
    metadata = {key: value for key, value in meta(obj).items() if key != "resourceVersion"}
    return {**obj, "metadata": metadata}


def _mutated_badly(problem: str) -> StatusError:
    """It is not the client who sent that."""
    return InternalError(f"Internal error occurred: {problem}")
