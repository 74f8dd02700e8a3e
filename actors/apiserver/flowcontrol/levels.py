"""All priority levels of a server and the flow schemas that lead to them: a request in, its place out. Pure.

Configured anew from what is stored whenever that changes; requests under way stay where they are, also in a level that
is gone. The mandatory levels and schemas are there even where nobody has stored them.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any, NamedTuple

from actors.apiserver.access.attributes import Attributes
from actors.apiserver.callers import Caller
from actors.apiserver.flowcontrol.counts import Counts
from actors.apiserver.flowcontrol.defaults import CATCH_ALL, LEVELS, MANDATORY, SCHEMAS, mandatory
from actors.apiserver.flowcontrol.demand import Bounds, Demand, bounds_of, divide
from actors.apiserver.flowcontrol.matching import Rule, distinguisher_of, rule_of
from actors.apiserver.flowcontrol.queueset import QueueSet, Queuing, Reason, Waiting
from actors.apiserver.flowcontrol.retry_after import RetryAfter
from actors.apiserver.flowcontrol.shuffle import hand_of
from protocols.objects import Object, name_of, uid_of

SEATS = 600  # what Kubernetes' --max-requests-inflight and --max-mutating-requests-inflight are together
_REMEMBERED_MAX = 4096
_SEATS_PER_REQUEST = 0.15  # of its level's, at most
_SEATS_PER_REQUEST_MAX = 10
_OBJECTS_PER_SEAT = 100
_NO_HAND: tuple[int, ...] = (0,)

# Who asks, verb, group, resource, subresource, namespace, path: what rules and distinguishers look at.
_Question = tuple[Caller, str, str, str, str, str, str]


class Level:
    """One PriorityLevelConfiguration: its limits, its queues, what is wanted of it."""

    def __init__(self, name: str, now: float) -> None:
        self.name = name
        self.uid = ""
        self.exempt = False
        self.queuing: Queuing | None = None
        self.bounds = Bounds(0, 0, 0)
        self.demand = Demand(now)
        self.queues = QueueSet(0, None)
        self.request_seats_max = 1
        self.retry_after = RetryAfter()

    def describe(self, obj: Object, bounds: Bounds) -> None:
        """As it is stored."""
        spec = obj["spec"]
        self.uid = uid_of(obj)
        self.exempt = self.queues.exempt = spec["type"] == "Exempt"
        response = (spec.get("limited") or {}).get("limitResponse") or {}
        queuing = response.get("queuing") if response.get("type") == "Queue" else None
        self.queuing = None if queuing is None else _queuing(queuing)
        self.bounds = bounds
        share = math.ceil(bounds.nominal * _SEATS_PER_REQUEST)
        dealt = bounds.nominal // self.queuing.hand_size if self.queuing is not None else _SEATS_PER_REQUEST_MAX
        self.request_seats_max = max(1, min(share, dealt, _SEATS_PER_REQUEST_MAX))

    def note(self, now: float) -> None:
        queues = self.queues
        self.demand.note(queues.seats_executing + queues.seats_waiting, now)


class Schema(NamedTuple):
    """One FlowSchema."""

    name: str
    uid: str
    precedence: int
    distinguisher: str
    rules: tuple[Rule, ...]
    level: Level
    counts: Counts


class Flow(NamedTuple):
    """Where a request belongs, and the queues that it may wait in."""

    schema: Schema
    distinguisher: str
    hand: tuple[int, ...]


class Place(Waiting):
    """A request in its level."""

    __slots__ = ("flow",)

    def __init__(self, flow: Flow, seats: int, arrived_at: float) -> None:
        super().__init__(seats, arrived_at)
        self.flow = flow


class Levels:
    def __init__(self, now: float, seats: int = SEATS) -> None:
        """`seats`: how much may be done at once, in all; each level has its share (KEP-1040)."""
        self._seats = seats
        self.levels: dict[str, Level] = {}
        self.schemas: list[Schema] = []
        self._counts: dict[tuple[str, str], Counts] = {}
        self._flows: dict[_Question, Flow] = {}
        self.configure((), (), now)

    def configure(self, schemas: Iterable[Object], levels: Iterable[Object], now: float) -> Sequence[Waiting]:
        """What is stored; returns who starts because of it."""
        self._flows.clear()
        described = {name: mandatory(LEVELS, name) for name in MANDATORY} | {name_of(obj): obj for obj in levels}
        shares = {name: shares_of(obj) for name, obj in described.items()}
        self.levels = {name: self.levels.get(name) or Level(name, now) for name in described}
        for name, obj in described.items():
            self.levels[name].describe(obj, _bounds(obj, self._seats, sum(shares.values())))
        self._sort({name: mandatory(SCHEMAS, name) for name in MANDATORY} | {name_of(obj): obj for obj in schemas})
        return self.adjust(now)

    def adjust(self, now: float) -> Sequence[Waiting]:
        """Levels lend what they do not need and borrow what they do; once a period. Returns who starts by it."""
        for level in self.levels.values():
            level.demand.observe(now)
        limited = [level for level in self.levels.values() if not level.exempt]
        exempt = [level for level in self.levels.values() if level.exempt]
        seats = sum(level.bounds.nominal for level in self.levels.values())
        taken = sum(max(level.bounds.low, level.demand.last.high) for level in exempt)
        limits = divide(seats, [(level.bounds, level.demand) for level in limited], taken)
        started: list[Waiting] = []
        for level, limit in [*zip(limited, limits, strict=True), *((level, level.bounds.nominal) for level in exempt)]:
            started += self._begun(level.queues.configure(limit, level.queuing, now), now)
        return started

    def flow_of(self, caller: Caller, asked: Attributes) -> Flow:
        verb, group, resource, subresource, namespace, _, path, _ = asked
        question = (caller, verb, group, resource, subresource, namespace, path)
        flow = self._flows.get(question)
        if flow is None:
            if len(self._flows) >= _REMEMBERED_MAX:
                self._flows.clear()
            flow = self._flows[question] = self._flow(caller, asked)
        return flow

    def arrive(self, place: Place) -> tuple[Reason | None, Sequence[Waiting]]:
        """Why it gets no place, and which others start now. Whether it has started itself says `started_at`."""
        schema, now = place.flow.schema, place.arrived_at
        reason, started = schema.level.queues.arrive(place, place.flow.hand)
        schema.level.note(now)
        if reason is not None:
            schema.counts.rejected[reason] += 1
        elif place.started_at is None:
            schema.counts.waiting += 1
        else:
            schema.counts.begin(place.seats, 0.0)
        return reason, self._begun(started, now) if started else ()

    def finish(self, place: Place, now: float) -> Sequence[Waiting]:
        """A request that started is over. Returns who starts now."""
        assert place.started_at is not None
        schema = place.flow.schema
        schema.counts.end(place.seats, now - place.started_at)
        started = schema.level.queues.finish(place, now)
        schema.level.note(now)
        return self._begun(started, now) if started else ()

    def give_up(self, place: Place, reason: str, now: float) -> Sequence[Waiting]:
        """A request that waits does so no more. Returns who starts now."""
        schema = place.flow.schema
        schema.counts.waiting -= 1
        schema.counts.rejected[reason] += 1
        started = schema.level.queues.give_up(place, now)
        schema.level.note(now)
        return self._begun(started, now)

    def _begun(self, started: Sequence[Waiting], now: float) -> Sequence[Waiting]:
        for place in started:
            assert isinstance(place, Place)
            counts = place.flow.schema.counts
            counts.waiting -= 1
            counts.begin(place.seats, now - place.arrived_at)
        return started

    def _flow(self, caller: Caller, asked: Attributes) -> Flow:
        schema = next(each for each in self.schemas if self._matches(each, caller, asked))
        if schema.level.queuing is None:
            return Flow(schema, "", _NO_HAND)
        distinguisher = distinguisher_of(schema.distinguisher, caller, asked)
        queuing = schema.level.queuing
        return Flow(schema, distinguisher, hand_of(schema.name, distinguisher, queuing.queues, queuing.hand_size))

    def _matches(self, schema: Schema, caller: Caller, asked: Attributes) -> bool:
        return schema.name == CATCH_ALL or any(rule.matches(caller, asked) for rule in schema.rules)

    def _sort(self, schemas: dict[str, Object]) -> None:
        """The lowest precedence first, of equals by name; those whose level is not there are left out."""
        found = [obj for obj in schemas.values() if level_name(obj) in self.levels]
        self._counts = {
            key: self._counts.get(key) or Counts() for key in ((name_of(obj), level_name(obj)) for obj in found)
        }
        self.schemas = sorted(map(self._schema, found), key=lambda schema: (schema.precedence, schema.name))

    def _schema(self, obj: Object) -> Schema:
        spec, level = obj["spec"], self.levels[level_name(obj)]
        return Schema(
            name_of(obj),
            uid_of(obj),
            spec["matchingPrecedence"],
            (spec.get("distinguisherMethod") or {}).get("type") or "",
            tuple(rule_of(rule) for rule in spec.get("rules") or ()),
            level,
            self._counts[name_of(obj), level.name],
        )


def level_name(schema: Object) -> str:
    """The level that a FlowSchema refers to."""
    return str(schema["spec"]["priorityLevelConfiguration"]["name"])


def seats_of_list(stored: int, limit: int, selects: bool, seats_max: int) -> int:
    """What listing so many objects takes: `limit` of them (0: all), unless all are looked through for a selection."""
    looked_at = min(limit, stored) if limit and not selects else stored
    return max(1, min(math.ceil(looked_at / _OBJECTS_PER_SEAT), seats_max))


def shares_of(level: Object) -> int:
    spec = level["spec"]
    return int((spec.get("limited") or spec.get("exempt") or {}).get("nominalConcurrencyShares") or 0)


def _bounds(level: Object, seats: int, shares_sum: int) -> Bounds:
    part = level["spec"].get("limited") or level["spec"].get("exempt") or {}
    lendable, borrowing = part.get("lendablePercent") or 0, part.get("borrowingLimitPercent")
    return bounds_of(seats, shares_of(level), shares_sum, lendable, borrowing)


def _queuing(queuing: dict[str, Any]) -> Queuing:
    return Queuing(queuing["queues"], queuing["handSize"], queuing["queueLengthLimit"])
