"""GangScheduling: of a gang at least `minCount` pods run, or none (KEP-4671).

Its pods enter the queue when there are enough of them. They are tried in one turn, and each that finds a node waits at
Permit until the last was tried: then all are let go, or all are refused. So no gang holds room while it waits for more,
and two that do not fit together do not starve each other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from actors.scheduler.framework import Attempt, ClusterEvent, Permit, PreEnqueue, Refusal, Wait

if TYPE_CHECKING:
    from actors.scheduler.cluster_state import ClusterState
    from actors.scheduler.demand import PodDemand
    from actors.scheduler.gangs import Gang
    from actors.scheduler.waiting_pods import WaitingPods

TIMEOUT_S = 300.0


class GangScheduling(PreEnqueue, Permit):
    name = "GangScheduling"
    events = ClusterEvent.NONE  # whoever of the gang is tried again takes the others along

    def pre_enqueue(self, pod: PodDemand, state: ClusterState) -> Refusal | None:
        why = state.gangs.why_not_yet(pod.gang) if pod.gang is not None else ""
        return Refusal((why,), resolvable=False) if why else None

    def permit(self, attempt: Attempt) -> Wait | None:
        return Wait(TIMEOUT_S) if attempt.pod.gang is not None else None

    def settle(self, gang: Gang, state: ClusterState, waiting: WaitingPods) -> str:
        """Every pod of the gang that could be tried was. Why they do not get their nodes, "" if they do."""
        members, wants = list(state.gangs.members(gang)), state.gangs.wants(gang)
        placed = sum(1 for key in members if state.node_of(key))
        if wants is not None and placed >= wants:
            for key in members:
                waiting.allow(key, self.name)
            return "" if placed else "no pod of the group fits"
        why = self.too_few(wants, placed)
        for key in members:
            waiting.reject(key, self.name, why)
        return why

    @staticmethod
    def too_few(wants: int | None, placed: int) -> str:
        return f"minCount ({wants}) cannot be satisfied: {placed} scheduled, 0 remaining"
