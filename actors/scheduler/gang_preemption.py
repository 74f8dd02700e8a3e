"""Preemption for a gang: whom to end so that as many of its pods fit as it wants at once; or nobody.

Its pods that found no node are tried once more on the cluster as it would be: those before them are where they would
go, and whoever has to go for them is gone (`preemption.py` says who that is for one pod). What their end takes from
disruption budgets is counted from one pod to the next. Only when the whole gang would fit does anything happen;
nothing is changed here in any case. More than the gang wants at once end nobody, and who can stay after all, beside all
of it, stays.

A PodGroup may say that its pods end together or not at all (`disruptionMode: PodGroup`, KEP-5710): then all of them go,
wherever they are, if one has to, and stay only together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from functools import partial
from typing import NamedTuple

from actors.scheduler.cluster_state import ClusterState
from actors.scheduler.cycle import Decision, SchedulingCycle
from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import Nomination, Victim
from actors.scheduler.gangs import Gang
from actors.scheduler.node_state import Placed
from actors.scheduler.plugin_failure import PluginFailed
from actors.scheduler.plugins.default_preemption import DefaultPreemption
from actors.scheduler.preemption import importance, preempt, room_is_coming


class Rooms(NamedTuple):
    """`nodes`: where each pod of the gang would be, by key. `ends`: which of them need victims, and whom; victims that
    go with their gang may be elsewhere. `gangs`: those that end as a whole."""

    nodes: dict[str, str]
    ends: list[tuple[PodDemand, Nomination]]
    gangs: list[Gang]


def make_rooms(
    state: ClusterState, gang: Gang, refused: Sequence[PodDemand], cycle_of: Callable[[PodDemand], SchedulingCycle]
) -> Rooms | None:
    """`refused`: those of its pods that found no node; the others are assumed, bound or not to be tried. None: the
    gang fits without anybody's end, or does not fit even with it."""
    wants = state.gangs.wants(gang)
    nodes = {key: node for key in state.gangs.members(gang) if (node := state.node_of(key))}
    if wants is None or len(nodes) >= wants:
        return None
    trial = _Trial(state)
    try:
        for left, pod in zip(range(len(refused), 0, -1), refused, strict=True):
            if len(nodes) >= wants or len(nodes) + left < wants:
                break
            if node := trial.place(cycle_of(pod), pod):
                nodes[pod.key] = node
        is_enough = len(nodes) >= wants
        if is_enough:
            trial.spare()
    finally:
        trial.undo()
    return Rooms(nodes, trial.ends(), trial.gangs()) if is_enough else None


class _Member(NamedTuple):
    """A pod of the gang where it would be."""

    cycle: SchedulingCycle
    pod: PodDemand
    node: str

    def looks_at(self, node: str) -> bool:
        """Whether it matters to it who is there."""
        return node == self.node or self.cycle.template(self.pod).fit_by_room_alone() is None


class _Gone(NamedTuple):
    """A victim. `of`: the pod of the gang that it is to go for."""

    of: str
    placed: Placed
    node: str


