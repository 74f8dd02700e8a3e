"""One node as the scheduler sees it: its object, its pods, and what of them is not a number in a column."""

from __future__ import annotations

from collections import Counter
from typing import TYPE_CHECKING, Any, NamedTuple

from actors.scheduler.demand import Footprint, HostPort
from protocols.objects import Object, labels_of
from protocols.rules.resources import Amounts

if TYPE_CHECKING:
    from actors.scheduler.room import Room


class Placed(NamedTuple):
    """A pod on a node. `started`: seconds; infinite as long as it has not been, as if it were to be last."""

    uid: str
    footprint: Footprint
    started: float = float("inf")


class NodeState:
    """`node` is None while pods are known on a node that is not (any more) known itself. Its numbers are in `room`."""

    __slots__ = ("images", "name", "node", "pods", "ports", "priorities", "room", "row")

    def __init__(self, name: str, row: int, room: Room) -> None:
        self.name = name
        self.row = row
        self.room = room
        self.node: Object | None = None
        self.pods: dict[str, Placed] = {}
        self.ports: Counter[HostPort] = Counter()
        self.priorities: Counter[int] = Counter()
        self.images: dict[str, int] = {}

    @property
    def labels(self) -> dict[str, str]:
        return labels_of(self.node or {})

    @property
    def requested(self) -> Amounts:
        return {name: int(column.requested.at[self.row]) for name, column in self.room.resources.items()}

    @property
    def allocatable(self) -> Amounts:
        return {name: int(column.allocatable.at[self.row]) for name, column in self.room.resources.items()}

    def set_node(self, node: Object | None) -> None:
        self.node = node
        self.images = {
            name: image.get("sizeBytes") or 0
            for image in ((node or {}).get("status") or {}).get("images") or ()
            for name in image.get("names") or ()
        }

    def add(self, key: str, placed: Placed) -> None:
        assert key not in self.pods, f"pod/{key} is on {self.name} already"
        self.pods[key] = placed
        footprint = placed.footprint
        if footprint.ports:
            self.ports.update(footprint.ports)
        self._count_priority(footprint.priority, 1)
        self.room.add(self.row, footprint, 1)

    def remove(self, key: str) -> Footprint:
        footprint = self.pods.pop(key).footprint
        _uncount(self.ports, *footprint.ports)
        self._count_priority(footprint.priority, -1)
        self.room.add(self.row, footprint, -1)
        return footprint

    def check(self) -> None:
        """The sums are what adding up the pods again gives."""
        footprints = [placed.footprint for placed in self.pods.values()]
        for name, column in self.room.resources.items():
            assert column.requested.at[self.row] == sum(f.requests.get(name, 0) for f in footprints), (self.name, name)
            assert column.scoring.at[self.row] == sum(f.scoring.get(name, 0) for f in footprints), (self.name, name)
        assert self.room.pods.at[self.row] == len(footprints)
        assert self.ports == Counter(port for f in footprints for port in f.ports)
        assert self.priorities == Counter(f.priority for f in footprints)

    def _count_priority(self, priority: int, number: int) -> None:
        count = self.priorities[priority] = self.priorities[priority] + number
        if not count:
            del self.priorities[priority]
        if count == (number > 0):  # a priority came or went
            self.room.lowest_priority.at[self.row] = min(self.priorities, default=float("inf"))


def _uncount(counter: Counter[Any], *items: object) -> None:
    for item in items:
        counter[item] -= 1
        if not counter[item]:
            del counter[item]
