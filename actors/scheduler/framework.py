"""The scheduling framework: the extension points of kube-scheduler, as classes that a plugin derives from.

A cycle decides for one pod. Its plugins run in the profile's order: PreFilter, Filter (the first plugin that refuses a
node says why), PreScore, Score on the feasible nodes (0 to 100 after NormalizeScore), then the sum of weight * score
chooses. Filter and Score see all nodes at once, not one by one as in kube-scheduler: what is the same for all nodes is
looked at once, and a plugin may work on columns. What a plugin learns in PreFilter or PreScore it keeps in `cycle.memo`
under its own name; a plugin object itself has no state, so one profile serves every cycle.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple

if TYPE_CHECKING:
    from actors.scheduler.cluster_state import ClusterState
    from actors.scheduler.demand import PodDemand
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


class Refusal(NamedTuple):
    """Why a plugin refuses a pod, on one node or altogether; `resolvable`: removing other pods could help."""

    reasons: tuple[str, ...]
    resolvable: bool = True


class Skip:
    """This plugin has nothing to say about this pod: do not call its Filter or Score in this cycle."""


SKIP: Final = Skip()


class OnlyNodes(NamedTuple):
    """PreFilter knows that only these nodes can be feasible."""

    names: frozenset[str]


class Cycle:
    """One attempt for one pod: the cluster it looks at, and what plugins remember between their extension points."""

    __slots__ = ("memo", "state")

    def __init__(self, state: ClusterState) -> None:
        self.state = state
        self.memo: dict[str, Any] = {}


class Plugin:
    """`events`: what may make a pod schedulable that this plugin refused."""

    name: ClassVar[str]
    events: ClassVar[ClusterEvent] = ClusterEvent.NONE


class PreEnqueue(Plugin, ABC):
    @abstractmethod
    def pre_enqueue(self, pod: PodDemand) -> Refusal | None:
        """May the pod enter the queue?"""


class PreFilter(Plugin, ABC):
    @abstractmethod
    def pre_filter(self, cycle: Cycle, pod: PodDemand) -> Skip | OnlyNodes | Refusal | None:
        """Look at the pod once, before any node."""


class Filter(Plugin, ABC):
    @abstractmethod
    def filter(self, cycle: Cycle, pod: PodDemand, nodes: Sequence[NodeState]) -> Mapping[str, Refusal]:
        """The names of those nodes on which the pod cannot run, and why."""


class PreScore(Plugin, ABC):
    @abstractmethod
    def pre_score(self, cycle: Cycle, pod: PodDemand) -> Skip | None:
        """Look at the pod once, before scoring."""


class Score(Plugin, ABC):
    @abstractmethod
    def score(self, cycle: Cycle, pod: PodDemand, nodes: Sequence[NodeState]) -> list[int]:
        """How good is each node, in their order? 0 to 100, or any number that NormalizeScore brings there."""


class NormalizeScore(Plugin, ABC):
    @abstractmethod
    def normalize_score(self, cycle: Cycle, scores: Sequence[int]) -> list[int]:
        """The scores of all feasible nodes, each brought to 0 to 100."""


class Profile:
    """Which plugins decide, in order, with the weight of their scores; sorted by extension point once."""

    def __init__(self, *plugins: tuple[Plugin, int]) -> None:
        self.plugins = [plugin for plugin, _ in plugins]
        self.pre_enqueue = [plugin for plugin in self.plugins if isinstance(plugin, PreEnqueue)]
        self.pre_filter = [plugin for plugin in self.plugins if isinstance(plugin, PreFilter)]
        self.filter = [plugin for plugin in self.plugins if isinstance(plugin, Filter)]
        self.score = [(plugin, weight) for plugin, weight in plugins if isinstance(plugin, Score)]


def normalize_by_max(scores: Sequence[int], reverse: bool = False) -> list[int]:
    """Stretch to 0..100 by the highest (kube-scheduler's DefaultNormalizeScore): integers, truncated."""
    highest = max(scores, default=0)
    if highest == 0:
        return [SCORE_MAX if reverse else 0] * len(scores)
    stretched = [SCORE_MAX * score // highest for score in scores]
    return [SCORE_MAX - score for score in stretched] if reverse else stretched
