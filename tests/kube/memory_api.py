"""The memory store behind the API server's actor door, with faults to order."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec

from actorkube.runtime import LATER, Actor, Outlet
from protocols.api import (
    Create,
    Delete,
    DeleteCollection,
    Get,
    List,
    Patch,
    StoredList,
    Update,
    Watch,
    WatchEvent,
)
from protocols.csi import DeleteVolume
from protocols.errors import Expired
from protocols.message import Done, Message
from protocols.objects import decode_object, encode_object, revision_of
from tests.kube.memory_store import MemoryStore


class MemoryApi(Actor):
    """`lose(request)`: the answer to it is never given. `fail(request)`: raise to refuse it, before it is done."""

    def __init__(self, store: MemoryStore) -> None:
        self.store = store
        self.lose: Callable[[Message], bool] = lambda request: False
        self.fail: Callable[[Message], None] = lambda request: None
        self.asked: list[Message] = []
        self.thrown_away: list[str] = []  # directories of nodes
        self.watches: dict[Outlet, tuple[Watch, int]] = {}
        self.muted = False  # watches deliver nothing
        self.withheld = ""  # the resource whose watches lag behind others'
        self.held: dict[str, None] = {}  # resources whose watches do not even begin
        self.waiting: list[Outlet] = []
        self.expire_before = 0  # watches from an older revision are refused

    def receive(self, message: Message) -> object:
        if isinstance(message, Watch):
            return self._watch(message)
        self.asked.append(message)
        self.fail(message)
        answer = self._answer(message)
        self.deliver()
        if self.lose(message):
            self.ctx.reply_handle()
            return LATER
        return answer

    def _answer(self, message: Message) -> Message:
        store = self.store
        match message:
            case Get(resource, name, namespace):
                return store.get(resource, namespace, name)
            case List(resource, namespace):
                items = [
                    store.get(resource, o["metadata"].get("namespace", ""), o["metadata"]["name"])
                    for o in store.list(resource, namespace)
                ]
                start = int(message.continue_token or 0)
                end = start + message.limit if message.limit else len(items)
                return StoredList(tuple(items[start:end]), store.revision, str(end) if end < len(items) else "")
            case Create(resource, body):
                return store.create(resource, decode_object(body))
            case Update(resource, body=body, revision=revision, subresource=subresource):
                return store.update(resource, decode_object(body), revision, subresource)
            case Patch(resource, name, _, body, namespace, subresource):
                return store.patch(resource, namespace, name, msgspec.msgpack.decode(body), subresource)
            case Delete(resource, name, namespace, uid, revision, grace_s, propagation):
                return store.delete(resource, namespace, name, uid, revision, grace_s, propagation)
            case DeleteCollection(resource, namespace):
                return StoredList(tuple(store.delete_all(resource, namespace)), store.revision)
            case DeleteVolume(volume_id):
                self.thrown_away.append(volume_id)
                return Done()
        raise AssertionError(f"unexpected {message!r}")

    # -- watches --------------------------------------------------------------------------------------------------

    def _watch(self, watch: Watch) -> Any:
        if 0 < watch.revision < self.expire_before:
            raise Expired("too old resource version")
        outlet = self.ctx.outlet()
        if watch.resource in self.held:
            self.waiting.append(outlet)
            return LATER
        position = 0
        if watch.revision:
            position = next(
                (i for i, (_, e) in enumerate(self.store.log) if e.revision > watch.revision), len(self.store.log)
            )
        else:
            for obj in self.store.list(watch.resource):
                outlet.send(WatchEvent("ADDED", encode_object(obj), revision_of(obj)))
            outlet.send(WatchEvent("BOOKMARK", b"", self.store.revision))
            position = len(self.store.log)
        self.watches[outlet] = (watch, position)
        outlet.on_closed = lambda: self.watches.pop(outlet, None)
        outlet.on_ready = self.deliver
        self.deliver()
        return LATER

    def deliver(self) -> None:
        """Send what the watches have not seen yet."""
        if self.muted:
            return
        for outlet, (watch, position) in list(self.watches.items()):
            if watch.resource == self.withheld:
                continue
            while position < len(self.store.log) and outlet.credit > 0:
                resource, event = self.store.log[position]
                if resource == watch.resource:
                    outlet.send(event)
                position += 1
            if outlet in self.watches:
                self.watches[outlet] = (watch, position)

    def cut(self) -> None:
        """End all watch streams, as a lost connection would."""
        for outlet in [*self.watches, *self.waiting]:
            outlet.end()
        self.waiting.clear()
