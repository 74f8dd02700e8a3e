"""The shared log of a resource's changes: bounded, and read through cursors.

Each watcher is a position in a `Topic`. A topic holds the resource's newest events in order; beside the topic of all
events there may be one for each value of the indexed field (a node's pods), with just the events that touch it. An
event that is dropped from the main topic is dropped from the others too, so all reach back equally far. A watcher that
falls off the end is told `Expired`; one that lags costs nobody anything.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Callable, Iterable
from typing import NamedTuple

from actors.apiserver.item import Item
from protocols.api import EventType
from protocols.errors import Expired

_COMPACT_AFTER = 256
_BATCHES_MAX = 8  # of a topic: watchers that lag take others than those that are up to date


class Event:
    """A change: `item` is the object after it (for a deletion: as it last was, at the deletion's revision)."""

    __slots__ = ("_gone", "item", "previous", "revision", "topics", "type")

    def __init__(self, type: EventType, item: Item, previous: Item | None) -> None:
        self.type: EventType = type
        self.item = item
        self.previous = previous
        self.revision = item.revision
        self.topics: tuple[Topic, ...] = ()
        self._gone: Item | None = None

    def gone(self) -> Item:
        """What a watcher gets whose selection the object has left: its last state in sight, at this revision."""
        if self._gone is None:
            assert self.previous is not None
            self._gone = self.item if self.type == "DELETED" else self.previous.at(self.revision)
        return self._gone


class Change(NamedTuple):
    """What a watcher is told."""

    type: EventType
    item: Item


class Batch(list[Change]):
    """Changes that several watchers are told, so not to be changed; `lines` is how REST tells them, by API version."""

    __slots__ = ("lines",)

    def __init__(self, changes: Iterable[Change] = ()) -> None:
        super().__init__(changes)
        self.lines: dict[str, bytes] = {}


class Taken(NamedTuple):
    """By whom: watchers of all that there is in `namespace` ("": in all of them); from where, and how many events."""

    namespace: str
    position: int
    events: int


class Topic:
    """Events in order. Positions only grow: `first` is that of the oldest event kept, `end` that of the next one."""

    __slots__ = ("_events", "_head", "_taken", "first", "idle", "value", "watchers")

    def __init__(self, value: str | None = None) -> None:
        self.value = value  # of the indexed field; None for the topic of all events
        self.first = 0
        self.watchers = 0
        self.idle: dict[Callable[[], None], None] = {}  # the wake-ups of watchers that have read everything
        self._events: list[Event] = []
        self._head = 0
        self._taken: dict[Taken, Batch] = {}

    @property
    def end(self) -> int:
        return self.first + len(self)

    def __len__(self) -> int:
        return len(self._events) - self._head

    def append(self, event: Event) -> None:
        self._events.append(event)
        self._taken.clear()

    def drop_oldest(self) -> Event:
        event = self._events[self._head]
        self._head += 1
        self.first += 1
        if self._head >= _COMPACT_AFTER and self._head * 2 >= len(self._events):
            del self._events[: self._head]
            self._head = 0
        return event

    def clear(self) -> None:
        """Forget all, with a gap: every position handed out before has fallen off."""
        self.first = self.end + 1
        self._events.clear()
        self._taken.clear()
        self._head = 0

    def position_after(self, revision: int) -> int:
        """The position of the first event newer than `revision`."""
        index = bisect_right(self._events, revision, lo=self._head, key=lambda event: event.revision)
        return self.first + index - self._head

    def read(self, position: int, limit: int) -> list[Event]:
        if position < self.first:
            raise Expired("too old resource version: the watch fell behind the changes that are kept")
        start = self._head + position - self.first
        return self._events[start : start + limit]

    def take(self, taken: Taken, make: Callable[[], Batch]) -> Batch:
        """What is made of these events, once for all who take them before there are more."""
        batch = self._taken.get(taken)
        if batch is None:
            if len(self._taken) >= _BATCHES_MAX:
                self._taken.clear()
            batch = self._taken[taken] = make()
        return batch

    def newest_first(self) -> list[Event]:
        return self._events[: self._head - 1 if self._head else None : -1]

    def take_idle(self) -> list[Callable[[], None]]:
        idle, self.idle = self.idle, {}
        return list(idle)


class Log:
    """One resource's topics. `floor` is the newest revision that is not kept: reads may start at or after it."""

    def __init__(self, floor: int, events_max: int, bytes_max: int) -> None:
        self.floor = floor
        self.main = Topic()
        self._by_value: dict[str, Topic] = {}
        self._events_max = events_max
        self._bytes_max = bytes_max
        self._bytes = 0

    def append(self, event: Event, values: tuple[str, ...]) -> None:
        """`values`: those of the indexed field before and after, each once."""
        event.topics = (self.main, *(self._topic(value) for value in values))
        for topic in event.topics:
            topic.append(event)
        self._bytes += len(event.item.body)
        while len(self.main) > self._events_max or (self._bytes > self._bytes_max and len(self.main) > 1):
            self._drop_oldest()

    def open(self, value: str | None, revision: int) -> tuple[Topic, int]:
        """The topic to watch and the position after `revision` in it. Raises Expired."""
        if revision < self.floor:
            raise Expired(f"too old resource version: {revision} ({self.floor})")
        topic = self.main if value is None else self._topic(value)
        topic.watchers += 1
        return topic, topic.position_after(revision)

    def close(self, topic: Topic) -> None:
        topic.watchers -= 1
        self._forget_unused(topic)

    def clear(self, floor: int) -> list[Callable[[], None]]:
        """Start again from a new snapshot; returns the wake-ups of watchers, who will find themselves expired."""
        woken: list[Callable[[], None]] = []
        for topic in (self.main, *list(self._by_value.values())):
            topic.clear()
            woken += topic.take_idle()
            self._forget_unused(topic)
        self.floor = floor
        self._bytes = 0
        return woken

    def since(self, revision: int) -> list[Event]:
        """The events newer than `revision`, newest first. Raises Expired."""
        if revision < self.floor:
            raise Expired(f"too old resource version: {revision} ({self.floor})")
        events = self.main.newest_first()
        older = next((index for index, event in enumerate(events) if event.revision <= revision), len(events))
        return events[:older]

    def check(self) -> None:
        """Invariants, for tests: the indexed topics are subsequences of the main one, and nothing exceeds its bound."""
        kept = self.main.newest_first()
        assert len(kept) <= self._events_max, len(kept)
        assert self._bytes == sum(len(event.item.body) for event in kept)
        for value, topic in self._by_value.items():
            events = topic.newest_first()
            assert events == [event for event in kept if topic in event.topics], value
            assert events or topic.watchers, value

    def _topic(self, value: str) -> Topic:
        topic = self._by_value.get(value)
        if topic is None:
            topic = self._by_value[value] = Topic(value)
        return topic

    def _drop_oldest(self) -> None:
        event = self.main.drop_oldest()
        self.floor = event.revision
        self._bytes -= len(event.item.body)
        for topic in event.topics[1:]:
            topic.drop_oldest()
            self._forget_unused(topic)

    def _forget_unused(self, topic: Topic) -> None:
        if topic.value is not None and not topic.watchers and not len(topic):
            self._by_value.pop(topic.value, None)
