"""Events: counted, combined, cut off; and never in anybody's way."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import pytest

from actorkube.kube import Client, Recorder, events
from actorkube.kube.correlate import Correlator, Recorded, Source
from actorkube.kube.series import Series
from actorkube.kube.writes import Event
from actorkube.runtime import Actor, System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from tests.controllers.virtual_time import run
from tests.kube.memory_api import MemoryApi
from tests.kube.memory_store import MemoryStore

SOURCE = Source("tester", "node-1")
NOW = 1_700_000_000.0


def about(name: str = "web") -> dict[str, str]:
    return {"kind": "Pod", "namespace": "default", "name": name, "uid": f"uid-{name}", "apiVersion": "v1"}


def event(message: str = "Started it", name: str = "web", reason: str = "Started") -> Event:
    return Event(about(name), "Normal", reason, message)


def record(correlator: Correlator, each: Event, now: float = NOW) -> Recorded:
    recorded = correlator.record(each, SOURCE, now)
    assert recorded is not None
    return recorded


def test_an_event_says_what_kubectl_describe_shows() -> None:
    recorded = record(Correlator(), event())

    assert recorded.patch is None
    assert recorded.obj == {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"name": f"web.{int(NOW * 1e9):x}", "namespace": "default"},
        "involvedObject": about(),
        "reason": "Started",
        "message": "Started it",
        "source": {"component": "tester", "host": "node-1"},
        "firstTimestamp": "2023-11-14T22:13:20Z",
        "lastTimestamp": "2023-11-14T22:13:20Z",
        "count": 1,
        "type": "Normal",
        "eventTime": None,
        "reportingComponent": "tester",
        "reportingInstance": "node-1",
    }


def test_events_about_what_has_no_namespace_live_in_default() -> None:
    node = Event({"kind": "Node", "name": "n1"}, "Normal", "NodeReady", "Ready")

    assert record(Correlator(), node).namespace == "default"


def test_an_equal_event_is_counted() -> None:
    correlator = Correlator()
    first = record(correlator, event())
    again = record(correlator, event(), NOW + 60)

    assert (again.name, again.patch is None) == (first.name, False)
    assert again.patch == {"count": 2, "lastTimestamp": "2023-11-14T22:14:20Z", "message": "Started it"}


def test_many_similar_events_become_one() -> None:
    correlator = Correlator()
    recorded = [record(correlator, event(f"message {number}"), NOW + number) for number in range(15)]

    assert [r.patch is None for r in recorded] == [True] * 10 + [False] * 5
    assert recorded[-1].obj["message"] == "(combined from similar events): message 14"
    assert recorded[-1].obj["count"] == 6
    assert record(correlator, event("message 3"), NOW + 20).obj["message"] == "message 3"
    assert record(correlator, event("message 15"), NOW + 619).obj["count"] == 7
    assert record(correlator, event("message 16"), NOW + 1220).patch is None


def test_messages_about_other_fields_are_similar_too() -> None:
    correlator = Correlator()
    places = [{**about(), "fieldPath": f"spec.containers{{{number}}}"} for number in range(12)]
    recorded = [record(correlator, Event(place, "Normal", "Pulled", str(place))) for place in places]

    assert [each.patch is None for each in recorded] == [True] * 10 + [False] * 2


def test_an_object_that_floods_is_cut_off_and_others_are_not() -> None:
    correlator = Correlator()
    passed = sum(correlator.record(event(reason=f"r{n}"), SOURCE, NOW) is not None for n in range(100))

    assert passed == 25
    assert correlator.record(event(name="other"), SOURCE, NOW) is not None
    assert correlator.record(event(reason="later"), SOURCE, NOW + 301) is not None


def test_what_was_over_the_budget_is_counted_when_there_is_room_again() -> None:
    correlator = Correlator()
    for _ in range(40):
        correlator.record(event(), SOURCE, NOW)

    assert record(correlator, event(), NOW + 301).obj["count"] == 41


class Narrator(Actor):
    def __init__(self, correlator: Series | None) -> None:
        self._correlator = correlator

    async def on_start(self) -> None:
        self.recorder = Recorder(self.ctx, Client(self.ctx), "tester", correlator=self._correlator)


async def told(
    store: MemoryStore,
    tell: list[Event],
    later: Sequence[Event] = (),
    meanwhile: Callable[[], None] = lambda: None,
    correlator: Series | None = None,
    wait_s: float = 0.05,
) -> Narrator:
    network = LocalNetwork()
    systems = [System(name, network.transport(), seed=1, log=Quiet()) for name in ("apiserver", "node")]
    for system in systems:
        await system.start()
    systems[0].spawn(lambda: MemoryApi(store), "api")
    systems[1].spawn(lambda: Narrator(correlator), "narrator")
    await asyncio.sleep(0)
    narrator = systems[1].actor("narrator")
    assert isinstance(narrator, Narrator)
    for each in tell:
        narrator.recorder.record(each)
    await asyncio.sleep(wait_s)
    meanwhile()
    for each in later:
        narrator.recorder.record(each)
        await asyncio.sleep(0.05)
    for system in reversed(systems):
        await system.stop()
    return narrator


async def test_the_recorder_creates_and_counts() -> None:
    store = MemoryStore()
    await told(store, [event(), event(), event("Other")])

    assert sorted((e["message"], e["count"]) for e in store.list("events")) == [("Other", 1), ("Started it", 2)]


async def test_an_event_that_is_not_there_any_more_comes_again_with_its_count() -> None:
    store = MemoryStore()

    def end() -> None:
        (there,) = store.list("events")
        store.delete("events", "default", there["metadata"]["name"])

    await told(store, [event()], [event()], end)

    assert [(e["message"], e["count"]) for e in store.list("events")] == [("Started it", 2)]


@pytest.mark.slow
async def test_what_does_not_fit_is_dropped_and_counted() -> None:
    store = MemoryStore()
    narrator = await told(store, [event(name=f"pod-{number}") for number in range(1500)])

    assert narrator.recorder.dropped == 1500 - 1024


async def test_what_was_dropped_is_new_the_next_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "_WAITING_MAX", 2)
    store = MemoryStore()
    await told(store, [event(name=name) for name in "abc"], [event(name="c")])

    assert sorted((e["involvedObject"]["name"], e["count"]) for e in store.list("events")) == [
        ("a", 1),
        ("b", 1),
        ("c", 1),
    ]


def test_a_series_is_one_event_that_is_told_of_twice() -> None:
    store = MemoryStore()
    run(told(store, [unscheduled()] * 4, correlator=Series()))
    begun = [each["series"]["count"] for each in store.list("events")]
    run(told(store, [unscheduled("8")] * 4, correlator=Series(), wait_s=400.0))

    assert begun == [2]
    assert sorted(each["series"]["count"] for each in store.list("events")) == [2, 4]


# -- series -----------------------------------------------------------------------------------------------------------

REASON = "0/3 nodes are available: 3 Insufficient cpu."


def unscheduled(revision: str = "7", message: str = REASON) -> Event:
    return Event({**about(), "resourceVersion": revision}, "Warning", "FailedScheduling", message, "Scheduling")


def test_an_event_of_a_series_says_when_it_was_and_what_was_tried() -> None:
    recorded = Series().record(unscheduled(), Source("default-scheduler", "here"), NOW)

    assert recorded is not None and recorded.patch is None
    assert recorded.obj == {
        "kind": "Event",
        "apiVersion": "v1",
        "metadata": {"name": f"web.{int(NOW * 1e9):x}", "namespace": "default"},
        "involvedObject": {**about(), "resourceVersion": "7"},
        "reason": "FailedScheduling",
        "message": REASON,
        "source": {},
        "firstTimestamp": None,
        "lastTimestamp": None,
        "type": "Warning",
        "eventTime": "2023-11-14T22:13:20.000000Z",
        "action": "Scheduling",
        "reportingComponent": "default-scheduler",
        "reportingInstance": "default-scheduler-here",
    }


def test_the_second_makes_a_series_and_later_ones_are_told_when_it_is_over() -> None:
    made = Series()
    told = [made.record(unscheduled(), SOURCE, NOW + second) for second in (0, 10, 20, 30)]
    other = made.record(unscheduled("8"), SOURCE, NOW + 40)
    due = made.next_due()

    assert [each is not None for each in told] == [True, True, False, False]
    assert told[0] is not None and told[1] is not None and told[1].name == told[0].name
    assert told[1].patch == {"series": {"count": 2, "lastObservedTime": "2023-11-14T22:13:30.000000Z"}}
    assert other is not None and other.patch is None
    assert due == NOW + 390 and made.due(NOW + 389) == []
    (last,) = made.due(NOW + 390)
    assert last.patch == {"series": {"count": 4, "lastObservedTime": "2023-11-14T22:13:50.000000Z"}}
    assert made.next_due() is None
    again = made.record(unscheduled(), SOURCE, NOW + 391)
    assert again is not None and again.patch is None


def test_a_long_series_is_told_of_every_half_hour() -> None:
    made, told = Series(), []
    for minute in range(70):
        at = NOW + 60 * minute
        made.record(unscheduled(), SOURCE, at)
        told += [(minute, each.obj["series"]["count"]) for each in made.due(at)]

    assert told == [(31, 32), (61, 62)]


def test_what_was_alone_for_six_minutes_begins_anew() -> None:
    made = Series()
    first, second = (made.record(unscheduled(), SOURCE, NOW + second) for second in (0, 360))

    assert first is not None and second is not None
    assert second.patch is None and second.name != first.name


def test_a_long_note_is_cut_as_the_scheduler_cuts_it() -> None:
    recorded = Series().record(unscheduled(message="x" * 2000), SOURCE, NOW)

    assert recorded is not None and recorded.obj["message"] == "x" * 1020 + " ..."
