"""Fair queuing: as the model decides, whoever comes, ends and gives up, and whatever the level is given."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.apiserver.flowcontrol.queueset import QueueSet, Queuing, Waiting
from actors.apiserver.flowcontrol.shuffle import hand_of
from tests.apiserver.flowcontrol.fair_model import FairModel
from tests.effort import examples

QUEUES, HAND, LENGTH = 6, 2, 3


class Named(Waiting):
    __slots__ = ("name",)

    def __init__(self, name: str, seats: int, now: float) -> None:
        super().__init__(seats, now)
        self.name = name


class Talk:
    """The queues and the model, told the same."""

    def __init__(self, seats_max: int) -> None:
        self.queues = QueueSet(seats_max, Queuing(QUEUES, HAND, LENGTH))
        self.model = FairModel(QUEUES, LENGTH, seats_max)
        self.now = 0.0
        self.requests: list[Named] = []  # that wait or are served
        self.begun: list[str] = []
        self._count = 0

    def arrive(self, flow: int, seats: int) -> None:
        self._count += 1
        request = Named(f"{self._count}", seats, self.now)
        hand = hand_of("schema", str(flow), QUEUES, HAND)
        reason, started = self.queues.arrive(request, hand)
        assert (reason or "") == self.model.arrive(request.name, hand, seats, self.now)
        if reason is None:
            self.requests.append(request)
            assert request.queue is not None and request.queue.index == self.model.where[request.name]
        self._note(([request] if request.started_at is not None else []), started)

    def finish(self, which: int) -> None:
        served = [request for request in self.requests if request.started_at is not None]
        if served:
            request = served[which % len(served)]
            self.requests.remove(request)
            self.model.finish(request.name, self.now)
            self._note((), self.queues.finish(request, self.now))

    def give_up(self, which: int) -> None:
        waiting = [request for request in self.requests if request.started_at is None]
        if waiting:
            request = waiting[which % len(waiting)]
            self.requests.remove(request)
            self.model.give_up(request.name, self.now)
            self._note((), self.queues.give_up(request, self.now))

    def resize(self, seats_max: int) -> None:
        self.model.resize(seats_max, self.now)
        self._note((), self.queues.configure(seats_max, self.queues.queuing, self.now))

    def _note(self, own: Sequence[Waiting], started: Sequence[Waiting]) -> None:
        """Of those that start in one turn it does not matter who is told first."""
        names = {request.name for request in [*own, *started] if isinstance(request, Named)}
        assert names == set(self.model.begun[len(self.begun) :])
        self.begun = list(self.model.begun)
        self.queues.check()


STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.001, 0.0071, 0.05]),
        st.one_of(
            st.tuples(st.just("arrive"), st.integers(0, 3), st.sampled_from([1, 1, 1, 2, 5])),
            st.tuples(st.just("finish"), st.integers(0, 5)),
            st.tuples(st.just("give_up"), st.integers(0, 5)),
            st.tuples(st.just("resize"), st.integers(0, 4)),
        ),
    ),
    max_size=60,
)
FLOOD = [(0.0, ("arrive", 0, 1)) for _ in range(9)] + [(0.001, ("arrive", 1, 1))] + [(0.05, ("finish", 0))] * 6
WINDUP = [
    *[(0.0, ("arrive", 0, 1)), (0.05, ("arrive", 1, 1)), (0.05, ("arrive", 1, 1)), (0.05, ("arrive", 0, 1))],
    *[(0.05, ("finish", 0)), (0.0, ("arrive", 2, 1)), (0.0, ("arrive", 0, 1))],
    *[(0.05, ("finish", 0))] * 4,
]


@pytest.mark.slow
@settings(max_examples=examples(300), deadline=None)
@example(1, FLOOD)
@example(1, WINDUP)
@example(3, FLOOD)
@given(st.integers(1, 4), STEPS)
def test_it_decides_as_the_model_does(seats_max: int, steps: list[tuple[float, tuple[object, ...]]]) -> None:
    talk = Talk(seats_max)

    for elapsed, (verb, *arguments) in steps:
        talk.now += elapsed
        getattr(talk, str(verb))(*arguments)


def served_in_order(queues: QueueSet, first: list[Named], each_s: float) -> list[str]:
    """The names in the order in which they are served, when each takes so long."""
    now, served, order = 0.0, list(first), [request.name for request in first]
    while served:
        now += each_s
        started = queues.finish(served.pop(0), now)
        served += [request for request in started if isinstance(request, Named)]
        order += [request.name for request in started if isinstance(request, Named)]
    return order


def test_who_asks_little_is_served_before_the_flood_that_came_first() -> None:
    queues = QueueSet(1, Queuing(64, 4, 50))
    flood = [Named(f"flood-{number}", 1, 0.0) for number in range(100)]
    for request in flood:
        queues.arrive(request, hand_of("s", "flood", 64, 4))
    queues.arrive(Named("little", 1, 0.0), hand_of("s", "little", 64, 4))

    order = served_in_order(queues, flood[:1], 0.01)

    assert len(order) == 101 and order.index("little") <= 5  # of five queues, four are the flood's


def test_two_flows_that_ask_without_end_get_the_same_though_one_asks_ten_times_as_much() -> None:
    queues, rest = QueueSet(2, Queuing(1024, 1, 500)), {"a": 300, "b": 30}
    requests = [Named(f"{flow}", 1, 0.0) for flow, count in rest.items() for _ in range(count)]
    for request in requests:
        queues.arrive(request, hand_of("s", request.name, 1024, 1))

    order = served_in_order(queues, [request for request in requests if request.started_at is not None], 0.01)

    assert order[:60].count("b") in range(28, 31)


def test_queues_that_are_equal_take_turns() -> None:
    queues = QueueSet(1, Queuing(8, 1, 50))
    requests = [Named(str(index), 1, 0.0) for index in (5, 0, 7, 6)]
    for request in requests:
        queues.arrive(request, (int(request.name),))

    assert served_in_order(queues, requests[:1], 0.01) == ["5", "6", "7", "0"]


def test_a_wide_request_is_not_passed_by_for_ever_by_narrow_ones() -> None:
    queues = QueueSet(4, Queuing(64, 1, 50))
    narrow = [Named(f"narrow-{number}", 1, 0.0) for number in range(40)]
    for request in narrow:
        queues.arrive(request, hand_of("s", "narrow", 64, 1))
    queues.arrive(Named("wide", 4, 0.0), hand_of("s", "wide", 64, 1))

    order = served_in_order(queues, narrow[:4], 0.01)

    assert order.index("wide") < 20


def test_a_wide_request_waits_until_it_has_room() -> None:
    queues = QueueSet(4, Queuing(8, 1, 50))
    narrow, wide = [Named(str(number), 1, 0.0) for number in range(2)], Named("wide", 3, 0.0)
    for request in narrow:
        queues.arrive(request, (0,))

    assert queues.arrive(wide, (1,)) == (None, []) and wide.started_at is None
    assert queues.finish(narrow[0], 1.0) == [wide]


def test_what_wants_more_than_there_is_is_served_alone() -> None:
    queues = QueueSet(2, Queuing(8, 1, 50))
    small, huge = Named("small", 1, 0.0), Named("huge", 9, 0.0)
    queues.arrive(small, (0,))
    queues.arrive(huge, (1,))

    assert huge.started_at is None
    assert queues.finish(small, 1.0) == [huge]


def test_a_level_without_seats_keeps_everything_waiting() -> None:
    queues = QueueSet(0, Queuing(8, 1, 50))
    request = Named("jailed", 1, 0.0)

    assert queues.arrive(request, (0,)) == (None, []) and request.started_at is None
    assert queues.configure(1, queues.queuing, 1.0) == [request]


@pytest.mark.parametrize(("exempt", "answers"), [(False, [None, None, "concurrency-limit"]), (True, [None] * 3)])
def test_without_queues_what_finds_no_seat_is_sent_away_unless_it_is_exempt(
    exempt: bool, answers: list[str | None]
) -> None:
    queues = QueueSet(2, None, exempt=exempt)

    assert [queues.arrive(Named(str(number), 1, 0.0), (0,))[0] for number in range(3)] == answers


def test_queues_that_are_no_longer_wanted_are_served_to_their_end() -> None:
    queues = QueueSet(1, Queuing(8, 1, 50))
    first, late = Named("first", 1, 0.0), Named("late", 1, 0.0)
    queues.arrive(first, (7,))
    queues.arrive(late, (7,))

    queues.configure(1, None, 0.5)

    assert queues.arrive(Named("new", 1, 0.6), (0,))[0] == "concurrency-limit"
    assert queues.finish(first, 1.0) == [late] and queues.finish(late, 2.0) == [] and not queues.active
