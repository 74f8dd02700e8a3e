"""NodeVolumeLimits: a node's CSI drivers attach so many volumes and no more, as its CSINode says."""

from __future__ import annotations

import numpy as np

from actors.scheduler.columns import Ints, Rows
from actors.scheduler.framework import SKIP, ClusterEvent, Cycle, Filter, PreFilter, Refusal, Skip
from actors.scheduler.plugins.volume_answers import kept_numbers
from actors.scheduler.volume_state import Attachment

_REFUSAL = Refusal(("node(s) exceed max volume count",))


class NodeVolumeLimits(PreFilter, Filter):
    name = "NodeVolumeLimits"
    events = ClusterEvent.VOLUME | ClusterEvent.NODE_ADDED | ClusterEvent.POD_DELETED

    def pre_filter(self, cycle: Cycle) -> Skip | None:
        return None if cycle.state.volumes.limits and _wanted(cycle) else SKIP

    def filter(self, cycle: Cycle, rows: Rows) -> Ints:
        return kept_numbers(cycle, self.name, _numbers)[rows]

    def refusal(self, cycle: Cycle, number: int) -> Refusal:
        return _REFUSAL


def _wanted(cycle: Cycle) -> frozenset[Attachment]:
    attachments = (cycle.state.volumes.attachment(claim) for claim in cycle.shape.claims)
    return frozenset(each for each in attachments if each is not None)


def _numbers(cycle: Cycle) -> Ints:
    state, wanted = cycle.state, _wanted(cycle)
    numbers = np.zeros(state.rows, np.int32)
    for node, limits in state.volumes.limits.items():
        row = state.objects.row_of.get(node)
        if row is not None and not _have_room(state.volumes.attached(node), wanted, limits):
            numbers[row] = 1
    return numbers


def _have_room(attached: frozenset[Attachment], wanted: frozenset[Attachment], limits: dict[str, int]) -> bool:
    """A volume that another pod of the node uses takes no more room; a driver that gets nothing more is not asked."""
    more = wanted - attached
    return all(
        driver not in limits or sum(each.driver == driver for each in attached | more) <= limits[driver]
        for driver in {each.driver for each in more}
    )
