"""Preemption: on which node would which less important pods have to go, so that a pod fits?

kube-scheduler's algorithm: on a node all less important pods are taken away; if the pod fits then, they are brought
back one by one, those whose end would violate a budget first, the more important before the less; whoever does not fit
beside the pod any more is a victim. Of the nodes, the one with the least harm is taken (`Candidate`).

Nothing is changed in the end: a dry run lifts pods off the cluster state and puts them back. Where room is all that
the filters look at, numbers are enough. What was found for a node is kept for pods of the shape until the node
changes, and a tenth of the nodes, or a hundred, are as many candidates as are looked for.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np

from actors.scheduler.columns import ALL, Bools, Floats, Ints
from actors.scheduler.demand import PodDemand
from actors.scheduler.diagnosis import Unschedulable, in_words
from actors.scheduler.framework import Helpless, Nomination, Victim
from actors.scheduler.node_state import NodeState, Placed
from actors.scheduler.template import Template

if TYPE_CHECKING:
    from actors.scheduler.cycle import SchedulingCycle

CANDIDATES_PERCENT = 10
CANDIDATES_MIN = 100
NO_VICTIMS = "No preemption victims found for incoming pod"
NOT_HELPFUL = "Preemption is not helpful for scheduling"
_LINGER_MAX = 64
_LOOKED_AT_FIRST = 64
_LOWEST = 2**31  # as if no priority were below 0: one more victim is never better than none


class Enough(NamedTuple):
    """How many candidates are as many as are looked for: a share of the nodes, but so many at least."""

    percent: int = CANDIDATES_PERCENT
    least: int = CANDIDATES_MIN

    def of(self, nodes: int) -> int:
        return max(1, self.least, nodes * self.percent // 100)


AS_EVER = Enough()


class Candidate(NamedTuple):
    """A node and its victims; the least one does the least harm, by kube-scheduler's criteria in their order."""

    violations: int  # of disruption budgets
    highest: int  # the most important victim's priority
    total: int  # of all priorities
    number: int
    started: float  # minus when the first of the most important victims was started: the youngest goes
    rank: float  # minus the node's rank
    node: str
    victims: tuple[Victim, ...]

    @property
    def nomination(self) -> Nomination:
        return Nomination(self.node, self.victims)


Reasons = tuple[str, ...]
Lower = tuple[str, Placed]


class DryRun:
    """What would have to go, node by node, for a pod of one shape."""

    def __init__(self, cycle: SchedulingCycle, pod: PodDemand) -> None:
        self._cycle = cycle
        self._state = cycle.state
        self._pod = pod
        template = cycle.template(pod)
        self._fit = template.fit_by_room_alone()
        self._shape_cycle = template.cycle

    @property
    def by_numbers(self) -> bool:
        """Nothing but the pods of a node decides what is found there."""
        return self._fit is not None

    @property
    def nominated_row(self) -> int | None:
        node = self._state.nodes.get(self._state.nominations.node_of(self._pod.key))
        return node.row if node is not None else None

    def on(self, row: int) -> Candidate | Reasons:
        """The candidate; or why the pod would not fit even if all less important pods had gone."""
        node = self._state.nodes[self._state.names[row]]
        lower = sorted(self._lower(node), key=importance)
        if not lower:
            return (NO_VICTIMS,)
        violating = self._state.budgets.violated_by((key, placed.footprint.sort) for key, placed in lower)
        lower.sort(key=lambda each: each[0] not in violating)  # a stable sort: by importance within the two
        beside = self._state.nominations.against(self._pod, node.name)
        by_numbers = self._fit is not None and not any(other.footprint.sort.terms.required_anti for other in beside)
        victims = self._counted(node, lower, beside) if by_numbers else self._tried(node, lower, beside)
        return victims if not isinstance(victims, list) else self._candidate(node, victims, violating)

    def _lower(self, node: NodeState) -> Iterator[Lower]:
        priority = self._pod.priority
        lower = (each for each in node.pods.items() if each[1].footprint.priority < priority)
        return lower if self._pod.gang is None else (each for each in lower if self._may_end_for_gang(each[0]))

    def _may_end_for_gang(self, key: str) -> bool:
        """A gang that ends as a whole has a priority of its own. (Single pods do not look at that: KEP-5710, 1.36.)"""
        gangs = self._state.gangs
        gang = gangs.ends_with(key)
        return gang is None or gangs.priority(gang) < self._pod.priority

    def _counted(self, node: NodeState, lower: list[Lower], beside: list[PodDemand]) -> list[Lower] | Reasons:
        """By numbers: all that can be missing is room."""
        assert self._fit is not None
        room = self._state.room
        wanted = self._fit.wanted(self._shape_cycle)
        left = [
            column.allocatable.at[node.row] - column.requested.at[node.row] - amount
            + sum(placed.footprint.requests.get(name, 0) for _, placed in lower)
            - sum(other.requests.get(name, 0) for other in beside)
            for name, amount, column, _ in wanted
        ]  # fmt: skip
        places = room.pods_max.at[node.row] - room.pods.at[node.row] - 1 + len(lower) - len(beside)
        missing = [f"Insufficient {w.name}" for w, amount in zip(wanted, left, strict=True) if amount < 0]
        if missing or places < 0:
            return (*(["Too many pods"] if places < 0 else []), *missing)
        victims = []
        for each in lower:
            requests = each[1].footprint.requests
            after = [amount - requests.get(w.name, 0) for w, amount in zip(wanted, left, strict=True)]
            if places < 1 or min(after, default=0) < 0:
                victims.append(each)
            else:
                left, places = after, places - 1
        return victims

    def _tried(self, node: NodeState, lower: list[Lower], beside: list[PodDemand]) -> list[Lower] | Reasons:
        """By taking pods away and asking all filters."""
        state, lifted = self._state, dict(lower)
        for key in lifted:
            state.lift(key)
        try:
            if why := self._cycle.why_not(self._pod, node.name, beside):
                return why
            victims = []
            for key, placed in lower:
                state.put(key, placed, node.name)
                if self._cycle.why_not(self._pod, node.name, beside):
                    state.lift(key)
                    victims.append((key, placed))
            return victims
        finally:
            for key, placed in lifted.items():
                state.put(key, placed, node.name)

    def _candidate(self, node: NodeState, victims: list[Lower], violating: frozenset[str]) -> Candidate | Reasons:
        if not victims:
            return (NO_VICTIMS,)
        violations = sum(key in violating for key, _ in victims)
        return candidate(node, victims, violations, self._state.rank.at[node.row])


