"""What a scheduler tells of itself when it is asked: is it settled, is it ready, what has it counted."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from functools import partial

from actorkube.runtime import Actor
from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.counts import Counts
from actors.scheduler.queue import Place, SchedulingQueue
from actors.scheduler.told import gather
from actors.scheduler.views import Views
from protocols.controller import Activity


class SelfReport(Actor):
    """The part of the scheduler's actor that only looks."""

    _queue: SchedulingQueue
    _views: Views
    _state: ClusterState
    _counts: Counts
    _under_way: int
    _decisions: int
    _writes: int
    _retries: int

    def activity(self) -> Activity:
        """Settled: every pod that waits is one that no node fits, or that may not be scheduled yet."""
        places = Counter(place for _, place in self._queue.places())
        delayed = places[Place.BACKOFF]
        queued, working = places[Place.ACTIVE], places[Place.IN_FLIGHT]
        heard = not self._queue.waiting.has_news
        settled = self._views.synced and heard and not (self._under_way or queued or working or delayed)
        return Activity(settled, queued, self._under_way, delayed, self._decisions, self._writes, self._retries)

    def busy(self) -> str:
        activity = self.activity()
        if not self._views.synced:
            return "the views are not synced"
        todo = activity.queued + activity.working
        return f"{activity.queued} pods to place, {activity.working} under way" if todo else ""

    def ready_checks(self) -> Mapping[str, bool]:
        return {"sched-handler-sync": self._views.synced}

    def exposition(self, page: str) -> Callable[[], bytes] | None:
        from actors.scheduler.exposition import metrics, resources  # only who is asked pays for prometheus-client

        if page == "resources":
            return partial(resources, self._views.bodies_of_pods())
        return partial(metrics, gather(self._counts, self._queue, self._state)) if not page else None
