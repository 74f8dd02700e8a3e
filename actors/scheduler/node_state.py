"""One node as the scheduler sees it: what it offers, and sums of what its pods take, kept as pods come and go."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Mapping
from typing import Any, TypeVar

from actors.scheduler.demand import Footprint, HostPort
from protocols.objects import Object, labels_of
from protocols.rules.resources import Amounts, amounts

T = TypeVar("T")

_MEMO_MAX = 256


class NodeState:
    """`node` is None while pods are known on a node that is not (any more) known itself.

    `memo` is for plugins: what they worked out about the node as it is. It is forgotten when the node changes, so of
    many nodes only the one that the last pod went to is looked at again for the next pod of that kind.
    """

    __slots__ = (
        "allocatable",
        "images",
        "labels",
        "memo",
        "name",
        "node",
        "pods",
        "pods_max",
        "ports",
        "priorities",
        "requested",
        "scoring",
        "taints",
        "unschedulable",
    )

    def __init__(self, name: str) -> None:
        self.name = name
        self.pods: dict[str, Footprint] = {}
        self.requested: Amounts = {}
        self.scoring: Amounts = {}
        self.ports: Counter[HostPort] = Counter()
        self.priorities: Counter[int] = Counter()
        self.memo: dict[Hashable, Any] = {}
        self.set_node(None)

    def set_node(self, node: Object | None) -> None:
        spec, status = (node or {}).get("spec") or {}, (node or {}).get("status") or {}
        self.memo.clear()
        self.node = node
        self.labels: dict[str, str] = labels_of(node or {})
        self.taints: tuple[Mapping[str, Any], ...] = tuple(spec.get("taints") or ())
        self.unschedulable = bool(spec.get("unschedulable"))
        self.allocatable: Amounts = amounts(status.get("allocatable"))
        self.pods_max = self.allocatable.get("pods", 0)
        self.images: dict[str, int] = {
            name: image.get("sizeBytes") or 0
            for image in status.get("images") or ()
            for name in image.get("names") or ()
        }

    def remember(self, key: Hashable, value: T) -> T:
        """Keep in the memo what was worked out."""
        if len(self.memo) >= _MEMO_MAX:
            self.memo.clear()
        self.memo[key] = value
        return value

    def add(self, key: str, footprint: Footprint) -> None:
        assert key not in self.pods, f"pod/{key} is on {self.name} already"
        self.memo.clear()
        self.pods[key] = footprint
        _add(self.requested, footprint.requests, 1)
        _add(self.scoring, footprint.scoring, 1)
        self.ports.update(footprint.ports)
        self.priorities[footprint.priority] += 1

    def remove(self, key: str) -> None:
        footprint = self.pods.pop(key)
        self.memo.clear()
        _add(self.requested, footprint.requests, -1)
        _add(self.scoring, footprint.scoring, -1)
        _uncount(self.ports, *footprint.ports)
        _uncount(self.priorities, footprint.priority)

    def check(self) -> None:
        """The sums are what adding up the pods again gives."""
        again = NodeState(self.name)
        for key, footprint in self.pods.items():
            again.add(key, footprint)
        for name in ("requested", "scoring", "ports", "priorities"):
            kept, counted = getattr(self, name), getattr(again, name)
            assert {k: v for k, v in kept.items() if v} == {k: v for k, v in counted.items() if v}, (self.name, name)


def _add(total: Amounts, part: Amounts, times: int) -> None:
    for resource, count in part.items():
        total[resource] = total.get(resource, 0) + times * count


def _uncount(counter: Counter[Any], *items: object) -> None:
    for item in items:
        counter[item] -= 1
        if not counter[item]:
            del counter[item]