def candidate(node: NodeState, victims: list[Lower], violations: int, rank: float) -> Candidate:
    victims = sorted(victims, key=importance)
    priorities = [placed.footprint.priority for _, placed in victims]
    return Candidate(
        violations,
        priorities[0],
        sum(priority + _LOWEST for priority in priorities),
        len(victims),
        -min(placed.started for _, placed in victims if placed.footprint.priority == priorities[0]),
        -rank,
        node.name,
        tuple(Victim(key, placed.uid) for key, placed in victims),
    )


class Possible:
    """The rows where less important pods are, and where the end of pods could help. `helpful`: verdicts that it could
    change."""

    def __init__(self, verdicts: Ints, helpful: Sequence[int], lowest: Floats, priority: int) -> None:
        self._verdicts = verdicts
        self._helpful = helpful
        self._lowest = lowest
        self._priority = priority

    def among(self, rows: slice) -> Bools:
        return self.helped(rows) & (self._lowest[rows] < self._priority)

    def helped(self, rows: slice) -> Bools:
        verdicts = self._verdicts[rows]
        found = np.zeros(len(verdicts), np.bool_)
        for verdict in self._helpful:
            found |= verdicts == verdict
        return found


class Candidates:
    """What dry runs have found for pods of one shape, each row's until it changes.

    A pod that is nominated leaves no room for itself on its node, where others of its shape do: what it finds there is
    its own."""

    def __init__(self, template: Template) -> None:
        self._state = template.cycle.state
        self._found: dict[int, Candidate] = {}
        self._least: list[tuple[Candidate, int]] = []  # a heap of what was found; what is not found any more lingers
        self._refused: dict[int, Reasons] = {}
        self._head = 0
        self._versions = (-1, -1)
        self._known: Bools = np.zeros(0, np.bool_)
        self._next = 0  # where the search goes on: no part of the nodes is asked before the others for ever
        self._own: int | None = None  # the row that the pod before was nominated for

    def best(self, run: DryRun, possible: Possible, enough: Enough) -> Candidate | None:
        self._forget(run.by_numbers, run.nominated_row)
        wanted = enough.of(len(self._state.nodes))
        for row in self._unknown(possible) if len(self._found) < wanted else ():
            self._next, self._known[row] = row + 1, True
            match run.on(row):
                case Candidate() as candidate:
                    self._found[row] = candidate
                    heapq.heappush(self._least, (candidate, row))
                case reasons:
                    self._refused[row] = reasons
            if len(self._found) >= wanted:
                break
        self._head = self._state.room.changes.head  # a dry run that tried has changed nothing
        return self._first()

    def _first(self) -> Candidate | None:
        heap, found = self._least, self._found
        if len(heap) > 2 * len(found) + _LINGER_MAX:
            heap[:] = [(candidate, row) for row, candidate in found.items()]
            heapq.heapify(heap)
        while heap and found.get(heap[0][1]) is not heap[0][0]:
            heapq.heappop(heap)
        return heap[0][0] if heap else None

    def all(self) -> list[Candidate]:
        """That were found when it was searched last."""
        return list(self._found.values())

    def reasons(self, possible: Bools) -> Counter[str]:
        """Why no node is a candidate, of those that were possible."""
        refused = [self._refused[row] for row in np.flatnonzero(possible).tolist() if row in self._refused]
        return Counter(reason for reasons in refused for reason in reasons)

    def _unknown(self, possible: Possible) -> Iterator[int]:
        """From where the last search stopped. Mostly the first few rows will do: all others are looked at later."""
        start = min(self._next, len(self._known))
        for first, end in ((start, len(self._known)), (0, start)):
            size = _LOOKED_AT_FIRST
            while first < end:
                part = slice(first, min(first + size, end))
                for row in np.flatnonzero(possible.among(part) & ~self._known[part]).tolist():
                    yield first + row
                first, size = part.stop, end

    def _forget(self, alone: bool, own: int | None) -> None:
        """`alone`: what is known of a row depends on nothing but that row."""
        state = self._state
        changes = state.room.changes
        versions = (state.objects.version, state.budgets.version)
        changed = changes.since(self._head) if alone and versions == self._versions else None
        if changed is None or len(self._known) != state.rows:
            self._found.clear()
            self._least.clear()
            self._refused.clear()
            self._known = np.zeros(state.rows, np.bool_)
            self._versions = versions
        else:
            for row in {*changed, *(row for row in (self._own, own) if row is not None)}:
                self._found.pop(row, None)
                self._refused.pop(row, None)
                self._known[row] = False
        self._own = own


