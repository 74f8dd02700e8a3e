"""Lists that were asked for before are kept, as keys in runs: a change since then touches one run, and what was made of
the others is as good as new.

A kept list is a watcher (cache.py) of its selection: what a watcher would be told since the last time is what changed.
So it can be no staler than a watch, and where a watcher would be told `Expired` it is read anew. It holds keys, never
objects: nothing that is gone stays in memory because somebody once listed it.

A table is kept as its rows, and in those, what says how long something has been is left open (Row): so nothing but
these texts is made when time has passed, and nothing at all until the first of them changes.
"""

from __future__ import annotations

import math
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from typing import NamedTuple

from actors.apiserver.cache import ResourceCache, Watcher
from actors.apiserver.elapsed import Elapsed
from actors.apiserver.item import Item
from actors.apiserver.schema.resources import Resource
from actors.apiserver.selectors import Selection
from protocols.errors import Expired

RUN_KEYS = 64
RUN_KEYS_MAX = 2 * RUN_KEYS
WEIGHT_MAX = 32 * 1024 * 1024
_LIST_WEIGHT = 64 * 1024  # so that there are not too many of those that find nothing
_KEY_WEIGHT = 128  # bytes, about: the text, and its place in the run
_ROW_WEIGHT = 256  # bytes, about: what is around its pieces
_EVENTS_AT_ONCE = 1024


class Asked(NamedTuple):
    """What a list is kept under: the group resource as it is stored, the version and the form in which it is shown, and
    the selection as it was written. The form is "" for the objects themselves."""

    group_resource: str
    api_version: str
    form: str
    namespace: str
    labels: str
    fields: str


class Packed(NamedTuple):
    """A run's objects as one piece of something larger: see rest/gzip.py."""

    data: bytes
    checksum: int
    size_bytes: int


class Row(NamedTuple):
    """One object in a form of its own, as JSON: the pieces, and the texts between them, which change with time."""

    pieces: tuple[bytes, ...]  # one more than there are texts
    times: tuple[Elapsed, ...]

    def parts(self, now: float) -> Iterator[bytes]:
        for piece, time in zip(self.pieces, self.times, strict=False):
            yield piece
            yield time.text(now).encode()
        yield self.pieces[-1]

    @property
    def weight(self) -> int:
        return _ROW_WEIGHT + sum(map(len, self.pieces))


class Run:
    """Keys in order, and what was made of their objects since the last of them changed: good until a time (epoch)."""

    __slots__ = ("good_until", "keys", "packed")

    def __init__(self, keys: list[str]) -> None:
        self.keys = keys
        self.packed: Packed | None = None
        self.good_until = math.inf


