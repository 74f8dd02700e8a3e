"""Pods that may not be tried yet, and what lets them into the queue: their gang is complete, their claims have come."""

from __future__ import annotations

from collections.abc import Callable

from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.conditions import GATED, UNSCHEDULABLE
from actors.scheduler.cycle import gate
from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import Profile
from actors.scheduler.queue import SchedulingQueue


class Gated:
    """`wake` is called when somebody is let in. Nobody is given devices before all that claims have was seen."""

    def __init__(
        self,
        state: ClusterState,
        queue: SchedulingQueue,
        profile_of: Callable[[PodDemand], Profile],
        now: Callable[[], float],
        wake: Callable[[], None],
    ) -> None:
        self._state = state
        self._queue = queue
        self._profile_of = profile_of
        self._now = now
        self._wake = wake
        state.devices.all_seen = False

    def waiting_for_claims(self) -> list[PodDemand]:
        found = (self._queue.demand_of(key) for key in self._state.devices.awaited.pods())
        return [demand for demand in found if demand is not None]

    def reason(self, demand: PodDemand) -> str:
        """The reason that its condition gives, "" for none: a claim of the pod's own is made in a moment, and about
        one that cannot be made its controller complains. Of others it is not known before all have been seen."""
        claims = demand.shape.device_claims
        if not claims:
            return GATED
        self._state.devices.awaited.wait(demand.key, (claim.key for claim in claims))
        if not self._state.devices.all_seen or any(claim.own for claim in claims):
            return ""
        return GATED if demand.spec.get("schedulingGates") else UNSCHEDULABLE

    def try_completed_gangs(self) -> None:
        """Their pods may enter the queue, or may find now that fewer will do."""
        for gang in self._state.gangs.completed():
            for key in list(self._state.gangs.members(gang)):
                if self._let_in(key):
                    self._queue.reconsider(key, self._now())
            self._wake()

    def claim_seen(self, claim: str) -> None:
        for key in self._state.devices.awaited.of(claim):
            if self._let_in(key):
                self._state.devices.awaited.lose(key)
                self._wake()

    def _let_in(self, key: str) -> bool:
        demand = self._queue.demand_of(key)
        if demand is None or gate(demand, self._profile_of(demand), self._state) is not None:
            return False
        self._queue.admit(key, self._now())
        return True
