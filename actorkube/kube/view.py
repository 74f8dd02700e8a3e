"""A view: an up-to-date copy of one resource, kept as bytes, with indexes so that nobody needs to scan.

A view is fed by a watch (`apply`) and by the answers to one's own writes (`wrote`, `deleted`), which it shows at once:
an object is only ever replaced by a newer revision of itself, and one that is gone does not come back from older news.
So a reconciler sees its own writes even when the watch lags behind them. Pure: time is an argument.

Objects are kept encoded (a Pod: 4 KB as bytes, 24 KB as dicts); `get` decodes a fresh dict that the caller owns. What
is needed of many objects at once should be a summary: a small value computed when the object changes.
"""

from __future__ import annotations

import builtins
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping
from typing import Any

import msgspec

from actorkube.kube.alike import Facet, Joined, Reader
from protocols.api import Stored, WatchEvent
from protocols.objects import Object, decode_object, encode_object, split_key

IndexFunction = Callable[[Object], Iterable[str]]
SummaryFunction = Callable[[Object], Any]
NEVER_AGAIN = 1 << 62  # a revision beyond all others


class Entry:
    """One object in a view. `since` is when the view first saw this revision, `sinces` when each summary became what
    it is, both by the clock of this process: for what must not depend on the clocks of others."""

    __slots__ = ("_decoded", "_in_use", "body", "index_values", "revision", "since", "sinces", "summaries", "uid")

    def __init__(self, body: bytes, revision: int, uid: str, since: float, decoded: Object | None) -> None:
        self.body = body
        self.revision = revision
        self.uid = uid
        self.since = since
        self.summaries: dict[str, Any] = {}
        self.sinces: dict[str, float] = {}
        self.index_values: tuple[tuple[str, ...], ...] = ()
        self._decoded = decoded
        self._in_use = True

    def peek(self) -> Object:
        """The object, for reading only: the handlers of one change share it."""
        obj = self._decoded or decode_object(self.body, self.revision)
        if self._in_use:
            self._decoded = obj
        return obj

    def use(self, in_use: bool) -> None:
        """While in use the decoded object is kept; afterwards only the bytes are."""
        self._in_use = in_use
        self._decoded = self._decoded if in_use else None


Handler = Callable[[str, Entry | None, Entry | None], None]


