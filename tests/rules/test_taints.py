"""Taints and tolerations."""

from __future__ import annotations

from typing import Any

import pytest

from protocols.rules.taints import eviction_delay_s, tolerates, untolerated

GPU = {"key": "gpu", "value": "yes", "effect": "NoSchedule"}
DOWN = {"key": "node.kubernetes.io/unreachable", "effect": "NoExecute"}


@pytest.mark.parametrize(
    ("toleration", "expected"),
    [
        ({"key": "gpu", "value": "yes"}, True),
        ({"key": "gpu", "operator": "Equal", "value": "no"}, False),
        ({"key": "gpu", "operator": "Equal"}, False),
        ({"key": "gpu", "operator": "Exists"}, True),
        ({"operator": "Exists"}, True),
        ({"key": "cpu", "operator": "Exists"}, False),
        ({"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}, True),
        ({"key": "gpu", "operator": "Exists", "effect": "NoExecute"}, False),
        ({"key": "gpu", "operator": "Like", "value": "yes"}, False),
    ],
)
def test_a_toleration_matches_key_value_and_effect(toleration: dict[str, Any], expected: bool) -> None:
    assert tolerates(toleration, GPU) is expected


def test_an_absent_value_is_the_empty_one() -> None:
    assert tolerates({"key": "a", "value": ""}, {"key": "a", "effect": "NoSchedule"})


def test_names_the_taints_that_nothing_tolerates_in_order() -> None:
    soft = {"key": "soft", "effect": "PreferNoSchedule"}

    assert list(untolerated([DOWN, soft, GPU], [{"key": "gpu", "operator": "Exists"}])) == [DOWN]
    assert list(untolerated([DOWN, soft, GPU], [], ("PreferNoSchedule",))) == [soft]


@pytest.mark.parametrize(
    ("tolerations", "delay_s"),
    [
        ([], 0),
        ([{"operator": "Exists"}], None),
        ([{"operator": "Exists", "tolerationSeconds": 300}], 300),
        ([{"operator": "Exists", "tolerationSeconds": 300}, {"key": DOWN["key"], "tolerationSeconds": 5}], 5),
        ([{"operator": "Exists"}, {"operator": "Exists", "tolerationSeconds": -1}], 0),
        ([{"operator": "Exists", "effect": "NoSchedule"}], 0),
    ],
)
def test_a_pod_stays_as_long_as_its_shortest_toleration(tolerations: list[Any], delay_s: float | None) -> None:
    assert eviction_delay_s([GPU, DOWN], tolerations) == delay_s


def test_a_pod_stays_where_nothing_executes() -> None:
    assert eviction_delay_s([GPU], []) is None
