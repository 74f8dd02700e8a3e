"""The clock's decisions, against a loop of nothing but timers: none early, none skipped, all in order."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkube.runtime.clock import RATE_MAX, Arrived, Clock, Jump, Wait

STEPS_MAX = 500
SLEEP_MIN_S = 1e-6  # no system sleeps for less, so what rounding leaves over is no endless loop


@dataclass
class Timers:
    """A loop that has nothing but timers, in a real time that only passes while it waits."""

    real: float = 1000.0
    waiting: list[float] = field(default_factory=list)
    fired: list[tuple[float, float]] = field(default_factory=list)  # (when it was due, when it fired)

    def __post_init__(self) -> None:
        self.clock = Clock(self.real)

    @property
    def next(self) -> float:
        return min(self.waiting, default=math.inf)

    def fire(self) -> None:
        due = sorted(when for when in self.waiting if when <= self.clock.now)
        self.waiting = [when for when in self.waiting if when > self.clock.now]
        self.fired += [(when, self.clock.now) for when in due]

    def advance(self, seconds: float) -> None:
        self.clock.go_to(self.clock.now + seconds)
        while not isinstance(decision := self.clock.decide(self.real, self.next), Arrived):
            assert isinstance(decision, Jump), "on the way to a goal nobody waits for real time"
            self.fire()

    def wait(self, real_s: float) -> None:
        """As a loop does that sleeps no longer than it was told."""
        end = self.real + real_s
        for _ in range(STEPS_MAX):
            decision = self.clock.decide(self.real, self.next)
            if isinstance(decision, Jump):
                self.fire()
                continue
            assert isinstance(decision, Wait)
            assert decision.real_s >= 0
            if self.real + decision.real_s >= end:
                break
            self.real += max(decision.real_s, SLEEP_MIN_S)
        self.real = max(self.real, end)

    def event(self) -> None:
        self.clock.catch_up(self.real, self.next)


delays = st.floats(0, 1e4, allow_nan=False, allow_subnormal=False)
acts = st.one_of(
    st.tuples(st.just("timer"), delays),
    st.tuples(st.just("advance"), delays),
    st.tuples(st.just("wait"), st.floats(0, 20, allow_subnormal=False)),
    st.tuples(st.just("rate"), st.sampled_from([0.0, 0.5, 1.0, 10.0, 1000.0])),
    st.tuples(st.just("event"), st.just(0.0)),
)


@given(st.lists(acts, max_size=40))
def test_no_timer_is_early_none_is_skipped_and_they_fire_in_order(history: list[tuple[str, float]]) -> None:
    timers = Timers()
    for act, number in history:
        before = timers.clock.now
        match act:
            case "timer":
                timers.waiting.append(timers.clock.now + number)
            case "advance":
                timers.advance(number)
                assert timers.clock.now == before + number
            case "wait":
                timers.wait(number)
            case "rate":
                timers.clock.set_rate(number, timers.real)
            case _:
                timers.event()

        assert timers.clock.now >= before
        assert timers.next >= timers.clock.now or act == "timer"
    assert timers.fired == sorted(timers.fired)
    assert all(due == fired for due, fired in timers.fired)


@given(st.lists(delays, max_size=20), st.sampled_from([0.5, 1.0, 10.0]))
def test_the_order_of_an_advance_is_that_of_real_time(waiting: list[float], rate: float) -> None:
    jumping, running = Timers(waiting=list(waiting)), Timers(waiting=list(waiting))
    running.clock.set_rate(rate, running.real)

    jumping.advance(1e4)
    running.wait(1e4 / rate + 1)

    assert jumping.fired == running.fired


def test_a_clock_at_ten_times_real_time_waits_a_tenth() -> None:
    clock = Clock(real=50.0)
    clock.set_rate(10, real=50.0)

    assert clock.decide(50.0, next_timer=1.0) == Wait(0.1)
    assert clock.decide(50.1, next_timer=1.0) == Jump(1.0)


def test_a_clock_that_could_not_follow_catches_up_timer_by_timer() -> None:
    clock = Clock(real=0.0)

    assert clock.decide(60.0, next_timer=1.0) == Jump(1.0)
    assert clock.decide(60.0, next_timer=2.0) == Jump(2.0)
    assert clock.decide(60.0, next_timer=61.0) == Wait(1.0)


def test_what_comes_from_outside_comes_between_two_timers() -> None:
    clock = Clock(real=0.0)

    clock.catch_up(real=0.4, next_timer=1.0)
    assert clock.now == 0.4
    clock.catch_up(real=9.0, next_timer=1.0)
    assert clock.now == 1.0


def test_a_paused_clock_waits_for_ever_and_forgets_the_time_of_the_pause() -> None:
    clock = Clock(real=0.0)
    clock.set_rate(0, real=5.0)

    assert clock.decide(100.0, next_timer=1.0) == Wait(math.inf)
    clock.catch_up(200.0, next_timer=1.0)
    clock.set_rate(1, real=200.0)
    assert clock.decide(200.0, next_timer=1.0) == Wait(1.0)


def test_a_goal_that_is_given_up_leaves_the_clock_where_it_got_to() -> None:
    clock = Clock(real=0.0)
    clock.go_to(100.0)
    clock.decide(0.0, next_timer=30.0)

    clock.give_up(real=7.0)

    assert clock.now == 30.0
    assert clock.decide(7.0, next_timer=31.0) == Wait(1.0)


@pytest.mark.parametrize("rate", [-1.0, RATE_MAX * 2, math.nan, math.inf])
def test_a_rate_that_makes_no_sense_is_refused(rate: float) -> None:
    with pytest.raises(ValueError, match="times real time"):
        Clock(0.0).set_rate(rate, 0.0)
