"""DynamicResources: a pod with claims of devices goes where the devices of all its claims can be used, and each claim
says so before the pod is bound (KEP-4381).

kube-scheduler also allocates: it chooses devices of ResourceSlices. Here that is somebody else's, and a pod whose
claims have no devices yet is refused in kube-scheduler's words, instead of running without them.
"""

from __future__ import annotations

import numpy as np

from actors.scheduler.columns import Ints, Rows
from actors.scheduler.device_claims import RESOURCE, WantedClaim, used_by
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
    Skip,
)
from protocols.objects import key_of, split_key, uid_of

_ELSEWHERE = Refusal(("resourceclaim not available on the node",), resolvable=False)
NOT_ALLOCATED = "cannot allocate all claims"


class DynamicResources(PreFilter, Filter, PreBind):
    name = "DynamicResources"
    events = ClusterEvent.DEVICE_CLAIM | ClusterEvent.NODE_ADDED | ClusterEvent.NODE_LABEL

    def pre_filter(self, cycle: Cycle) -> Skip | Refusal | None:
        wanted = cycle.shape.device_claims
        if not wanted:
            return SKIP
        if why := next(filter(None, (unusable(cycle, claim) for claim in wanted)), ""):
            return Refusal((why,), resolvable=False)
        known = [cycle.state.devices.get(claim.key) for claim in wanted]
        if not all(claim is not None and claim.allocated for claim in known):
            return Refusal((NOT_ALLOCATED,), resolvable=False)
        selectors = [claim.nodes for claim in known if claim is not None and claim.nodes is not None]
        cycle.memo[self.name] = selectors
        return None

    def filter(self, cycle: Cycle, rows: Rows) -> Ints | None:
        nodes, selectors = cycle.state.objects, cycle.memo[self.name]
        if not selectors:
            return None
        reached = np.logical_and.reduce([nodes.matching_selector(selector) for selector in selectors])
        return np.where(reached, 0, 1)[rows].astype(np.int32)

    def refusal(self, cycle: Cycle, number: int) -> Refusal:
        return _ELSEWHERE

    async def pre_bind(self, attempt: Attempt, handle: Handle) -> None:
        for claim in attempt.pod.shape.device_claims:
            namespace, name = split_key(claim.key)
            changed = used_by(await handle.client.get(RESOURCE, name, namespace), attempt.pod.pod)
            if changed is not None:
                await handle.client.update_status(RESOURCE, changed)


def unusable(cycle: Cycle, wanted: WantedClaim) -> str:
    """Why a pod with that claim cannot run anywhere, in Kubernetes' words; "" if it can."""
    pod = cycle.shape.pod
    if not wanted.key:
        return f'pod "{key_of(pod)}": ResourceClaim not created yet'
    claim, name = cycle.state.devices.get(wanted.key), split_key(wanted.key)[1]
    if claim is None:
        return f'resourceclaim "{name}" not found'
    if claim.deleting:
        return f'resourceclaim "{name}" is being deleted'
    if wanted.own and claim.owner != uid_of(pod):
        return f"ResourceClaim {wanted.key} was not created for pod {key_of(pod)} (pod is not owner)"
    return ""
