"""What metrics ask for, and how fast it is followed: worked examples of Kubernetes' documentation, and a slow model."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actors.controllers.hpa_behavior import Bounds, Past, follow
from actors.controllers.hpa_metrics import (
    Groups,
    Patience,
    Sample,
    Tolerance,
    Unknown,
    by_average,
    by_utilization,
    group,
    requests_of,
    samples_of,
)
from protocols.objects import Object
from protocols.rules.times import time_of

NOW = 1_700_000_000.0


def names(prefix: str, count: int) -> list[str]:
    return [f"{prefix}-{number}" for number in range(count)]


def utilization(
    use: list[int], target: int, unready: int = 0, missing: int = 0, current: int = 0, ok: Tolerance | None = None
) -> int:
    """The replicas asked for where each pod requests 100m and these are the milli-cores in use."""
    groups = Groups(names("judged", len(use)), names("unready", unready), names("missing", missing))
    requests = dict.fromkeys([*groups.judged, *groups.unready, *groups.missing], 100)
    samples = {name: Sample(milli, NOW, 15.0) for name, milli in zip(groups.judged, use, strict=True)}
    current = current or len(requests)
    return by_utilization(current, groups, samples, requests, target, ok or Tolerance()).replicas


@pytest.mark.parametrize(
    ("use", "target", "replicas"),
    [
        ([200], 100, 2),  # "if the current metric value is 200m and the desired value is 100m, it will be doubled"
        ([50, 50], 100, 1),  # "if the current value is instead 50m, it will be halved"
        ([305], 50, 7),  # the walkthrough: 305 % of a target of 50 % makes one replica seven
        ([109, 111], 100, 2),  # within the tolerance of 0.1, at its end
        ([111, 111], 100, 3),
        ([91, 91], 100, 2),
        ([89, 89], 100, 2),  # rounded up again
        ([60, 60, 60, 60, 60], 100, 3),
        ([0, 0, 0], 80, 0),
    ],
)
def test_replicas_follow_the_ratio_of_use_and_target(use: list[int], target: int, replicas: int) -> None:
    assert utilization(use, target) == replicas


@pytest.mark.parametrize(
    ("use", "unready", "missing", "replicas"),
    [
        ([200, 200], 0, 0, 4),
        ([200, 200], 2, 0, 4),  # as if the unready ones used nothing: 100 % of four
        ([210, 210], 2, 0, 4),  # 105 % of four is within the tolerance; of two there would be five
        ([300, 300], 1, 0, 6),  # 200 % of three
        ([50, 50], 2, 0, 1),  # less is asked for whether they are ready or not
        ([200, 200], 0, 2, 4),
        ([300, 300], 0, 1, 6),
        ([50, 50], 0, 2, 3),  # as if the missing ones used all: 75 % of four
        ([20, 20], 0, 2, 3),  # 60 % of four
        ([150, 150], 0, 2, 4),  # 75 % would turn the change: nothing is changed
    ],
)
def test_pods_that_cannot_be_judged_dampen_a_change(use: list[int], unready: int, missing: int, replicas: int) -> None:
    assert utilization(use, 100, unready, missing) == replicas


def test_missing_pods_count_the_target_where_it_is_more_than_they_request() -> None:
    assert utilization([100, 100], 200, missing=2) == 3  # 150 % of 200 %; with 100 % it would be two


def test_a_change_that_more_pods_than_replicas_would_turn_is_not_made() -> None:
    assert utilization([60, 60, 60, 60], 100, missing=1, current=2) == 2


def test_each_direction_may_have_a_tolerance_of_its_own() -> None:
    ok = Tolerance(up=0.5, down=0.0)

    assert utilization([150, 150], 100, ok=ok) == 2
    assert utilization([99] * 100, 100, ok=ok) == 99


def test_an_average_is_an_amount_for_each_pod() -> None:
    samples = {"a": Sample(300, NOW, 15.0), "b": Sample(500, NOW, 15.0)}
    groups = Groups(["a", "b"], [], [])

    assert by_average(2, groups, samples, 200, Tolerance()) == (4, 400, None)
    assert by_average(3, Groups(["a", "b"], [], ["c"]), samples, 800, Tolerance()) == (2, 400, None)


# -- which pods are judged --------------------------------------------------------------------------------------------


def pod(name: str, age_s: float, ready: str | None, since_s: float, phase: str = "Running", **meta: Any) -> Object:
    conditions = [{"type": "Ready", "status": ready, "lastTransitionTime": time_of(NOW - since_s)}] if ready else []
    status = {"phase": phase, "startTime": time_of(NOW - age_s), "conditions": conditions}
    containers = [{"name": "main", "resources": {"requests": {"cpu": "100m", "memory": "1Ki"}}}, {"name": "side"}]
    return {"metadata": {"name": name, **meta}, "spec": {"containers": containers}, "status": status}


@pytest.mark.parametrize(
    ("age_s", "ready", "since_s", "where"),
    [
        (100, "True", 60, "judged"),
        (100, "True", 10, "unready"),  # measured before it was ready
        (100, "True", 15, "judged"),
        (100, "False", 60, "unready"),
        (100, None, 0, "unready"),
        (299, "True", 14, "unready"),
        (301, "True", 14, "judged"),  # no longer new: its samples count at once
        (400, "False", 380, "unready"),  # it has never been ready
        (400, "False", 300, "judged"),  # it was ready, and is so busy that it no longer is
    ],
)
def test_cpu_of_a_pod_counts_when_it_has_begun(age_s: float, ready: str | None, since_s: float, where: str) -> None:
    groups = group([pod("a", age_s, ready, since_s)], {"a": Sample(1, NOW, 15.0)}, "cpu", Patience(), NOW)

    assert groups == Groups(**{field: ["a"] if field == where else [] for field in Groups._fields})


def test_memory_counts_from_the_beginning_and_pods_that_go_do_not() -> None:
    pods = [
        pod("new", 1, "False", 1),
        pod("failed", 1, "False", 1, phase="Failed"),
        pod("going", 900, "True", 800, deletionTimestamp=time_of(NOW)),
        pod("waiting", 1, None, 0, phase="Pending"),
        pod("silent", 900, "True", 800),
    ]
    samples = dict.fromkeys(("new", "failed", "going"), Sample(1, NOW, 15.0))

    assert group(pods, samples, "memory", Patience(), NOW) == Groups(["new"], ["waiting"], ["silent"])


def test_a_pod_uses_and_requests_what_its_containers_do() -> None:
    usage = [
        {"name": "main", "usage": {"cpu": "1500001n", "memory": "1Ki"}},
        {"name": "side", "usage": {"cpu": "1m"}},
    ]
    metrics = [
        {
            "metadata": {"name": "a", "namespace": "default"},
            "timestamp": time_of(NOW),
            "window": "15.000s",
            "containers": usage,
        }
    ]

    assert samples_of(metrics, "cpu") == {"a": Sample(3, NOW, 15.0)}
    assert samples_of(metrics, "cpu", "side") == {"a": Sample(1, NOW, 15.0)}
    assert samples_of(metrics, "memory") == {}  # `side` says nothing
    assert requests_of([pod("a", 1, None, 0)], "cpu", "main") == {"a": 100}
    with pytest.raises(Unknown, match="missing request for cpu in container side of Pod a"):
        requests_of([pod("a", 1, None, 0)], "cpu")
    with pytest.raises(Unknown, match="container other not present in metrics for pod default/a"):
        samples_of(metrics, "cpu", "other")
    with pytest.raises(Unknown, match="no metrics returned from resource metrics API"):
        samples_of([], "cpu")


@pytest.mark.parametrize(
    "changed",
    [{"timestamp": "yesterday"}, {"window": "long"}, {"window": 15}, {"containers": [{"usage": {"cpu": "much"}}]}],
)
def test_what_a_metrics_server_tells_wrongly_is_not_believed(changed: dict[str, Any]) -> None:
    containers = [{"name": "main", "usage": {"cpu": "1m"}}]
    right = {"metadata": {"name": "a"}, "timestamp": time_of(NOW), "window": "1m0.5s", "containers": containers}

    assert samples_of([right], "cpu") == {"a": Sample(1, NOW, 60.5)}
    with pytest.raises(Unknown, match="unable to fetch metrics from resource metrics API"):
        samples_of([{**right, **changed}], "cpu")


def test_a_pod_may_request_as_a_whole() -> None:
    whole = pod("a", 1, None, 0)
    whole["spec"]["resources"] = {"requests": {"cpu": "2"}}

    assert requests_of([whole], "cpu") == {"a": 2000}
    assert requests_of([whole], "cpu", "main") == {"a": 100}


# -- how fast ---------------------------------------------------------------------------------------------------------


def sizes(behavior: Any, asked: list[int], begin: int, most: int = 1000, every_s: float = 15.0) -> list[int]:
    """The sizes that an autoscaler goes through while metrics ask for these, as in the cluster."""
    past, found, current, now = Past(), [], begin, NOW
    past.ask(begin, 0.0, now - every_s)
    for each in asked:
        limited = follow(each, Bounds(current, 1, most), past, behavior, 300.0, now)
        if limited.replicas != current and behavior is not None:
            past.scale(current, limited.replicas, behavior, now)
        current = limited.replicas
        found.append(current)
        now += every_s
    return found


def rules(*policies: tuple[str, int, int], window_s: int = 0, select: str = "Max") -> dict[str, Any]:
    listed = [{"type": type, "value": value, "periodSeconds": period_s} for type, value, period_s in policies]
    return {"stabilizationWindowSeconds": window_s, "selectPolicy": select, "policies": listed}


def test_the_documented_scale_down_takes_ten_per_cent_or_four_pods_a_minute() -> None:
    behavior = {"scaleDown": rules(("Pods", 4, 60), ("Percent", 10, 60))}

    found = sizes(behavior, [10] * 16, begin=80, every_s=61.0)

    assert found == [72, 64, 57, 51, 45, 40, 36, 32, 28, 24, 20, 16, 12, 10, 10, 10]


def test_a_period_bounds_what_is_changed_in_all_of_it() -> None:
    behavior = {"scaleDown": rules(("Pods", 4, 60))}

    assert sizes(behavior, [1] * 9, begin=20) == [16, 16, 16, 16, 12, 12, 12, 12, 8]


def test_nine_hundred_per_cent_a_minute_is_ten_times_as_many() -> None:
    assert sizes({"scaleUp": rules(("Percent", 900, 60))}, [1000] * 3, begin=1, every_s=61.0) == [10, 100, 1000]


def test_the_least_change_may_be_selected_or_none() -> None:
    slow = rules(("Pods", 4, 15), ("Percent", 100, 15), select="Min")

    assert sizes({"scaleUp": slow}, [100] * 3, begin=3, every_s=16.0) == [6, 10, 14]
    assert sizes({"scaleUp": slow | {"selectPolicy": "Disabled"}}, [100, 1], begin=3) == [3, 3]
    assert sizes({"scaleDown": rules(select="Disabled")}, [1, 1], begin=3) == [3, 3]


def test_one_pod_becomes_two_by_any_share() -> None:
    assert sizes({"scaleUp": rules(("Percent", 1, 15))}, [9], begin=1) == [2]


def test_by_default_it_grows_at_once_and_shrinks_after_five_minutes() -> None:
    for behavior in (None, {}):
        found = sizes(behavior, [8] + [2] * 25, begin=4)

        assert found[0] == 8 and found.index(2) == 20  # 300 s after 8 was asked for
        assert set(found) == {8, 2}


def test_without_behavior_it_doubles_at_most() -> None:
    assert sizes(None, [100] * 4, begin=1, most=30) == [4, 8, 16, 30]


def test_a_window_for_scaling_up_waits_for_the_lowest_of_what_was_asked() -> None:
    behavior = {"scaleUp": rules(("Pods", 100, 15), window_s=60)}

    assert sizes(behavior, [2, 9, 7, 9, 8, 9], begin=2) == [2, 2, 2, 2, 7, 7]


@pytest.mark.parametrize(
    ("behavior", "asked", "current", "able", "limited"),
    [
        (None, 3, 3, "ReadyForNewScale", "DesiredWithinRange"),
        (None, 50, 30, "ReadyForNewScale", "TooManyReplicas"),
        (None, 20, 3, "ReadyForNewScale", "ScaleUpLimit"),
        (None, 1, 9, "ScaleDownStabilized", "DesiredWithinRange"),
        ({"scaleUp": {"stabilizationWindowSeconds": 60}}, 20, 3, "ScaleUpStabilized", "DesiredWithinRange"),
        ({}, 50, 30, "ReadyForNewScale", "TooManyReplicas"),
        ({}, 20, 3, "ReadyForNewScale", "ScaleUpLimit"),
        ({"scaleDown": rules(("Pods", 1, 60))}, 0, 5, "ReadyForNewScale", "ScaleDownLimit"),
        ({"scaleDown": rules(("Pods", 9, 60))}, 0, 5, "ReadyForNewScale", "TooFewReplicas"),
    ],
)
def test_it_says_what_holds_it(behavior: Any, asked: int, current: int, able: str, limited: str) -> None:
    past = Past()
    past.ask(current, 0.0, NOW - 15)
    found = follow(asked, Bounds(current, 2, 40), past, behavior, 300.0, NOW)

    assert (found.able[0], found.limited[0]) == (able, limited)


@st.composite
def behaviors(draw: st.DrawFn) -> dict[str, Any]:
    policies = st.tuples(st.sampled_from(["Pods", "Percent"]), st.integers(1, 150), st.sampled_from([15, 20, 60, 100]))
    return {
        name: rules(
            *draw(st.lists(policies, min_size=1, max_size=3)),
            window_s=draw(st.sampled_from([0, 15, 40, 100])),
            select=draw(st.sampled_from(["Max", "Min", "Disabled"])),
        )
        for name in ("scaleUp", "scaleDown")
    }


class Model:
    """Slow: it keeps all that was asked for and every size, and tries one size after the other."""

    def __init__(self, behavior: dict[str, Any], begin: int, now: float) -> None:
        self.behavior = behavior
        self.asked = [(now, begin)]
        self.sizes = [(0.0, begin)]

    def follow(self, asked: int, least: int, most: int, now: float) -> int:
        current = self.sizes[-1][1]
        up, down = self.behavior["scaleUp"], self.behavior["scaleDown"]
        lately = [[n for at, n in self.asked if at > now - r["stabilizationWindowSeconds"]] for r in (up, down)]
        lowest, highest = min(lately[0] + [asked]), max(lately[1] + [asked])
        stable = lowest if current < lowest else highest if current > highest else current
        self.asked.append((now, asked))
        size = current
        direction, bound = (1, most) if stable > current else (-1, least)
        while size != stable and size != bound and self.allows(up if direction > 0 else down, size + direction, now):
            size += direction
        self.sizes.append((now, size))
        return size

    def allows(self, direction: dict[str, Any], size: int, now: float) -> bool:
        if direction["selectPolicy"] == "Disabled":
            return False
        verdicts = []
        for policy in direction["policies"]:
            start = [n for at, n in self.sizes if at <= now - policy["periodSeconds"]][-1]
            change = abs(size - start) if (size > start) == (direction is self.behavior["scaleUp"]) else 0
            if policy["type"] == "Pods":
                verdicts.append(change <= policy["value"])
            else:  # a part of a pod counts as one
                verdicts.append((change - 1) * 100 < start * policy["value"])
        return all(verdicts) if direction["selectPolicy"] == "Min" else any(verdicts)


@given(
    behaviors(),
    st.integers(1, 40),
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from([5.0, 15.0, 31.0])), max_size=30),
)
@example(
    {"scaleUp": rules(("Pods", 1, 15), window_s=0), "scaleDown": rules(("Pods", 1, 60), window_s=0)},
    1,
    [(asked, 5.0) for asked in (2, 0, 2, 0, 0, 0, 2, 0)],
)
def test_it_goes_as_a_slow_model_goes(behavior: dict[str, Any], begin: int, steps: list[tuple[int, float]]) -> None:
    past, model, current, now = Past(), Model(behavior, begin, NOW), begin, NOW
    past.ask(begin, 0.0, NOW)
    for asked, seconds in steps:
        now += seconds
        found = follow(asked, Bounds(current, 1, 50), past, behavior, 300.0, now).replicas
        assert found == model.follow(asked, 1, 50, now)
        if found != current:
            past.scale(current, found, behavior, now)
        current = found


def test_what_is_remembered_is_bounded() -> None:
    past = Past()
    for second in range(10_000):
        past.ask(1, 3600.0, NOW + second)
        past.scale(1, 2, {"scaleUp": rules(("Pods", 4, 1800))}, NOW + second)

    assert len(past.asked) <= 1024 and len(past.ups) <= 1024
