"""The scheduling framework: the extension points of kube-scheduler, as classes that a plugin derives from.

A cycle decides for one pod. PreFilter looks at the pod, Filter at nodes (the first plugin that refuses a node says
why), Score at the nodes too (0 to 100 after NormalizeScore); the highest sum of weight * score wins. Plugins see all
nodes at once: `rows` of numpy columns, one row a node. Whoever prefers one node at a time derives from `NodeFilter`
and `NodeScore`.

Then one pod is on its way to one node, an `Attempt`: Reserve and Permit are asked at once, PreBind, Bind and PostBind
in the background, while others are decided. Whatever fails there is rolled back: Unreserve, in the reverse order.

What a plugin looks at is its `scope`, and decides how often it is asked. Answers of OBJECT and NODE scope are kept for
all pods of one shape; a NODE answer is asked again for the rows that changed, mostly one; CLUSTER is asked each time.
A plugin object has no state; what it learns in PreFilter it keeps in `cycle.memo` under its own name, as long as pods
of that shape come. Pods that differ in nothing but their claims of devices are of one shape there: an answer that
depends on those claims is of CLUSTER scope.
"""

from __future__ import annotations

import enum
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, ClassVar, Final, NamedTuple, Protocol

import numpy as np

from actors.scheduler.columns import Bools, Floats, Ints, Rows
from actors.scheduler.demand import DEFAULT_SCHEDULER, PodDemand, Shape

if TYPE_CHECKING:
    from actorkube.kube.client import Client
    from actors.scheduler.cluster_state import ClusterState
    from actors.scheduler.cycle import SchedulingCycle
    from actors.scheduler.diagnosis import Unschedulable
    from actors.scheduler.node_state import NodeState
    from actors.scheduler.waiting_pods import WaitingPods

SCORE_MAX = 100


class ClusterEvent(enum.Flag):
    """What happened to the cluster, as far as it may let a refused pod be scheduled."""

    NONE = 0
    NODE_ADDED = enum.auto()
    NODE_DELETED = enum.auto()
    NODE_ALLOCATABLE = enum.auto()
    NODE_LABEL = enum.auto()
    NODE_TAINT = enum.auto()
    NODE_FEATURE = enum.auto()
    POD_DELETED = enum.auto()
    POD_ADDED = enum.auto()
    NAMESPACE_LABEL = enum.auto()
    VOLUME = enum.auto()  # a claim, a volume, a class of them, or what a node's drivers can attach
    DEVICE_CLAIM = enum.auto()  # a claim of devices, a slice or a class of them
    GROUP = enum.auto()  # a Service or controller selects other pods than before

    @property
    def label(self) -> str:
        """Its name in metrics: kube-scheduler's where that has one for it. Of several things the first of this list."""
        first = next(iter(self), ClusterEvent.NONE)
        return _LABELS.get(first) or (first.name or "").title().replace("_", "")


_LABELS = {
    ClusterEvent.NODE_ADDED: "NodeAdd",
    ClusterEvent.NODE_DELETED: "NodeDelete",
    ClusterEvent.NODE_ALLOCATABLE: "NodeUpdateNodeAllocatable",
    ClusterEvent.NODE_LABEL: "NodeUpdateNodeLabel",
    ClusterEvent.NODE_TAINT: "NodeUpdateNodeTaint",
    ClusterEvent.NODE_FEATURE: "NodeUpdateNodeDeclaredFeature",
    ClusterEvent.POD_DELETED: "AssignedPodDelete",
    ClusterEvent.POD_ADDED: "AssignedPodAdd",
}


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
    """`events`: what may make a pod schedulable that this plugin refused.

    `shared`: of a pod's shape it looks at amounts and ports only, so that other shapes may have its answers."""

    name: ClassVar[str]
    events: ClassVar[ClusterEvent] = ClusterEvent.NONE
    scope: ClassVar[Scope] = Scope.CLUSTER
    shared: ClassVar[bool] = False


class PreEnqueue(Plugin, ABC):
    @abstractmethod
    def pre_enqueue(self, pod: PodDemand, state: ClusterState) -> Refusal | None:
        """May the pod enter the queue?"""


class QueueSort(Plugin, ABC):
    """One for all profiles: they share the queue."""

    @abstractmethod
    def order(self, pod: PodDemand, since: float) -> tuple[float, ...]:
        """Numbers, as many for every pod; the lowest is tried first. `since`: when it became ready, in seconds."""


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


class Victim(NamedTuple):
    """A placed pod that is to go."""

    key: str
    uid: str


class Nomination(NamedTuple):
    """The pod will fit this node once these are gone."""

    node: str
    victims: tuple[Victim, ...]


class Helpless(NamedTuple):
    """No pod has to go. `waits`: enough was done already, and what the pod is nominated for stays its own.
    `frees`: a claim that is to give back its devices, so that it can get others ("": none).
    `final`: the plugins after this one are not asked."""

    why: str
    waits: bool = False
    frees: str = ""
    final: bool = False


