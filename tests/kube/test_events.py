"""Events: counted, combined, cut off; and never in anybody's way."""

from __future__ import annotations

import asyncio

from actorkube.kube import Client, Recorder
from actorkube.kube.correlate import Correlator, Recorded, Source
from actorkube.kube.writes import Event
from actorkube.runtime import Actor, System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
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

    assert recorded.is_new
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

    assert (again.name, again.is_new) == (first.name, False)
    assert again.patch == {"count": 2, "lastTimestamp": "2023-11-14T22:14:20Z", "message": "Started it"}


def test_many_similar_events_become_one() -> None:
    correlator = Correlator()
    recorded = [record(correlator, event(f"message {number}"), NOW + number) for number in range(15)]

    assert [r.is_new for r in recorded] == [True] * 11 + [False] * 4
    assert recorded[-1].obj["message"] == "(combined from similar events): message 14"
    assert recorded[-1].obj["count"] == 5


def test_an_object_that_floods_is_cut_off_and_others_are_not() -> None:
    correlator = Correlator()
    passed = sum(correlator.record(event(reason=f"r{n}"), SOURCE, NOW) is not None for n in range(100))

    assert passed == 25
    assert correlator.record(event(name="other"), SOURCE, NOW) is not None
    assert correlator.record(event(reason="later"), SOURCE, NOW + 301) is not None


class Narrator(Actor):
    async def on_start(self) -> None:
        self.recorder = Recorder(self.ctx, Client(self.ctx), "tester")


async def told(store: MemoryStore, tell: list[Event]) -> Narrator:
    network = LocalNetwork()
    systems = [System(name, network.transport(), seed=1, log=Quiet()) for name in ("apiserver", "node")]
    for system in systems:
        await system.start()
    systems[0].spawn(lambda: MemoryApi(store), "api")
    systems[1].spawn(Narrator, "narrator")
    await asyncio.sleep(0)
    narrator = systems[1].actor("narrator")
    assert isinstance(narrator, Narrator)
    for each in tell:
        narrator.recorder.record(each)
    await asyncio.sleep(0.05)
    for system in reversed(systems):
        await system.stop()
    return narrator


async def test_the_recorder_creates_and_counts() -> None:
    store = MemoryStore()
    await told(store, [event(), event(), event("Other")])

    assert sorted((e["message"], e["count"]) for e in store.list("events")) == [("Other", 1), ("Started it", 2)]


async def test_what_does_not_fit_is_dropped_and_counted() -> None:
    store = MemoryStore()
    narrator = await told(store, [event(name=f"pod-{number}") for number in range(1500)])

    assert narrator.recorder.dropped == 1500 - 1024
