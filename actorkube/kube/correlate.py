"""Which events are worth writing: equal ones are counted, similar ones combined, floods cut off. Pure.

As client-go's EventCorrelator: an event equal in everything to an earlier one raises that one's count; more than ten
events in ten minutes that differ only in their message become one, "(combined from similar events)"; an object that
causes a flood has a budget of 25 events and gains one every five minutes.
"""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from actorkube.kube.writes import Event
from protocols.objects import Object
from protocols.rules.times import time_of

V = TypeVar("V")

_KEPT_MAX = 4096
_SIMILAR_MAX = 10
_SIMILAR_WITHIN_S = 600.0
_BURST = 25.0
_REFILL_PER_S = 1 / 300


class Source(NamedTuple):
    component: str
    host: str = ""


class Recorded(NamedTuple):
    """Write this: create `obj` when its count is 1, else patch the one of that name."""

    namespace: str
    name: str
    obj: Object

    @property
    def is_new(self) -> bool:
        return bool(self.obj["count"] == 1)

    @property
    def patch(self) -> dict[str, Any]:
        return {field: self.obj[field] for field in ("count", "lastTimestamp", "message")}


class Bounded(OrderedDict[str, V], Generic[V]):
    """Keeps the most recently stored `_KEPT_MAX` entries."""

    def keep(self, key: str, value: V) -> V:
        self[key] = value
        self.move_to_end(key)
        if len(self) > _KEPT_MAX:
            self.popitem(last=False)
        return value


@dataclass(slots=True)
class _Similar:
    since: float
    messages: dict[str, None] = field(default_factory=dict)


@dataclass(slots=True)
class _Budget:
    tokens: float
    at: float


class Correlator:
    def __init__(self) -> None:
        self._known: Bounded[Object] = Bounded()
        self._similar: Bounded[_Similar] = Bounded()
        self._budgets: Bounded[_Budget] = Bounded()

    def record(self, event: Event, source: Source, now: float) -> Recorded | None:
        """What to write for this event; None when its object has told too much lately."""
        about = event.about
        place = f"{source}|{about.get('kind')}|{about.get('namespace')}|{about.get('name')}|{about.get('uid')}"
        if not self._affords(place, now):
            return None
        kin = f"{place}|{about.get('fieldPath')}|{event.type}|{event.reason}"
        message = event.message
        key = f"{kin}|{message}"
        if self._is_flood(kin, message, now):
            message, key = f"(combined from similar events): {message}", kin
        known = self._known.get(key)
        obj = _first(event, source, now) if known is None else {**known, "count": known["count"] + 1}
        obj.update(message=message[:1024], lastTimestamp=time_of(now))
        self._known.keep(key, obj)
        return Recorded(obj["metadata"]["namespace"], obj["metadata"]["name"], obj)

    def forget(self, recorded: Recorded) -> None:
        """The event object is gone from the API server: the next equal one begins anew."""
        for key, obj in self._known.items():
            if obj["metadata"] == recorded.obj["metadata"]:
                del self._known[key]
                return

    def _affords(self, place: str, now: float) -> bool:
        budget = self._budgets.get(place) or _Budget(_BURST, now)
        budget.tokens = min(_BURST, budget.tokens + (now - budget.at) * _REFILL_PER_S)
        budget.at = now
        self._budgets.keep(place, budget)
        if budget.tokens < 1:
            return False
        budget.tokens -= 1
        return True

    def _is_flood(self, kin: str, message: str, now: float) -> bool:
        similar = self._similar.get(kin)
        if similar is None or now - similar.since > _SIMILAR_WITHIN_S:
            similar = _Similar(now)
        self._similar.keep(kin, similar)
        if message not in similar.messages and len(similar.messages) < _SIMILAR_MAX:
            similar.messages[message] = None
        return message not in similar.messages


def _first(event: Event, source: Source, now: float) -> Object:
    about = event.about
    namespace = about.get("namespace") or "default"
    name = f"{about.get('name', '')}.{int(now * 1e9):x}"
    return {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"name": name, "namespace": namespace},
        "involvedObject": {key: value for key, value in about.items() if value},
        "reason": event.reason,
        "message": event.message,
        "source": {"component": source.component, **({"host": source.host} if source.host else {})},
        "firstTimestamp": time_of(now),
        "lastTimestamp": time_of(now),
        "count": 1,
        "type": event.type,
        "eventTime": None,
        "reportingComponent": source.component,
        "reportingInstance": source.host,
    }