def preempt(
    cycle: SchedulingCycle, pod: PodDemand, found: Unschedulable, enough: Enough = AS_EVER
) -> Nomination | Helpless:
    """Whom to end so that the pod fits; or why that is of no use, in kube-scheduler's words."""
    if why := _not_eligible(cycle, pod, found):
        return Helpless(why, waits=True)
    nodes, state = len(cycle.state.nodes), cycle.state
    free = Counter({NO_VICTIMS: found.by_others})  # nodes on which nobody is in the way
    reasons = +(free + Counter({NOT_HELPFUL: nodes - found.by_others}))
    if found.verdicts is not None and (helpful := found.resolvable):
        template = cycle.template(pod)
        possible = Possible(found.verdicts, helpful, state.room.lowest_priority.values, pod.priority)
        whose = "DefaultPreemption" if pod.gang is None else "DefaultPreemption of gangs"
        candidates = template.cycle.memo.setdefault(whose, Candidates(template))
        best: Candidate | None = candidates.best(DryRun(cycle, pod), possible, enough)
        if best is not None:
            found.candidates = candidates.all
            return best.nomination
        helped, rows = int(np.count_nonzero(possible.helped(ALL))), possible.among(ALL)
        refused = {NOT_HELPFUL: nodes - found.by_others - helped, NO_VICTIMS: helped - int(np.count_nonzero(rows))}
        reasons = free + Counter(refused) + candidates.reasons(rows)
    return Helpless(f"0/{nodes} nodes are available: {in_words(reasons)}.")


def _not_eligible(cycle: SchedulingCycle, pod: PodDemand, found: Unschedulable) -> str:
    """Why it may not preempt."""
    if pod.spec.get("preemptionPolicy") == "Never":
        return "not eligible due to preemptionPolicy=Never."
    if room_is_coming(cycle, pod, found):
        return "not eligible due to a terminating pod on the nominated node."
    return ""


def room_is_coming(cycle: SchedulingCycle, pod: PodDemand, found: Unschedulable) -> bool:
    """Less important pods end on the node that it waits for. That does not count if the node will not do any more."""
    node = cycle.state.nodes.get(cycle.state.nominations.node_of(pod.key))
    hopeful = node is not None and found.verdicts is not None and int(found.verdicts[node.row]) in found.resolvable
    return (
        node is not None
        and hopeful
        and any(
            cycle.state.is_leaving(key, placed)
            for key, placed in node.pods.items()
            if placed.footprint.priority < pod.priority
        )
    )


def importance(each: Lower) -> tuple[int, float, str]:
    """The more important first: by priority, then who has run longer."""
    key, placed = each
    return -placed.footprint.priority, placed.started, key