class _Trial:
    """Changes to the cluster state that are taken back."""

    def __init__(self, state: ClusterState) -> None:
        self._state = state
        self._placed: dict[str, _Member] = {}
        self._victims: dict[str, _Gone] = {}
        self._undo: list[Callable[[], object]] = []

    def place(self, cycle: SchedulingCycle, pod: PodDemand) -> str:
        """The node that the pod gets, "" if none."""
        try:
            found = cycle.decide(pod)
            if isinstance(found, Decision):
                return self._put(cycle, pod, found.node)
            if room_is_coming(cycle, pod, found):
                return self._put(cycle, pod, self._state.nominations.node_of(pod.key))
            enough = next((p.enough for p in cycle.profile.post_filter if isinstance(p, DefaultPreemption)), None)
            outcome = preempt(cycle, pod, found, enough) if enough is not None else None
        except PluginFailed:
            return ""
        if not isinstance(outcome, Nomination):
            return ""
        self._end(pod, outcome)
        return self._put(cycle, pod, outcome.node)

    def spare(self) -> None:
        """Bring back who can stay beside the whole gang, as one pod's preemption does (`preemption.importance`), gangs
        that end as a whole only as one."""
        self._state.budgets.spend(())
        ordered = sorted(((key, gone.placed) for key, gone in self._victims.items()), key=importance)
        violating = self._state.budgets.violated_by((key, placed.footprint.sort) for key, placed in ordered)
        units: dict[Gang | str, list[str]] = {}
        for key, _ in ordered:
            units.setdefault(self._state.gangs.ends_with(key) or key, []).append(key)
        for keys in sorted(units.values(), key=lambda unit: self._importance(unit, violating)):
            nodes = {self._victims[key].node for key in keys}
            for key in keys:
                self._state.put(key, self._victims[key].placed, self._victims[key].node)
            beside = [member for member in self._placed.values() if any(map(member.looks_at, nodes))]
            stays = all(self._fits(member) for member in beside)
            for key in keys:
                if stays:
                    del self._victims[key]
                else:
                    self._state.lift(key)

    def _importance(self, keys: list[str], violating: frozenset[str]) -> tuple[bool, int, bool, int, float, str]:
        """Of equal priority a gang before a pod, the larger gang before the smaller; then who has run longer."""
        gangs, first = self._state.gangs, self._victims[keys[0]].placed
        gang = gangs.ends_with(keys[0])
        priority = first.footprint.priority if gang is None else gangs.priority(gang)
        started = min(self._victims[key].placed.started for key in keys)
        return violating.isdisjoint(keys), -priority, gang is None, -len(keys), started, keys[0]

    def ends(self) -> list[tuple[PodDemand, Nomination]]:
        found = []
        for key, member in self._placed.items():
            victims = tuple(Victim(k, gone.placed.uid) for k, gone in self._victims.items() if gone.of == key)
            if victims:
                found.append((member.pod, Nomination(member.node, victims)))
        return found

    def gangs(self) -> list[Gang]:
        whole = (self._state.gangs.ends_with(key) for key in self._victims)
        return list(dict.fromkeys(gang for gang in whole if gang is not None))

    def undo(self) -> None:
        while self._undo:
            self._undo.pop()()
        self._state.budgets.spend(())

    def _fits(self, member: _Member) -> bool:
        """Beside all others."""
        self._state.lift(member.pod.key)
        try:
            return member.cycle.fits(member.pod, member.node)
        finally:
            self._state.put(member.pod.key, Placed(member.pod.uid, member.pod.footprint), member.node)

    def _put(self, cycle: SchedulingCycle, pod: PodDemand, node: str) -> str:
        state = self._state
        self._placed[pod.key] = _Member(cycle, pod, node)
        if before := state.withdraw(pod.key):
            self._undo.append(lambda: state.nominate(pod, before))
        state.put(pod.key, Placed(pod.uid, pod.footprint), node)
        self._undo.append(lambda: state.lift(pod.key))
        return node

    def _end(self, pod: PodDemand, nomination: Nomination) -> None:
        state = self._state
        victims = [(key, state.node_of(key)) for key in self._with_their_gangs(nomination.victims)]
        for key, node in victims:
            placed = state.nodes[node].pods[key]
            state.lift(key)
            self._victims[key] = _Gone(pod.key, placed, node)
            self._undo.append(partial(state.put, key, placed, node))
        state.budgets.spend((key, self._victims[key].placed.footprint.sort) for key, _ in victims)

    def _with_their_gangs(self, victims: Iterable[Victim]) -> list[str]:
        gangs = self._state.gangs
        found: dict[str, None] = {}
        for victim in victims:
            gang = gangs.ends_with(victim.key)
            others = () if gang is None else (key for key in gangs.members(gang) if self._state.node_of(key))
            found.update(dict.fromkeys((victim.key, *others)))
        return list(found)
