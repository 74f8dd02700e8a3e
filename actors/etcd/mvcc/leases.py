"""Leases: the replicated part (which there are, which keys hang on them), and the leader's clock for them.

Only the leader looks at a clock. When it decides that a lease has run out it proposes ExpireLeases, and every replica
carries that out from the log. A new leader cannot know when a lease was last kept alive, so it gives each its whole
time to live again: a lease may live longer than asked, never shorter. Long leases have checkpoints in the log now and
then, of what is left: a new leader begins there. A lease that has one, or may get one, is kept alive through the log,
so that nobody is told of more time than the next leader will know of.
"""

from __future__ import annotations

import heapq
import math
from collections.abc import Iterable


class Lease:
    """`left_s`: what a new leader must leave it at least, as of the last checkpoint; 0 is the whole time."""

    __slots__ = ("keys", "lease", "left_s", "ttl_s")

    def __init__(self, lease: int, ttl_s: int, left_s: int = 0) -> None:
        self.lease = lease
        self.ttl_s = ttl_s
        self.left_s = left_s
        self.keys: dict[bytes, None] = {}


class Leases:
    def __init__(self) -> None:
        self.last_number = 0  # the last that `free_number` chose
        self._leases: dict[int, Lease] = {}

    def get(self, lease: int) -> Lease | None:
        return self._leases.get(lease)

    def all(self) -> Iterable[Lease]:
        return self._leases.values()

    def free_number(self) -> int:
        """A number that no lease has, and none had that this function chose before."""
        self.last_number += 1
        while self.last_number in self._leases:
            self.last_number += 1
        return self.last_number

    def grant(self, lease: int, ttl_s: int, left_s: int = 0) -> None:
        self._leases[lease] = Lease(lease, ttl_s, left_s)

    def checkpoint(self, left_s: Iterable[tuple[int, int]]) -> None:
        """Pairs of a lease and the time that it has left."""
        for number, left in left_s:
            if (lease := self._leases.get(number)) is not None:
                lease.left_s = left

    def revoke(self, lease: int) -> list[bytes] | None:
        """Returns the keys that were attached, in order; None if there is no such lease."""
        gone = self._leases.pop(lease, None)
        return None if gone is None else sorted(gone.keys)

    def move(self, key: bytes, old: int, new: int) -> None:
        """`key` leaves one lease for another; 0 is none."""
        if old and old in self._leases:
            self._leases[old].keys.pop(key, None)
        if new:
            self._leases[new].keys[key] = None


class LeaseClock:
    """When each lease runs out, as the leader sees it. Empty on a member that does not lead."""

    def __init__(self) -> None:
        self._deadlines: dict[int, float] = {}
        self._order: list[tuple[float, int]] = []  # one entry a lease; too early if it was renewed since
        self._expiring: dict[int, None] = {}
        self._checkpoints: dict[int, int] = {}  # lease -> how many are proposed, and not applied

    def start(self, leases: Iterable[Lease], now: float) -> None:
        """This member has become the leader."""
        self.stop()
        for lease in leases:
            self._set(lease.lease, now + (lease.left_s or lease.ttl_s))

    def stop(self) -> None:
        self._deadlines.clear()
        self._order.clear()
        self._expiring.clear()
        self._checkpoints.clear()

    def renew(self, lease: Lease, now: float) -> bool:
        """Whether it was in time: False once the lease has been proposed to expire."""
        number = lease.lease
        if number in self._expiring:
            return False
        self._set(number, now + lease.ttl_s)
        return True

    def _set(self, number: int, deadline: float) -> None:
        if number not in self._deadlines:
            heapq.heappush(self._order, (deadline, number))
        self._deadlines[number] = deadline

    def left_s(self, lease: int, now: float) -> int | None:
        """Whole seconds, rounded down as etcd does: so much it has for sure; None if it has run out."""
        deadline = self._deadlines.get(lease)
        return None if deadline is None else max(0, math.floor(deadline - now))

    def ends_at(self, lease: int) -> float:
        """Of one that has run out, a time that is over."""
        return self._deadlines.get(lease, -math.inf)

    def forget(self, lease: int) -> None:
        """The lease is gone. What is left in the order is dropped when its time comes."""
        self._deadlines.pop(lease, None)
        self._expiring.pop(lease, None)

    def take_expired(self, now: float) -> tuple[int, ...]:
        """Leases to propose for expiry, each once."""
        expired = []
        while self._order and self._order[0][0] <= now:
            _, lease = heapq.heappop(self._order)
            deadline = self._deadlines.get(lease)
            if deadline is None:
                continue
            if deadline > now:
                heapq.heappush(self._order, (deadline, lease))
            else:
                del self._deadlines[lease]
                self._expiring[lease] = None
                expired.append(lease)
        return tuple(expired)

    # -- checkpoints ----------------------------------------------------------------------------------------------

    def take_checkpoints(self, leases: Leases, least_ttl_s: float, now: float) -> list[tuple[int, int]]:
        """Pairs of a lease and what it has left, of those that live longer than that; they are to be proposed."""
        found = []
        for number, deadline in self._deadlines.items():
            lease = leases.get(number)
            if lease is not None and lease.ttl_s > least_ttl_s:
                found.append((number, max(1, math.ceil(deadline - now))))
                self._checkpoints[number] = self._checkpoints.get(number, 0) + 1
        return found

    def checkpointed(self, left_s: Iterable[tuple[int, int]]) -> None:
        """They were applied, or dropped."""
        for number, _ in left_s:
            if number in self._checkpoints:
                self._checkpoints[number] -= 1
                if not self._checkpoints[number]:
                    del self._checkpoints[number]

    def must_be_logged(self, lease: Lease) -> bool:
        """Whether the next leader might know of less time than a keep-alive promises."""
        return lease.left_s > 0 or lease.lease in self._checkpoints
