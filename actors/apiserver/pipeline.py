"""The one way in, for REST and for actors, whose doors have authorised it: the body checked, the subresource found.

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
from actors.apiserver.access.attributes import Attributes
from actors.apiserver.access.authorizer import Authorizer
from actors.apiserver.admission.connecting import Connecting
from actors.apiserver.admission.node_restriction import restrict_eviction, restrict_token
from actors.apiserver.admission.passing import Passing
from actors.apiserver.admission.pod_topology_labels import is_on as labelled_by_node
from actors.apiserver.answers import forbidden, method_not_allowed, not_found, wrong_uid
from actors.apiserver.binding import bound
from actors.apiserver.cache import Watcher
from actors.apiserver.calls import Call
from actors.apiserver.changes import Changes, Decided, Removed
from actors.apiserver.component_statuses import ComponentStatuses
from actors.apiserver.conversions import Conversions
from actors.apiserver.custom.served import Served
from actors.apiserver.deletion import Deletion, deletion_of, dry_run_of
from actors.apiserver.eviction import as_of_today, budget_to_spend, marked, means, spent
from actors.apiserver.incoming import accept, accept_kind, check_applied_to_nothing, has_name, nameless
from actors.apiserver.item import Item, Made
from actors.apiserver.lists import KeptList
from actors.apiserver.moulds import Moulds
from actors.apiserver.patch import apply_patch, touches
from actors.apiserver.patch.refused import refused
from actors.apiserver.pod_metadata import Asked, changed_metadata
from actors.apiserver.reads import CURRENT, Listing, Query, Reads
from actors.apiserver.reviews import answer_review
from actors.apiserver.rules.field import invalid
from actors.apiserver.rules.updating import is_created_by_update
from actors.apiserver.scale import applied_scale, check_scale, scale_of, scaled, to_patch
from actors.apiserver.schema.resources import Resource, find, subresource_verbs
from actors.apiserver.schema.types import Types
from actors.apiserver.tokens import request as token_request
from actors.apiserver.tokens.authenticator import TokenAuthenticator
from actors.apiserver.versions import served
from protocols.api import PatchType
from protocols.errors import BadRequest, NotFound, StatusError
from protocols.objects import Object, encode_object, key_of, meta, name_of, revision_of, uid_of

_DELETED_AT_ONCE = 16
_SCALE = ("autoscaling/v1", "Scale")
_BUDGETS = "poddisruptionbudgets.policy"


class Pipeline:
    def __init__(
        self,
        ctx: Context,
        reads: Reads,
        changes: Changes,
        types: Types,
        served: Served,
        authorizer: Authorizer,
        tokens: TokenAuthenticator,
        conversions: Conversions,
        passing: Passing,
        connecting: Connecting,
        moulds: Moulds,
        components: ComponentStatuses,
    ) -> None:
        self._components = components
        self._moulds = moulds
        self._connecting = connecting
        self._passing = passing
        self.conversions = conversions
        self.authorizer = authorizer
        self.tokens = tokens
        self.reads = reads
        self.served = served
        self.types = types
        self._ctx = ctx
        self._changes = changes

    # -- reading --------------------------------------------------------------------------------------------------

    async def get(self, call: Call, revision: int = CURRENT) -> Item:
        check_served(call, "get")
        if not call.resource.stored:
            return await self._component(call)
        item = await self.reads.get(call, revision)
        await self.conversions.prepare(call.resource, [item])
        return _as_item(scale_of(call.resource, served(call.resource, item))) if call.subresource == "scale" else item

    async def list(self, call: Call, query: Query) -> Listing:
        check_served(call, "list")
        if not call.resource.stored:
            return await self._component_list(call, query)
        listing = await self.reads.list(call, query)
        await self.conversions.prepare(call.resource, listing.items)
        return listing

    async def _component(self, call: Call) -> Item:
        found = await self._components.find(call.name)
        if not found:
            raise not_found(call.resource, call.name)
        return _as_item(found[0])

    async def _component_list(self, call: Call, query: Query) -> Listing:
        selection = self.reads.selection(call, query)
        items = [_as_item(obj) for obj in await self._components.find()]
        return Listing([item for item in items if selection.matches(item)], self.reads.revision, "", 0)

    async def kept_list(self, call: Call, query: Query, form: str) -> KeptList:
        """What `list` would find, where `is_kept`; to be read before anything else is awaited. What is made of its
        objects in the same form is kept with it."""
        check_served(call, "list")
        return await self.reads.kept_list(call, query, form)

    async def watch(self, call: Call, query: Query, revision: int, wake: Callable[[], None]) -> Watcher:
        """Changes after `revision`, which may be one that only another API server has seen yet. Raises Expired.

        What is taken from the watcher is prepared (`conversions`) before it is shown.
        """
        check_served(call, "watch")
        return await self.reads.watch(call, query, revision, wake)

    # -- creating -------------------------------------------------------------------------------------------------

    async def create(self, call: Call, body: object) -> Item:
        """Create an object, or POST a subresource or a review. A binding or eviction answers with its pod."""
        check_served(call, "create")
        if call.subresource == "binding" or call.resource.plural == "bindings":
            return await self._bind(call, body)
        if call.subresource == "eviction":
            return await self._evict(call, body)
        if call.subresource == "token":
            return await self._token(call, body)
        if call.subresource:
            raise method_not_allowed()
        if (alike := await self._moulds.create(call, body)) is not None:
            return alike
        obj = accept(self.types, call, body)
        if revision_of(obj):
            raise BadRequest("resourceVersion should not be set on objects to be created")
        if call.resource.stored:
            return await self._changes.create(call, obj)
        if call.resource.plural == "tokenreviews":
            await self.tokens.prepare(str((obj.get("spec") or {}).get("token") or ""))
        answer = answer_review(call, obj, self.authorizer, self.tokens, self._ctx.now)
        if answer is None:
            raise method_not_allowed()
        return _as_item(answer)

    async def _bind(self, call: Call, body: object) -> Item:
        """Nobody owns the node name: as in Kubernetes, a binding leaves managedFields as they are."""
        binding = await self._admitted(call, body, "v1", "Binding")
        call, labelled = _of(call, "pods", call.name), labelled_by_node(self.types.version)

        def on_its_node(pod: Object) -> Object:
            return bound(call.resource, pod, binding, self._ctx.now, labelled=labelled)

        return await self._changes.change(call, on_its_node, applied=True, as_is=True)

    async def _admitted(self, call: Call, body: object, api_version: str, kind: str) -> Object:
        """What is posted to a subresource, checked and admitted."""
        return await self._passing.admit(
            call, accept_kind(self.types, call, body, api_version, kind), api_version, kind
        )

    async def _evict(self, call: Call, body: object) -> Item:
        eviction = await self._admitted(call, as_of_today(body), "policy/v1", "Eviction")
        options = eviction.get("deleteOptions") or {}
        call.dry_run = call.dry_run or dry_run_of(options)  # kubectl drain says it there, and nowhere else
        pod = (await self.reads.get(call)).object()
        restrict_eviction(call.caller, pod, lambda why: forbidden(call.resource, call.name, why))
        budgets = await self.reads.list(_of(call, _BUDGETS), Query(revision=0))
        budget = budget_to_spend(pod, [item.object() for item in budgets.items])
        if budget is not None:
            spending = _of(call, _BUDGETS, name_of(budget))
            await self._changes.change(spending, lambda current: spent(current, pod, self._ctx.now), as_is=True)
        if not call.dry_run and means(options.get("preconditions"), pod):
            evicted = _of(call, "pods", call.name)
            await self._changes.change(evicted, lambda current: marked(current, self._ctx.now), as_is=True)
        deletion = deletion_of(options)
        return (await self._changes.remove(call, deletion, as_is=True)).item

    async def _token(self, call: Call, body: object) -> Item:
        issuer = self.tokens.issuer
        if issuer is None:
            raise NotFound("the server could not find the requested resource")
        request = await self._admitted(call, body, "authentication.k8s.io/v1", "TokenRequest")
        token_request.fill(request)
        found = list(token_request.errors(request))
        if found:
            raise invalid(_token_requests(call.resource), "", found)
        restrict_token(
            call.caller,
            request,
            lambda name: self.tokens.lookup("pods", f"{call.namespace}/{name}"),
            lambda why: forbidden(call.resource, call.name, why),
        )
        account = (await self.reads.get(call)).object()
        token_id = self._ctx.uuid()
        answer = token_request.answer(request, account, issuer, self.tokens.lookup, self._ctx.now, token_id)
        if call.annotations is not None:
            call.annotations["authentication.kubernetes.io/issued-credential-id"] = f"JTI={token_id}"
        return _as_item(answer)

    async def connect(self, call: Call, options: Object) -> Object:
        """The options of a connection, as admission wants them."""
        return await self._connecting.admit(call, options)

    # -- changing -------------------------------------------------------------------------------------------------

    async def update(self, call: Call, body: object) -> Item:
        check_served(call, "update")
        if call.subresource == "scale":
            scale = accept_kind(self.types, call, body, *_SCALE)
            return await self._rescale(call, lambda _: scale)
        obj = accept(self.types, call, body)
        call.revision = call.revision or revision_of(obj)
        # Decided more than once, it must start from the same every time: what follows changes it in place.
        kept = msgspec.msgpack.encode(obj)
        copies = chain((obj,), map(msgspec.msgpack.decode, repeat(kept)))
        try:
            return await self._changes.replace(call, lambda: next(copies))
        except NotFound:
            if call.subresource or not is_created_by_update(call.stored):
                raise
        return await self._create_by_update(call, msgspec.msgpack.decode(kept))

    async def _create_by_update(self, call: Call, obj: Object) -> Item:
        self.authorizer.permit(call.caller, asked(call, "create"))
        if uid_of(obj):
            raise wrong_uid(call.resource, call.name, uid_of(obj), "")
        meta(obj).pop("resourceVersion", None)  # of whatever had the name before
        call.revision = 0
        return await self._changes.create(call, obj)

    async def patch(self, call: Call, type: PatchType, patch: Any) -> Item:
        """Change what the patch says. An apply creates what does not exist."""
        check_served(call, "patch")
        if call.subresource == "scale":
            if type == "apply":
                return await self._apply_scale(call, patch)
            return await self._rescale(call, lambda scale: self._patched(call, _scale_patch(type), patch, scale))
        if type != "apply":
            return await self._changes.change(
                call,
                lambda old: self._patched(call, type, patch, old),
                where_settled=None
                if touches("spec", type, patch)
                else lambda old: self._spared(call, type, patch, old),
            )
        try:
            return await self._changes.change(call, lambda old: self._patched(call, type, patch, old), applied=True)
        except NotFound:
            if call.subresource:  # is no object of its own
                raise
            self.authorizer.permit(call.caller, asked(call, "create"))
            new = self._patched(call, type, patch, None)
            check_applied_to_nothing(call, patch)
            return await self._changes.create(call, new, applied=True)

    def _spared(self, call: Call, type: PatchType, patch: Any, old: Object) -> Decided:
        """What a patch makes of an object whose settled spec it leaves."""
        if not call.subresource and not call.repeated:
            asked, now = Asked(type, call.manager, call.validation), self._ctx.now
            changed = changed_metadata(self.types, call.resource, old, patch, asked, now)
            if changed is not None:
                call.warnings[:] = changed.warnings
                return Decided(old, {**old, "metadata": changed.metadata}, ready=True)
        return Decided(old, self._patched(call, type, patch, old, settled=True))

    def _patched(
        self, call: Call, type: PatchType, patch: Any, current: Object | None, *, settled: bool = False
    ) -> Object:
        call.warnings.clear()  # of an earlier attempt

        def made() -> Object:
            return apply_patch(
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

        if type == "apply":
            return accept(self.types, call, made())

        def refuse(problem: str) -> StatusError:
            return refused(type, patch, made(), problem)

        patched = made()
        is_named = has_name(patched)
        if call.subresource == "scale":
            new = accept_kind(self.types, call, patched, *_SCALE, refuse=refuse)
        else:
            new = accept(self.types, call, patched, settled=settled, refuse=refuse)
        if not is_named:  # who sends an object need not say what it is called, but no patch takes that away
            raise nameless(call.name)
        return new

    async def _apply_scale(self, call: Call, patch: Any) -> Item:
        """To apply a Scale is to apply the number of replicas to what is scaled: whoever does owns it there."""
        scale = accept_kind(self.types, call, msgspec.msgpack.decode(msgspec.msgpack.encode(patch)), *_SCALE)
        check_scale(call.resource, call.name, scale)
        wanted = applied_scale(call.resource, scale)
        item = await self._changes.change(call, lambda old: self._patched(call, "apply", wanted, old), applied=True)
        return _as_item(scale_of(call.resource, served(call.resource, item)))

    async def _rescale(self, call: Call, decide: Callable[[Object], Object]) -> Item:
        def rescaled(obj: Object) -> Object:
            scale = decide(to_patch(call.resource, obj))
            check_scale(call.resource, call.name, scale)
            new = scaled(call.resource, obj, scale)
            new["metadata"]["resourceVersion"] = str(revision_of(scale) or revision_of(obj))
            return new

        item = await self._changes.change(call, rescaled)
        return _as_item(scale_of(call.resource, served(call.resource, item)))

    # -- deleting -------------------------------------------------------------------------------------------------

    async def delete(self, call: Call, deletion: Deletion) -> Removed:
        check_served(call, "delete")
        return await self._changes.remove(call, deletion)

    async def delete_collection(self, call: Call, query: Query, deletion: Deletion) -> Listing:
        """Delete all that is selected; the answer is what was there."""
        check_served(call, "deletecollection")
        listing = await self.reads.list(call, query)
        await self.conversions.prepare(call.resource, listing.items)
        for start in range(0, len(listing.items), _DELETED_AT_ONCE):
            some = listing.items[start : start + _DELETED_AT_ONCE]
            await asyncio.gather(*(self._delete_one(call, item, deletion) for item in some))
        return listing

    async def _delete_one(self, call: Call, item: Item, deletion: Deletion) -> None:
        try:
            await self._changes.remove(replace(call, namespace=item.namespace, name=item.name), deletion)
        except NotFound:
            return  # somebody else was quicker


def asked(call: Call, verb: str) -> Attributes:
    """What a call is about, for who decides whether it is allowed."""
    resource = call.resource
    namespace = call.name if resource.group_resource == "namespaces" else call.namespace
    return Attributes(verb, resource.group, resource.plural, call.subresource, namespace, call.name)


def check_served(call: Call, verb: str) -> None:
    """Whether there is such a thing to do: asked before a body is even read."""
    resource, subresource = call.resource, call.subresource
    if subresource and subresource not in resource.subresources:
        raise NotFound("the server could not find the requested resource")
    if verb not in (subresource_verbs(subresource) if subresource else resource.verbs):
        raise method_not_allowed()
    if resource.namespaced and not call.namespace and verb not in ("list", "watch"):
        raise method_not_allowed()  # of all namespaces at once


def _of(call: Call, group_resource: str, name: str = "") -> Call:
    """The same caller about another resource of the same namespace."""
    resource = find(group_resource)
    assert resource is not None, group_resource
    return replace(call, resource=resource, name=name, subresource="", revision=0)


def _token_requests(accounts: Resource) -> Resource:
    """The resource that a TokenRequest's errors are about."""
    return replace(accounts, group="authentication.k8s.io", kind="TokenRequest", plural="tokenrequests")


def _as_item(obj: Object) -> Item:
    return Made(key_of(obj), encode_object(obj), revision_of(obj))


def _scale_patch(type: PatchType) -> PatchType:
    """A Scale has no lists, so a strategic merge patch of it is a merge patch."""
    return "merge" if type == "strategic" else type
