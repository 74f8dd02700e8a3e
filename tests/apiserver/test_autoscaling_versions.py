"""Autoscalers in two versions: v1 shows what it has fields for, and who writes what it read loses nothing."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.apiserver.autoscaling_versions import METRICS, to_v1, to_v2

Part = dict[str, Any]
values = st.sampled_from(
    [
        {"type": "Utilization", "averageUtilization": 50},
        {"type": "AverageValue", "averageValue": "100m"},
        {"type": "Utilization", "averageUtilization": 80},
    ]
)
identifiers = st.sampled_from([{"name": "packets"}, {"name": "queue", "selector": {"matchLabels": {"a": "b"}}}])
REFERENCE = {"kind": "Ingress", "name": "main", "apiVersion": "networking.k8s.io/v1"}
metrics = st.one_of(
    st.builds(
        lambda name, target: metric("resource", name=name, target=target), st.sampled_from(["cpu", "memory"]), values
    ),
    st.builds(lambda target: metric("containerResource", name="cpu", container="main", target=target), values),
    st.builds(
        lambda which: metric("pods", metric=which, target={"type": "AverageValue", "averageValue": "1"}), identifiers
    ),
    st.builds(
        lambda which, target: metric("object", metric=which, describedObject=REFERENCE, target=target),
        identifiers,
        st.sampled_from([{"type": "Value", "value": "10"}, {"type": "AverageValue", "averageValue": "5"}]),
    ),
    st.builds(
        lambda which, target: metric("external", metric=which, target=target),
        identifiers,
        st.sampled_from([{"type": "Value", "value": "10"}, {"type": "AverageValue", "averageValue": "5"}]),
    ),
)


def metric(field: str, **source: Any) -> Part:
    return {"type": field[0].upper() + field[1:], field: source}


def autoscaler(**spec: Any) -> Part:
    return {
        "apiVersion": "autoscaling/v2",
        "kind": "HorizontalPodAutoscaler",
        "metadata": {"name": "web", "namespace": "default", "annotations": {"mine": "1"}},
        "spec": {"scaleTargetRef": {"kind": "Deployment", "name": "web"}, "maxReplicas": 5, **spec},
    }


@given(st.lists(metrics, min_size=1, max_size=4), st.booleans())
def test_what_v1_has_no_field_for_comes_back(wanted: list[Part], behaves: bool) -> None:
    behavior = {"behavior": {"scaleDown": {"stabilizationWindowSeconds": 10}}} if behaves else {}
    kept = autoscaler(metrics=wanted, **behavior)

    found = to_v2(to_v1(kept))

    assert sorted(found["spec"].pop("metrics"), key=repr) == sorted(kept["spec"].pop("metrics"), key=repr)
    assert found == kept


def test_a_utilisation_of_cpu_is_a_field_of_v1() -> None:
    kept = autoscaler(
        metrics=[metric("resource", name="cpu", target={"type": "Utilization", "averageUtilization": 70})]
    )

    shown = to_v1(kept)

    assert shown["apiVersion"] == "autoscaling/v1"
    assert shown["spec"]["targetCPUUtilizationPercentage"] == 70
    assert shown["metadata"]["annotations"] == {"mine": "1"}


def test_other_metrics_are_in_an_annotation_as_v1_writes_them() -> None:
    kept = autoscaler(
        metrics=[metric("pods", metric={"name": "p"}, target={"type": "AverageValue", "averageValue": "1"})]
    )

    written = to_v1(kept)["metadata"]["annotations"][METRICS]

    assert written == '[{"type":"Pods","pods":{"targetAverageValue":"1","metricName":"p"}}]'


@pytest.mark.parametrize("nonsense", ["", "{", "3", '"x"', "[3]", '{"a":1}'])
def test_an_annotation_that_makes_no_sense_says_nothing(nonsense: str) -> None:
    shown = to_v1(autoscaler())
    shown["metadata"]["annotations"][METRICS] = nonsense

    assert to_v2(shown) == autoscaler()


def test_status_conditions_and_other_values_come_back() -> None:
    status = {
        "currentReplicas": 2,
        "desiredReplicas": 3,
        "conditions": [{"type": "AbleToScale", "status": "True"}],
        "currentMetrics": [metric("resource", name="cpu", current={"averageUtilization": 40})],
    }

    shown = to_v1({**autoscaler(), "status": status})

    assert shown["status"] == {"currentReplicas": 2, "desiredReplicas": 3, "currentCPUUtilizationPercentage": 40}
    assert to_v2(shown)["status"] == status
