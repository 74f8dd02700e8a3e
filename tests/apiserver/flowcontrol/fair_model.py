"""Fair queuing as KEP-1040 tells it, slowly: every queue is looked at every time, and no sum is kept."""

from __future__ import annotations

from collections.abc import Sequence

GUESS_S = 0.003


class ModelQueue:
    def __init__(self) -> None:
        self.waiting: list[str] = []
        self.served: list[str] = []
        self.next_r = 0.0


class FairModel:
    """Requests are names. `arrive` says "queue-full" or ""; who is served is in `begun`, in order."""

    def __init__(self, queues: int, length_max: int, seats_max: int) -> None:
        self.queues = [ModelQueue() for _ in range(queues)]
        self.length_max = length_max
        self.seats_max = seats_max
        self.begun: list[str] = []
        self.where: dict[str, int] = {}
        self._seats: dict[str, int] = {}
        self._arrived_r: dict[str, float] = {}
        self._began_at: dict[str, float] = {}
        self._r = 0.0
        self._now = 0.0
        self._turn = 0
        self._robin = 0

    def arrive(self, name: str, hand: Sequence[int], seats: int, now: float) -> str:
        self._pass_time(now)
        first = self._turn % len(hand)
        self._turn += 1
        candidates = [hand[(first + step) % len(hand)] for step in range(len(hand))]
        works = [sum(self._seats[each] for each in self.queues[index].waiting) for index in candidates]
        index = candidates[works.index(min(works))]
        queue = self.queues[index]
        if self._seats_served() >= self.seats_max and len(queue.waiting) >= self.length_max:
            return "queue-full"
        if not queue.waiting and not queue.served:
            queue.next_r = self._r
        self._seats[name], self._arrived_r[name], self.where[name] = seats, self._r, index
        queue.waiting.append(name)
        self._not_before_arrival(queue)
        self._serve(now)
        return ""

    def finish(self, name: str, now: float) -> None:
        self._pass_time(now)
        queue = self.queues[self.where[name]]
        queue.served.remove(name)
        queue.next_r -= self._seats[name] * (GUESS_S - (now - self._began_at[name]))
        self._not_before_arrival(queue)
        self._serve(now)

    def give_up(self, name: str, now: float) -> None:
        self._pass_time(now)
        queue = self.queues[self.where[name]]
        queue.waiting.remove(name)
        self._not_before_arrival(queue)
        self._serve(now)

    def resize(self, seats_max: int, now: float) -> None:
        self._pass_time(now)
        self.seats_max = seats_max
        self._serve(now)

    def _pass_time(self, now: float) -> None:
        busy = [queue for queue in self.queues if queue.waiting or queue.served]
        if busy:
            wanted = sum(self._seats[name] for queue in busy for name in [*queue.waiting, *queue.served])
            self._r += min(wanted, self.seats_max) / len(busy) * (now - self._now)
        self._now = now

    def _serve(self, now: float) -> None:
        while self._seats_served() < self.seats_max:
            best: tuple[float, int] | None = None
            for step in range(1, len(self.queues) + 1):
                index = (self._robin + step) % len(self.queues)
                queue = self.queues[index]
                if queue.waiting:
                    ends = queue.next_r + self._seats[queue.waiting[0]] * GUESS_S
                    if best is None or ends < best[0]:
                        best = ends, index
            if best is None or not self._fits(self.queues[best[1]].waiting[0]):
                return
            queue = self.queues[best[1]]
            self._robin = best[1]
            name = queue.waiting.pop(0)
            queue.served.append(name)
            queue.next_r += self._seats[name] * GUESS_S
            self._not_before_arrival(queue)
            self._began_at[name] = now
            self.begun.append(name)

    def _fits(self, name: str) -> bool:
        if self._seats[name] > self.seats_max:
            return self._seats_served() == 0
        return self._seats_served() + self._seats[name] <= self.seats_max

    def _not_before_arrival(self, queue: ModelQueue) -> None:
        if queue.waiting:
            queue.next_r = max(queue.next_r, self._arrived_r[queue.waiting[0]])

    def _seats_served(self) -> int:
        return sum(self._seats[name] for queue in self.queues for name in queue.served)
