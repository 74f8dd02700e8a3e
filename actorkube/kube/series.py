"""Events as newer components write them (events.k8s.io/v1): the same again is a series, of which little is written.

As client-go's tools/events, which kube-scheduler and kube-proxy use: the first is written at once, with the time it
happened; the second makes it a series; what comes after is counted here, and told half an hour later, or when there
has been none for six minutes, which ends the series. Of an event that stays alone nothing is known after six minutes.
The same is: about the same revision of the same object, of one reason and action. Pure.
"""

from __future__ import annotations

from typing import Any, NamedTuple

from actorkube.kube.correlate import Bounded, Recorded, Source, event_name
from actorkube.kube.writes import Event
from protocols.objects import Object
from protocols.rules.times import micro_time_of

OVER_AFTER_S = 360.0
REFRESHED_AFTER_S = 1800.0
_NOTE_MAX, _CUT = 1024, " ..."


class _Told(NamedTuple):
    """`written`: when it was told last."""

    obj: Object
    last: float
    written: float
    times: int = 1

    @property
    def due(self) -> float:
        return min(self.last + OVER_AFTER_S, self.written + REFRESHED_AFTER_S)

    def is_over(self, now: float) -> bool:
        return now - self.last >= OVER_AFTER_S

    @property
    def recorded(self) -> Recorded:
        series = {"count": self.times, "lastObservedTime": micro_time_of(self.last)}
        metadata = self.obj["metadata"]
        return Recorded(metadata["namespace"], metadata["name"], {**self.obj, "series": series}, {"series": series})


class Series:
    def __init__(self) -> None:
        self._known: Bounded[_Told] = Bounded()

    def record(self, event: Event, source: Source, now: float) -> Recorded | None:
        """What to write for this event; None when it is only counted."""
        key = repr((event.about, event.related, event.type, event.reason, event.action, source))
        known = self._known.get(key)
        if known is None or (known.times == 1 and known.is_over(now)):
            obj = _first(event, source, now)
            self._known.keep(key, _Told(obj, now, now))
            return Recorded(obj["metadata"]["namespace"], obj["metadata"]["name"], obj)
        told = known._replace(last=now, times=known.times + 1)
        if told.times == 2:
            told = told._replace(written=now)
        self._known.keep(key, told)
        return told.recorded if told.times == 2 else None

    def next_due(self) -> float | None:
        """When something is to be told of a series; None where there is none."""
        return min((told.due for told in self._known.values() if told.times > 1), default=None)

    def due(self, now: float) -> list[Recorded]:
        """What is to be told now. Series that are over are forgotten, and so are events that stayed alone."""
        found = []
        for key, told in list(self._known.items()):
            if told.times > 1 and now >= told.due:
                found.append(told.recorded)
                self._known[key] = told._replace(written=now)
            if told.is_over(now):
                del self._known[key]
        return found


def _first(event: Event, source: Source, now: float) -> Object:
    about = {key: value for key, value in event.about.items() if value}
    note = event.message if len(event.message) <= _NOTE_MAX else event.message[: _NOTE_MAX - len(_CUT)] + _CUT
    made: dict[str, Any] = {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"name": event_name(about, now), "namespace": about.get("namespace") or "default"},
        "involvedObject": about,
        "reason": event.reason,
        "message": note,
        "source": {},
        "firstTimestamp": None,
        "lastTimestamp": None,
        "type": event.type,
        "eventTime": micro_time_of(now),
        "action": event.action,
        "reportingComponent": source.component,
        "reportingInstance": f"{source.component}-{source.host}" if source.host else source.component,
    }
    if event.related:
        made["related"] = {key: value for key, value in event.related.items() if value}
    return made
