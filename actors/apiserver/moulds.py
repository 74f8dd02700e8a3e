"""Pods of one template are cast in one mould: what was found out about one of them holds for the next.

A new pod is checked, defaulted, admitted, prepared, tracked, validated and judged, and almost always comes out like the
last one of its template, but for its name, its uid and the time. A mould is such a pod, encoded, and open at these
places. It is for the same caller who asks in the same way, and only as long as nothing changes of what was read to make
it: each kind that a plugin asked for is noted. Where a webhook, a policy or a quota is about pods there is none.

So that nothing else can depend on name, uid or time unnoticed, two pods go the whole way before there is a mould, and
must come out the same. What depends on the moment is looked at each time: whether the name is a name, and free; and the
store's transaction has all the guards that it has otherwise. Whatever is not plain goes the whole way, and hears why.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, NamedTuple

import msgspec
import orjson

from actorkube.runtime import Context
from actors.apiserver.access.node import node_name
from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.stages import Admission
from actors.apiserver.admission.stored import StoredInCache
from actors.apiserver.alike import again, exactly
from actors.apiserver.cache import Cache
from actors.apiserver.calls import Call
from actors.apiserver.commits import Commits
from actors.apiserver.incoming import accept
from actors.apiserver.item import Item
from actors.apiserver.keys import object_key, store_key
from actors.apiserver.patch import as_sent, track_update, tracked_like
from actors.apiserver.rules import names
from actors.apiserver.rules.defaults import apply_defaults
from actors.apiserver.rules.prepare import prepare_create
from actors.apiserver.rules.validate import validate
from actors.apiserver.rules.warn import warnings as warn_of
from actors.apiserver.schema.types import Types
from actors.apiserver.writes import Guard
from protocols.errors import StatusError
from protocols.objects import Object
from protocols.rules.times import time_of

KEPT_MAX = 256
_WORTH_IT = 8  # pods from one mould
_PODS = "pods"
_GIVEN = {"name", "namespace", "labels", "annotations", "ownerReferences", "finalizers"}  # of the metadata

_encode = msgspec.msgpack.Encoder().encode


class Own(NamedTuple):
    """What a pod does not share with those of its template; `now` is when it is made."""

    name: str
    uid: str
    now: float


_PROBES = (
    Own("a", "11111111-1111-1111-1111-111111111111", 1_000_000_000.0),
    Own("another-one", "22222222-2222-2222-2222-222222222222", 1_111_111_111.0),
)


class Mould:
    def __init__(self, pod: Object, warnings: list[str], reads: tuple[str, ...], stamp: tuple[int, ...]) -> None:
        self.warnings = warnings
        self.reads = reads  # the kinds that were looked at
        self.stamp = stamp  # how often each of them had changed
        self._packed = _closed(pod, lambda value: msgspec.Raw(_encode(value)))
        self._shown = _closed(pod, lambda value: orjson.Fragment(orjson.dumps(value)))

    def body(self, own: Own) -> bytes:
        """As `encode_object` makes it of that pod."""
        return _encode(filled(self._packed, own))

    def shown(self, own: Own) -> Object:
        """That pod, of which only names, namespace and uid are to be read, and JSON to be made."""
        return filled(self._shown, own)


class _Kept:
    """What is known of one template. A mould costs the way of two pods; one that hardly serves, as what it was made
    from changes all the time, is made the more seldom."""

    def __init__(self) -> None:
        self.mould: Mould | None = None
        self.uses = 0
        self._seen = 0  # pods, since a mould was made or tried
        self._patience = 1

    def is_due(self) -> bool:
        """There is no mould that holds: is one to be made for this pod?"""
        self.mould = None
        if self.uses >= _WORTH_IT:
            self._patience = 1
        self._seen += 1
        if self._seen < self._patience:
            return False
        self._seen = self.uses = 0
        self._patience = min(2 * self._patience, KEPT_MAX)
        return True


class Moulds:
    def __init__(
        self,
        ctx: Context,
        cache: Cache,
        stored: StoredInCache,
        types: Types,
        admission: Admission,
        commits: Commits,
    ) -> None:
        self._ctx = ctx
        self._cache = cache
        self._stored = stored
        self._types = types
        self._admission = admission
        self._commits = commits
        self._kept: OrderedDict[tuple[Any, ...], _Kept] = OrderedDict()

    async def create(self, call: Call, body: object) -> Item | None:
        """The pod that the body describes, stored; None: it is to go the whole way, and nothing has happened.

        Raises what the store says where nobody knows whether it happened.
        """
        mould = self.find(call, body)
        if mould is None:
            return None
        assert isinstance(body, dict)
        name = body["metadata"]["name"]
        namespace = self._cache.get("namespaces", call.namespace)
        if namespace is None or self._cache.get(_PODS, object_key(call.namespace, name)) is not None:
            return None
        own = Own(name, self._ctx.uuid(), self._ctx.now)
        guards = (
            Guard(store_key("namespaces", call.namespace), b"", namespace.revision),
            *self._admission.quotas.guard(_attributes(call, {})),
        )
        outcome = await self._commits.put(call, mould.shown(own), 0, guards=guards, body=mould.body(own))
        if not isinstance(outcome, Item):
            return None
        call.name, call.created = name, True
        call.warnings += mould.warnings
        return outcome

    def find(self, call: Call, body: object) -> Mould | None:
        """The mould for a pod with that body, if it is not the first one, and all is as plain as it must be."""
        key = _key(call, body)
        if key is None or self._admission.quotas.of(call.namespace):
            return None
        kept = self._kept.get(key)
        if kept is None:
            kept = self._kept[key] = _Kept()
            if len(self._kept) > KEPT_MAX:
                self._kept.popitem(last=False)
            return None
        self._kept.move_to_end(key)
        if kept.mould is not None and kept.mould.stamp == self._stamp(kept.mould.reads):
            kept.uses += 1
            return kept.mould
        if kept.is_due():
            kept.mould = self._make(call, key[-1])
        return kept.mould

    def _make(self, call: Call, encoded: bytes) -> Mould | None:
        with self._stored.noting() as noted:
            found = [self._probe(call, again(encoded), own) for own in _PROBES]
        (one, warnings), (other, _) = found
        if one is None or other is None or _encode(filled(_closed(one, _as_it_is), _PROBES[1])) != _encode(other):
            return None
        reads = tuple(noted)
        return Mould(one, warnings, reads, self._stamp(reads))

    def _probe(self, call: Call, body: Object, own: Own) -> tuple[Object | None, list[str]]:
        """What `Changes.create` makes of the body, with this name, and what is warned of; None where it is refused, or
        others have a say in it. What is there for other kinds alone is left out."""
        call, body["metadata"]["name"] = replace(call, name="", warnings=[]), own.name
        resource, chain = call.resource, self._admission.chain
        if self._admission.may_concern("CREATE", resource, ""):
            return None, []
        try:
            pod = accept(self._types, call, body)
            apply_defaults(resource, pod)
            sent = as_sent(resource, pod)
            if not call.untracked:
                sent = track_update(self._types, resource, None, sent, manager=call.manager, now=own.now)
            chain.complete(_attributes(call, pod))
            pod = prepare_create(resource, pod, now=own.now, uid=own.uid, suffix="", version=self._types.version)
            if not call.untracked:
                pod = tracked_like(pod, sent)
            if validate(resource, pod):
                return None, []
            call.warnings += warn_of(resource, pod)
            chain.judge(_attributes(call, pod))
        except StatusError:
            return None, []
        return pod, call.warnings

    def _stamp(self, reads: tuple[str, ...]) -> tuple[int, ...]:
        return tuple([self._cache.of(group_resource).changes for group_resource in reads])


def filled(closed: Object, own: Own) -> Object:
    """The pod of that name, uid and time, its fields in the order that they have in every pod."""
    made, metadata = time_of(own.now), {**closed["metadata"]}
    metadata["name"], metadata["uid"], metadata["creationTimestamp"] = own.name, own.uid, made
    if "managedFields" in metadata:
        metadata["managedFields"] = [{**entry, "time": made} for entry in metadata["managedFields"]]
    return {**closed, "metadata": metadata}


def _closed(pod: Object, close: Callable[[Any], Any]) -> Object:
    """The pod with everything closed that those of its template have in common."""
    metadata = {
        key: value if key in ("name", "namespace", "uid", "creationTimestamp") else close(value)
        for key, value in pod["metadata"].items()
    }
    if "managedFields" in metadata:
        entries = pod["metadata"]["managedFields"]
        metadata["managedFields"] = [{key: close(value) for key, value in entry.items()} for entry in entries]
    return {key: metadata if key == "metadata" else close(value) for key, value in pod.items()}


def _as_it_is(value: Any) -> Any:
    return value


def _key(call: Call, body: object) -> tuple[Any, ...] | None:
    """All that decides what becomes of the body, but for its name; the last is the body without it."""
    if call.resource.group_resource != _PODS or call.dry_run or call.annotations is not None:
        return None
    metadata = body.get("metadata") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(metadata, dict) or not metadata.keys() <= _GIVEN:
        return None
    name = metadata.get("name")
    if not isinstance(name, str) or call.name not in ("", name) or any(names.dns_label(name)):
        return None
    encoded = exactly({**body, "metadata": {**metadata, "name": ""}})
    if encoded is None or node_name(call.caller) is not None:
        return None
    return call.caller, call.namespace, call.manager, call.validation, call.untracked, encoded


def _attributes(call: Call, pod: Object) -> Attributes:
    return Attributes("CREATE", call.resource, call.namespace, call.caller, pod, warnings=call.warnings)
