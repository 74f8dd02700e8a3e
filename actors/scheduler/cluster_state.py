"""The cluster as the scheduler believes it to be: watch events, plus what it has decided and not yet seen confirmed.

`assume` places a pod before the API server knows, so that the next decision counts it. A watch event with the pod on
a node confirms (or corrects) the assumption; an event that still shows the pod without a node does not undo it.
"""

from __future__ import annotations

from collections.abc import Iterable

from actors.scheduler.demand import Footprint, PodDemand
from actors.scheduler.framework import ClusterEvent
from actors.scheduler.node_state import NodeState
from protocols.objects import Object, key_of, name_of, uid_of

_TERMINAL_PHASES = ("Succeeded", "Failed")


class ClusterState:
    def __init__(self) -> None:
        self._states: dict[str, NodeState] = {}  # also of nodes that are gone but whose pods are not
        self.nodes: dict[str, NodeState] = {}
        self._placed: dict[str, str] = {}  # pod key -> node
        self._assumed: dict[str, str] = {}  # pod key -> uid
        self.image_sizes: dict[str, dict[str, int]] = {}  # image -> node -> bytes, in the order of reports

    # -- watch events ---------------------------------------------------------------------------------------------

    def set_node(self, node: Object) -> ClusterEvent:
        """A node was added or changed; says what about it may let pods be scheduled now."""
        state = self._state(name_of(node))
        before = (state.node is None, state.allocatable, state.labels, state.taints, state.unschedulable)
        self._forget_images(state)
        state.set_node(node)
        self.nodes[state.name] = state
        for image, size in state.images.items():
            self.image_sizes.setdefault(image, {})[state.name] = size
        return _what_changed(before, state)

    def remove_node(self, name: str) -> None:
        state = self.nodes.pop(name, None)
        if state is not None:
            self._forget_images(state)
            state.set_node(None)
            self._drop_if_empty(state)

    def set_pod(self, pod: Object) -> str:
        """A pod was added or changed. Says on which node it frees something ("" if on none)."""
        key, node = key_of(pod), (pod.get("spec") or {}).get("nodeName") or ""
        if not node and self._assumed.get(key) == uid_of(pod):
            return ""
        if not node or (pod.get("status") or {}).get("phase") in _TERMINAL_PHASES:
            return self.remove_pod(key)
        self._assumed.pop(key, None)
        return self._place(key, Footprint.of(pod), node)

    def remove_pod(self, key: str) -> str:
        """A pod is gone, or takes nothing any more. Says which node has more room now ("" if none)."""
        self._assumed.pop(key, None)
        return self._displace(key)

    # -- decisions ------------------------------------------------------------------------------------------------

    def assume(self, demand: PodDemand, node: str) -> None:
        self._place(demand.key, demand.footprint, node)
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
            state = self._states[name] = NodeState(name)
        return state

    def _place(self, key: str, footprint: Footprint, node: str) -> str:
        known = self._placed.get(key)
        if known == node and self._states[node].pods[key] == footprint:
            return ""
        freed = self._displace(key)
        self._state(node).add(key, footprint)
        self._placed[key] = node
        return freed

    def _displace(self, key: str) -> str:
        node = self._placed.pop(key, "")
        if node:
            self._states[node].remove(key)
            self._drop_if_empty(self._states[node])
        return node

    def _drop_if_empty(self, state: NodeState) -> None:
        if not state.pods and state.node is None:
            del self._states[state.name]

    def _forget_images(self, state: NodeState) -> None:
        for image in state.images:
            nodes = self.image_sizes[image]
            del nodes[state.name]
            if not nodes:
                del self.image_sizes[image]


def _what_changed(before: Iterable[object], state: NodeState) -> ClusterEvent:
    was_unknown, allocatable, labels, taints, unschedulable = before
    if was_unknown:
        return ClusterEvent.NODE_ADDED
    event = ClusterEvent.NONE
    if allocatable != state.allocatable:
        event |= ClusterEvent.NODE_ALLOCATABLE
    if labels != state.labels:
        event |= ClusterEvent.NODE_LABEL
    if (taints, unschedulable) != (state.taints, state.unschedulable):
        event |= ClusterEvent.NODE_TAINT
    return event
