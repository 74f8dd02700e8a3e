"""The scheduling queue: which pod is tried next, and when one that failed is tried again.

A pod is in one of five places:
    active         ready; popped in the order of the QueueSort plugin: by priority, then by age
    in flight      popped; being decided or bound
    backoff        failed a short while ago; becomes active after 1 s, doubled at each failure up to 10 s (`Backoff`)
    unschedulable  no node fits; waits for an event that concerns the plugins that refused it, or for 5 minutes
    gated          may not be tried at all yet (scheduling gates)
While nothing is active, a pod that backs off because no node fitted is popped early (Kubernetes 1.33: the back-off is
there to let others go first); one whose binding failed is not. Time is an argument; nothing here waits.
"""

from __future__ import annotations

import enum
import heapq
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import NamedTuple

from actors.scheduler.counts import Incoming, clock
from actors.scheduler.demand import PodDemand, scheduler_name
from actors.scheduler.framework import ClusterEvent, QueueSort
from actors.scheduler.plugin_failure import PluginFailed, names_plugin
from actors.scheduler.plugins.priority_sort import PrioritySort
from actors.scheduler.waiting import Hint, Waiting

UNSCHEDULABLE_MAX_S = 300.0


class Backoff(NamedTuple):
    initial_s: float = 1.0
    max_s: float = 10.0

    def after(self, failures: int) -> float:
        """Seconds until a pod is tried again that has failed so often in a row."""
        return min(self.initial_s * 2.0 ** min(failures - 1, 32), self.max_s) if failures else 0.0


BACKOFF = Backoff()


class Place(enum.Enum):
    ACTIVE = "active"
    IN_FLIGHT = "in flight"
    BACKOFF = "backoff"
    UNSCHEDULABLE = "unschedulable"
    GATED = "gated"


ACTIVE = Place.ACTIVE.value
# Why a pod came into a queue, in kube-scheduler's words, where that is no event of the cluster (`ClusterEvent.label`).
POD_ADDED = "UnschedulablePodAdd"
POD_UPDATED = "UnschedulablePodUpdate"
FAILED = "ScheduleAttemptFailure"
BACKED_OFF = "BackoffComplete"
POPPED_EARLY = "PopFromBackoffQ"
ACTIVATED = "ForceActivate"
TIMED_OUT = "UnschedulableTimeout"


class QueuedPod:
    """A pod that waits, with the history of its attempts.

    `entered_at`: when it first could be tried; `tried_at`: when its attempt began, by the clock of `counts.py`;
    `heard`: what has happened that made it worth another try."""

    __slots__ = (
        "attempts",
        "backoff",
        "demand",
        "entered_at",
        "entry",
        "errors",
        "failed_at",
        "heard",
        "place",
        "refusals",
        "refused_by",
        "since",
        "tried_at",
    )

    def __init__(self, demand: PodDemand, place: Place, now: float, backoff: Backoff = BACKOFF) -> None:
        self.demand = demand
        self.backoff = backoff
        self.place = place
        self.entry = 0  # in a heap: the one that is meant
        self.since = now
        self.failed_at = now
        self.entered_at = 0.0
        self.tried_at = 0.0
        self.attempts = 0
        self.refusals = 0
        self.errors = 0
        self.heard = 0
        self.refused_by: tuple[str, ...] = ()

    @property
    def ready_at(self) -> float:
        """When its back-off ends. Errors and refusals back off apart: the last failure decides which."""
        return self.failed_at + self.backoff.after(self.errors or self.refusals)

    def __repr__(self) -> str:
        return f"<{self.demand} {self.place.value}>"


Order = Callable[[PodDemand, float], tuple[float, ...]]
_HeapEntry = tuple[tuple[float, ...], int, QueuedPod]


