"""VolumeBinding: a pod goes where its claims have their volumes, or can get them; and gets them before it is bound.

A claim that was bound tells where. One whose class waits for its first consumer is decided here, with the node: a free
volume is promised to it, or its provisioner is told the node; then the pod waits until the claim is bound.
"""

from __future__ import annotations

import numpy as np

from actors.scheduler.columns import Ints, Rows
from actors.scheduler.framework import (
    SKIP,
    Attempt,
    ClusterEvent,
    Cycle,
    Filter,
    Handle,
    PreBind,
    PreFilter,
    Refusal,
    Reserve,
    Skip,
)
from actors.scheduler.plugins.volume_answers import kept_numbers
from actors.scheduler.volume_choice import Choice, Sorted, choose, lack, reach, sort_claims
from actors.scheduler.volume_state import CLAIMS, VOLUMES, VolumeState
from protocols.objects import Object, split_key, uid_of
from protocols.rules.volumes import (
    SELECTED_NODE,
    Claim,
    annotations_of,
    given_to,
    own_claims,
    why_not_own,
    with_annotations,
)

TIMEOUT_S = 600.0
_ELSEWHERE, _NO_VOLUME, _NO_ROOM, _GONE = 1, 2, 4, 8  # bits of a refusal's number
_REASONS = {
    _ELSEWHERE: "node(s) didn't match PersistentVolume's node affinity",
    _NO_VOLUME: "node(s) didn't find available persistent volumes to bind",
    _NO_ROOM: "node(s) did not have enough free storage",
    _GONE: "node(s) unavailable due to one or more pvc(s) bound to non-existent pv(s)",
}
_IMMEDIATE = Refusal(("pod has unbound immediate PersistentVolumeClaims",), resolvable=False)


class BindingFailed(Exception):
    """The claims did not get their volumes: the pod is tried again, maybe elsewhere."""


class VolumeBinding(PreFilter, Filter, Reserve, PreBind):
    """`timeout_s`: how long a pod waits for its volumes once it has a node."""

    name = "VolumeBinding"
    events = ClusterEvent.VOLUME | ClusterEvent.NODE_ADDED | ClusterEvent.NODE_LABEL

    def __init__(self, timeout_s: float = TIMEOUT_S) -> None:
        self._timeout_s = timeout_s

    def pre_filter(self, cycle: Cycle) -> Skip | Refusal | None:
        names, volumes = cycle.shape.claims, cycle.state.volumes
        if not names:
            return SKIP
        pod = cycle.shape.pod
        own = own_claims(pod)
        for key in names:
            if why := _unusable(key, volumes, pod if key in own else None):
                return Refusal((why,), resolvable=False)
        found = sort_claims([volumes.claims[key] for key in names], volumes)
        return _IMMEDIATE if found.immediate else None

    def filter(self, cycle: Cycle, rows: Rows) -> Ints:
        return kept_numbers(cycle, self.name, _numbers)[rows]

    def refusal(self, cycle: Cycle, number: int) -> Refusal:
        return Refusal(tuple(text for bit, text in _REASONS.items() if number & bit), resolvable=False)

    def reserve(self, attempt: Attempt) -> Refusal | None:
        if not attempt.pod.shape.claims:
            return None
        volumes = attempt.state.volumes
        waiting = _sorted(attempt.pod.shape.claims, volumes).waiting
        if waiting:
            choice = attempt.memo[self.name] = choose(waiting, attempt.state, attempt.node)
            for claim, volume in choice.static:
                volumes.promise(volume, claim.key)
        return None

    def unreserve(self, attempt: Attempt) -> None:
        choice: Choice | None = attempt.memo.pop(self.name, None)
        for claim, volume in choice.static if choice is not None else ():
            attempt.state.volumes.take_back(volume, claim.key)

    async def pre_bind(self, attempt: Attempt, handle: Handle) -> None:
        choice: Choice | None = attempt.memo.get(self.name)
        if choice is None:
            return
        for claim, volume in choice.static:
            await _give(claim, volume, handle)
        for claim in choice.dynamic:
            await _have_it_made(claim, attempt.node, handle)
        deadline = handle.now + self._timeout_s
        for claim in (*(claim for claim, _ in choice.static), *choice.dynamic):
            await _bound(claim, attempt, handle, deadline, is_made=claim in choice.dynamic)


def _unusable(key: str, volumes: VolumeState, pod: Object | None) -> str:
    """Why a pod with that claim cannot run anywhere; "" if it can. `pod`: the one whose own it has to be."""
    claim, name = volumes.claims.get(key), split_key(key)[1]
    if claim is None and pod is not None:
        return f'waiting for ephemeral volume controller to create the persistentvolumeclaim "{name}"'
    if claim is None:
        return f'persistentvolumeclaim "{name}" not found'
    if key in volumes.lost:
        return f'persistentvolumeclaim "{name}" bound to non-existent persistentvolume "{claim.volume}"'
    if claim.deleting:
        return f'persistentvolumeclaim "{name}" is being deleted'
    return why_not_own(key, pod) if pod is not None and claim.owner != uid_of(pod) else ""


def _sorted(names: tuple[str, ...], volumes: VolumeState) -> Sorted:
    """Of those that are there still."""
    return sort_claims([volumes.claims[key] for key in names if key in volumes.claims], volumes)


def _numbers(cycle: Cycle) -> Ints:
    state = cycle.state
    found = _sorted(cycle.shape.claims, state.volumes)
    numbers = np.zeros(state.rows, np.int32)
    for claim in found.bound:
        volume = state.volumes.volumes.get(claim.volume)
        if volume is None:
            numbers |= _GONE
        else:
            missed = np.ones(state.rows, np.bool_)
            missed[reach(volume, state.objects)] = False
            numbers[missed] |= _ELSEWHERE
    if found.waiting:
        lacking = lack(found.waiting, state)
        numbers[lacking.volume] |= _NO_VOLUME
        numbers[lacking.room] |= _NO_ROOM
    return numbers


async def _give(claim: Claim, volume: str, handle: Handle) -> None:
    """The volume says whose it is; the controller of volumes does the rest."""
    namespace, name = split_key(claim.key)
    stored = await handle.client.get(VOLUMES, volume)
    given = given_to(stored, await handle.client.get(CLAIMS, name, namespace))
    if given is not stored:
        await handle.client.update(VOLUMES, given)


async def _have_it_made(claim: Claim, node: str, handle: Handle) -> None:
    namespace, name = split_key(claim.key)
    stored = await handle.client.get(CLAIMS, name, namespace)
    if annotations_of(stored).get(SELECTED_NODE) != node:
        await handle.client.update(CLAIMS, with_annotations(stored, {SELECTED_NODE: node}))


async def _bound(claim: Claim, attempt: Attempt, handle: Handle, deadline: float, is_made: bool) -> None:
    """Wait for it. A provisioner that cannot make the volume on that node takes the node back."""
    volumes, was_told = attempt.state.volumes, False
    while True:
        known = volumes.claims.get(claim.key)
        if known is None or known.uid != claim.uid:
            raise BindingFailed(f'persistentvolumeclaim "{split_key(claim.key)[1]}" is gone')
        if known.bound:
            return
        was_told = was_told or known.selected_node == attempt.node
        if is_made and was_told and known.selected_node != attempt.node:
            raise BindingFailed(f'provisioning failed for PVC "{split_key(claim.key)[1]}"')
        if handle.now >= deadline or not await handle.changed(CLAIMS, claim.key, deadline - handle.now):
            raise BindingFailed("binding volumes: context deadline exceeded")
