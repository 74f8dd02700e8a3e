"""Where would these pods go? Decided one after another on a copy of a cluster, as the scheduler's queue takes them.

What waits is tried again when a placement may help it, as in the scheduler, so a pod may follow one that comes later.
No clock: back-offs are over when nobody else is to be tried.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.conditions import nominated_node
from actors.scheduler.cycle import Decision, SchedulingCycle, gate
from actors.scheduler.demand import PodDemand, scheduler_name
from actors.scheduler.diagnosis import Unschedulable
from actors.scheduler.explain.snapshot import Snapshot, cluster_state
from actors.scheduler.explain.why import Near, Why, nearest, scores
from actors.scheduler.framework import ClusterEvent, Nomination, Profile
from actors.scheduler.gang_preemption import Rooms, make_rooms
from actors.scheduler.gangs import Gang
from actors.scheduler.plugin_failure import PluginFailed
from actors.scheduler.plugins.gang_scheduling import GangScheduling
from actors.scheduler.queue import QueuedPod, SchedulingQueue
from actors.scheduler.waiting import ANYWHERE
from protocols.objects import Object, key_of

FIRST_RESOURCES = ("cpu", "memory")
_NOW = 0.0


@dataclass(frozen=True)
class Wanted:
    """A pod to be placed, and what it comes from (`Deployment/web`)."""

    pod: Object
    origin: str


@dataclass(frozen=True)
class Placed:
    pod: str
    node: str
    origin: str


@dataclass(frozen=True)
class Unplaced:
    """`nearest` is empty where another pod of the same shape says it."""

    pod: str
    origin: str
    message: str
    nearest: Sequence[Near] = ()


@dataclass(frozen=True)
class Ended:
    """A pod that was there and has to go for a more important one."""

    pod: str
    node: str
    by: str


@dataclass(frozen=True)
class Use:
    """Of one resource: millicores, bytes, or pieces."""

    before: int
    after: int
    capacity: int


@dataclass(frozen=True)
class Load:
    node: str
    resources: Mapping[str, Use]  # "pods" is one of them


@dataclass(frozen=True)
class Outcome:
    seed: int
    placed: Sequence[Placed]
    unplaced: Sequence[Unplaced]
    ended: Sequence[Ended]
    nodes: Sequence[Load]
    total: Load
    scored: Mapping[str, Why]  # origin -> the first of its pods, when it was decided


def place(
    snapshot: Snapshot,
    wanted: Sequence[Wanted],
    profiles: Mapping[str, Profile],
    seed: int = 0,
    score_table: bool = False,
) -> Outcome:
    """Equal arguments, equal outcome. `score_table`: scores are looked at, and not only added up."""
    batch = _Batch(snapshot, wanted, profiles, seed, score_table)
    batch.run()
    return batch.outcome()


class _Batch:
    def __init__(
        self, snapshot: Snapshot, wanted: Sequence[Wanted], profiles: Mapping[str, Profile], seed: int, rated: bool
    ) -> None:
        self._rated = rated
        self._scored: dict[str, Why] = {}
        self._snapshot = snapshot
        self._seed = seed
        self._state = cluster_state(snapshot, seed)
        self._before = used(self._state)
        self._profiles = profiles
        self._cycles = {name: SchedulingCycle(self._state, profile) for name, profile in profiles.items()}
        self._queue = SchedulingQueue({p.name: p.events for profile in profiles.values() for p in profile.plugins})
        self._wanted = {key_of(each.pod): each for each in wanted}
        self._placed: dict[str, str] = {}
        self._refused: dict[str, str] = {}
        self._without_company: set[str] = set()  # who would fit, were there room for enough of their gang
        self._ended: list[Ended] = []
        self._state.gangs.are_kept = True
        for each in wanted:
            self._state.gangs.set_pod(each.pod)
        for each in wanted:
            self._enqueue(PodDemand(each.pod, self._state.shapes))

    def _enqueue(self, demand: PodDemand) -> None:
        profile = self._profiles.get(scheduler_name(demand.pod))
        if profile is None:
            self._refused[demand.key] = f"no profile is named {scheduler_name(demand.pod)!r}"
            return
        if nominated := nominated_node(demand.pod):
            self._state.nominate(demand, nominated)
        refusal = gate(demand, profile, self._state)
        if refusal is not None:
            self._refused[demand.key] = ", ".join(refusal.reasons)
        self._queue.set(demand, _NOW, gated=refusal is not None)

    def run(self) -> None:
        while (queued := self._queue.pop(_NOW)) is not None:
            if queued.demand.gang is not None and self._is_held(queued.demand):
                self._place_together(queued, queued.demand.gang)
            else:
                found = self._decide(queued)
                if isinstance(found, Decision):
                    self._keep(queued, found.node)

    def _is_held(self, demand: PodDemand) -> bool:
        return any(isinstance(plugin, GangScheduling) for plugin in self._profiles[scheduler_name(demand.pod)].permit)

    def _cycle(self, demand: PodDemand) -> SchedulingCycle:
        return self._cycles[scheduler_name(demand.pod)]

    def _place_together(self, first: QueuedPod, gang: Gang) -> None:
        """Enough pods of a gang find nodes, or none gets one; then less important pods have to go if that is enough."""
        tried = [first, *self._queue.take(self._state.gangs.members(gang))]
        chosen = [(queued, found.node) for queued in tried if isinstance(found := self._decide(queued), Decision)]
        wants = self._state.gangs.wants(gang)
        there = sum(1 for key in self._state.gangs.members(gang) if self._state.node_of(key))
        if wants is not None and there >= wants:
            for queued, node in chosen:
                self._keep(queued, node)
            return
        refused = [queued.demand for queued in tried if not self._state.node_of(queued.demand.key)]
        rooms = make_rooms(self._state, gang, refused, self._cycle)
        for queued, _ in chosen:
            self._state.forget(queued.demand)
            self._refused[queued.demand.key] = GangScheduling.too_few(wants, there)
            self._without_company.add(queued.demand.key)
            self._queue.refuse(queued, (GangScheduling.name,), _NOW)
        if rooms is not None and rooms.ends:
            self._make_rooms([queued.demand for queued in tried], rooms)

    def _decide(self, queued: QueuedPod) -> Decision | Unschedulable | None:
        """A pod that finds a node is assumed there. None: it cannot be decided."""
        demand = queued.demand
        try:
            found = self._cycle(demand).decide(demand)
        except PluginFailed as failure:
            self._refused[demand.key] = str(failure)
            self._queue.remove_exactly(queued)
            return None
        if isinstance(found, Decision):
            if self._rated:
                self._look_at_scores(demand, found.node)
            self._state.assume(demand, found.node)
            return found
        self._refused[demand.key] = found.message
        self._without_company.discard(demand.key)
        self._queue.refuse(queued, found.refused_by, _NOW)
        if found.nomination is not None:
            self._make_room(demand, found.nomination)
        return found

    def _look_at_scores(self, demand: PodDemand, node: str) -> None:
        origin, cycle = self._wanted[demand.key].origin, self._cycle(demand)
        if origin not in self._scored:
            rated = scores(cycle.examine(demand), self._state)
            weights = {plugin.name: weight for plugin, weight in cycle.profile.score}
            self._scored[origin] = Why(demand.key, "fits", best=node, scores=rated, weights=weights)

    def _keep(self, queued: QueuedPod, node: str) -> None:
        self._placed[queued.demand.key] = node
        self._refused.pop(queued.demand.key, None)
        self._queue.remove_exactly(queued)
        self._queue.on_event(ClusterEvent.POD_ADDED, _NOW, self._may_fit_anywhere)

    def _make_room(self, demand: PodDemand, nomination: Nomination) -> None:
        """The victims end at once, and the pod is tried again. Their controllers would make others: not here."""
        self._end(demand, nomination)
        self._state.nominate(demand, nomination.node)
        self._queue.reconsider(demand.key, _NOW)
        self._queue.on_event(ClusterEvent.POD_DELETED, _NOW, self._may_fit_anywhere)

    def _make_rooms(self, gang: Sequence[PodDemand], rooms: Rooms) -> None:
        """The same for a gang, each pod of which waits for its node."""
        left = [node for demand, nomination in rooms.ends for node in self._end(demand, nomination)]
        for demand in gang:
            if node := rooms.nodes.get(demand.key):
                self._state.nominate(demand, node)
            self._queue.reconsider(demand.key, _NOW)
        if left:
            self._queue.on_event(ClusterEvent.POD_DELETED, _NOW, self._may_fit_anywhere)

    def _end(self, demand: PodDemand, nomination: Nomination) -> list[str]:
        """The nodes that have more room now."""
        node, victims = nomination
        for other in self._state.nominations.less_important(demand, node):
            self._state.withdraw(other.key)
            self._queue.reconsider(other.key, _NOW)
        left = [self._state.remove_pod(victim.key) for victim in victims]
        for victim, there in zip(victims, left, strict=True):
            if self._placed.pop(victim.key, None) is None:
                self._ended.append(Ended(victim.key, there, demand.key))
            else:
                self._refused[victim.key] = f"{demand.key} is more important, and took its place on {there}"
        return left

    def _may_fit_anywhere(self, pod: PodDemand) -> bool:
        return self._cycle(pod).may_fit_on(pod, [ANYWHERE])

    def outcome(self) -> Outcome:
        placed = [
            Placed(key, self._placed[key], each.origin) for key, each in self._wanted.items() if key in self._placed
        ]
        loads = _loads(self._state, self._before)
        return Outcome(self._seed, placed, list(self._unplaced()), self._ended, loads, _sum(loads), self._scored)

    def _unplaced(self) -> Iterable[Unplaced]:
        explained: set[bytes] = set()
        gone = {each.pod for each in self._ended}
        stay = [pod for pod in self._snapshot.get("pods", ()) if key_of(pod) not in gone]
        after = {**self._snapshot, "pods": [*stay, *self._bound()]}
        for key, message in self._refused.items():
            each = self._wanted[key]
            demand = PodDemand(each.pod, self._state.shapes)
            cycle = self._cycles.get(scheduler_name(each.pod))
            waits = self._queue.place_of(key) is not None and key not in self._without_company
            tell = waits and demand.shape.key not in explained
            explained.add(demand.shape.key)
            near = nearest(cycle, demand, after) if cycle is not None and tell and self._state.nodes else ()
            yield Unplaced(key, each.origin, message, near)

    def _bound(self) -> list[Object]:
        pods = ((self._wanted[key].pod, node) for key, node in self._placed.items())
        return [{**pod, "spec": {**pod["spec"], "nodeName": node}} for pod, node in pods]


def used(state: ClusterState) -> dict[str, dict[str, int]]:
    """Node -> resource -> what its pods ask for."""
    return {name: {**node.requested, "pods": len(node.pods)} for name, node in state.nodes.items()}


def _loads(state: ClusterState, before: Mapping[str, Mapping[str, int]]) -> list[Load]:
    after = used(state)
    loads = []
    for name, node in sorted(state.nodes.items(), key=lambda item: _natural(item[0])):
        capacity = {**node.allocatable, "pods": int(state.room.pods_max.at[node.row])}
        loads.append(
            Load(
                name,
                {
                    resource: Use(before[name].get(resource, 0), after[name].get(resource, 0), capacity[resource])
                    for resource in capacity
                    if capacity[resource] or after[name].get(resource)
                },
            )
        )
    return loads


def _sum(loads: Sequence[Load]) -> Load:
    names = dict.fromkeys(name for load in loads for name in load.resources)
    total = {}
    for name in names:
        uses = [load.resources[name] for load in loads if name in load.resources]
        total[name] = Use(sum(u.before for u in uses), sum(u.after for u in uses), sum(u.capacity for u in uses))
    return Load("all", total)


def _natural(name: str) -> tuple[object, ...]:
    """node-2 before node-10."""
    head, _, number = name.rpartition("-")
    return (head, int(number), "") if number.isascii() and number.isdigit() else (name, -1, "")
