"""The scheduling queue: its order, its back-off, and what wakes a pod that no node fitted."""

from __future__ import annotations

from dataclasses import dataclass, field

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.scheduler.demand import PodDemand
from actors.scheduler.framework import ClusterEvent
from actors.scheduler.queue import Place, QueuedPod, SchedulingQueue
from tests.effort import examples
from tests.scheduler.worlds import make_pod

EVENTS = {"Fit": ClusterEvent.POD_DELETED | ClusterEvent.NODE_ADDED, "Taints": ClusterEvent.NODE_TAINT}


def demand(name: str, priority: int = 0, **more: str) -> PodDemand:
    return PodDemand(make_pod(name, priority=priority, **more))


def new_queue(*demands: PodDemand) -> SchedulingQueue:
    queue = SchedulingQueue(EVENTS)
    for second, pod in enumerate(demands):
        queue.set(pod, float(second))
    return queue


def popped(queue: SchedulingQueue, now: float) -> QueuedPod:
    queued = queue.pop(now)
    assert queued is not None
    return queued


def names(queue: SchedulingQueue, now: float) -> list[str]:
    found = []
    while (queued := queue.pop(now)) is not None:
        found.append(queued.demand.key.removeprefix("default/"))
    return found


def yes(pod: PodDemand) -> bool:
    return True


def test_the_highest_priority_comes_first_then_the_oldest() -> None:
    queue = new_queue(demand("a"), demand("b", 10), demand("c"), demand("d", 10), demand("e", -1))

    assert names(queue, 9.0) == ["b", "d", "a", "c", "e"]


def test_a_pod_is_popped_once() -> None:
    queue = new_queue(demand("a"))

    assert names(queue, 1.0) == ["a"]
    queue.set(demand("a"), 2.0)
    assert names(queue, 2.0) == []


@pytest.mark.parametrize(("failures", "wait_s"), [(1, 1), (2, 2), (3, 4), (4, 8), (5, 10), (60, 10)])
def test_a_failed_binding_waits_twice_as_long_each_time_up_to_ten_seconds(failures: int, wait_s: float) -> None:
    queue, now = new_queue(demand("a")), 0.0
    for _ in range(failures):
        queued = popped(queue, now)
        queue.retry(queued, now)
        now += 10

    assert queue.next_due() == now - 10 + wait_s
    assert queue.pop(now - 10 + wait_s - 0.01) is None
    assert queue.pop(now - 10 + wait_s) is queued


def test_a_pod_that_no_node_fits_waits_for_an_event_that_concerns_it() -> None:
    queue = new_queue(demand("a"))
    queue.refuse(popped(queue, 0.0), ("Fit",), 0.0)

    assert queue.on_event(ClusterEvent.NODE_TAINT, 20.0, yes) == 0
    assert queue.on_event(ClusterEvent.POD_DELETED, 20.0, lambda pod: False) == 0
    assert names(queue, 20.0) == []
    assert queue.on_event(ClusterEvent.POD_DELETED | ClusterEvent.NODE_TAINT, 20.0, yes) == 1
    assert names(queue, 20.0) == ["a"]


def test_after_five_minutes_it_is_tried_anyway() -> None:
    queue = new_queue(demand("a"), demand("b"))
    queue.refuse(popped(queue, 0.0), ("Fit",), 0.0)
    queue.refuse(popped(queue, 1.0), ("Fit",), 1.0)

    assert queue.next_due() == 300.0
    assert names(queue, 299.0) == []
    assert names(queue, 300.5) == ["a"]
    assert queue.next_due() == 301.0


def test_while_it_backs_off_others_go_first_but_an_idle_scheduler_takes_it_at_once() -> None:
    queue = new_queue(demand("a", 5))
    queue.refuse(popped(queue, 0.0), ("Fit",), 0.0)
    queue.on_event(ClusterEvent.NODE_ADDED, 0.1, yes)
    queue.set(demand("b"), 0.1)

    assert names(queue, 0.2) == ["b", "a"]


def test_a_failed_binding_is_not_taken_early() -> None:
    queue = new_queue(demand("a"))
    queue.retry(popped(queue, 0.0), 0.0)

    assert queue.pop(0.5) is None


def test_a_binding_that_failed_once_does_not_hold_back_a_pod_that_no_node_fits_now() -> None:
    queue = new_queue(demand("a"))
    queue.retry(popped(queue, 0.0), 0.0)
    queue.refuse(popped(queue, 1.0), ("Fit",), 1.0)

    queue.on_event(ClusterEvent.NODE_ADDED, 1.1, yes)

    assert names(queue, 1.2) == ["a"]


def test_a_change_of_the_pod_itself_is_worth_another_try() -> None:
    queue = new_queue(demand("a"))
    queue.refuse(popped(queue, 0.0), ("Fit",), 0.0)

    queue.set(demand("a"), 5.0)
    assert queue.place_of("default/a") is Place.UNSCHEDULABLE
    queue.set(PodDemand(make_pod("a", "1m")), 5.0)

    assert popped(queue, 5.0).demand.requests == {"cpu": 1}


