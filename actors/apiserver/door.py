"""The actor door: the messages of protocols/api.py, each turned into a call of the pipeline and its answer.

A watch is a cursor that is read whenever the consumer has granted credit: a slow consumer costs nobody anything.
"""

from __future__ import annotations

from collections.abc import Sequence

from actorkube.runtime import Context, Outlet
from actorkube.runtime.tracing import NOT_FOLLOWED
from actors.apiserver.access.attributes import Attributes, name_selected
from actors.apiserver.cache import Watcher
from actors.apiserver.callers import Caller, manager_of
from actors.apiserver.calls import Call
from actors.apiserver.causes import Causes
from actors.apiserver.conversions import Conversions
from actors.apiserver.deletion import Deletion
from actors.apiserver.item import Item
from actors.apiserver.log import Change
from actors.apiserver.messages import decoded
from actors.apiserver.pipeline import Pipeline
from actors.apiserver.pipeline import asked as asked_of
from actors.apiserver.reads import CURRENT, Query
from actors.apiserver.schema.resources import Resource
from actors.apiserver.versions import served
from protocols import api
from protocols.csi import DeleteVolume, name_of_volume, node_of_volume
from protocols.errors import Answer, AskError, BadRequest, ConversionFailed, ServiceUnavailable
from protocols.message import Done
from protocols.objects import encode_object

_KUBELET_TIMEOUT_S = 10.0


class Door:
    def __init__(self, ctx: Context, pipeline: Pipeline, causes: Causes) -> None:
        self._ctx = ctx
        self._pipeline = pipeline
        self._authorizer = pipeline.authorizer
        self._served = pipeline.served
        self._causes = causes

    async def get(self, message: api.Get, caller: Caller) -> api.Stored:
        call = self._call(caller, "get", message.resource, message.namespace, message.name, message.subresource)
        return _stored(call.resource, await self._pipeline.get(call))

    async def list(self, message: api.List, caller: Caller) -> api.StoredList:
        call = self._call(caller, "list", message.resource, message.namespace, selector=message.field_selector)
        query = Query(message.label_selector, message.field_selector, message.limit, message.continue_token)
        listing = await self._pipeline.list(call, query)
        items = tuple(_stored(call.resource, item) for item in listing.items)
        return api.StoredList(items, listing.revision, listing.token, listing.remaining)

    async def create(self, message: api.Create, caller: Caller) -> api.Stored:
        call = self._call(caller, "create", message.resource, message.namespace, message.name, message.subresource)
        call.dry_run, call.untracked = message.dry_run, True
        return _stored(call.resource, await self._pipeline.create(call, decoded(message.body)))

    async def update(self, message: api.Update, caller: Caller) -> api.Stored:
        call = self._call(caller, "update", message.resource, message.namespace, message.name, message.subresource)
        call.revision, call.dry_run = message.revision, message.dry_run
        return _stored(call.resource, await self._pipeline.update(call, decoded(message.body)))

    async def patch(self, message: api.Patch, caller: Caller) -> api.Stored:
        call = self._call(caller, "patch", message.resource, message.namespace, message.name, message.subresource)
        call.dry_run, call.force = message.dry_run, message.force
        call.manager = message.field_manager or call.manager
        return _stored(call.resource, await self._pipeline.patch(call, message.type, decoded(message.body)))

    async def delete(self, message: api.Delete, caller: Caller) -> api.Stored:
        call = self._call(caller, "delete", message.resource, message.namespace, message.name)
        deletion = Deletion(
            message.uid or None,
            str(message.revision) if message.revision else None,
            message.grace_s,
            message.propagation,
        )
        return _stored(call.resource, (await self._pipeline.delete(call, deletion)).item)

    async def delete_collection(self, message: api.DeleteCollection, caller: Caller) -> api.StoredList:
        call = self._call(
            caller, "deletecollection", message.resource, message.namespace, selector=message.field_selector
        )
        query = Query(message.label_selector, message.field_selector)
        listing = await self._pipeline.delete_collection(call, query, Deletion(propagation=message.propagation))
        return api.StoredList(tuple(_stored(call.resource, item) for item in listing.items), listing.revision)

    async def delete_volume(self, message: DeleteVolume, caller: Caller) -> Done:
        """Passed on to the kubelet of the volume's node. Whoever may delete the object may have it emptied."""
        node, name = node_of_volume(message.volume_id), name_of_volume(message.volume_id)
        self._authorizer.permit(caller, Attributes("delete", "", "persistentvolumes", name=name))
        try:
            kubelet = self._ctx.ref(f"{node}-kubelet/kubelet")
            return await self._ctx.ask(kubelet, message, timeout_s=_KUBELET_TIMEOUT_S)
        except AskError as error:
            raise ServiceUnavailable(f"the kubelet of node {node} does not answer: {error}") from None

    async def history(self, message: api.AskHistory, caller: Caller) -> api.History:
        resource = self._served.named(message.resource)
        if resource is None:
            raise BadRequest(f'the server doesn\'t have a resource type "{message.resource}"')
        call = Call(caller, resource, message.namespace if resource.namespaced else "", message.name)
        self._authorizer.permit(caller, asked_of(call, "get"))
        written = self._causes.history(resource.storage, call.key)
        return api.History(
            resource.storage,
            call.key,
            tuple(
                api.Origin(revision, each.deleted, each.trace.trace_id.hex(), each.trace.span_id)
                for revision, each in written
            ),
        )

    async def open_watch(self, message: api.Watch, caller: Caller, outlet: Outlet) -> None:
        """Start a watch; the stream's own events carry it on from here."""
        try:
            call = self._call(caller, "watch", message.resource, message.namespace, selector=message.field_selector)
            query = Query(message.label_selector, message.field_selector, revision=CURRENT)
            watch = DoorWatch(outlet, call.resource, self._causes, self._ctx, self._pipeline.conversions)
            if message.revision:
                watch.follow(await self._pipeline.watch(call, query, message.revision, watch.wake))
                return
            listing = await self._pipeline.list(call, query)
            watcher = await self._pipeline.watch(call, query, listing.revision, watch.wake)
            watch.follow(watcher, listing.items, listing.revision)
        except (Answer, AskError) as refusal:
            outlet.end(refusal)

    def _call(
        self,
        caller: Caller,
        verb: str,
        group_resource: str,
        namespace: str,
        name: str = "",
        subresource: str = "",
        selector: str = "",
    ) -> Call:
        """The call, if the caller may make it: that comes before whether there is such a resource."""
        plural, _, group = group_resource.partition(".")
        where = name if group_resource == "namespaces" else namespace
        which = name or name_selected(selector)
        asked = Attributes(verb, group, plural, subresource, where, which, fields=selector)
        self._authorizer.permit(caller, asked)
        resource = self._served.find(group_resource)
        if resource is None:
            raise BadRequest(f'there is no resource "{group_resource}"')
        return Call(caller, resource, namespace, name, subresource, manager=manager_of(caller))


