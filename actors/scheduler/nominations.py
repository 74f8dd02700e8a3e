"""Nominations: pods that wait for room which others are giving up, and the node that each waits for.

A nominated pod counts there against pods of its own or a lower priority, as if it were placed; one of higher priority
may take its place. `KEP status.nominatedNodeName`: the API's record of it, read back when a scheduler starts.
"""

from __future__ import annotations

from collections.abc import Iterable

from actors.scheduler.demand import PodDemand


class Nominations:
    def __init__(self) -> None:
        self._on: dict[str, dict[str, PodDemand]] = {}  # node -> pod key -> pod
        self._node_of: dict[str, str] = {}

    def __bool__(self) -> bool:
        return bool(self._node_of)

    def add(self, pod: PodDemand, node: str) -> None:
        self.remove(pod.key)
        self._on.setdefault(node, {})[pod.key] = pod
        self._node_of[pod.key] = node

    def remove(self, key: str) -> str:
        """The node that it was nominated for, "" if none."""
        node = self._node_of.pop(key, "")
        if node:
            del self._on[node][key]
            if not self._on[node]:
                del self._on[node]
        return node

    def node_of(self, key: str) -> str:
        return self._node_of.get(key, "")

    def nodes(self) -> Iterable[str]:
        """Those that anybody waits for."""
        return self._on.keys()

    def against(self, pod: PodDemand, node: str) -> list[PodDemand]:
        """Those for whom this pod must leave room on the node: others, as important as it is or more."""
        return [other for other in self.as_important(pod.priority, node) if other.key != pod.key]

    def as_important(self, priority: int, node: str) -> list[PodDemand]:
        """Those who wait for the node and have this priority or a higher one."""
        there = self._on.get(node)
        return [other for other in there.values() if other.priority >= priority] if there else []

    def less_important(self, pod: PodDemand, node: str) -> list[PodDemand]:
        """Those whose place on the node this pod takes."""
        return [other for other in self._on.get(node, {}).values() if other.priority < pod.priority]
