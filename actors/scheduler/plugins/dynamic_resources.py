"""DynamicResources: a pod with claims of devices goes where they have some, or can get some, and gets them (KEP-4381).

Which devices is decided with the node: they are taken at once in memory, and written to the claims before the pod is
bound, each claim with the pod among those who may use it (device_binding.py). A claim that has devices somewhere the
pod cannot go gives them back, if nobody else uses it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from actors.scheduler.columns import Bools, Ints, Rows
from actors.scheduler.device_binding import bind_claim
from actors.scheduler.device_claims import DeviceClaim
from actors.scheduler.devices.allocator import CannotAllocate
from actors.scheduler.devices.choice import choose
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
    row_numbers,
)
from protocols.objects import Object, key_of, split_key, uid_of
from protocols.rules.device_claims import WantedClaim, why_not_own

if TYPE_CHECKING:
    from actors.scheduler.cluster_state import ClusterState
    from actors.scheduler.cycle import SchedulingCycle
    from actors.scheduler.demand import PodDemand
    from actors.scheduler.diagnosis import Unschedulable

_ELSEWHERE = "resourceclaim not available on the node"
NOT_ALLOCATED = "cannot allocate all claims"


class Needs(NamedTuple):
    """Of a pod's claims: those that have devices somewhere, and those that have none yet."""

    placed: Sequence[DeviceClaim]
    pending: Sequence[tuple[str, DeviceClaim]]


class DynamicResources(PreEnqueue, PreFilter, Filter, PostFilter, Reserve, PreBind):
    name = "DynamicResources"
    events = ClusterEvent.DEVICE_CLAIM | ClusterEvent.NODE_ADDED | ClusterEvent.NODE_LABEL

    def pre_enqueue(self, pod: PodDemand, state: ClusterState) -> Refusal | None:
        wanted = pod.shape.device_claims
        why = _unusable_one(state, pod.pod, wanted) if wanted else ""
        return Refusal((why,), resolvable=False) if why else None

    def pre_filter(self, cycle: Cycle) -> Skip | Refusal | None:
        wanted = cycle.shape.device_claims
        if not wanted:
            return SKIP
        state, pod = cycle.state, cycle.shape.pod
        why = _unusable_one(state, pod, wanted)
        if why := why or next(filter(None, (_held_up(state, pod, each) for each in wanted)), ""):
            return Refusal((why,), resolvable=False)
        cycle.memo[self.name] = _needs(state, wanted)
        cycle.memo[f"{self.name} reasons"] = {_ELSEWHERE: 1}
        return None

    def filter(self, cycle: Cycle, rows: Rows) -> Ints | None:
        needs = needs_of(cycle)
        elsewhere = [~_reached(cycle.state, claim)[rows] for claim in needs.placed if claim.nodes is not None]
        refused = np.logical_or.reduce(elsewhere) if elsewhere else None
        if not needs.pending:
            return refused.astype(np.int32) if refused is not None else None
        claims = [claim for _, claim in needs.pending]
        reasons: dict[str, int] = cycle.memo[f"{self.name} reasons"]
        numbers = []
        for place, row in enumerate(row_numbers(cycle, rows)):
            if refused is not None and refused[place]:
                numbers.append(1)
            else:
                why = _why_not(needs, choose(claims, cycle.state, cycle.state.names[row]))
                numbers.append(reasons.setdefault(why, len(reasons) + 1) if why else 0)
        return np.array(numbers, np.int32)

    def refusal(self, cycle: Cycle, number: int) -> Refusal:
        reasons: dict[str, int] = cycle.memo[f"{self.name} reasons"]
        return Refusal((list(reasons)[number - 1],), resolvable=False)

    def post_filter(self, cycle: SchedulingCycle, pod: PodDemand, found: Unschedulable) -> Helpless | None:
        """A claim of its own, or one that it shares with nobody, may have devices where the pod cannot go any more."""
        if not pod.shape.device_claims:
            return None
        away = {name for name, refusal in found.refusals.items() if refusal.reasons == (_ELSEWHERE,)}
        for wanted in pod.shape.device_claims if away else ():
            claim = cycle.state.devices.get(wanted.key)
            if claim is None or claim.nodes is None or not claim.is_only_for(pod.uid):
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
        needs = _needs(attempt.state, wanted)
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


def needs_of(cycle: Cycle) -> Needs:
    """What PreFilter has found."""
    found: Needs = cycle.memo[DynamicResources.name]
    return found


def unusable(state: ClusterState, pod: Object, wanted: WantedClaim) -> str:
    """Why a pod with that claim cannot run anywhere, in Kubernetes' words; "" if it can."""
    if not wanted.key:
        return f'pod "{key_of(pod)}": ResourceClaim not created yet'
    claim, name = state.devices.get(wanted.key), split_key(wanted.key)[1]
    if claim is None:
        return f'resourceclaim "{name}" not found'
    if claim.is_deleting:
        return f'resourceclaim "{name}" is being deleted'
    return why_not_own(wanted.key, pod) if wanted.own and claim.owner != uid_of(pod) else ""


def _unusable_one(state: ClusterState, pod: Object, wanted: Sequence[WantedClaim]) -> str:
    return next(filter(None, (unusable(state, pod, each) for each in wanted)), "")


def _held_up(state: ClusterState, pod: Object, wanted: WantedClaim) -> str:
    """Why its claim cannot be used now, though it may be later."""
    claim = state.devices.get(wanted.key)
    assert claim is not None
    if claim.is_allocated:
        return "" if claim.may_be_used_by(uid_of(pod)) else "resourceclaim in use"
    if not state.devices.all_seen:
        return "not all resourceclaims have been seen yet"
    if state.devices.is_assumed(wanted.key):
        return f"resource claim {wanted.key} is in the process of being allocated"
    for request in claim.asked.requests:
        for alternative in request.alternatives:
            if state.devices.class_of(alternative.class_name) is None:
                return f"request {alternative.name}: device class {alternative.class_name} does not exist"
    return ""


def _needs(state: ClusterState, wanted: Sequence[WantedClaim]) -> Needs:
    """A pod may name a claim twice."""
    found = {each.key: claim for each in wanted if (claim := state.devices.get(each.key)) is not None}
    placed = [claim for claim in found.values() if claim.is_allocated]
    return Needs(placed, [(key, claim) for key, claim in found.items() if not claim.is_allocated])


def _reached(state: ClusterState, claim: DeviceClaim) -> Bools:
    assert claim.nodes is not None
    return state.objects.matching_selector(claim.nodes)


def _why_not(needs: Needs, found: object) -> str:
    if found is None:
        return NOT_ALLOCATED
    if not isinstance(found, CannotAllocate):
        return ""
    return f"claim {needs.pending[found.claim][0]}{found}" if found.claim >= 0 else str(found)
