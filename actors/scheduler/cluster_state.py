"""The cluster as the scheduler believes it to be: watch events, plus what it has decided and not yet seen confirmed.

Each node has a row in columns of numbers (`room`), of its object (`objects`), and counts of its pods (`counts`); a row
is used again when its node is gone. `assume` places a pod before the API server knows, so that the next decision
counts it. A watch event with the pod on a node confirms (or corrects) the assumption; an event that still shows the
pod without a node does not undo it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

from actors.scheduler.columns import ROWS_MIN, Column
from actors.scheduler.demand import PodDemand, Shapes
from actors.scheduler.framework import ClusterEvent
from actors.scheduler.groups import Groups
from actors.scheduler.node_objects import NodeObjects
from actors.scheduler.node_state import NodeState, Placed
from actors.scheduler.pod_counts import PodCounts
from actors.scheduler.room import Room
from protocols.objects import Object, key_of, labels_of, name_of, uid_of
from protocols.rules.resources import amounts

_TERMINAL_PHASES = ("Succeeded", "Failed")


class ClusterState:
    def __init__(self, chance: random.Random | None = None) -> None:
        """`chance` gives each node its rank: of nodes that are equally good, the one of highest rank is taken."""
        self._chance = chance or random.Random(0)
        self._states: dict[str, NodeState] = {}  # also of nodes that are gone but whose pods are not
        self._free_rows = list(range(ROWS_MIN))[::-1]
        self._placed: dict[str, str] = {}  # pod key -> node
        self._assumed: dict[str, str] = {}  # pod key -> uid
        self._namespaces: dict[str, Mapping[str, str]] = {}
        self.nodes: dict[str, NodeState] = {}
        self.names: list[str] = [""] * ROWS_MIN
        self.rank = Column(ROWS_MIN)
        self.room = Room(ROWS_MIN)
        self.objects = NodeObjects(ROWS_MIN)
        self.counts = PodCounts(self._namespaces)
        self.groups = Groups()
        self.shapes = Shapes()
        self.image_sizes: dict[str, dict[str, int]] = {}  # image -> node -> bytes, in the order of reports

    @property
    def rows(self) -> int:
        return self.room.rows

    # -- watch events ---------------------------------------------------------------------------------------------

    def set_node(self, node: Object) -> ClusterEvent:
        """A node was added or changed; says what about it may let pods be scheduled now."""
        state = self._state(name_of(node))
        before, images_before = state.node, state.images
        state.set_node(node)
        self.nodes[state.name] = state
        self.objects.set(state.row, node, state.name)
        offers_else = self.room.offer(state.row, amounts((node.get("status") or {}).get("allocatable")))
        if state.images != images_before:
            self._forget_images(state.name, images_before)
            for image, size in state.images.items():
                self.image_sizes.setdefault(image, {})[state.name] = size
        return ClusterEvent.NODE_ADDED if before is None else _what_changed(before, node, offers_else)

    def remove_node(self, name: str) -> None:
        state = self.nodes.pop(name, None)
        if state is not None:
            self._forget_images(name, state.images)
            state.set_node(None)
            self.objects.set(state.row, None, name)
            self._drop_if_empty(state)

    def set_namespace(self, name: str, labels: Mapping[str, str] | None) -> None:
        """Its labels; None when it is gone."""
        before = self._namespaces.pop(name, None)
        if labels is not None:
            self._namespaces[name] = labels
        if (before or {}) != (labels or {}):
            self.counts.renew()

    def namespace_labels(self, name: str) -> Mapping[str, str]:
        return self._namespaces.get(name) or {}

    def set_pod(self, pod: Object) -> str:
        """A pod was added or changed. Says on which node it frees something ("" if on none)."""
        key, node = key_of(pod), (pod.get("spec") or {}).get("nodeName") or ""
        if not node and self._assumed.get(key) == uid_of(pod):
            return ""
        if not node or (pod.get("status") or {}).get("phase") in _TERMINAL_PHASES:
            return self.remove_pod(key)
        self._assumed.pop(key, None)
        return self._place(key, Placed(uid_of(pod), self.shapes.footprint(pod)), node)

    def remove_pod(self, key: str) -> str:
        """A pod is gone, or takes nothing any more. Says which node has more room now ("" if none)."""
        self._assumed.pop(key, None)
        return self._displace(key)

    # -- decisions ------------------------------------------------------------------------------------------------

    def assume(self, demand: PodDemand, node: str) -> None:
        self._place(demand.key, Placed(demand.uid, demand.footprint), node)
        self._assumed[demand.key] = demand.uid

    def forget(self, demand: PodDemand) -> str:
        """Take an assumption back, unless it has been confirmed meanwhile. Says which node has more room now."""
        return self.remove_pod(demand.key) if self._assumed.get(demand.key) == demand.uid else ""

    # -- looking --------------------------------------------------------------------------------------------------

    def node_of(self, key: str) -> str:
        return self._placed.get(key, "")

    def is_assumed(self, demand: PodDemand) -> bool:
        """It was decided, and neither confirmed nor forgotten."""
        return self._assumed.get(demand.key) == demand.uid

    def image_spread(self, image: str) -> tuple[int, int]:
        """The image's size as first reported, and how many nodes have it."""
        sizes = self.image_sizes.get(image)
        return (next(iter(sizes.values())), len(sizes)) if sizes else (0, 0)

    def check(self) -> None:
        """Every pod is on exactly one node, every sum adds up, every assumption is placed."""
        on_nodes = [(key, state.name) for state in self._states.values() for key in state.pods]
        assert sorted(on_nodes) == sorted(self._placed.items())
        assert self._assumed.keys() <= self._placed.keys()
        for name, state in self._states.items():
            state.check()
            assert (name in self.nodes) == (state.node is not None)
            assert state.pods or state.node is not None, f"an empty leftover of node {name}"

    # -- private --------------------------------------------------------------------------------------------------

    def _state(self, name: str) -> NodeState:
        state = self._states.get(name)
        if state is None:
            if not self._free_rows:
                self._grow()
            row = self._free_rows.pop()
            self.names[row], self.rank.at[row] = name, self._chance.random()
            state = self._states[name] = NodeState(name, row, self.room)
        return state

    def _grow(self) -> None:
        """Half as many rows again."""
        before, rows = self.rows, self.rows * 3 // 2
        self.room.grow(rows)
        self.objects.grow(rows)
        self.rank.grow(rows)
        self.names += [""] * (rows - before)
        self._free_rows = list(range(before, rows))[::-1]

    def _place(self, key: str, placed: Placed, node: str) -> str:
        known = self._placed.get(key)
        if known == node and self._states[node].pods[key] == placed:
            return ""
        freed = self._displace(key)
        state = self._states.get(node) or self._state(node)
        state.add(key, placed)
        self.counts.add(placed.footprint.sort, state.row, 1)
        self._placed[key] = node
        return freed

    def _displace(self, key: str) -> str:
        node = self._placed.pop(key, "")
        if node:
            state = self._states[node]
            self.counts.add(state.remove(key).sort, state.row, -1)
            self._drop_if_empty(state)
        return node

    def _drop_if_empty(self, state: NodeState) -> None:
        if not state.pods and state.node is None:
            del self._states[state.name]
            self.room.offer(state.row, {})
            self._free_rows.append(state.row)

    def _forget_images(self, name: str, images: Iterable[str]) -> None:
        for image in images:
            nodes = self.image_sizes[image]
            del nodes[name]
            if not nodes:
                del self.image_sizes[image]


def _what_changed(before: Object, node: Object, offers_else: bool) -> ClusterEvent:
    event = ClusterEvent.NODE_ALLOCATABLE if offers_else else ClusterEvent.NONE
    old, new = before.get("spec") or {}, node.get("spec") or {}
    if labels_of(before) != labels_of(node):
        event |= ClusterEvent.NODE_LABEL
    if any((old.get(field) or None) != (new.get(field) or None) for field in ("taints", "unschedulable")):
        event |= ClusterEvent.NODE_TAINT
    return event
