"""DynamicResources: a pod with claims of devices goes where they have some, or can get some, and gets them (KEP-4381).

Which devices is decided with the node: they are taken at once in memory, and written to the claims before the pod is
bound, each claim with the pod among those who may use it (device_binding.py). A claim that has devices somewhere the
pod cannot go gives them back, if nobody else uses it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from actors.scheduler.columns import Bools, Ints, Rows
from actors.scheduler.device_binding import bind_claim
from actors.scheduler.device_claims import DeviceClaim
from actors.scheduler.devices.allocator import CannotAllocate
from actors.scheduler.devices.answers import AnswersToForm
from actors.scheduler.devices.choice import choose, choose_anywhere
from actors.scheduler.devices.needs import Needs, needs_of, why_never, why_not_now
from actors.scheduler.devices.results import allocation
from actors.scheduler.framework import (
    SKIP,
    Attempt,
    ClusterEvent,
    Cycle,
    Filter,
    Handle,
    Helpless,
    PostFilter,
    PreBind,
    PreEnqueue,
    PreFilter,
    Refusal,
    Reserve,
    Skip,
)
from protocols.objects import Object

if TYPE_CHECKING:
    from actors.scheduler.cluster_state import ClusterState
    from actors.scheduler.cycle import SchedulingCycle
    from actors.scheduler.demand import PodDemand
    from actors.scheduler.diagnosis import Unschedulable

_ELSEWHERE = "resourceclaim not available on the node"
_NUMBER_ELSEWHERE = (1 << 20) - 1  # higher than that of any other reason, and the highest there can be
NOT_ALLOCATED = "cannot allocate all claims"


class DynamicResources(PreEnqueue, PreFilter, Filter, PostFilter, Reserve, PreBind):
    name = "DynamicResources"
    events = ClusterEvent.DEVICE_CLAIM | ClusterEvent.NODE_ADDED | ClusterEvent.NODE_LABEL

    def pre_enqueue(self, pod: PodDemand, state: ClusterState) -> Refusal | None:
        why = why_never(state, pod.pod, pod.shape.device_claims)
        return Refusal((why,), resolvable=False) if why else None

    def pre_filter(self, cycle: Cycle) -> Skip | Refusal | None:
        """cycle.py looks whether the answer is still the same."""
        wanted = cycle.shape.device_claims
        if not wanted:
            return SKIP
        why = why_not_now(cycle.state, cycle.shape.pod, wanted)
        return Refusal((why,), resolvable=False) if why else None

    def filter(self, cycle: Cycle, rows: Rows) -> Ints | None:
        placed, pending = needs_of(cycle.state, cycle.shape.device_claims)
        refused = [~_reached(cycle.state, claim)[rows] for claim in placed if claim.where]
        elsewhere: Ints | None = None
        if refused:
            elsewhere = np.where(np.logical_or.reduce(refused), _NUMBER_ELSEWHERE, 0).astype(np.int32)
        if not pending:
            return elsewhere
        cycle.memo[self.name] = answers = choose_anywhere([claim for _, claim in pending], cycle.state)
        numbers = answers.numbers[rows]
        if elsewhere is not None:
            return np.maximum(elsewhere, numbers)
        return numbers if numbers.any() else None

    def refusal(self, cycle: Cycle, number: int) -> Refusal:
        if number == _NUMBER_ELSEWHERE:
            return Refusal((_ELSEWHERE,), resolvable=False)
        answers: AnswersToForm = cycle.memo[self.name]
        needs = needs_of(cycle.state, cycle.shape.device_claims)
        return Refusal((_why_not(needs, answers.why(number)),), resolvable=False)

    def post_filter(self, cycle: SchedulingCycle, pod: PodDemand, found: Unschedulable) -> Helpless:
        """In kube-scheduler's words. It looks for what its own PreFilter has kept, which comes after that of most
        plugins: where one of them refuses the pod, nothing is found, and nobody after it is asked.

        A claim of its own, or one that it shares with nobody, may have devices where the pod cannot go any more."""
        if found.verdicts is None and self.name not in found.refused_by:
            return Helpless("not found", final=True)
        if found.verdicts is None or not pod.shape.device_claims:
            return Helpless("no new claims to deallocate")
        away = {name for name, refusal in found.refusals.items() if refusal.reasons == (_ELSEWHERE,)}
        for wanted in pod.shape.device_claims if away else ():
            claim = cycle.state.devices.get(wanted.key)
            if claim is None or not claim.where or not claim.is_only_for(pod.uid):
                continue
            reached = _reached(cycle.state, claim)
            if any(not reached[cycle.state.objects.row_of[name]] for name in away):
                return Helpless("deallocation of ResourceClaim completed", frees=wanted.key)
        return Helpless("still not schedulable")

    def reserve(self, attempt: Attempt) -> Refusal | None:
        wanted = attempt.pod.shape.device_claims
        if not wanted:
            return None
        devices = attempt.state.devices
        needs = needs_of(attempt.state, wanted)
        if any(devices.is_assumed(key) for key, _ in needs.pending):
            return Refusal((NOT_ALLOCATED,), resolvable=False)
        found = choose([claim for _, claim in needs.pending], attempt.state, attempt.node) if needs.pending else ()
        if found is None or isinstance(found, CannotAllocate):
            return Refusal((_why_not(needs, found),), resolvable=False)
        chosen: dict[str, Object] = attempt.memo.setdefault(self.name, {})
        for (key, claim), picks in zip(needs.pending, found, strict=True):
            chosen[key] = allocation(claim.obj, picks, devices.class_of)
            devices.assume(key, attempt.pod.uid, chosen[key])
        return None

    def unreserve(self, attempt: Attempt) -> None:
        for key in attempt.memo.pop(self.name, ()):
            attempt.state.devices.release(key, attempt.pod.uid)

    async def pre_bind(self, attempt: Attempt, handle: Handle) -> None:
        chosen: dict[str, Object] = attempt.memo.get(self.name, {})
        for key in dict.fromkeys(wanted.key for wanted in attempt.pod.shape.device_claims):
            await bind_claim(key, chosen.get(key), attempt, handle)


def _reached(state: ClusterState, claim: DeviceClaim) -> Bools:
    assert claim.nodes is not None
    return state.objects.matching_selector(claim.nodes)


def _why_not(needs: Needs, found: object) -> str:
    if found is None:
        return NOT_ALLOCATED
    if not isinstance(found, CannotAllocate):
        return ""
    return f"claim {needs.pending[found.claim][0]}{found}" if found.claim >= 0 else str(found)
