"""A pod's effective requests, against a simulation of its containers starting one after another."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.rules.resources import (
    container_requests,
    pod_limits,
    pod_requests,
    qos_class,
    rated_requests,
    scoring_requests,
)

MIB = 1024 * 1024


def container(cpu: str | None = None, memory: str | None = None, **more: Any) -> dict[str, Any]:
    requests = {key: value for key, value in (("cpu", cpu), ("memory", memory)) if value is not None}
    return {"resources": {"requests": requests}, **more}


def peak_cpu(inits: list[dict[str, Any]], containers: list[dict[str, Any]]) -> int:
    """Start the containers in order; what is the most that runs at once?"""
    running = peak = 0
    for init in inits:
        milli = container_requests(init).get("cpu", 0)
        peak = max(peak, running + milli)
        if init.get("restartPolicy") == "Always":
            running += milli
    return max(peak, running + sum(container_requests(c).get("cpu", 0) for c in containers))


def test_containers_add_up_and_overhead_comes_on_top() -> None:
    spec = {"containers": [container("100m", "1Mi"), container("1", "1Ki")], "overhead": {"cpu": "10m", "x/gpu": "1"}}

    assert pod_requests({"spec": spec}) == {"cpu": 1110, "memory": MIB + 1024, "x/gpu": 1}


def limited(cpu: str, **more: Any) -> dict[str, Any]:
    return {"resources": {"limits": {"cpu": cpu}}, **more}


@pytest.mark.parametrize(
    ("spec", "expected"),
    [
        ({"containers": [limited("1"), limited("500m"), container("3")]}, {"cpu": 1500}),
        ({"containers": [limited("1")], "initContainers": [limited("2")]}, {"cpu": 2000}),
        ({"containers": [limited("1")], "initContainers": [limited("2", restartPolicy="Always")]}, {"cpu": 3000}),
        (
            {"containers": [limited("1")], "resources": {"limits": {"cpu": "4", "memory": "1Mi"}}},
            {"cpu": 4000, "memory": MIB},
        ),
        ({"containers": [limited("1")], "overhead": {"cpu": "10m", "memory": "1Mi"}}, {"cpu": 1010}),
        ({"containers": [container("1")]}, {}),
    ],
)
def test_limits_add_up_as_requests_do_and_overhead_adds_to_what_is_limited(spec: Any, expected: Any) -> None:
    assert pod_limits({"spec": spec}) == expected


def test_a_missing_request_is_the_limit() -> None:
    resources = {"limits": {"cpu": "2", "memory": "1Gi"}, "requests": {"cpu": "500m"}}

    assert container_requests({"resources": resources}) == {"cpu": 500, "memory": 1024 * MIB}


containers = st.lists(
    st.builds(
        container,
        st.one_of(st.none(), st.integers(0, 9).map(str)),
        restartPolicy=st.sampled_from([None, "Always"]),
    ),
    max_size=4,
)


@given(containers, containers)
def test_asks_for_the_most_that_ever_runs_at_once(inits: list[dict[str, Any]], mains: list[dict[str, Any]]) -> None:
    spec = {"initContainers": inits, "containers": mains}

    assert pod_requests({"spec": spec}).get("cpu", 0) == peak_cpu(inits, mains)


def test_requests_of_the_pod_as_a_whole_win() -> None:
    spec = {"containers": [container("1", "1Mi")], "resources": {"requests": {"cpu": "2"}}, "overhead": {"cpu": "1m"}}

    assert pod_requests({"spec": spec}) == {"cpu": 2001, "memory": MIB}


def resized(asks: str, has: str, allocated: str, reason: str = "") -> dict[str, Any]:
    """A pod of one container and a sidecar, in the middle of a resize."""
    status = {"name": "a", "resources": {"requests": {"cpu": has}}, "allocatedResources": {"cpu": allocated}}
    pending = [{"type": "PodResizePending", "status": "True", "reason": reason}] if reason else []
    sidecar = container("1", name="b", restartPolicy="Always")
    same = {"name": "b", "resources": {"requests": {"cpu": "1"}}, "allocatedResources": {"cpu": "1"}}
    return {
        "spec": {"containers": [container(asks, name="a")], "initContainers": [sidecar]},
        "status": {"containerStatuses": [status], "initContainerStatuses": [same], "conditions": pending},
    }


@pytest.mark.parametrize(
    ("pod", "cores"),
    [
        (resized(asks="3", has="1", allocated="1"), 4),  # it will grow
        (resized(asks="3", has="1", allocated="3"), 4),  # it is growing
        (resized(asks="1", has="3", allocated="1"), 4),  # it is shrinking, and has not yet
        (resized(asks="3", has="1", allocated="1", reason="Deferred"), 4),
        (resized(asks="9", has="2", allocated="1", reason="Infeasible"), 3),  # that will not be
        (resized(asks="2", has="2", allocated="2"), 3),
    ],
)
def test_while_a_pod_is_resized_the_most_counts(pod: dict[str, Any], cores: int) -> None:
    assert pod_requests(pod) == {"cpu": 1000 * cores}


def test_a_pod_as_a_whole_may_ask_for_huge_pages_and_be_resized_too() -> None:
    asks = {"requests": {"cpu": "1", "hugepages-2Mi": "4Mi", "example.com/gpu": "1"}}
    spec = {"resources": asks, "containers": [container("500m")]}
    has = {"requests": {**asks["requests"], "cpu": "3"}}

    assert pod_requests({"spec": spec}) == {"cpu": 1000, "hugepages-2Mi": 4 * MIB}
    assert pod_requests({"spec": spec, "status": {"resources": has}})["cpu"] == 3000


def test_scores_take_a_container_without_requests_for_a_small_one() -> None:
    spec = {"containers": [container(), container("0", "1Mi")]}

    assert scoring_requests({"spec": spec}) == {"cpu": 100, "memory": 201 * MIB}


def test_a_pod_is_rated_by_its_containers_and_counts_with_what_it_asks_for_as_a_whole() -> None:
    spec = {"resources": {"requests": {"cpu": "3"}}, "containers": [container("500m", "1Mi")], "overhead": {"cpu": "1"}}

    assert rated_requests({"spec": spec}) == {"cpu": 1500, "memory": MIB}
    assert scoring_requests({"spec": spec}) == {"cpu": 4000, "memory": MIB}


def test_of_a_pod_that_asks_as_a_whole_a_container_is_small_only_where_nobody_names_the_resource() -> None:
    spec = {"resources": {"requests": {"cpu": "3"}}, "containers": [container("500m", "1Mi"), container("500m")]}
    unnamed = {**spec, "containers": [container("500m"), container("500m")]}

    assert scoring_requests({"spec": spec}) == {"cpu": 3000, "memory": MIB}
    assert scoring_requests({"spec": unnamed}) == {"cpu": 3000, "memory": 400 * MIB}


@pytest.mark.parametrize(
    ("containers", "expected"),
    [
        ([{}], "BestEffort"),
        ([container("0")], "BestEffort"),
        ([container("1"), {}], "Burstable"),
        ([{"resources": {"limits": {"cpu": "1", "memory": "1Mi"}}}], "Guaranteed"),
        ([{"resources": {"limits": {"cpu": "1", "memory": "1Mi"}, "requests": {"cpu": "1000m"}}}], "Guaranteed"),
        ([{"resources": {"limits": {"cpu": "1", "memory": "1Mi"}, "requests": {"cpu": "1m"}}}], "Burstable"),
        ([{"resources": {"limits": {"cpu": "1", "memory": "1Mi"}}}, {}], "Burstable"),
        ([{"resources": {"limits": {"cpu": "1"}}}], "Burstable"),
    ],
)
def test_the_quality_of_service_follows_from_the_containers(containers: list[dict[str, Any]], expected: str) -> None:
    assert qos_class({"spec": {"containers": containers}}) == expected
