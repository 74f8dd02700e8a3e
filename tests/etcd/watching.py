"""What a watcher was told, and whether that was right: etcd's nine properties of a watch.

The truth is the list of all events that ever happened, each with what its key was before.
"""

from __future__ import annotations

import asyncio
import random
from dataclasses import dataclass, field
from itertools import pairwise

from actorkube.runtime import System
from protocols.errors import Answer, AskError
from protocols.etcd import Compacted, Event, WatchKeys, WatchResponse


@dataclass
class Told:
    """All items of one watch, from `start` on, over however many streams (each went on where the one before ended)."""

    key: bytes
    range_end: bytes
    start: int
    prev_kv: bool
    items: list[WatchResponse] = field(default_factory=list)

    @property
    def following(self) -> int:
        """The revision to go on at."""
        return max(self.start, self.items[-1].revision + 1) if self.items else self.start

    def check(self, truth: list[Event]) -> None:
        events = [event for item in self.items for event in item.events]
        for event in events:
            assert self._holds(event.kv.key), f"filter: {event.kv.key!r} was not asked for"
        revisions = [event.kv.mod_revision for event in events]
        assert revisions == sorted(revisions), f"ordered: {revisions}"
        changes = [(event.kv.mod_revision, event.kv.key) for event in events]
        assert len(dict.fromkeys(changes)) == len(changes), "unique: an event came twice"
        self._check_items()
        due = [event for event in truth if self._holds(event.kv.key) and self.start <= event.kv.mod_revision]
        due = [event for event in due if event.kv.mod_revision < self.following]
        assert changes == [(event.kv.mod_revision, event.kv.key) for event in due], (
            "reliable, resumable: one is missing"
        )
        for told, true in zip(events, due, strict=True):
            assert told.type == true.type and told.kv == true.kv, f"not what happened: {told}"
            if self.prev_kv:
                assert told.prev_kv == true.prev_kv, f"previous value: {told.prev_kv} was {true.prev_kv}"
            if told.type == "put":
                creates = told.kv.create_revision == told.kv.mod_revision
                assert creates is (true.prev_kv is None) and creates is (told.kv.version == 1), f"is create: {told}"

    def _check_items(self) -> None:
        for one, other in pairwise(self.items):
            assert other.revision >= one.revision, f"bookmarkable: revision {other.revision} after {one.revision}"
            if other.events and not one.fragment:
                first = other.events[0].kv.mod_revision
                assert first > one.revision, f"bookmarkable, atomic: an event of {first} after revision {one.revision}"
        for item in self.items:
            assert all(event.kv.mod_revision <= item.revision for event in item.events), "events beyond the item"

    def _holds(self, key: bytes) -> bool:
        if not self.range_end:
            return key == self.key
        return self.key <= key and (self.range_end == b"\0" or key < self.range_end)


class Watching:
    """Watches for as long as it lives, goes on at another replica when a stream ends, or when it feels like it."""

    def __init__(
        self,
        system: System,
        members: tuple[str, ...],
        chance: random.Random,
        key: bytes = b"\0",
        range_end: bytes = b"\0",
        start: int = 1,
        *,
        prev_kv: bool = True,
        restless_s: float = 1e9,
    ) -> None:
        self.told = [Told(key, range_end, start, prev_kv)]
        self.compactions = 0
        self._system = system
        self._members = members
        self._chance = chance
        self._restless_s = restless_s

    @property
    def following(self) -> int:
        return self.told[-1].following

    async def watch(self) -> None:
        while True:
            member = self._chance.choice(self._members)
            try:
                async with asyncio.timeout(self._chance.uniform(0.2, 2) * self._restless_s):
                    await self._stream(member)
            except Compacted as compacted:
                self._begin_again(int(compacted.details["compact_revision"]))
            except (AskError, Answer, TimeoutError):
                await asyncio.sleep(0.1)

    async def _stream(self, member: str) -> None:
        told = self.told[-1]
        request = WatchKeys(told.key, told.range_end, told.following, told.prev_kv)
        async with self._system.stream(self._system.ref(f"{member}/etcd"), request, window=8) as stream:
            established = False
            async for response in stream:
                if established or response.revision >= told.following:
                    told.items.append(response)
                established = True

    def _begin_again(self, oldest: int) -> None:
        """What it still needs is gone: that is said, and only said when it is so."""
        told = self.told[-1]
        assert oldest > told.following, f"revision {told.following} is not compacted, {oldest} is kept"
        self.compactions += 1
        self.told.append(Told(told.key, told.range_end, oldest, told.prev_kv))

    def check(self, truth: list[Event]) -> None:
        for told in self.told:
            told.check(truth)