class DoorWatch:
    """One consumer: first the objects of the initial list and a bookmark, then changes, as far as credit goes."""

    def __init__(
        self, outlet: Outlet, resource: Resource, causes: Causes, ctx: Context, conversions: Conversions
    ) -> None:
        self._ctx = ctx
        self._conversions = conversions
        self._converting = False
        self._outlet = outlet
        self._resource = resource
        self._causes = causes
        self._watcher: Watcher | None = None
        self._initial: Sequence[Item] = ()
        self._sent = 0
        self._bookmark = 0  # the initial list's revision, until its bookmark is sent

    def follow(self, watcher: Watcher, initial: Sequence[Item] = (), revision: int = 0) -> None:
        if self._outlet.closed:  # the consumer did not wait for it to begin
            watcher.close()
            return
        self._watcher, self._initial, self._bookmark = watcher, initial, revision
        self._outlet.on_ready = self.push
        self._outlet.on_closed = watcher.close
        self.push()

    def wake(self) -> None:
        """There is something new. Who wrote it is answered first: what watchers do takes the processor from the answer.
        And where both are one actor's, they leave in one write.
        """
        self._ctx.call_soon(self.push)

    def push(self) -> None:
        """Send what there is credit for. Called when there is something new, and when credit comes."""
        outlet, watcher = self._outlet, self._watcher
        assert watcher is not None
        self._push_initial()
        if self._converting:
            return  # what was taken before is sent first
        while outlet.credit > 0 and not outlet.closed and not self._bookmark:
            try:
                changes = watcher.take(outlet.credit)
            except Answer as expired:
                outlet.end(expired)
                return
            if not changes:
                return
            if self._conversions.concern(self._resource):
                self._converting = True
                self._ctx.background(self._convert(changes), "convert")
                return
            for change in changes:
                self._send(change.type, change.item)

    async def _convert(self, changes: Sequence[Change]) -> None:
        try:
            await self._conversions.prepare(self._resource, [change.item for change in changes])
        except ConversionFailed as failure:
            self._outlet.end(failure)
            return
        for change in changes:
            self._send(change.type, change.item)
        self._converting = False
        self.push()

    def _push_initial(self) -> None:
        outlet = self._outlet
        while self._sent < len(self._initial) and outlet.credit > 0 and not outlet.closed:
            self._send("ADDED", self._initial[self._sent])
            self._sent += 1
        if self._bookmark and self._sent == len(self._initial) and outlet.credit > 0 and not outlet.closed:
            outlet.send(api.WatchEvent("BOOKMARK", b"", self._bookmark), NOT_FOLLOWED)
            self._initial, self._sent, self._bookmark = (), 0, 0

    def _send(self, type: api.EventType, item: Item) -> None:
        stored = _stored(self._resource, item)
        because = self._causes.of(item.revision) or NOT_FOLLOWED  # not the turn in which it is sent
        self._outlet.send(api.WatchEvent(type, stored.body, stored.revision), because)


def _stored(resource: Resource, item: Item) -> api.Stored:
    if item.made or (resource.custom is None and not resource.alias):
        return api.Stored(item.body, item.revision)
    return api.Stored(encode_object(served(resource, item)), item.revision)
