"""The scheduling framework: the extension points of kube-scheduler, as classes that a plugin derives from.

A cycle decides for one pod. PreFilter looks at the pod, Filter at nodes (the first plugin that refuses a node says
why), Score at the nodes too (0 to 100 after NormalizeScore); the highest sum of weight * score wins. Plugins see all
nodes at once: `rows` of numpy columns, one row a node. Whoever prefers one node at a time derives from `NodeFilter`
and `NodeScore`.

What a plugin looks at is its `scope`, and decides how often it is asked. Answers of OBJECT and NODE scope are kept for
all pods of one shape; a NODE answer is asked again for the rows that changed, mostly one; CLUSTER is asked each time.
A plugin object has no state; what it learns in PreFilter it keeps in `cycle.memo` under its own name, as long as pods
of that shape come.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

import numpy as np

from actors.scheduler.columns import Bools, Floats, Ints, Rows
from actors.scheduler.demand import DEFAULT_SCHEDULER, PodDemand, Shape

if TYPE_CHECKING:
    from actors.scheduler.cluster_state import ClusterState
    from actors.scheduler.node_state import NodeState

SCORE_MAX = 100


class ClusterEvent(enum.Flag):
    """What happened to the cluster, as far as it may let a refused pod be scheduled."""

    NONE = 0
    NODE_ADDED = enum.auto()
    NODE_ALLOCATABLE = enum.auto()
    NODE_LABEL = enum.auto()
    NODE_TAINT = enum.auto()
    POD_DELETED = enum.auto()
    POD_ADDED = enum.auto()


class Scope(enum.IntEnum):
    """What an answer about a node may depend on, besides the pod's shape."""

    OBJECT = 0  # the node objects: labels, taints, images, which nodes there are
    NODE = 1  # also on the pods of that node
    CLUSTER = 2  # on anything


class Refusal(NamedTuple):
    """Why a plugin refuses a pod, on one node or altogether; `resolvable`: removing other pods could help."""

    reasons: tuple[str, ...]
    resolvable: bool = True


class Skip:
    """This plugin has nothing to say about such a pod: do not call its Filter (or its Score)."""


SKIP: Final = Skip()


class OnlyNodes(NamedTuple):
    """PreFilter knows that only these nodes can be feasible."""

    names: frozenset[str]


class Cycle:
    """Pods of one shape meet the cluster: what plugins look at, and what they remember from one point to the next."""

    __slots__ = ("memo", "shape", "state")

    def __init__(self, state: ClusterState, shape: Shape) -> None:
        self.state = state
        self.shape = shape
        self.memo: dict[str, Any] = {}


class Plugin:
    """`events`: what may make a pod schedulable that this plugin refused."""

    name: ClassVar[str]
    events: ClassVar[ClusterEvent] = ClusterEvent.NONE
    scope: ClassVar[Scope] = Scope.CLUSTER


class PreEnqueue(Plugin, ABC):
    @abstractmethod
    def pre_enqueue(self, pod: PodDemand) -> Refusal | None:
        """May the pod enter the queue?"""


class PreFilter(Plugin, ABC):
    @abstractmethod
    def pre_filter(self, cycle: Cycle) -> Skip | OnlyNodes | Refusal | None:
        """Look at the shape of pods once, before any node."""


class Filter(Plugin, ABC):
    @abstractmethod
    def filter(self, cycle: Cycle, rows: Rows) -> Ints | None:
        """For each row 0 if the pod may run there, else a number from 1 that `refusal` explains. None: 0 everywhere."""

    @abstractmethod
    def refusal(self, cycle: Cycle, number: int) -> Refusal:
        """What a number means."""

    def filter_one(self, cycle: Cycle, row: int) -> int:
        """The same for one row; plugins of NODE scope have a faster way."""
        answer = self.filter(cycle, np.array([row]))
        return 0 if answer is None else int(answer[0])


class PreScore(Plugin, ABC):
    @abstractmethod
    def pre_score(self, cycle: Cycle) -> Skip | None:
        """Look at the shape of pods once, before scoring."""


