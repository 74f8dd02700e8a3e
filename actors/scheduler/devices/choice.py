"""Which devices the claims of a pod would get on a node."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from actors.scheduler.devices.allocator import CannotAllocate, allocate
from actors.scheduler.devices.answers import Found

if TYPE_CHECKING:
    from actors.scheduler.cluster_state import ClusterState
    from actors.scheduler.device_claims import DeviceClaim


def choose(claims: Sequence[DeviceClaim], state: ClusterState, node: str) -> Found:
    """Picks for each claim; what is wrong; None where there are not enough devices."""
    devices = state.devices
    form = tuple(claim.form for claim in claims)
    kept = devices.answers.of(form)
    if len(kept) > 2 * len(state.nodes) + 64:
        kept.clear()  # mostly of nodes that are gone
    stamp = devices.pools.stamp(node, state.objects.version)
    known = kept.get(node)
    if known is None or known.stamp != stamp:
        devices.answers.keep(form, node, stamp, _search(claims, state, node))
        known = kept[node]
    return known.found


def _search(claims: Sequence[DeviceClaim], state: ClusterState, node: str) -> Found:
    known = state.nodes.get(node)
    if known is None or known.node is None:
        return None
    devices = state.devices
    pools = devices.pools.reached_from(known.node)
    try:
        return allocate([claim.asked for claim in claims], pools, devices.class_of, devices.holdings)
    except CannotAllocate as error:
        return error