class View:
    """`handler(key, old, new)` is called after each change; old or new is None when the object came or went.

    `changes`: how often anything did; what was found out from the view holds while it stays the same.
    """

    def __init__(
        self,
        resource: str,
        *,
        indexes: Mapping[str, IndexFunction] | None = None,
        summaries: Mapping[str, SummaryFunction] | None = None,
        trim: Callable[[Object], Object] | None = None,
        namespace: str = "",
        label_selector: str = "",
        field_selector: str = "",
        gone_max: int = 8192,
        may_be_absent: bool = False,
        awaited: bool = True,
    ) -> None:
        self.resource = resource
        self.namespace = namespace
        self.label_selector = label_selector
        self.field_selector = field_selector
        self.synced = False
        self.synced_at = 0.0
        self.may_be_absent = may_be_absent
        self.awaited = awaited  # whether its controllers do nothing before it is synced
        self.is_absent = False  # the server has no such resource
        self.revision = 0  # resume the watch after this one; 0: list first
        self.changes = 0
        self._index_functions: dict[str, IndexFunction] = {"namespace": Joined(_namespace), **(indexes or {})}
        self._summary_functions = dict(summaries or {})
        self._trim = trim
        self._functions: builtins.list[Callable[[Object], Any]] = [
            *self._index_functions.values(),
            *self._summary_functions.values(),
        ]
        self._reader = _reader_of(self._functions) if trim is None else None
        self._entries: dict[str, Entry] = {}
        self._indexes: dict[str, dict[str, dict[str, None]]] = {name: {} for name in self._index_functions}
        self._handlers: list[tuple[str, Handler]] = []
        self._listed: dict[str, None] | None = None  # keys of the list under way
        self._gone: dict[str, tuple[str, int]] = {}  # uid -> key, revision of its end; the last gone_max of them
        self._gone_keys: dict[str, tuple[str, float]] = {}  # key -> uid, when it was noticed
        self._gone_max = gone_max

    def on_change(self, handler: Handler, when: str = "") -> None:
        """`when`: a summary; a change of an object that leaves it what it is is not told."""
        self._handlers.append((when, handler))

    # -- reading --------------------------------------------------------------------------------------------------

    def __len__(self) -> int:
        return len(self._entries)

    def __contains__(self, key: str) -> bool:
        return key in self._entries

    def __iter__(self) -> Iterator[str]:
        return iter(self._entries)

    def get(self, key: str) -> Object | None:
        """A fresh copy that the caller owns; None when there is no such object."""
        entry = self._entries.get(key)
        return None if entry is None else decode_object(entry.body, entry.revision)

    def entry(self, key: str) -> Entry | None:
        return self._entries.get(key)

    def list(self, namespace: str = "") -> builtins.list[Object]:
        return self.by_index("namespace", namespace) if namespace else self._objects(self._entries)

    def by_index(self, name: str, value: str) -> builtins.list[Object]:
        return self._objects(self.keys(name, value))

    def keys(self, name: str, value: str) -> Iterable[str]:
        """The keys of the objects that an index files under `value`. Copy before changing the view."""
        return self._indexes[name].get(value, ())

    def count(self, name: str, value: str) -> int:
        return len(self._indexes[name].get(value, ()))

    def values(self, name: str) -> Collection[str]:
        """The values under which an index files at least one object."""
        return self._indexes[name]

    def summary(self, name: str, key: str) -> Any:
        """The object's summary; None when there is no such object."""
        entry = self._entries.get(key)
        return None if entry is None else entry.summaries[name]

    def summaries(self, name: str, index: str, value: str) -> builtins.list[Any]:
        """The summaries of the objects that an index files under `value`."""
        entries = self._entries
        return [entries[key].summaries[name] for key in self._indexes[index].get(value, ())]

    def since(self, name: str, key: str) -> float | None:
        """Since when the object's summary is what it is, as far as this view knows."""
        entry = self._entries.get(key)
        return None if entry is None else entry.sinces[name]

    def absent_since(self, key: str) -> float:
        """Since when this view knows that there is no object of that name (ask only about one that is not there)."""
        return self._gone_keys[key][1] if key in self._gone_keys else self.synced_at

    def is_gone(self, uid: str) -> bool:
        """Whether the object with that uid is known to exist no more (the last `gone_max` of them are remembered)."""
        return uid in self._gone

    def was_used(self, key: str) -> bool:
        """Whether an object of that name is known to have been there and gone: a new one should be called otherwise."""
        return key in self._gone_keys

    # -- what the watch says --------------------------------------------------------------------------------------

    def begin_list(self) -> None:
        """A watch from revision 0 begins: what it does not mention before its BOOKMARK exists no more."""
        self.revision = 0
        self._listed = {}

    def absent(self, now: float) -> None:
        """There is no such resource: a list that ends where it begins."""
        self.is_absent = True
        self._bookmark(0, now)

    def apply(self, event: WatchEvent, now: float) -> None:
        self.is_absent = False
        if event.type == "BOOKMARK":
            self._bookmark(event.revision, now)
            return
        key, uid = _identity(event.body)
        if event.type == "DELETED":
            self._leave(key, uid, event.revision, now)
        else:
            self._enter(key, uid, event.body, event.revision, now)
        if self._listed is None:
            self.revision = max(self.revision, event.revision)
        elif event.type == "ADDED":
            self._listed[key] = None

    def _bookmark(self, revision: int, now: float) -> None:
        if self._listed is not None:
            listed, self._listed = self._listed, None
            vanished = [k for k, e in self._entries.items() if k not in listed and e.revision <= revision]
            for key in vanished:
                self._leave(key, self._entries[key].uid, revision, now)
            if not self.synced:
                self.synced, self.synced_at = True, now
        self.revision = max(self.revision, revision)

    # -- what the answers to one's own writes say -------------------------------------------------------------------

    def wrote(self, stored: Stored, now: float) -> None:
        """The object is (at least) this new: an answer to a write, or to a read past the cache."""
        key, uid = _identity(stored.body)
        self._enter(key, uid, stored.body, stored.revision, now)

    def deleted(self, key: str, uid: str, now: float) -> None:
        """The object with that uid is known to be gone for good."""
        entry = self._entries.get(key)
        if entry is not None and entry.uid == uid:
            self._leave(key, uid, NEVER_AGAIN, now)
        else:
            self._bury(key, uid, NEVER_AGAIN, now)

    # -- changes --------------------------------------------------------------------------------------------------

    def _enter(self, key: str, uid: str, body: bytes, revision: int, now: float) -> None:
        old = self._entries.get(key)
        if (old is not None and revision <= old.revision) or revision <= self._gone.get(uid, ("", 0))[1]:
            return
        self._gone.pop(uid, None)  # it matches the view's selector again
        obj = None
        answers = self._reader.read(key, uid, body) if self._reader is not None else None
        if answers is None:
            obj = decode_object(body, revision)
            if self._trim is not None:
                obj = self._trim(obj)
                body = encode_object(obj)
            answers = [
                function.of(key, uid, obj) if isinstance(function, Joined) else function(obj)
                for function in self._functions
            ]
        new = Entry(body, revision, uid, now, obj)
        indexes = len(self._indexes)
        new.index_values = tuple([tuple(values) for values in answers[:indexes]])
        self._summarise(old, new, answers[indexes:])
        self._reindex(key, old, new)
        self._entries[key] = new
        if old is not None and old.uid != uid:
            self._bury(key, old.uid, revision, now)
        self._notify(key, old, new)

    def _summarise(self, old: Entry | None, new: Entry, answers: Iterable[Any]) -> None:
        """A summary that stays is the very one that it was."""
        summaries, sinces = new.summaries, new.sinces
        before = old if old is not None and old.uid == new.uid else None
        for name, summary in zip(self._summary_functions, answers, strict=True):
            former = before.summaries[name] if before is not None else None
            if before is not None and (former is summary or former == summary):
                summaries[name], sinces[name] = former, before.sinces[name]
            else:
                summaries[name], sinces[name] = summary, new.since

    def _leave(self, key: str, uid: str, revision: int, now: float) -> None:
        self._bury(key, uid, revision, now)
        old = self._entries.get(key)
        if old is None or (old.uid != uid and old.revision > revision):
            return  # somebody else has that name by now
        self._bury(key, old.uid, revision, now)
        del self._entries[key]
        self._reindex(key, old, None)
        self._notify(key, old, None)

    def _bury(self, key: str, uid: str, revision: int, now: float) -> None:
        if not uid:
            return
        self._gone[uid] = (key, max(revision, self._gone.get(uid, ("", 0))[1]))
        self._gone_keys[key] = (uid, now)
        if len(self._gone) > self._gone_max:
            oldest = next(iter(self._gone))
            oldest_key, _ = self._gone.pop(oldest)
            if self._gone_keys.get(oldest_key, ("",))[0] == oldest:
                del self._gone_keys[oldest_key]

    def _reindex(self, key: str, old: Entry | None, new: Entry | None) -> None:
        old_values = old.index_values if old is not None else ((),) * len(self._indexes)
        new_values = new.index_values if new is not None else ((),) * len(self._indexes)
        for index, before, after in zip(self._indexes.values(), old_values, new_values, strict=True):
            if before == after:
                continue
            for value in before:
                keys = index.get(value, {})
                keys.pop(key, None)
                if not keys:
                    index.pop(value, None)
            for value in after:
                index.setdefault(value, {})[key] = None

    def _notify(self, key: str, old: Entry | None, new: Entry | None) -> None:
        self.changes += 1
        if old is not None:
            old.use(True)
        before = old.summaries if old is not None else {}
        after = new.summaries if new is not None and old is not None and new.uid == old.uid else None
        for when, handler in self._handlers:
            if when and after is not None and before[when] is after[when]:
                continue  # most changes concern few of the controllers that watch
            handler(key, old, new)
        for entry in (old, new):
            if entry is not None:
                entry.use(False)

    def _objects(self, keys: Iterable[str]) -> builtins.list[Object]:
        return [decode_object(self._entries[key].body, self._entries[key].revision) for key in keys]

    def check(self) -> None:
        """Every index says exactly what its function says of the objects."""
        for (name, function), index in zip(self._index_functions.items(), self._indexes.values(), strict=True):
            expected: dict[str, dict[str, None]] = {}
            for key, entry in self._entries.items():
                for value in function(decode_object(entry.body, entry.revision)):
                    expected.setdefault(value, {})[key] = None
            assert index == expected, f"{self.resource}: index {name} is {index}, should be {expected}"
        for key, entry in self._entries.items():
            assert entry.uid not in self._gone, f"{self.resource}/{key} is there and gone"


class _Metadata(msgspec.Struct):
    name: str
    namespace: str | None = None
    uid: str = ""


class _Header(msgspec.Struct):
    metadata: _Metadata


_header_decoder = msgspec.msgpack.Decoder(_Header)


def _namespace(key: str, uid: str) -> tuple[str, ...]:
    namespace = split_key(key)[0]
    return (namespace,) if namespace else ()


def _identity(body: bytes) -> tuple[str, str]:
    """The key and the uid, without decoding the rest."""
    metadata = _header_decoder.decode(body).metadata
    key = f"{metadata.namespace}/{metadata.name}" if metadata.namespace else metadata.name
    return key, metadata.uid


def _reader_of(functions: builtins.list[Callable[[Object], Any]]) -> Reader | None:
    """None where somebody looks at whole objects, which are decoded then anyway."""
    return Reader(functions) if all(isinstance(function, Facet | Joined) for function in functions) else None