class Score(Plugin, ABC):
    @abstractmethod
    def score(self, cycle: Cycle, rows: Rows) -> Floats | None:
        """How good is each row? 0 to 100, or what NormalizeScore brings there. None: all alike."""

    def score_one(self, cycle: Cycle, row: int) -> float:
        answer = self.score(cycle, np.array([row]))
        return 0 if answer is None else float(answer[0])


class NormalizeScore(Plugin, ABC):
    @abstractmethod
    def normalize_score(self, cycle: Cycle, scores: Floats, feasible: Bools) -> Floats | None:
        """The scores of all rows, those of the feasible ones brought to 0 to 100; others may be anything finite.

        None: all feasible ones are alike."""


class NodeFilter(Filter):
    """One pod, one node: say why it may not run there."""

    scope = Scope.NODE

    @abstractmethod
    def refuse(self, pod: Shape, node: NodeState) -> str:
        """The reason; "" if the pod may run there."""

    def filter(self, cycle: Cycle, rows: Rows) -> Ints:
        return np.array([self.filter_one(cycle, row) for row in row_numbers(cycle, rows)], np.int32)

    def filter_one(self, cycle: Cycle, row: int) -> int:
        node = cycle.state.nodes.get(cycle.state.names[row])
        reason = self.refuse(cycle.shape, node) if node is not None else ""
        if not reason:
            return 0
        reasons: dict[str, int] = cycle.memo.setdefault(self.name, {})
        return reasons.setdefault(reason, len(reasons) + 1)

    def refusal(self, cycle: Cycle, number: int) -> Refusal:
        return Refusal((list(cycle.memo[self.name])[number - 1],))


class NodeScore(Score):
    """One pod, one node: say how good it is, from 0 to 100."""

    scope = Scope.NODE

    @abstractmethod
    def rate(self, pod: Shape, node: NodeState) -> float: ...

    def score(self, cycle: Cycle, rows: Rows) -> Floats:
        return np.array([self.score_one(cycle, row) for row in row_numbers(cycle, rows)], np.float64)

    def score_one(self, cycle: Cycle, row: int) -> float:
        node = cycle.state.nodes.get(cycle.state.names[row])
        return self.rate(cycle.shape, node) if node is not None else 0.0


class Profile:
    """Which plugins decide, in order, with the weight of their scores; sorted by extension point once.

    Filters of a wider scope are asked later, otherwise the order is kept. `name`: the schedulerName of its pods.
    """

    def __init__(
        self,
        *plugins: tuple[Plugin, int],
        name: str = DEFAULT_SCHEDULER,
        filters: Sequence[str] | None = None,
        scores: Sequence[str] | None = None,
    ) -> None:
        """`filters`, `scores`: the names of those plugins that take part there; None: all."""
        self.name = name
        self.plugins = [plugin for plugin, _ in plugins]
        self.pre_enqueue = [plugin for plugin in self.plugins if isinstance(plugin, PreEnqueue)]
        self.filter = sorted(
            (p for p in self.plugins if isinstance(p, Filter) and (filters is None or p.name in filters)),
            key=lambda plugin: plugin.scope,
        )
        self.pre_filter = [p for p in self.plugins if isinstance(p, PreFilter)]
        self.score = [
            (p, weight) for p, weight in plugins if isinstance(p, Score) and (scores is None or p.name in scores)
        ]


def row_numbers(cycle: Cycle, rows: Rows) -> Sequence[int]:
    if isinstance(rows, slice):
        return range(cycle.state.rows)[rows]
    numbers: list[int] = rows.tolist()
    return numbers


def highest(scores: Floats, feasible: Bools) -> float:
    """The highest score of a feasible row, and at least 0."""
    return float(np.multiply(scores, feasible).max(initial=0.0))


def normalize_by_max(scores: Floats, feasible: Bools, reverse: bool = False) -> Floats | None:
    """Stretch to 0..100 by the highest (kube-scheduler's DefaultNormalizeScore): whole numbers, truncated."""
    most = highest(scores, feasible)
    if most == 0:
        return None
    stretched = np.floor(scores * SCORE_MAX / most)
    return SCORE_MAX - stretched if reverse else stretched
