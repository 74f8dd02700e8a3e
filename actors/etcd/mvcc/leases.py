"""Leases: the replicated part (which there are, which keys hang on them), and the leader's clock for them.

Only the leader looks at a clock. When it decides that a lease has run out it proposes ExpireLeases, and every replica
carries that out from the log. A new leader cannot know when a lease was last kept alive, so it gives each its whole
time to live again: a lease may live longer than asked, never shorter.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable


class Lease:
    __slots__ = ("keys", "lease", "ttl_s")

    def __init__(self, lease: int, ttl_s: int) -> None:
        self.lease = lease
        self.ttl_s = ttl_s
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

    def grant(self, lease: int, ttl_s: int) -> None:
        self._leases[lease] = Lease(lease, ttl_s)

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

    def start(self, leases: Iterable[Lease], now: float) -> None:
        """This member has become the leader."""
        self.stop()
        for lease in leases:
            self.renew(lease, now)

    def stop(self) -> None:
        self._deadlines.clear()
        self._order.clear()
        self._expiring.clear()

    def renew(self, lease: Lease, now: float) -> bool:
        """Whether it was in time: False once the lease has been proposed to expire."""
        number = lease.lease
        if number in self._expiring:
            return False
        if number not in self._deadlines:
            heapq.heappush(self._order, (now + lease.ttl_s, number))
        self._deadlines[number] = now + lease.ttl_s
        return True

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
