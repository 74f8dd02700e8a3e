"""Pods that no node fits, and what has happened since that may change that.

Pods of one shape that the same plugins refused are asked about once, together. What happens is gathered until the
scheduler has time to ask: a hundred pods that end make one question for each shape, not a hundred for each pod, and
no more than a handful of questions are asked in one turn, so that many kinds of waiting pods hold nobody up.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import TYPE_CHECKING

from actors.scheduler.demand import PodDemand, scheduler_name
from actors.scheduler.framework import ClusterEvent

if TYPE_CHECKING:
    from actors.scheduler.queue import QueuedPod

ANYWHERE = ""
QUESTIONS_PER_TURN_MAX = 4
_NODES_MAX = 64
_COMPARISONS_MAX = 16_384

Hint = Callable[[PodDemand, Collection[str]], bool]


class Group:
    """Pods of one shape. `unheard`: nodes on which something happened that concerns them; ANYWHERE is every node.
    `heard`: the bits of what.

    `anywhere`: what happened on one node may let them fit another, as when the last pod is gone that kept them out of
    a zone."""

    __slots__ = ("anywhere", "bits", "events", "heard", "key", "pods", "unheard")

    def __init__(self, key: object, events: ClusterEvent, anywhere: bool) -> None:
        self.key = key
        self.anywhere = anywhere
        self.events = events
        self.bits: int = events.value  # `&` of two numbers takes a tenth of what it takes of two flags
        self.pods: dict[str, QueuedPod] = {}
        self.unheard: set[str] = set()
        self.heard = 0

    @property
    def first(self) -> PodDemand:
        return next(iter(self.pods.values())).demand

    def hear(self, bits: int, nodes: set[str]) -> None:
        self.heard |= bits & self.bits
        self.unheard |= nodes
        if self.anywhere or len(self.unheard) > _NODES_MAX:
            self.unheard = {ANYWHERE}


class Waiting:
    def __init__(self, events_of: Mapping[str, ClusterEvent], looking_elsewhere: Collection[str] = ()) -> None:
        """`events_of`: plugin name -> the events that may change its mind. `looking_elsewhere`: plugins whose answer
        for a node depends on others."""
        self._events_of = events_of
        self._looking_elsewhere = frozenset(looking_elsewhere)
        self._groups: dict[object, Group] = {}
        self._group_of: dict[str, Group] = {}
        self._news: dict[str, int] = {}  # node -> the bits of what happened there
        self._to_ask: dict[object, Group] = {}

    def __contains__(self, key: str) -> bool:
        return key in self._group_of

    def __len__(self) -> int:
        return len(self._group_of)

    @property
    def has_news(self) -> bool:
        """Is there something that `ask` would ask about?"""
        return bool(self._groups) and bool(self._news or self._to_ask)

    def add(self, queued: QueuedPod) -> None:
        demand = queued.demand
        key = (scheduler_name(demand.pod), demand.shape.key, queued.refused_by)
        group = self._groups.get(key)
        if group is None:
            events = ClusterEvent.NONE
            for plugin in queued.refused_by:
                events |= self._events_of.get(plugin, ClusterEvent.NONE)
            anywhere = not self._looking_elsewhere.isdisjoint(queued.refused_by)
            group = self._groups[key] = Group(key, events, anywhere)
        group.pods[demand.key] = queued
        self._group_of[demand.key] = group

    def remove(self, key: str) -> None:
        group = self._group_of.pop(key, None)
        if group is not None:
            del group.pods[key]
            if not group.pods:
                del self._groups[group.key]
                self._to_ask.pop(group.key, None)

    def happened(self, event: ClusterEvent, node: str) -> None:
        if self._groups:
            self._news[node] = self._news.get(node, 0) | event.value

    def ask(self, hint: Hint) -> list[QueuedPod]:
        """The pods for which `hint` says that it may help. What is left to ask, `has_news` tells."""
        self._spread_news()
        found: list[QueuedPod] = []
        for key in list(self._to_ask)[:QUESTIONS_PER_TURN_MAX]:
            group = self._to_ask.pop(key)
            nodes, group.unheard = group.unheard, set()
            heard, group.heard = group.heard, 0
            if hint(group.first, nodes):
                found += group.pods.values()
                for queued in group.pods.values():
                    queued.heard = heard
        return found

    def ask_at_once(self, event: ClusterEvent, hint: Callable[[PodDemand], bool]) -> list[QueuedPod]:
        concerned = [group for group in self._groups.values() if event & group.events and hint(group.first)]
        return [queued for group in concerned for queued in group.pods.values()]

    def _spread_news(self) -> None:
        """Mostly the same happened on all nodes, so each group looks at one or two kinds of news, not at each node."""
        news, self._news = self._news, {}
        nodes_of: dict[int, set[str]] = {}
        for node, bits in news.items():
            nodes_of.setdefault(bits, set()).add(node)
        if len(news) * len(self._groups) > _COMPARISONS_MAX:  # not worth knowing where
            nodes_of = {bits: {ANYWHERE} for bits in nodes_of}
        for key, group in self._groups.items() if news else ():
            for bits, nodes in nodes_of.items():
                if bits & group.bits:
                    group.hear(bits, nodes)
                    self._to_ask[key] = group

    def check(self) -> None:
        """Each pod is in one group, and no group is empty."""
        assert self._group_of == {key: group for group in self._groups.values() for key in group.pods}
        assert all(group.pods for group in self._groups.values())
        assert self._to_ask.keys() <= self._groups.keys()