class SchedulingQueue:
    def __init__(
        self,
        events_of: Mapping[str, ClusterEvent],
        sort: QueueSort | None = None,
        backoff: Backoff = BACKOFF,
        looking_elsewhere: Collection[str] = (),
    ) -> None:
        """`events_of`: plugin name -> the events that may change its mind. `looking_elsewhere`: plugins whose answer
        for a node depends on others."""
        self._backoff_of_pods = backoff
        self.waiting = Waiting(events_of, looking_elsewhere)
        self.failures: list[tuple[QueuedPod, PluginFailed]] = []  # whom `sort` could not order: they back off
        self._order = order_by(sort or PrioritySort())
        self._pods: dict[str, QueuedPod] = {}
        self._active: list[_HeapEntry] = []
        self._backoff: list[_HeapEntry] = []  # no node fitted
        self._backoff_errors: list[_HeapEntry] = []  # binding failed
        self._unschedulable: dict[str, QueuedPod] = {}
        self._sequence = 0
        self.incoming = Incoming()

    # -- pods come, change and go ---------------------------------------------------------------------------------

    def set(self, demand: PodDemand, now: float, gated: bool = False) -> None:
        """A pod without a node was seen. What changes no decision changes nothing here."""
        queued = self._pods.get(demand.key)
        if queued is not None and queued.demand.uid != demand.uid:
            self.remove(demand.key)
            queued = None
        if queued is None:
            queued = self._pods[demand.key] = QueuedPod(demand, Place.GATED, now, self._backoff_of_pods)
            self._move_to_active(queued, now, POD_ADDED, gated)
            if gated:
                self.incoming[Place.UNSCHEDULABLE.value, POD_ADDED] += 1
            return
        decides_like, queued.demand = demand.decides_like(queued.demand), demand
        if decides_like:
            return
        if queued.place is Place.GATED:
            self._move_to_active(queued, now, POD_UPDATED, gated)
        elif queued.place is Place.UNSCHEDULABLE:
            self._release(queued, now, POD_UPDATED)

    def remove(self, key: str) -> None:
        """It has a node, or is gone. Heaps forget lazily."""
        if self._pods.pop(key, None) is not None:
            self._unschedulable.pop(key, None)
            self.waiting.remove(key)

    def remove_exactly(self, queued: QueuedPod) -> None:
        """This very pod is gone; another of its name may wait already."""
        if self.is_current(queued):
            self.remove(queued.demand.key)

    # -- attempts -------------------------------------------------------------------------------------------------

    def pop(self, now: float) -> QueuedPod | None:
        """The next pod to try; it is in flight until `refuse`, `retry` or `remove`."""
        self.flush(now)
        queued = self._pop(self._active)
        if queued is None and (queued := self._pop(self._backoff)) is not None:
            self.incoming[ACTIVE, POPPED_EARLY] += 1
        if queued is not None:
            self._take(queued)
        return queued

    def take(self, keys: Iterable[str]) -> list[QueuedPod]:
        """These as well, those of them that may be tried at all, whatever they wait for: they are in flight now."""
        found = [self._pods[key] for key in keys if key in self._pods]
        taken = [queued for queued in found if queued.place not in (Place.IN_FLIGHT, Place.GATED)]
        for queued in taken:
            if queued.place is Place.UNSCHEDULABLE:
                del self._unschedulable[queued.demand.key]
                self.waiting.remove(queued.demand.key)
            self._take(queued)
        return taken

    def admit(self, key: str, now: float) -> None:
        """It is gated no more."""
        queued = self._pods.get(key)
        if queued is not None and queued.place is Place.GATED:
            self._move_to_active(queued, now, ACTIVATED)

    def refuse(self, queued: QueuedPod, refused_by: Sequence[str], now: float) -> None:
        """No node fits: wait for an event."""
        if self.is_current(queued):
            queued.refusals, queued.errors = queued.refusals + 1, 0
            queued.refused_by = tuple(refused_by)
            queued.place, queued.failed_at = Place.UNSCHEDULABLE, now
            self._unschedulable[queued.demand.key] = queued
            self.incoming[Place.UNSCHEDULABLE.value, FAILED] += 1
            self.waiting.add(queued)

    def retry(self, queued: QueuedPod, now: float) -> None:
        """The attempt failed for a reason that is not the pod's: try again after the back-off."""
        if self.is_current(queued):
            queued.errors, queued.failed_at = queued.errors + 1, now
            self._move_to_backoff(queued, FAILED)

    def reconsider(self, key: str, now: float) -> None:
        """What it waits for will not happen: try it again, after its back-off."""
        queued = self._unschedulable.get(key)
        if queued is not None:
            self._release(queued, now, ACTIVATED)

    def on_event(self, event: ClusterEvent, now: float, hint: Callable[[PodDemand], bool]) -> int:
        """Move the unschedulable pods that the event concerns and for which `hint` says that it may help."""
        moved = self.waiting.ask_at_once(event, hint)
        for queued in moved:
            self._release(queued, now, event.label)
        return len(moved)

    def hear_news(self, now: float, hint: Hint) -> None:
        """The same for what happened since the last time, as far as there is time for it."""
        for queued in self.waiting.ask(hint) if self.waiting.has_news else ():
            self._release(queued, now, ClusterEvent(queued.heard).label)

    def flush(self, now: float) -> None:
        """Whose time has come: backed off long enough, or unschedulable for 5 minutes."""
        for heap in (self._backoff, self._backoff_errors):
            while (first := self._first(heap)) and first.ready_at <= now:
                heapq.heappop(heap)
                self._move_to_active(first, now, BACKED_OFF)
        # Refused pods are in the order of their refusal, so only the first can be due.
        while (
            first := next(iter(self._unschedulable.values()), None)
        ) and first.failed_at + UNSCHEDULABLE_MAX_S <= now:
            self._release(first, now, TIMED_OUT)

    # -- looking --------------------------------------------------------------------------------------------------

    def next_due(self) -> float | None:
        """When `flush` will next have something to do."""
        first = [self._first(heap) for heap in (self._backoff, self._backoff_errors)]
        due = [queued.ready_at for queued in first if queued]
        if oldest := self._oldest_refused():
            due.append(oldest.failed_at + UNSCHEDULABLE_MAX_S)
        return min(due, default=None)

    def __len__(self) -> int:
        return len(self._pods)

    def is_current(self, queued: QueuedPod) -> bool:
        """Is this very pod still waiting for a node, as far as is known?"""
        return self._pods.get(queued.demand.key) is queued

    def demand_of(self, key: str) -> PodDemand | None:
        queued = self._pods.get(key)
        return queued.demand if queued else None

    def place_of(self, key: str) -> Place | None:
        queued = self._pods.get(key)
        return queued.place if queued else None

    def places(self) -> Iterator[tuple[str, Place]]:
        return ((key, queued.place) for key, queued in self._pods.items())

    def census(self) -> tuple[Counter[str], Counter[tuple[str, str]]]:
        """How many pods are in each place, and how many each plugin has refused, by (plugin, scheduler name)."""
        places: Counter[str] = Counter()
        refused: Counter[tuple[str, str]] = Counter()
        for queued in self._pods.values():
            places[queued.place.value] += 1
            if queued.place in (Place.UNSCHEDULABLE, Place.BACKOFF) and not queued.errors:
                refused.update((plugin, scheduler_name(queued.demand.pod)) for plugin in queued.refused_by)
        return places, refused

    def check(self) -> None:
        """Each waiting pod is exactly where its place says."""
        for key, queued in self._pods.items():
            assert queued.demand.key == key
            assert (key in self._unschedulable) == (queued.place is Place.UNSCHEDULABLE), queued
            for heap in (self._active, self._backoff, self._backoff_errors):
                entries = [entry for entry in heap if entry[2] is queued and self._is_meant(entry)]
                assert len(entries) == (heap is self._heap_of(queued)), (queued, entries)
        assert self._unschedulable.keys() <= self._pods.keys()
        assert all(key in self.waiting for key in self._unschedulable)
        assert len(self.waiting) == len(self._unschedulable)
        self.waiting.check()

    # -- private --------------------------------------------------------------------------------------------------

    def _take(self, queued: QueuedPod) -> None:
        queued.place, queued.entry = Place.IN_FLIGHT, 0
        queued.attempts += 1
        queued.tried_at = clock()

    def _release(self, queued: QueuedPod, now: float, event: str) -> None:
        del self._unschedulable[queued.demand.key]
        self.waiting.remove(queued.demand.key)
        if queued.ready_at > now:
            self._move_to_backoff(queued, event)
        else:
            self._move_to_active(queued, now, event)

    def _move_to_active(self, queued: QueuedPod, now: float, event: str, gated: bool = False) -> None:
        queued.since = now
        if gated:
            queued.place = Place.GATED
            return
        queued.place = Place.ACTIVE
        queued.entered_at = queued.entered_at or now
        self.incoming[ACTIVE, event] += 1
        try:
            order = self._order(queued.demand, now)
        except PluginFailed as failure:
            self.failures.append((queued, failure))
            self.retry(queued, now)
        else:
            self._push(self._active, queued, order)

    def _move_to_backoff(self, queued: QueuedPod, event: str) -> None:
        queued.place = Place.BACKOFF
        self.incoming[Place.BACKOFF.value, event] += 1
        heap = self._backoff_errors if queued.errors else self._backoff
        self._push(heap, queued, (queued.ready_at, -queued.demand.priority))

    def _push(self, heap: list[_HeapEntry], queued: QueuedPod, order: tuple[float, ...]) -> None:
        self._sequence += 1
        queued.entry = self._sequence
        heapq.heappush(heap, (order, self._sequence, queued))

    def _pop(self, heap: list[_HeapEntry]) -> QueuedPod | None:
        first = self._first(heap)
        if first is not None:
            heapq.heappop(heap)
        return first

    def _first(self, heap: list[_HeapEntry]) -> QueuedPod | None:
        """The first pod of a heap that is still meant; one that was removed or taken leaves its entry behind."""
        while heap and not self._is_meant(heap[0]):
            heapq.heappop(heap)
        return heap[0][2] if heap else None

    def _is_meant(self, entry: _HeapEntry) -> bool:
        return entry[2].entry == entry[1] and self.is_current(entry[2])

    def _oldest_refused(self) -> QueuedPod | None:
        return next(iter(self._unschedulable.values()), None)

    def _heap_of(self, queued: QueuedPod) -> list[_HeapEntry] | None:
        if queued.place is Place.BACKOFF:
            return self._backoff_errors if queued.errors else self._backoff
        return self._active if queued.place is Place.ACTIVE else None


def order_by(plugin: QueueSort) -> Order:
    """The plugin's order, made sure to be one: raises PluginFailed."""
    if type(plugin) is PrioritySort:
        return plugin.order
    ask = names_plugin(plugin.order)

    def order(pod: PodDemand, since: float) -> tuple[float, ...]:
        found = ask(pod, since)
        if not isinstance(found, tuple) or not all(isinstance(n, int | float) and n == n for n in found):
            raise PluginFailed(plugin.name, TypeError(f"a tuple of numbers is expected, not {found!r}"))
        return found

    return order