class PostFilter(Plugin, ABC):
    """`preempts`: it ends other pods, which is counted."""

    preempts: ClassVar[bool] = False

    @abstractmethod
    def post_filter(self, cycle: SchedulingCycle, pod: PodDemand, found: Unschedulable) -> Nomination | Helpless | None:
        """No node fits: what could be done about it? None: such a pod is none of its business."""


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


class Attempt:
    """One pod on its way to the node that was chosen for it, from Reserve to PostBind or Unreserve.

    `memo` is for what plugins remember from one point to the next, by their names. The pod is counted on the node in
    `state` already. `waiting`: who else waits at Permit."""

    __slots__ = ("memo", "node", "pod", "state", "waiting")

    def __init__(self, pod: PodDemand, node: str, state: ClusterState, waiting: WaitingPods) -> None:
        self.pod = pod
        self.node = node
        self.state = state
        self.waiting = waiting
        self.memo: dict[str, Any] = {}


class Reserve(Plugin, ABC):
    @abstractmethod
    def reserve(self, attempt: Attempt) -> Refusal | None:
        """Take what the pod needs on that node, in memory only, before anybody else is decided."""

    @abstractmethod
    def unreserve(self, attempt: Attempt) -> None:
        """Give it back. Also called when this or an earlier plugin's `reserve` refused or failed, and twice is once."""


class Wait(NamedTuple):
    """Hold the pod until the plugin allows it (`attempt.waiting.allow`); it is refused when that takes too long."""

    timeout_s: float


class Permit(Plugin, ABC):
    @abstractmethod
    def permit(self, attempt: Attempt) -> Refusal | Wait | None:
        """May it be bound now?"""


class Handle(Protocol):
    """What those who write may use, while one pod is being bound."""

    client: Client

    @property
    def now(self) -> float:
        """Seconds, on the clock by which the scheduler counts."""

    async def pause(self, seconds: float) -> None:
        """Before something is asked again that could not be answered."""

    async def changed(self, resource: str, key: str, timeout_s: float) -> bool:
        """Waits until a watch tells something of that object (`state` knows it by then); False: not in time.

        It holds nobody up. When the pod itself is gone meanwhile, the attempt ends here, with Unreserve."""


class PreBind(Plugin, ABC):
    @abstractmethod
    async def pre_bind(self, attempt: Attempt, handle: Handle) -> Refusal | None:
        """Do what has to be done before the pod may run there; it may take its time. What it raises fails the attempt,
        refusals of the API server too."""


class Bind(Plugin, ABC):
    @abstractmethod
    async def bind(self, attempt: Attempt, handle: Handle) -> Skip | None:
        """Tell the API server; SKIP leaves it to the next such plugin. Raises what the API server answers.

        After any other error, Unknown among them, the scheduler looks whether it has happened."""


class PostBind(Plugin, ABC):
    @abstractmethod
    def post_bind(self, attempt: Attempt) -> None:
        """The pod is bound. Nothing can be refused any more."""


POINTS: Final[dict[str, type[Plugin]]] = {
    "preEnqueue": PreEnqueue,
    "queueSort": QueueSort,
    "preFilter": PreFilter,
    "filter": Filter,
    "postFilter": PostFilter,
    "preScore": PreScore,
    "score": Score,
    "reserve": Reserve,
    "permit": Permit,
    "preBind": PreBind,
    "bind": Bind,
    "postBind": PostBind,
}


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
        points: Mapping[str, Sequence[str]] | None = None,
    ) -> None:
        """`points`: for points of POINTS, the names of the plugins that take part there, in order; else all do."""
        self.name = name
        self.plugins = [plugin for plugin, _ in plugins]
        self._points = points or {}
        self.pre_enqueue: list[PreEnqueue] = self.at("preEnqueue")
        self.queue_sort: list[QueueSort] = self.at("queueSort")
        self.filter: list[Filter] = sorted(self.at("filter"), key=lambda plugin: plugin.scope)
        self.pre_filter: list[PreFilter] = self.at("preFilter")
        self.post_filter: list[PostFilter] = self.at("postFilter")
        self.pre_score: list[PreScore] = self.at("preScore")
        weights = {plugin.name: weight for plugin, weight in plugins}
        self.score: list[tuple[Score, int]] = [(plugin, weights[plugin.name]) for plugin in self.at("score")]
        self.reserve: list[Reserve] = self.at("reserve")
        self.permit: list[Permit] = self.at("permit")
        self.pre_bind: list[PreBind] = self.at("preBind")
        self.bind: list[Bind] = self.at("bind")
        self.post_bind: list[PostBind] = self.at("postBind")

    def at(self, point: str) -> list[Any]:
        """Who takes part at a point of POINTS, in order."""
        able = {plugin.name: plugin for plugin in self.plugins if isinstance(plugin, POINTS[point])}
        return [able[name] for name in self._points.get(point, able) if name in able]


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