def test_a_gated_pod_waits_until_its_gates_are_gone() -> None:
    queue, gated = SchedulingQueue(EVENTS), PodDemand(make_pod("a", schedulingGates=[{"name": "g"}]))

    queue.set(gated, 0.0, gated=True)
    assert names(queue, 1000.0) == []
    queue.set(demand("a"), 1000.0)

    assert names(queue, 1000.0) == ["a"]


def test_a_pod_that_is_gone_is_not_popped_nor_taken_back() -> None:
    queue = new_queue(demand("a"), demand("b"))
    in_flight = popped(queue, 1.0)
    queue.remove("default/a")
    queue.remove("default/b")

    queue.retry(in_flight, 1.0)
    queue.refuse(in_flight, ("Fit",), 1.0)

    assert names(queue, 500.0) == []
    assert len(queue) == 0
    queue.check()


def test_a_new_pod_of_that_name_is_not_disturbed_by_the_old_ones_fate() -> None:
    queue = new_queue(demand("a", uid="old"))
    old = popped(queue, 0.0)
    queue.set(demand("a", uid="new"), 1.0)

    queue.retry(old, 1.0)
    queue.remove_exactly(old)

    assert popped(queue, 1.0).demand.uid == "new"
    queue.check()


@dataclass
class Model:
    """The same queue as one flat list that is searched."""

    rows: dict[str, ModelRow] = field(default_factory=dict)
    clock: int = 0

    def tick(self) -> int:
        self.clock += 1
        return self.clock

    def flush(self, now: float) -> None:
        due = [row for row in self.rows.values() if row.place == "backoff" and row.ready <= now]
        for row in sorted(due, key=lambda row: (row.errors > 0, row.ready, -row.priority, row.entered)):
            row.place, row.since, row.entered = "active", now, self.tick()
        for row in sorted(self.rows.values(), key=lambda row: row.refused_in):
            if row.place == "refused" and row.failed + 300 <= now:
                row.place, row.since, row.entered = "active", now, self.tick()

    def pop(self, now: float) -> str | None:
        self.flush(now)
        active = [row for row in self.rows.values() if row.place == "active"]
        early = [row for row in self.rows.values() if row.place == "backoff" and not row.errors]
        if active:
            row = min(active, key=lambda row: (-row.priority, row.since, row.entered))
        elif early:
            row = min(early, key=lambda row: (row.ready, -row.priority, row.entered))
        else:
            return None
        row.place = "flight"
        return row.key


@dataclass
class ModelRow:
    key: str
    priority: int
    since: float
    entered: int
    place: str = "active"
    failed: float = 0.0
    refused_in: int = 0
    errors: int = 0
    refusals: int = 0

    @property
    def ready(self) -> float:
        return self.failed + min(2.0 ** ((self.errors or self.refusals) - 1), 10.0)


@pytest.mark.slow
@settings(max_examples=examples(120), deadline=None)
@given(st.data())
def test_pops_what_a_searched_list_would_pop(data: st.DataObject) -> None:
    queue, model, now, flying = SchedulingQueue(EVENTS), Model(), 0.0, dict[str, QueuedPod]()
    for _ in range(data.draw(st.integers(1, 40))):
        now += data.draw(st.sampled_from([0.0, 0.0, 0.5, 1.0, 3.0, 12.0, 310.0]))
        name = data.draw(st.sampled_from("abcd"))
        step = data.draw(st.sampled_from(["set", "set", "pop", "pop", "refuse", "retry", "event", "remove"]))
        if step == "set" and name not in model.rows:
            priority = "abcd".index(name) // 2
            queue.set(demand(name, priority), now)
            model.rows[name] = ModelRow(name, priority, now, model.tick())
        elif step == "pop":
            queued, expected = queue.pop(now), model.pop(now)
            assert (queued.demand.key if queued else None) == (f"default/{expected}" if expected else None)
            if queued is not None and expected is not None:
                flying[expected] = queued
        elif step in ("refuse", "retry") and name in flying:
            queued, row = flying.pop(name), model.rows[name]
            row.failed, row.place = now, "refused" if step == "refuse" else "backoff"
            if step == "refuse":
                queue.refuse(queued, ("Fit",), now)
                row.refusals, row.errors, row.refused_in = row.refusals + 1, 0, model.tick()
            else:
                queue.retry(queued, now)
                row.errors, row.entered = row.errors + 1, model.tick()
        elif step == "event":
            queue.on_event(ClusterEvent.POD_DELETED, now, yes)
            for row in sorted(model.rows.values(), key=lambda row: row.refused_in):
                if row.place == "refused":
                    row.place = "backoff" if row.ready > now else "active"
                    row.since, row.entered = now, model.tick()
        elif step == "remove":
            queue.remove(f"default/{name}")
            model.rows.pop(name, None)
            flying.pop(name, None)
        queue.check()
