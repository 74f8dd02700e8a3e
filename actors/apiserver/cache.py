"""The watch cache: everything that is stored, in memory, as of one revision of the store, with its recent past.

It is fed with the store's events in order (feed.py) and does no waiting of its own. Reads, lists at a past revision,
and watchers all see the same thing: the store as of `revision`, or as of the revision they name.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from sortedcontainers import SortedDict

from actors.apiserver.item import Item
from actors.apiserver.keys import CLAIMS, parse_store_key
from actors.apiserver.log import Batch, Change, Event, Log, Taken, Topic
from actors.apiserver.selectors import Selection, indexed_field
from actors.apiserver.values import body_of
from protocols import etcd
from protocols.api import EventType

LOG_EVENTS_MAX = 8192
LOG_BYTES_MAX = 32 * 1024 * 1024
_NO_KEYS: Mapping[str, None] = {}


class Page(NamedTuple):
    """Items in key order; `last` is the key to continue after ("" at the end), `remaining` what comes after it."""

    items: list[Item]
    last: str
    remaining: int


class Cache:
    """All resources at `revision`. `claims` maps a kind ("clusterip") to what is taken and who holds it."""

    def __init__(self, log_events_max: int = LOG_EVENTS_MAX, log_bytes_max: int = LOG_BYTES_MAX) -> None:
        self.revision = 0
        self.claims: dict[str, dict[str, str]] = {}
        self._bounds = (log_events_max, log_bytes_max)
        self._floor = 0
        self._resources: dict[str, ResourceCache] = {}

    def of(self, group_resource: str) -> ResourceCache:
        resource = self._resources.get(group_resource)
        if resource is None:
            resource = self._resources[group_resource] = ResourceCache(group_resource, self._floor, *self._bounds)
        return resource

    def get(self, group_resource: str, key: str) -> Item | None:
        item: Item | None = self.of(group_resource).items.get(key)
        return item

    def load(self, kvs: Iterable[etcd.KeyValue], revision: int) -> None:
        """Start (again) from a snapshot. Watchers that were open are expired: what happened in between is not known."""
        loaded: dict[str, list[Item]] = {group_resource: [] for group_resource in self._resources}
        self.claims.clear()
        for kv in kvs:
            place = self._place(kv.key, kv.value)
            if place is not None:
                loaded.setdefault(place[0], []).append(Item(place[1], body_of(kv.value), kv.mod_revision))
        self.revision = self._floor = revision
        woken = [wake for name, items in loaded.items() for wake in self.of(name).load(items, revision)]
        _call(woken)

    def apply(self, events: Sequence[etcd.Event], revision: int) -> None:
        """All events up to `revision`, whole revisions at a time. Watchers are woken when all of them are in."""
        topics: dict[Topic, None] = {}
        for event in events:
            if event.kv.mod_revision <= self.revision:
                continue  # a resumed stream may repeat what is known
            place = self._place(event.kv.key, event.kv.value if event.type == "put" else None)
            if place is not None:
                body = body_of(event.kv.value) if event.type == "put" else None
                topics.update(dict.fromkeys(self.of(place[0]).apply(place[1], body, event.kv.mod_revision)))
        self.revision = max(self.revision, revision)
        _call(wake for topic in topics for wake in topic.take_idle())

    def sizes(self) -> dict[str, int]:
        """How many objects there are, of resources that there are some of."""
        return {name: len(resource.items) for name, resource in self._resources.items() if resource.items}

    def check(self) -> None:
        for resource in self._resources.values():
            resource.check()

    def _place(self, store_key: bytes, value: bytes | None) -> tuple[str, str] | None:
        """Where an object belongs; claims are noted on the way, and are no objects."""
        place = parse_store_key(store_key)
        if place is None:
            return None
        kind, _, group = place[0].partition(".")
        if group != CLAIMS:
            return place
        holders = self.claims.setdefault(kind, {})
        if value is None:
            holders.pop(place[1], None)
        else:
            holders[place[1]] = value.decode()
        return None


class ResourceCache:
    """One resource: its objects in key order, the index by its indexed field, and the log of its changes."""

    def __init__(self, group_resource: str, floor: int, log_events_max: int, log_bytes_max: int) -> None:
        self.items: SortedDict[str, Item] = SortedDict()
        self.changes = 0  # how often anything changed: what was made of the items is as new as it says
        self.log = Log(floor, log_events_max, log_bytes_max)
        self._read_index = indexed_field(group_resource)
        self._value_of: dict[str, str] = {}  # key -> value of the indexed field
        self._keys_by_value: dict[str, dict[str, None]] = {}

    def load(self, items: Iterable[Item], floor: int) -> list[Callable[[], None]]:
        self.items = SortedDict({item.key: item for item in items})
        self.changes += 1
        self._value_of.clear()
        self._keys_by_value.clear()
        for item in self.items.values():
            self._index(item.key, item)
        return self.log.clear(floor)

    def apply(self, key: str, body: bytes | None, revision: int) -> tuple[Topic, ...]:
        """One change; returns the topics it belongs to. body None is a deletion."""
        previous: Item | None = self.items.get(key)
        self.changes += 1
        if body is None:
            if previous is None:
                return ()
            del self.items[key]
            item = previous.at(revision)
            type: EventType = "DELETED"
        else:
            item = self.items[key] = Item(key, body, revision)
            type = "ADDED" if previous is None else "MODIFIED"
        if previous is not None:
            previous.forget_json()
        event = Event(type, item, previous)
        self.log.append(event, self._index(key, item if body is not None else None))
        return event.topics

    def page(self, selection: Selection, limit: int = 0, after: str = "", revision: int = 0) -> Page:
        """What is selected, after the key `after`, as of `revision` (0: now). Raises Expired."""
        past = self._past(revision) if revision else {}
        if not past and selection.everything:
            return self._whole_page(selection.namespace, limit, after)
        items: list[Item] = []
        keys = iter(self._keys(selection, after, past))
        for key in keys:
            item = past[key] if key in past else self.items[key]
            if item is None or not selection.matches(item):
                continue
            items.append(item)
            if len(items) == limit:
                return _cut(items, key, keys, past)
        return Page(items, "", 0)

    def _whole_page(self, namespace: str, limit: int, after: str) -> Page:
        """Of all that is there now: what remains behind it is known without looking at it."""
        first = self.items.bisect_left(f"{namespace}/") if namespace else 0
        first = max(first, self.items.bisect_right(after))
        end = self.items.bisect_left(f"{namespace}0") if namespace else len(self.items)
        stop = min(end, first + limit) if limit else end
        keys = list(self.items.islice(first, max(first, stop)))
        remaining = end - stop if keys else 0
        return Page([self.items[key] for key in keys], keys[-1] if remaining else "", remaining)

    def of(self, namespace: str) -> Iterator[Item]:
        """What is in a namespace ("": in all) now, in key order."""
        keys = self.items.irange(f"{namespace}/", f"{namespace}0", inclusive=(True, False)) if namespace else self.items
        return (self.items[key] for key in keys)

    def indexed_by(self, value: str) -> Mapping[str, None]:
        """The keys whose indexed field has this value; not to be kept."""
        return self._keys_by_value.get(value, _NO_KEYS)

    def watch(self, selection: Selection, revision: int, wake: Callable[[], None]) -> Watcher:
        return Watcher(self.log, selection, revision, wake)

    def check(self) -> None:
        self.log.check()
        if self._read_index is not None:
            assert self._value_of == {key: self._read_index(item) for key, item in self.items.items()}
            for value, keys in self._keys_by_value.items():
                assert keys and sorted(keys) == [key for key in self.items if self._value_of[key] == value]

    def _past(self, revision: int) -> dict[str, Item | None]:
        """For each key that changed since `revision`, what was there then."""
        return {event.item.key: event.previous for event in self.log.since(revision)}

    def _keys(self, selection: Selection, after: str, past: dict[str, Item | None]) -> Iterable[str]:
        """Candidates in order: those that exist, and those that existed then."""
        low = f"{selection.namespace}/" if selection.namespace else ""
        high = f"{selection.namespace}0" if selection.namespace else None
        now = self._present_keys(selection, low, high, after)
        gone = sorted(
            key
            for key in past
            if key > after
            and key >= low
            and (high is None or key < high)
            and (selection.indexed is not None or key not in self.items)
        )
        return _distinct(heapq.merge(now, gone)) if gone else now

    def _present_keys(self, selection: Selection, low: str, high: str | None, after: str) -> Iterable[str]:
        if selection.indexed is not None:
            return sorted(key for key in self._keys_by_value.get(selection.indexed, ()) if key > after)
        if selection.name is not None and selection.namespace:
            key = f"{selection.namespace}/{selection.name}"
            return [key] if key in self.items and key > after else []
        keys: Iterable[str] = self.items.irange(max(low, after), high, inclusive=(low > after, False))
        return keys

    def _index(self, key: str, item: Item | None) -> tuple[str, ...]:
        """Note the indexed field's new value (item None: gone); returns the values before and after, each once."""
        if self._read_index is None:
            return ()
        before = self._value_of.pop(key, None)
        after = self._read_index(item) if item is not None else None
        if before is not None and before != after:
            self._keys_by_value[before].pop(key)
            if not self._keys_by_value[before]:
                del self._keys_by_value[before]
        if after is not None:
            self._value_of[key] = after
            self._keys_by_value.setdefault(after, {})[key] = None
        return tuple(dict.fromkeys(value for value in (before, after) if value is not None))