class KeptList:
    """What a selection finds, in key order. `follow` it before it is read; valid until something else is awaited.

    `view` is what its objects are shown as.
    """

    def __init__(self, resource: ResourceCache, selection: Selection, view: Resource) -> None:
        self.view = view
        self._resource = resource
        self._selection = selection
        self._watcher: Watcher | None = None
        self._runs: list[Run] = []
        self._keys = 0
        self._rows: dict[str, Row] = {}  # by key
        self._rows_weight = 0
        self.weight = 0  # bytes, about, as of the last `weigh`

    def __len__(self) -> int:
        return self._keys

    @property
    def runs(self) -> list[Run]:
        return self._runs

    def items(self) -> Iterator[Item]:
        items = self._resource.items
        return (items[key] for run in self._runs for key in run.keys)

    def items_of(self, run: Run) -> list[Item]:
        items = self._resource.items
        return [items[key] for key in run.keys]

    def rows_of(self, run: Run, make: Callable[[Item], Row]) -> list[Row]:
        """The rows of a run's objects: those that are not there yet are made."""
        return [self._rows.get(key) or self._row(key, make) for key in run.keys]

    def follow(self, revision: int) -> None:
        """Make it the list of now; the cache is at `revision`."""
        if self._watcher is not None:
            try:
                while changes := self._watcher.take(_EVENTS_AT_ONCE):
                    for change in changes:
                        self._change(change.item.key, there=change.type != "DELETED")
                return
            except Expired:
                self.close()
        self._watcher = self._resource.watch(self._selection, revision, _wake_nobody)
        keys = [item.key for item in self._resource.page(self._selection).items]
        self._runs = [Run(keys[start : start + RUN_KEYS]) for start in range(0, len(keys), RUN_KEYS)]
        self._keys = len(keys)
        self._rows.clear()
        self._rows_weight = 0

    def close(self) -> None:
        if self._watcher is not None:
            self._watcher.close()
            self._watcher = None

    def weigh(self) -> int:
        packed = sum([len(run.packed.data) for run in self._runs if run.packed is not None])
        self.weight = _LIST_WEIGHT + _KEY_WEIGHT * self._keys + packed + self._rows_weight
        return self.weight

    def check(self) -> None:
        """Invariants, for tests: runs in order, none empty, none too long."""
        keys = [key for run in self._runs for key in run.keys]
        assert keys == sorted(set(keys)) and len(keys) == self._keys, keys
        assert all(0 < len(run.keys) <= RUN_KEYS_MAX for run in self._runs)
        assert set(self._rows) <= set(keys)
        assert self._rows_weight == sum(row.weight for row in self._rows.values())

    def _row(self, key: str, make: Callable[[Item], Row]) -> Row:
        row = self._rows[key] = make(self._resource.items[key])
        self._rows_weight += row.weight
        return row

    def _change(self, key: str, *, there: bool) -> None:
        row = self._rows.pop(key, None)
        if row is not None:
            self._rows_weight -= row.weight
        index = max(0, bisect_right(self._runs, key, key=_first_key) - 1)
        if not self._runs:
            if not there:
                return
            self._runs.append(Run([]))
        run = self._runs[index]
        run.packed = None
        at = bisect_left(run.keys, key)
        known = at < len(run.keys) and run.keys[at] == key
        if there and not known:
            run.keys.insert(at, key)
            self._keys += 1
        elif known and not there:
            del run.keys[at]
            self._keys -= 1
        self._fit(index)

    def _fit(self, index: int) -> None:
        """A run that has grown is two, and one that has shrunk joins the one before it."""
        run = self._runs[index]
        if len(run.keys) > RUN_KEYS_MAX:
            self._runs[index : index + 1] = [Run(run.keys[:RUN_KEYS]), Run(run.keys[RUN_KEYS:])]
        elif not run.keys:
            del self._runs[index]
        elif index and len(run.keys) + len(self._runs[index - 1].keys) <= RUN_KEYS:
            self._runs[index - 1 : index + 1] = [Run(self._runs[index - 1].keys + run.keys)]


class KeptLists:
    """The lists that were asked for last, as many as fit in `weight_max` bytes."""

    def __init__(self, weight_max: int = WEIGHT_MAX) -> None:
        self._weight_max = weight_max
        self._weight = 0
        self._lists: dict[Asked, KeptList] = {}  # who was asked for last comes last

    def __len__(self) -> int:
        return len(self._lists)

    def find(
        self, asked: Asked, resource: ResourceCache, selection: Selection, view: Resource, revision: int
    ) -> KeptList:
        """The list as of now. What was not asked for the longest makes room for it, and for what was made of it."""
        kept = self._lists.get(asked)
        if kept is not None and kept.view is not view:  # its definition has changed
            self._forget(asked)
            kept = None
        self._lists.pop(asked, None)
        if kept is None:
            kept = KeptList(resource, selection, view)
        self._lists[asked] = kept
        kept.follow(revision)
        self._weight += -kept.weight + kept.weigh()
        while self._weight > self._weight_max:
            self._forget(next(iter(self._lists)))
        return kept

    def check(self) -> None:
        assert self._weight == sum(kept.weight for kept in self._lists.values()) <= self._weight_max
        for kept in self._lists.values():
            kept.check()

    def _forget(self, asked: Asked) -> None:
        kept = self._lists.pop(asked)
        kept.close()
        self._weight -= kept.weight


def _first_key(run: Run) -> str:
    return run.keys[0] if run.keys else ""


def _wake_nobody() -> None:
    pass
