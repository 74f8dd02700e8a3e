"""Fair queuing of one priority level's requests (KEP-1040). Pure: the time is an argument, in seconds.

A request takes seats while it is served, and a level has so many seats. What finds none free waits in one of the
level's queues: of the few that its flow is dealt (shuffle sharding) in the one with the least work waiting, so a flow
that asks too much fills its own queues and hardly ever all of another's.

Which queue is served next is settled in virtual time R, in seat-seconds: what each queue that has work would have been
given by now if the seats were divided among them second by second. A queue remembers the R at which its next request
would begin; the one whose next request would end first is served. How long a request takes is not known before: it is
taken to be ESTIMATE_S, and what was wrong in that is corrected when it ends. `next_r` never lags behind the arrival of
the request that waits longest: a queue that was given less than it could have used must not save it up.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from typing import Literal, NamedTuple

ESTIMATE_S = 0.003
Reason = Literal["concurrency-limit", "queue-full"]


class Queuing(NamedTuple):
    """How a level queues; None in its place: what finds no seat is sent away."""

    queues: int = 64
    hand_size: int = 8
    length_max: int = 50


class Queue:
    """A queue with work, waiting or being served. One without is forgotten: its next work begins at the R of then."""

    __slots__ = ("executing", "index", "next_r", "seats_executing", "seats_waiting", "waiting")

    def __init__(self, index: int, next_r: float) -> None:
        self.index = index
        self.next_r = next_r
        self.waiting: deque[Waiting] = deque()
        self.seats_waiting = 0
        self.seats_executing = 0
        self.executing = 0

    def catch_up(self) -> None:
        if self.waiting and self.next_r < self.waiting[0].arrived_r:
            self.next_r = self.waiting[0].arrived_r


class Waiting:
    """A request with its seats, from its arrival to its end. `started_at` is None while it waits."""

    __slots__ = ("arrived_at", "arrived_r", "queue", "seats", "started_at")

    def __init__(self, seats: int, arrived_at: float) -> None:
        self.seats = seats
        self.arrived_at = arrived_at
        self.arrived_r = 0.0
        self.queue: Queue | None = None
        self.started_at: float | None = None


class QueueSet:
    """`arrive`, then `finish` or `give_up` each request once; what that lets start is returned."""

    def __init__(self, seats_max: int, queuing: Queuing | None, *, exempt: bool = False) -> None:
        """`exempt`: everything starts at once, the seats are only counted."""
        self.seats_max = seats_max
        self.queuing = queuing
        self.exempt = exempt
        self.executing = 0
        self.waiting = 0
        self.seats_executing = 0
        self.seats_waiting = 0
        self.active: dict[int, Queue] = {}
        self.r = 0.0
        self._now = 0.0
        self._dealt = 0
        self._robin = 0
        self._indexes = queuing.queues if queuing is not None else 1

    def configure(self, seats_max: int, queuing: Queuing | None, now: float) -> list[Waiting]:
        """From here on; what waits stays where it is."""
        self._advance(now)
        self.seats_max = seats_max
        self.queuing = queuing
        if queuing is not None:
            self._indexes = max(queuing.queues, *(index + 1 for index in self.active), 1)
        return self._dispatch(now)

    def arrive(self, request: Waiting, hand: Sequence[int]) -> tuple[Reason | None, Sequence[Waiting]]:
        """Why it cannot even wait, and which others start now. Whether it has started itself says `started_at`.

        `hand`: the queues of its flow.
        """
        now, seats = request.arrived_at, request.seats
        self._advance(now)
        if self.queuing is None or self.exempt:
            if not self._has_room(seats):
                return "concurrency-limit", ()
            self._start(request, now)
            return None, ()
        index = self._least_waiting(hand)
        queue = self.active.get(index)
        if queue is None:
            queue = self.active[index] = Queue(index, self.r)
        elif self.seats_executing >= self.seats_max and len(queue.waiting) >= self.queuing.length_max:
            return "queue-full", ()
        request.queue, request.arrived_r = queue, self.r
        if not self.waiting and self.seats_executing < self.seats_max and self._has_room(seats):
            queue.next_r = max(queue.next_r, self.r) + seats * ESTIMATE_S  # as _dispatch would find at length
            self._robin = index
            self._start(request, now)
            return None, ()
        queue.waiting.append(request)
        queue.seats_waiting += seats
        self.waiting += 1
        self.seats_waiting += seats
        queue.catch_up()
        return None, [each for each in self._dispatch(now) if each is not request]

    def finish(self, request: Waiting, now: float) -> list[Waiting]:
        """A request that started has ended; returns those that start now."""
        self._advance(now)
        assert request.started_at is not None
        self.executing -= 1
        self.seats_executing -= request.seats
        queue = request.queue
        if queue is not None:
            queue.executing -= 1
            queue.seats_executing -= request.seats
            queue.next_r -= request.seats * (ESTIMATE_S - (now - request.started_at))
            queue.catch_up()
            self._forget_idle(queue)
        return self._dispatch(now)

    def give_up(self, request: Waiting, now: float) -> list[Waiting]:
        """A request that waits will not be waited for any more."""
        self._advance(now)
        queue = request.queue
        assert queue is not None and request.started_at is None
        queue.waiting.remove(request)
        self._leave(queue, request)
        queue.catch_up()
        self._forget_idle(queue)
        return self._dispatch(now)

    def check(self) -> None:
        """The sums are those of the queues, and nothing waits that could start."""
        queues = self.active.values()
        assert self.waiting == sum(len(queue.waiting) for queue in queues)
        assert self.seats_waiting == sum(request.seats for queue in queues for request in queue.waiting)
        assert all(queue.seats_waiting == sum(each.seats for each in queue.waiting) for queue in queues)
        assert all(queue.waiting or queue.executing for queue in queues)
        assert all(not queue.waiting or queue.next_r >= queue.waiting[0].arrived_r for queue in queues)
        assert all(queue.index == index for index, queue in self.active.items())
        assert min(self.executing, self.seats_executing) >= 0

    def _advance(self, now: float) -> None:
        if self.active:
            served = min(self.seats_executing + self.seats_waiting, self.seats_max)
            self.r += served / len(self.active) * (now - self._now)
        self._now = now

    def _least_waiting(self, hand: Sequence[int]) -> int:
        """Of the hand; where several are equal, not always the first."""
        offset = self._dealt % len(hand)
        self._dealt += 1
        if not self.waiting:
            return hand[offset]
        turned = (*hand[offset:], *hand[:offset])
        return min(turned, key=lambda index: queue.seats_waiting if (queue := self.active.get(index)) else 0)

    def _has_room(self, seats: int) -> bool:
        """One that wants more than there are is served alone."""
        if self.exempt:
            return True
        if seats > self.seats_max:
            return not self.executing
        return self.seats_executing + seats <= self.seats_max

    def _dispatch(self, now: float) -> list[Waiting]:
        started = []
        while self.waiting and self.seats_executing < self.seats_max:
            queue = self._next_queue()
            request = queue.waiting[0]
            if not self._has_room(request.seats):
                break
            self._robin = queue.index
            queue.waiting.popleft()
            self._leave(queue, request)
            queue.next_r += request.seats * ESTIMATE_S
            queue.catch_up()
            self._start(request, now)
            started.append(request)
        return started

    def _next_queue(self) -> Queue:
        """Whose next request would end first; of equals, the next one round."""
        after = self._robin + 1

        def order(queue: Queue) -> tuple[float, int]:
            return queue.next_r + queue.waiting[0].seats * ESTIMATE_S, (queue.index - after) % self._indexes

        return min((queue for queue in self.active.values() if queue.waiting), key=order)

    def _start(self, request: Waiting, now: float) -> None:
        request.started_at = now
        self.executing += 1
        self.seats_executing += request.seats
        if request.queue is not None:
            request.queue.executing += 1
            request.queue.seats_executing += request.seats

    def _leave(self, queue: Queue, request: Waiting) -> None:
        queue.seats_waiting -= request.seats
        self.waiting -= 1
        self.seats_waiting -= request.seats

    def _forget_idle(self, queue: Queue) -> None:
        if not queue.waiting and not queue.executing:
            del self.active[queue.index]
