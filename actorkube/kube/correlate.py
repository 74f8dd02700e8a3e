"""Which events are worth writing: equal ones are counted, similar ones combined, floods cut off. Pure.

As client-go's EventCorrelator: an event equal in everything to an earlier one raises that one's count; of events that
differ only in their message the tenth and all later ones become one, "(combined from similar events)", until there has
been none for ten minutes; an object that causes a flood has a budget of 25 events and gains one every five minutes.
What is over the budget is not written, but counted: the next one that is written tells of it.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, NamedTuple, TypeVar

from actorkube.kube.writes import Event
from protocols.objects import Object
from protocols.rules.times import time_of

V = TypeVar("V")

_KEPT_MAX = 4096
_SIMILAR_MAX = 9
_SIMILAR_WITHIN_S = 600.0
_BURST = 25.0
_REFILL_PER_S = 1 / 300
_PLACE = ("kind", "namespace", "name", "uid", "apiVersion")


class Source(NamedTuple):
    component: str
    host: str = ""


class Recorded(NamedTuple):
    """Write this: create `obj`, or where there is a patch, patch the one of that name."""

    namespace: str
    name: str
    obj: Object
    patch: dict[str, Any] | None = None


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
    at: float  # of the last of them
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
        place = "|".join([str(source), *(str(about.get(each)) for each in _PLACE)])
        kin = f"{place}|{event.type}|{event.reason}"
        message = event.message
        key = f"{kin}|{about.get('fieldPath')}|{message}"
        if self._is_flood(kin, message, now):
            message, key = f"(combined from similar events): {message}", kin
        known = self._known.get(key)
        obj = _first(event, source, now) if known is None else {**known, "count": known["count"] + 1}
        obj.update(message=message[:1024], lastTimestamp=time_of(now))
        self._known.keep(key, obj)
        if not self._affords(place, now):
            return None
        patch = {field: obj[field] for field in ("count", "lastTimestamp", "message")} if known is not None else None
        return Recorded(obj["metadata"]["namespace"], obj["metadata"]["name"], obj, patch)

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
        if similar is None or now - similar.at > _SIMILAR_WITHIN_S:
            similar = _Similar(now)
        similar.at = now
        self._similar.keep(kin, similar)
        if message not in similar.messages and len(similar.messages) < _SIMILAR_MAX:
            similar.messages[message] = None
        return message not in similar.messages


def event_name(about: Mapping[str, Any], now: float) -> str:
    """Its object's name, and the moment."""
    return f"{about.get('name', '')}.{int(now * 1e9):x}"


def _first(event: Event, source: Source, now: float) -> Object:
    about = event.about
    namespace = about.get("namespace") or "default"
    return {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"name": event_name(about, now), "namespace": namespace},
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
