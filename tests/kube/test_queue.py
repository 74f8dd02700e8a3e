"""The work queue, first as a conversation, then against a model that keeps plain lists."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from actorkube.kube import WorkQueue
from tests.effort import examples


def test_a_key_waits_once_however_often_it_is_added() -> None:
    queue = WorkQueue()
    queue.add("a", 0.0)
    queue.add("b", 0.0)
    queue.add("a", 0.0)

    assert [queue.get(0.0), queue.get(0.0), queue.get(0.0)] == ["a", "b", None]


def test_a_key_that_changes_while_it_is_worked_on_comes_back_afterwards() -> None:
    queue = WorkQueue()
    queue.add("a", 0.0)
    queue.get(0.0)
    queue.add("a", 0.0)

    assert queue.get(0.0) is None
    queue.done("a", 0.0)
    assert queue.get(0.0) == "a"


def test_failures_come_back_later_and_later_until_forgotten() -> None:
    queue = WorkQueue()

    assert [queue.retry("a", 0.0) for _ in range(4)] == [0.005, 0.01, 0.02, 0.04]
    for _ in range(40):
        assert queue.retry("a", 0.0) <= 1000.0
    queue.forget("a")
    assert queue.retry("a", 0.0) == 0.005


def test_a_delayed_key_is_ready_when_its_time_has_come() -> None:
    queue = WorkQueue()
    queue.add_after("a", 5.0, 10.0)

    assert (queue.next_due(), queue.get(14.9)) == (15.0, None)
    assert queue.get(15.0) == "a"


def test_the_earliest_of_several_times_wins() -> None:
    queue = WorkQueue()
    queue.add_after("a", 5.0, 0.0)
    queue.add_after("a", 2.0, 0.0)
    queue.add_after("a", 9.0, 0.0)

    assert queue.next_due() == 2.0
    assert queue.get(2.0) == "a"
    queue.done("a", 2.0)
    assert (queue.get(100.0), queue.next_due()) == (None, None)


def test_a_wish_to_look_again_some_day_is_not_unfinished_work() -> None:
    queue = WorkQueue()
    queue.add_after("a", 5.0, 0.0)
    assert queue.settled

    queue.retry("a", 0.0)
    assert not queue.settled


def test_spacing_makes_one_pass_of_a_burst() -> None:
    queue = WorkQueue(spacing_s=0.1)
    queue.add("a", 0.0)
    assert queue.get(0.0) == "a"
    queue.done("a", 0.0)

    for moment in (0.01, 0.02, 0.09):
        queue.add("a", moment)
        assert queue.get(moment) is None
    assert queue.next_due() == 0.1
    assert queue.get(0.1) == "a"


def test_rest_holds_changes_back_but_not_retries() -> None:
    queue = WorkQueue()
    queue.add("a", 0.0)
    queue.get(0.0)
    queue.rest("a", 1.0, 0.0)
    queue.add("a", 0.1)
    queue.done("a", 0.2)
    assert queue.get(0.9) is None
    assert queue.get(1.0) == "a"

    queue.rest("a", 1.0, 1.0)
    queue.done("a", 1.0)
    queue.retry("a", 1.0)
    assert queue.get(1.01) == "a"


STEPS = st.lists(
    st.tuples(
        st.sampled_from(["add", "after", "retry", "get", "get", "done"]), st.sampled_from("abc"), st.integers(0, 3)
    ),
    max_size=60,
)


@settings(max_examples=examples(200), deadline=None)
@given(STEPS, st.sampled_from([0.0, 2.0]))
def test_no_key_is_lost_and_none_is_worked_on_twice_at_once(
    steps: list[tuple[str, str, int]], spacing_s: float
) -> None:
    queue = WorkQueue(spacing_s=spacing_s, base_delay_s=1.0)
    now, working, owed = 0.0, set(), set()
    for step, key, number in steps:
        now += number
        match step:
            case "add":
                queue.add(key, now)
                owed.add(key)
            case "after":
                queue.add_after(key, number, now)
                owed.add(key)
            case "retry":
                queue.retry(key, now)
                owed.add(key)
            case "get" if (got := queue.get(now)) is not None:
                assert got not in working
                working.add(got)
                owed.discard(got)
            case "done" if key in working:
                queue.done(key, now)
                working.remove(key)
    for key in sorted(working):
        queue.done(key, now)
    done = set()
    while (key_now := queue.get(now)) or queue.next_due() is not None:
        if key_now:
            done.add(key_now)
            queue.done(key_now, now)
        else:
            now = max(now, queue.next_due() or 0)

    assert owed <= done
    assert queue.settled
    assert queue.delayed == 0
