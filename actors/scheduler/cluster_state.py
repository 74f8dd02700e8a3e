"""The cluster as the scheduler believes it to be: watch events, plus what it has decided and not yet seen confirmed.

Each node has a row in columns of numbers (`room`), of its object (`objects`), and counts of its pods (`counts`); a row
is used again when its node is gone. `assume` places a pod before the API server knows, so that the next decision
counts it. A watch event with the pod on a node confirms (or corrects) the assumption; an event that still shows the
pod without a node does not undo it.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping

from actors.scheduler.budgets import Budgets
from actors.scheduler.columns import ROWS_MIN, Column
from actors.scheduler.demand import PodDemand, Shapes
from actors.scheduler.device_claims import DeviceClaims
from actors.scheduler.disks import DiskUse
from actors.scheduler.framework import ClusterEvent
from actors.scheduler.gangs import Gangs
from actors.scheduler.groups import Groups
from actors.scheduler.node_objects import NodeObjects, declared_features
from actors.scheduler.node_state import NodeState, Placed
from actors.scheduler.nominations import Nominations
from actors.scheduler.pod_counts import PodCounts
from actors.scheduler.room import Room
from actors.scheduler.volume_state import VolumeState
from protocols.objects import Object, key_of, labels_of, name_of, uid_of
from protocols.rules.resources import amounts
from protocols.rules.times import seconds_of

_TERMINAL_PHASES = ("Succeeded", "Failed")


class ClusterState:
    def __init__(self, chance: random.Random | None = None) -> None:
        """`chance` gives each node its rank: of nodes that are equally good, the one of highest rank is taken."""
        self._chance = chance or random.Random(0)
        self._states: dict[str, NodeState] = {}  # also of nodes that are gone but whose pods are not
        self._free_rows = list(range(ROWS_MIN))[::-1]
        self._placed: dict[str, str] = {}  # pod key -> node
        self._assumed: dict[str, str] = {}  # pod key -> uid
        self._leaving: dict[str, str] = {}  # pod key -> uid: their end was asked for
        self._namespaces: dict[str, Mapping[str, str]] = {}
        self.nodes: dict[str, NodeState] = {}
        self.names: list[str] = [""] * ROWS_MIN
        self.rank = Column(ROWS_MIN)
        self.room = Room(ROWS_MIN)
        self.objects = NodeObjects(ROWS_MIN)
        self.counts = PodCounts(self._namespaces)
        self.groups = Groups()
        self.gangs = Gangs()
        self.budgets = Budgets()
        self.nominations = Nominations()
        self.volumes = VolumeState()
        self.disks = DiskUse()
        self.devices = DeviceClaims()
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

    def set_namespace(self, name: str, labels: Mapping[str, str] | None) -> ClusterEvent:
        """Its labels; None when it is gone. Says whether that lets pods be scheduled."""
        before = self._namespaces.pop(name, None)
        if labels is not None:
            self._namespaces[name] = labels
        if (before or {}) == (labels or {}):
            return ClusterEvent.NONE
        self.counts.renew()
        return ClusterEvent.NAMESPACE_LABEL

    def namespace_labels(self, name: str) -> Mapping[str, str]:
        return self._namespaces.get(name) or {}

    def set_pod(self, pod: Object) -> str:
        """A pod was added or changed. Says on which node it frees something ("" if on none)."""
        key, node = key_of(pod), (pod.get("spec") or {}).get("nodeName") or ""
        ended = (pod.get("status") or {}).get("phase") in _TERMINAL_PHASES
        if ended:
            self.gangs.remove_pod(key)
        else:
            self.gangs.set_pod(pod)
        if not node and self._assumed.get(key) == uid_of(pod):
            return ""
        if not node or ended:
            return self._lift_for_good(key)
        self._assumed.pop(key, None)
        self.withdraw(key)
        return self._place(key, Placed(uid_of(pod), self.shapes.footprint(pod), _started(pod)), node)

    def remove_pod(self, key: str) -> str:
        """A pod is gone, or takes nothing any more. Says which node has more room now ("" if none)."""
        self.gangs.remove_pod(key)
        return self._lift_for_good(key)

    # -- decisions ------------------------------------------------------------------------------------------------

    def assume(self, demand: PodDemand, node: str) -> None:
        self.withdraw(demand.key)
        self._place(demand.key, Placed(demand.uid, demand.footprint), node)
        self._assumed[demand.key] = demand.uid

    def forget(self, demand: PodDemand) -> str:
        """Take an assumption back, unless it has been confirmed meanwhile. Says which node has more room now."""
        return self._lift_for_good(demand.key) if self._assumed.get(demand.key) == demand.uid else ""

    def nominate(self, demand: PodDemand, node: str) -> None:
        """The pod waits for this node: what is to go there is on its way out."""
        self.withdraw(demand.key)
        self.nominations.add(demand, node)
        self._note(node)

    def wait_for(self, demand: PodDemand, node: str) -> str:
        """The pod waits for this node from now on, "" for none. Says which it waited for before ("" if none)."""
        left = self.withdraw(demand.key)
        if node:
            self.nominate(demand, node)
        return left

    def withdraw(self, key: str, only: str = "") -> str:
        """The pod waits no more (`only`: for that node). Says which node it waited for ("" if none)."""
        if only and self.nominations.node_of(key) != only:
            return ""
        node = self.nominations.remove(key)
        self._note(node)
        return node

    def leave(self, key: str, uid: str) -> None:
        """A pod's end is being asked for."""
        self._leaving[key] = uid

    def stay(self, key: str) -> None:
        """Its end was refused."""
        self._leaving.pop(key, None)

    # -- trying ---------------------------------------------------------------------------------------------------

    def lift(self, key: str) -> None:
        """Take a placed pod away, for a dry run that will `put` it back."""
        self._displace(key)

    def put(self, key: str, placed: Placed, node: str) -> None:
        self._place(key, placed, node)

    # -- looking --------------------------------------------------------------------------------------------------

    def node_of(self, key: str) -> str:
        return self._placed.get(key, "")

    def sizes(self) -> dict[str, int]:
        """How much is kept, in kube-scheduler's words."""
        return {"nodes": len(self.nodes), "pods": len(self._placed), "assumed_pods": len(self._assumed)}

    def is_assumed(self, demand: PodDemand) -> bool:
        """It was decided, and neither confirmed nor forgotten."""
        return self._assumed.get(demand.key) == demand.uid

    def is_leaving(self, key: str, placed: Placed) -> bool:
        """It is being deleted, or was asked to."""
        return placed.footprint.sort.terminating or self._leaving.get(key) == placed.uid

    def image_spread(self, image: str) -> tuple[int, int]:
        """The image's size as first reported, and how many nodes have it."""
        sizes = self.image_sizes.get(image)
        return (next(iter(sizes.values())), len(sizes)) if sizes else (0, 0)

    def check(self) -> None:
        """Every pod is on exactly one node, every sum adds up, every assumption is placed."""
        on_nodes = [(key, state.name) for state in self._states.values() for key in state.pods]
        assert sorted(on_nodes) == sorted(self._placed.items())
        assert self._assumed.keys() <= self._placed.keys()
        self.gangs.check()
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

    def _lift_for_good(self, key: str) -> str:
        self._assumed.pop(key, None)
        self._leaving.pop(key, None)
        return self._displace(key)

    def _place(self, key: str, placed: Placed, node: str) -> str:
        known = self._placed.get(key)
        if known == node:
            state = self._states[node]
            before = state.pods[key]
            if before[:2] == placed[:2]:
                if before != placed:
                    state.pods[key] = placed
                    self._note(node)
                return ""
            if before.uid == placed.uid and before.footprint.takes_what(placed.footprint):
                # As most pods when they are bound, which gives them the labels of their node.
                self.counts.add(before.footprint.sort, state.row, -1)
                self.counts.add(placed.footprint.sort, state.row, 1)
                state.pods[key] = placed
                self._note(node)
                return node
        freed = self._displace(key)
        state = self._states.get(node) or self._state(node)
        state.add(key, placed)
        self.counts.add(placed.footprint.sort, state.row, 1)
        if placed.footprint.claims:
            self.volumes.use(node, placed.footprint.claims)
        if placed.footprint.disks:
            self.disks.change(node, placed.footprint.disks, 1)
        self._placed[key] = node
        return freed

    def _displace(self, key: str) -> str:
        node = self._placed.pop(key, "")
        if node:
            state = self._states[node]
            footprint = state.remove(key)
            self.counts.add(footprint.sort, state.row, -1)
            if footprint.claims:
                self.volumes.release(node, footprint.claims)
            if footprint.disks:
                self.disks.change(node, footprint.disks, -1)
            self._drop_if_empty(state)
        return node

    def _note(self, node: str) -> None:
        """What preemption knows about the node is out of date."""
        if state := self._states.get(node):
            self.room.changes.note(state.row)

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


def _started(pod: Object) -> float:
    started = (pod.get("status") or {}).get("startTime")
    return seconds_of(started) if started else float("inf")


def _what_changed(before: Object, node: Object, offers_else: bool) -> ClusterEvent:
    event = ClusterEvent.NODE_ALLOCATABLE if offers_else else ClusterEvent.NONE
    old, new = before.get("spec") or {}, node.get("spec") or {}
    if labels_of(before) != labels_of(node):
        event |= ClusterEvent.NODE_LABEL
    if any((old.get(field) or None) != (new.get(field) or None) for field in ("taints", "unschedulable")):
        event |= ClusterEvent.NODE_TAINT
    if declared_features(before) != declared_features(node):
        event |= ClusterEvent.NODE_FEATURE
    return event
