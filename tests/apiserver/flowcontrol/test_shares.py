"""Who is dealt which queues, how much a level has, and what it lends."""

from __future__ import annotations

import itertools
import math

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from actors.apiserver.flowcontrol.defaults import LEVELS, SCHEMAS, default_objects
from actors.apiserver.flowcontrol.demand import Bounds, Demand, Wish, allot, bounds_of, divide
from actors.apiserver.flowcontrol.levels import Levels
from actors.apiserver.flowcontrol.retry_after import RetryAfter
from actors.apiserver.flowcontrol.shuffle import hand_of
from tests.effort import examples


@pytest.mark.slow
@settings(deadline=None)
@given(st.text(max_size=5), st.integers(1, 200), st.data())
def test_a_hand_has_different_queues_and_is_always_the_same(flow: str, queues: int, data: st.DataObject) -> None:
    size = data.draw(st.integers(1, min(queues, 8)))

    hand = hand_of("schema", flow, queues, size)

    assert hand == hand_of("schema", flow, queues, size)
    assert len(set(hand)) == size and all(0 <= index < queues for index in hand)


def test_every_hand_is_dealt_about_as_often() -> None:
    hands = [hand_of("schema", str(flow), 4, 2) for flow in range(6000)]

    counts = [hands.count(pair) for pair in itertools.permutations(range(4), 2)]

    assert len(counts) == 12 and sum(counts) == 6000 and all(400 < count < 600 for count in counts)


WISHES = st.lists(
    st.builds(
        lambda low, above, room: Wish(low + above, low, low + above + room),
        st.integers(0, 50),
        st.integers(0, 100),
        st.integers(0, 300),
    ),
    min_size=1,
    max_size=8,
)


@settings(max_examples=examples(300), deadline=None)
@example(100, [Wish(10, 10, 10), Wish(10, 0, 200)])
@given(st.integers(0, 2000), WISHES)
def test_all_is_given_away_in_proportion_to_what_is_wanted_within_the_bounds(total: int, wishes: list[Wish]) -> None:
    given_ = allot(total, wishes)

    possible = min(max(total, sum(wish.low for wish in wishes)), sum(wish.high for wish in wishes))
    assert math.isclose(sum(given_), possible, abs_tol=1e-6)
    assert all(wish.low <= each <= wish.high for wish, each in zip(wishes, given_, strict=True))
    free = [
        each / wish.target
        for wish, each in zip(wishes, given_, strict=True)
        if wish.target and wish.low < each < wish.high
    ]
    assert not free or math.isclose(min(free), max(free), rel_tol=1e-6)
    bound = [(wish, each) for wish, each in zip(wishes, given_, strict=True) if wish.target and wish.low < wish.high]
    at_low = [wish.low / wish.target for wish, each in bound if each == wish.low]
    at_high = [wish.high / wish.target for wish, each in bound if each == wish.high]
    assert not free or all(multiple >= max(free) - 1e-6 for multiple in at_low)
    assert not free or all(multiple <= min(free) + 1e-6 for multiple in at_high)


@settings(deadline=None)
@given(st.lists(st.tuples(st.floats(0.001, 5.0), st.integers(0, 20)), min_size=1, max_size=20), st.floats(0.1, 5.0))
def test_demand_is_measured_over_time(notes: list[tuple[float, int]], last_s: float) -> None:
    demand, now, pieces = Demand(0.0), 0.0, [(0, notes[0][0])]
    for (elapsed, wanted), after in zip(notes, [*(note[0] for note in notes[1:]), last_s], strict=True):
        now += elapsed
        demand.note(wanted, now)
        pieces.append((wanted, after))

    demand.observe(now + last_s)

    whole = sum(lasted for _, lasted in pieces)
    average = sum(wanted * lasted for wanted, lasted in pieces) / whole
    deviation = math.sqrt(sum((wanted - average) ** 2 * lasted for wanted, lasted in pieces) / whole)
    assert demand.last.high == max(wanted for wanted, _ in pieces)
    assert math.isclose(demand.last.average, average, rel_tol=1e-6, abs_tol=1e-6)
    assert math.isclose(demand.last.deviation, deviation, rel_tol=1e-3, abs_tol=1e-3)


def test_the_shares_of_the_defaults_are_those_of_kubernetes() -> None:
    """Its shares by KEP-1040's formulas, for 600 requests in flight: nominal, lower, upper."""
    levels = Levels(0.0)
    levels.configure(stored(SCHEMAS), stored(LEVELS), 0.0)

    assert {name: level.bounds for name, level in levels.levels.items()} == {
        "exempt": Bounds(0, 0, 600),
        "catch-all": Bounds(13, 13, 613),
        "global-default": Bounds(49, 24, 649),
        "leader-election": Bounds(25, 25, 625),
        "node-high": Bounds(98, 73, 698),
        "system": Bounds(74, 50, 674),
        "workload-high": Bounds(98, 49, 698),
        "workload-low": Bounds(245, 24, 845),
    }


def test_a_busy_level_borrows_what_others_lend_and_gives_it_back() -> None:
    levels = Levels(0.0)
    levels.configure(stored(SCHEMAS), stored(LEVELS), 0.0)
    busy = levels.levels["global-default"]
    busy.demand.note(300, 0.0)

    levels.adjust(10.0)
    borrowed = busy.queues.seats_max
    busy.demand.note(0, 10.0)
    levels.levels["workload-low"].demand.note(400, 10.0)
    for period in range(2, 200):
        levels.adjust(10.0 * period)

    assert borrowed > 200 and busy.bounds.low <= busy.queues.seats_max < 60
    assert levels.levels["workload-low"].queues.seats_max > 245


def test_a_level_lends_less_while_exempt_requests_are_many() -> None:
    levels = Levels(0.0)
    levels.configure(stored(SCHEMAS), stored(LEVELS), 0.0)
    levels.levels["exempt"].demand.note(10_000, 0.0)

    levels.adjust(10.0)

    limited = [level for level in levels.levels.values() if not level.exempt]
    assert [level.queues.seats_max for level in limited] == [level.bounds.low for level in limited]


@pytest.mark.parametrize(
    ("borrowing", "high"), [(None, 700), (0, 100), (50, 150)], ids=["as much as there is", "nothing", "half"]
)
def test_what_a_level_borrows_is_limited(borrowing: int | None, high: int) -> None:
    assert bounds_of(600, 1, 6, 30, borrowing) == Bounds(100, 70, high)


def test_exempt_requests_are_taken_from_the_others_down_to_what_they_never_lend() -> None:
    demand = Demand(0.0)
    demand.note(10, 0.0)
    demand.observe(10.0)
    levels = [(Bounds(10, 4, 20), demand), (Bounds(10, 4, 20), demand)]

    assert [divide(20, levels, taken) for taken in (0, 6, 100)] == [[10, 10], [7, 7], [4, 4]]


def test_who_is_sent_away_stays_away_longer_the_more_are() -> None:
    retry = RetryAfter()

    rising = [max(retry.dropped(second) for _ in range(100)) for second in range(60)]
    falling = [retry.dropped(second) for second in range(200, 400, 3)]

    assert rising[0] == 1 and rising[1] in (1, 2) and rising[-1] == 32
    assert falling[-1] < 8


def stored(group_resource: str) -> list[dict[str, object]]:
    return [obj for where, obj in default_objects() if where == group_resource]
