"""The arithmetic of rollouts: the limits hold at every step, and every rollout ends."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.controllers.rollout import Limits, SetSize, limits_of, new_set_size, roll_new, roll_old, scale
from tests.effort import examples


def deployment(replicas: int, surge: Any, unavailable: Any) -> dict[str, Any]:
    rolling = {"maxSurge": surge, "maxUnavailable": unavailable}
    return {"spec": {"replicas": replicas, "strategy": {"type": "RollingUpdate", "rollingUpdate": rolling}}}


@pytest.mark.parametrize(
    ("replicas", "surge", "unavailable", "expected"),
    [
        (10, "25%", "25%", Limits(10, 3, 2)),
        (4, "25%", "25%", Limits(4, 1, 1)),
        (1, "25%", "25%", Limits(1, 1, 0)),
        (3, 0, "25%", Limits(3, 0, 1)),
        (3, 0, 0, Limits(3, 0, 1)),
        (3, 1, 10, Limits(3, 1, 3)),
        (0, "100%", "50%", Limits(0, 0, 0)),
        (7, "10%", "99%", Limits(7, 1, 6)),
    ],
)
def test_percentages_of_the_surge_round_up_and_of_the_unavailable_down(
    replicas: int, surge: Any, unavailable: Any, expected: Limits
) -> None:
    assert limits_of(deployment(replicas, surge, unavailable)) == expected


@pytest.mark.parametrize(
    ("limits", "total", "current", "expected"),
    [
        (Limits(10, 3, 2), 10, 0, 3),
        (Limits(10, 3, 2), 13, 3, 3),
        (Limits(10, 0, 2), 10, 0, 0),
        (Limits(3, 1, 0), 0, 0, 3),
    ],
)
def test_the_new_set_grows_into_the_surge(limits: Limits, total: int, current: int, expected: int) -> None:
    assert new_set_size(limits, total, current) == expected


@pytest.mark.parametrize(
    ("new", "old", "expected"),
    [
        (SetSize("new", 0, 0), [SetSize("old", 10, 10)], {"old": 8}),
        (SetSize("new", 0, 0), [SetSize("old", 10, 8)], {"old": 8}),
        (SetSize("new", 2, 0), [SetSize("old", 10, 8)], {"old": 8}),
        (SetSize("new", 5, 5), [SetSize("old", 8, 8)], {"old": 3}),
        (SetSize("new", 10, 10), [SetSize("old", 0, 0)], {}),
        (SetSize("new", 3, 0), [SetSize("old", 8, 8)], {}),
        (SetSize("new", 3, 0), [SetSize("old", 10, 5)], {"old": 8}),
        (SetSize("new", 5, 5), [SetSize("a", 4, 4, 1.0), SetSize("b", 4, 4, 2.0)], {"a": 0, "b": 3}),
        (SetSize("new", 3, 3), [SetSize("broken", 5, 0, 9.0), SetSize("good", 5, 5, 1.0)], {"broken": 0}),
    ],
)
def test_old_sets_shrink_as_far_as_enough_stay_available(new: SetSize, old: list[SetSize], expected: Any) -> None:
    assert roll_old(Limits(10, 3, 2), new, old) == expected


# What Kubernetes' own tests of `scale` expect: replicas and surge before and after, sizes before and after, the new set
# last and the older sets from the oldest on.
PROPORTIONS = [
    ((10, 0), (12, 0), [10], [12]),
    ((10, 0), (5, 0), [10], [5]),
    ((5, 0), (10, 0), [3, 2], [6, 4]),
    ((5, 0), (3, 0), [3, 2], [2, 1]),
    ((9, 0), (4, 0), [1, 8], [0, 4]),
    ((7, 0), (10, 0), [2, 3, 2], [3, 4, 3]),
    ((13, 0), (8, 0), [3, 8, 2], [2, 5, 1]),
    ((3, 0), (4, 0), [1, 1, 1], [1, 1, 2]),
    ((3, 0), (2, 0), [1, 1, 1], [0, 1, 1]),
    ((6, 0), (0, 0), [1, 2, 3], [0, 0, 0]),
    ((6, 0), (6, 0), [0, 0, 0], [0, 0, 6]),
    ((10, 2), (20, 2), [6, 6], [11, 11]),
    ((10, 3), (50, 6), [8, 5], [34, 22]),
    ((2, 1), (2, 1), [1, 2], [1, 2]),
]


@pytest.mark.parametrize(("before", "after", "sizes", "expected"), PROPORTIONS)
def test_scaling_during_a_rollout_keeps_the_proportions(
    before: tuple[int, int], after: tuple[int, int], sizes: list[int], expected: list[int]
) -> None:
    sets = [SetSize(str(age), size, 0, age, sum(before)) for age, size in enumerate(sizes)]

    changed = scale(Limits(*after, 0), sets[-1], sets[:-1], rolling=True, saturated=False)

    assert [changed.get(each.key, each.replicas) for each in sets] == expected


@pytest.mark.parametrize(("before", "after", "sizes", "expected"), [(4, 5, [2, 2], [2, 3]), (10, 14, [3, 7], [4, 10])])
def test_scaling_without_a_new_set_scales_what_is_there(
    before: int, after: int, sizes: list[int], expected: list[int]
) -> None:
    sets = [SetSize(str(age), size, 0, age, before) for age, size in enumerate(sizes)]

    changed = scale(Limits(after, 0, 0), None, sets, rolling=True, saturated=False)

    assert [changed.get(each.key, each.replicas) for each in sets] == expected


def test_scaling_with_a_complete_new_set_stops_the_old_ones() -> None:
    sizes = scale(Limits(5, 1, 0), SetSize("new", 5, 5), [SetSize("old", 2, 2)], rolling=True, saturated=True)

    assert sizes == {"old": 0}


@settings(max_examples=examples(200), deadline=None)
@given(st.integers(0, 12), st.integers(0, 5), st.integers(0, 5), st.lists(st.integers(0, 12), max_size=3), st.randoms())
def test_every_rollout_ends_and_the_limits_hold_all_the_way(
    replicas: int, surge: int, unavailable: int, olds: list[int], chance: Any
) -> None:
    limits = limits_of(deployment(replicas, surge, unavailable))
    sizes = {"new": 0, **{f"old-{i}": min(n, limits.most) for i, n in enumerate(olds)}}
    available = dict.fromkeys(sizes, 0)
    within = sum(sizes.values()) <= limits.most
    for _ in range(200):
        sets = [SetSize(key, sizes[key], available[key], i) for i, key in enumerate(sizes)]
        before = sum(available.values())
        changed = roll_new(limits, sets[0], sets[1:]) or roll_old(limits, sets[0], sets[1:])
        sizes |= changed
        for key, size in changed.items():
            available[key] = min(available[key], size)
        if within:
            assert sum(sizes.values()) <= limits.most
        if before >= limits.least_available:
            assert sum(available.values()) >= limits.least_available
        late = [key for key in sizes if available[key] < sizes[key]]
        if not changed and not late:
            break
        if late:
            available[chance.choice(late)] += 1

    assert sizes == {"new": replicas, **{key: 0 for key in sizes if key != "new"}}