class Watcher:
    """A cursor in a resource's log, and the selection it looks through.

    `take` hands out what is new; when there is nothing, `wake` is called once as soon as there may be.
    """

    def __init__(self, log: Log, selection: Selection, revision: int, wake: Callable[[], None]) -> None:
        self._log = log
        self._selection = selection
        self._wake_up = wake
        self._closed = False
        self._topic, self._position = log.open(selection.indexed, revision)

    def take(self, limit: int) -> Batch:
        """Up to `limit` events' worth of changes; an empty list means: wait to be woken. Raises Expired."""
        while True:
            events = self._topic.read(self._position, limit)
            if not events:
                self._wait()
                return Batch()
            batch = self._batch(events)
            self._position += len(events)
            if batch:
                return batch

    def _batch(self, events: list[Event]) -> Batch:
        selection = self._selection
        if not selection.everything:
            return self._seen_in(events)
        taken = Taken(selection.namespace, self._position, len(events))
        return self._topic.take(taken, lambda: self._seen_in(events))

    def _seen_in(self, events: list[Event]) -> Batch:
        return Batch([change for event in events if (change := self._seen(event)) is not None])

    def close(self) -> None:
        if not self._closed:
            self._closed = True
            self._topic.idle.pop(self._wake, None)
            self._log.close(self._topic)

    def _seen(self, event: Event) -> Change | None:
        selection = self._selection
        now = event.type != "DELETED" and selection.matches(event.item)
        before = event.previous is not None and selection.matches(event.previous)
        if now:
            return Change("MODIFIED" if before else "ADDED", event.item)
        return Change("DELETED", event.gone()) if before else None

    def _wait(self) -> None:
        self._topic.idle[self._wake] = None

    def _wake(self) -> None:
        if not self._closed:
            self._wake_up()


def _cut(items: list[Item], key: str, rest: Iterator[str], past: dict[str, Any]) -> Page:
    """A page that `limit` ended. What remains is counted as keys: without selectors, that is exact."""
    remaining = sum(1 for candidate in rest if past.get(candidate, candidate) is not None)
    return Page(items, key if remaining else "", remaining)


def _distinct(keys: Iterable[str]) -> Iterator[str]:
    last = ""
    for key in keys:
        if key != last:
            yield key
        last = key


def _call(wake_ups: Iterable[Callable[[], None]]) -> None:
    for wake in list(wake_ups):
        wake()
