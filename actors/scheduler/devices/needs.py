"""What the claims of a pod need: devices that they have somewhere already, or some that they are to get."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

from protocols.objects import Object, key_of, split_key, uid_of
from protocols.rules.device_claims import WantedClaim, why_not_own

if TYPE_CHECKING:
    from actors.scheduler.cluster_state import ClusterState
    from actors.scheduler.device_claims import DeviceClaim


class Needs(NamedTuple):
    """Of a pod's claims: those that have devices somewhere, and those that have none yet."""

    placed: Sequence[DeviceClaim]
    pending: Sequence[tuple[str, DeviceClaim]]


def needs_of(state: ClusterState, wanted: Sequence[WantedClaim]) -> Needs:
    """A pod may name a claim twice."""
    found = {each.key: claim for each in wanted if (claim := state.devices.get(each.key)) is not None}
    placed = [claim for claim in found.values() if claim.is_allocated]
    return Needs(placed, [(key, claim) for key, claim in found.items() if not claim.is_allocated])


def why_never(state: ClusterState, pod: Object, wanted: Sequence[WantedClaim]) -> str:
    """Why a pod with these claims cannot run anywhere, in Kubernetes' words; "" if it can."""
    return next(filter(None, (unusable(state, pod, each) for each in wanted)), "")


def why_not_now(state: ClusterState, pod: Object, wanted: Sequence[WantedClaim]) -> str:
    """Also what may be otherwise later."""
    why = why_never(state, pod, wanted)
    return why or next(filter(None, (_held_up(state, pod, each) for each in wanted)), "")


def unusable(state: ClusterState, pod: Object, wanted: WantedClaim) -> str:
    if not wanted.key:
        return f'pod "{key_of(pod)}": ResourceClaim not created yet'
    claim = state.devices.get(wanted.key)
    if claim is None:
        return f'could not find ResourceClaim "{wanted.key}"'
    if claim.is_deleting:
        return f'resourceclaim "{split_key(wanted.key)[1]}" is being deleted'
    return why_not_own(wanted.key, pod) if wanted.own and claim.owner != uid_of(pod) else ""


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
