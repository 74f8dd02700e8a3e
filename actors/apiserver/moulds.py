"""Pods of one template are cast in one mould: what was found out about one of them holds for the next.

A new pod is checked, defaulted, admitted, prepared, tracked, validated and judged, and almost always comes out like the
last one of its template, but for its name, its uid, the time, and texts that decide nothing (open_texts.py). A mould is
such a pod, encoded, and open at these places. It is for the same caller who asks in the same way, and only as long as
nothing changes of what was read to make it: each kind that a plugin asked for is noted. Where a webhook, a policy or a
quota is about pods there is none.

So that nothing else can depend on what is its own unnoticed, two pods go the whole way before there is a mould, and
must come out the same. What depends on the moment is looked at each time: whether the name is a name, and free; and the
store's transaction has all the guards that it has otherwise. Whatever is not plain goes the whole way, and hears why.
"""

from __future__ import annotations

from collections import OrderedDict
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
from actors.apiserver.cast import Cast, marks
from actors.apiserver.commits import Commits
from actors.apiserver.incoming import accept
from actors.apiserver.item import Item
from actors.apiserver.keys import object_key, store_key
from actors.apiserver.open_texts import closed, opened
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
    texts: tuple[str, ...] = ()


_PROBES = (
    Own("a", "11111111-1111-1111-1111-111111111111", 1_000_000_000.0, marks(1)),
    Own("another-one", "22222222-2222-2222-2222-222222222222", 1_111_111_111.0, marks(2)),
)


class Mould:
    """Made of the pod that the first probe became."""

    def __init__(self, pod: Object, warnings: list[str], reads: tuple[str, ...], stamp: tuple[int, ...]) -> None:
        self.warnings = warnings
        self.reads = reads  # the kinds that were looked at
        self.stamp = stamp  # how often each of them had changed
        texts = _PROBES[0].texts
        self._packed = Cast(pod, texts, _encode, msgspec.Raw)
        self._shown = Cast(pod, texts, orjson.dumps, orjson.Fragment)

    def body(self, own: Own) -> bytes:
        """As `encode_object` makes it of that pod."""
        return _encode(self._packed.filled(own.name, own.uid, own.now, own.texts))

    def shown(self, own: Own) -> Object:
        """That pod, of which only names, namespace and uid are to be read, and JSON to be made."""
        return self._shown.filled(own.name, own.uid, own.now, own.texts)


class _Kept:
    """What is known of one template. A mould costs the way of two pods; one that hardly serves, as what it was made
    from changes all the time, is made the more seldom."""

    def __init__(self, texts: tuple[str, ...]) -> None:
        self.mould: Mould | None = None
        self.uses = 0
        self.texts = texts  # of the last pod, where they are open
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
        found = self.find(call, body)
        if found is None:
            return None
        mould, texts = found
        assert isinstance(body, dict)
        name = body["metadata"]["name"]
        namespace = self._cache.get("namespaces", call.namespace)
        if namespace is None or self._cache.get(_PODS, object_key(call.namespace, name)) is not None:
            return None
        own = Own(name, self._ctx.uuid(), self._ctx.now, texts)
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

    def find(self, call: Call, body: object) -> tuple[Mould, tuple[str, ...]] | None:
        """The mould for a pod with that body, and the texts that are its own, if it is not the first one, and all is as
        plain as it must be. Of a template whose pods have the same texts, too, there is one with nothing open."""
        asked, nameless = _asked(call), _nameless(call, body)
        if asked is None or nameless is None or self._admission.quotas.of(call.namespace):
            return None
        whole = exactly(nameless)
        if whole is None:
            return None
        if (kept := self._kept.get((asked, 0, whole))) is not None:
            return self._found((asked, 0, whole), kept, call, ())
        left, texts = opened(nameless)
        key = asked, len(texts), exactly(left)
        kept = self._kept.get(key)
        if kept is None:
            self._keep(key, _Kept(texts))
            return None
        if kept.texts == texts:
            self._keep((asked, 0, whole), _Kept(()))
        kept.texts = texts
        return self._found(key, kept, call, texts)

    def _found(
        self, key: tuple[Any, ...], kept: _Kept, call: Call, texts: tuple[str, ...]
    ) -> tuple[Mould, tuple[str, ...]] | None:
        self._kept.move_to_end(key)
        if kept.mould is not None and kept.mould.stamp == self._stamp(kept.mould.reads):
            kept.uses += 1
        elif kept.is_due():
            kept.mould = self._make(call, key[-1])
        return (kept.mould, texts) if kept.mould is not None else None

    def _keep(self, key: tuple[Any, ...], kept: _Kept) -> None:
        self._kept[key] = kept
        if len(self._kept) > KEPT_MAX:
            self._kept.popitem(last=False)

    def _make(self, call: Call, encoded: bytes) -> Mould | None:
        with self._stored.noting() as noted:
            found = [self._probe(call, again(encoded), own) for own in _PROBES]
        (one, warnings), (other, _) = found
        if one is None or other is None:
            return None
        reads = tuple(noted)
        mould = Mould(one, warnings, reads, self._stamp(reads))
        return mould if mould.body(_PROBES[1]) == _encode(other) else None

    def _probe(self, call: Call, body: Object, own: Own) -> tuple[Object | None, list[str]]:
        """What `Changes.create` makes of the body, with this name, and what is warned of; None where it is refused, or
        others have a say in it. What is there for other kinds alone is left out."""
        call, body = replace(call, name="", warnings=[]), closed(body, own.texts)
        body["metadata"]["name"] = own.name
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


def _asked(call: Call) -> tuple[Any, ...] | None:
    """What of the call decides what becomes of the body."""
    if call.resource.group_resource != _PODS or call.dry_run or call.annotations is not None:
        return None
    if node_name(call.caller) is not None:
        return None
    return call.caller, call.namespace, call.manager, call.validation, call.untracked


def _nameless(call: Call, body: object) -> Object | None:
    """The body without its name, if that is one."""
    metadata = body.get("metadata") if isinstance(body, dict) else None
    if not isinstance(body, dict) or not isinstance(metadata, dict) or not metadata.keys() <= _GIVEN:
        return None
    name = metadata.get("name")
    if not isinstance(name, str) or call.name not in ("", name) or any(names.dns_label(name)):
        return None
    return {**body, "metadata": {**metadata, "name": ""}}


def _attributes(call: Call, pod: Object) -> Attributes:
    return Attributes("CREATE", call.resource, call.namespace, call.caller, pod, warnings=call.warnings)
