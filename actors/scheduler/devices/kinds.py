"""Nodes that reach alike devices, of which alike ones are free: whether a claim can be allocated there has one answer.

What matters of a node's own pools is what its devices are (as far as anybody looks at it) and who has them, not what
they are called. What matters of the pools that are not on one node is which of their devices the node reaches. Nodes
that have both in common are of one kind. A device that is given away changes the kind of its node, which is worked out
anew; the nodes that have what it was before, or what it is now, are known already.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from actors.scheduler.columns import Journal, Places
from actors.scheduler.devices.holdings import Holdings
from actors.scheduler.devices.looks import Names, both
from actors.scheduler.devices.pools import Part, Pools

if TYPE_CHECKING:
    from actors.scheduler.cluster_state import ClusterState

NOBODY = 0  # the kind of a row that no node has
_SPARE_MAX = 1024


class Kinds:
    """`of`: the kind of each row. `changes` names the rows that are of another kind now; when `version` changes, any
    may be, and numbers mean something else."""

    def __init__(self, pools: Pools, holdings: Holdings) -> None:
        self._pools = pools
        self._holdings = holdings
        self._seen: tuple[int, int, int] | None = None
        self._names: Names = frozenset()
        self._own: dict[str, tuple[object, ...]] = {}  # by node
        self._far_drivers: frozenset[str] = frozenset()
        self._far: Places = np.zeros(0, np.intp)
        self._numbers: dict[tuple[object, int], int] = {}
        self.version = 0
        self.of: Places = np.zeros(0, np.intp)
        self.changes = Journal()

    @property
    def count(self) -> int:
        """One more than the highest number."""
        return len(self._numbers) + 1

    def refresh(self, state: ClusterState, names: Names) -> None:
        """`names`: of the attributes that the asker looks at. What one has looked at is looked at from then on."""
        if (names := both(self._names, names)) is not self._names:
            self._names, self._seen = names, None
            self._pools.change_all()
        seen = (state.objects.version, self._pools.version, state.rows)
        is_new = seen != self._seen
        changed = self._pools.take_changed()
        if is_new and (drivers := self._pools.far_drivers()) != self._far_drivers:
            self._far_drivers = drivers
            changed = {*changed, *self._own}
        for node in changed:
            self._look_at(node)
        if is_new or len(self._numbers) > 4 * state.rows + _SPARE_MAX:
            self._seen = seen
            self._number_all(state, self._far_of(state) if is_new else self._far)
            return
        for node in changed:
            row = state.objects.row_of.get(node)
            if row is not None and self.of[row] != (kind := self._number(node, int(self._far[row]))):
                self.of[row] = kind
                self.changes.note(row)

    def _look_at(self, node: str) -> None:
        parts = [self._describe(part, node) for part in self._pools.own_parts(node, self._names)]
        if parts:
            self._own[node] = tuple(parts)
        else:
            self._own.pop(node, None)

    def _describe(self, part: Part, node: str) -> tuple[object, ...]:
        """Where devices of the same driver come from elsewhere, too, it may matter what they are called, as their order
        and their being there twice depend on it."""
        taken, shared = self._holdings.devices, self._holdings.shares
        who_has = [
            (place, device in taken, tuple(sorted(shared[device].items())) if device in shared else None)
            for place, device in enumerate(part.devices)
            if device in taken or device in shared
        ]
        is_alone = part.id[0] not in self._far_drivers
        return part.content, tuple(who_has), None if is_alone else (part.id, node)

    def _number_all(self, state: ClusterState, far: Places) -> None:
        self._far = far
        self._numbers.clear()
        self.of = np.zeros(state.rows, np.intp)
        for name, row in state.objects.row_of.items():
            self.of[row] = self._number(name, int(far[row]))
        self.version += 1

    def _number(self, node: str, far: int) -> int:
        key = (self._own.get(node), far)
        number = self._numbers.get(key)
        if number is None:
            number = self._numbers[key] = len(self._numbers) + 1
        return number

    def _far_of(self, state: ClusterState) -> Places:
        """Rows that reach the same devices which are not on one node have the same number."""
        found: Places = np.zeros(state.rows, np.intp)
        for selector in self._pools.far_selectors():
            reached = state.objects.matching_selector(selector)
            found = np.unique(2 * found + reached, return_inverse=True)[1]
        return found
