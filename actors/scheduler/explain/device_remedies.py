"""What a node lacks so that the claims of a pod could have devices there: who has those that fit, or that none does."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from actors.scheduler.device_claims import DeviceClaim, DeviceClaims
from actors.scheduler.devices.needs import needs_of
from actors.scheduler.devices.pools import Offered
from actors.scheduler.devices.requests import Wanted
from actors.scheduler.devices.selectors import SelectorFailed, takes
from actors.scheduler.explain.remedy import Remedy
from actors.scheduler.framework import Cycle
from actors.scheduler.node_state import NodeState

NAMED_MAX = 3
_NONE: Mapping[str, Any] = {"another": "claim"}  # nothing that can be tried


def on_node(cycle: Cycle, node: NodeState) -> Iterator[Remedy]:
    devices, needs = cycle.state.devices, needs_of(cycle.state, cycle.shape.device_claims)
    pending = [claim for _, claim in needs.pending]
    offered = [each for pool in devices.pools.reached_from(node.node or {}) for each in pool.devices]
    fitting = [each for each in offered if any(_fits(wanted, each, devices) for wanted in _alternatives(pending))]
    taken = [each for each in fitting if each.device in devices.holdings.devices]
    if not fitting:
        yield Remedy(f"a device on {node.name} that the claims take: none of {len(offered)} there is one", 1, _NONE)
    for each in taken[:NAMED_MAX]:
        yield Remedy(f"that claim {devices.owner_of(each.device)} gives back device {each.device}", 1, _NONE)


def _alternatives(claims: list[DeviceClaim]) -> Iterator[Wanted]:
    for claim in claims:
        for request in claim.asked.requests:
            yield from request.alternatives


def _fits(wanted: Wanted, offered: Offered, devices: DeviceClaims) -> bool:
    cls = devices.class_of(wanted.class_name)
    try:
        return all(takes(each, offered) for each in (*(cls.selectors if cls else ()), *wanted.selectors))
    except SelectorFailed:
        return False
