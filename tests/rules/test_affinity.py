"""Node selectors and node affinity."""

from __future__ import annotations

from typing import Any

import pytest

from protocols.rules.affinity import expression_matches, node_eligible, preference_weight, term_matches

NODE = {"metadata": {"name": "n1", "labels": {"zone": "a", "cores": "8", "disk": ""}}}


def expression(key: str, operator: str, *values: str) -> dict[str, Any]:
    return {"key": key, "operator": operator, "values": list(values)}


def required(*terms: dict[str, Any]) -> dict[str, Any]:
    affinity = {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": list(terms)}}
    return {"spec": {"affinity": {"nodeAffinity": affinity}}}


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        (expression("zone", "In", "a", "b"), True),
        (expression("zone", "In", "b"), False),
        (expression("rack", "In", ""), False),
        (expression("zone", "NotIn", "b"), True),
        (expression("rack", "NotIn", "b"), True),
        (expression("zone", "NotIn", "a"), False),
        (expression("disk", "Exists"), True),
        (expression("rack", "Exists"), False),
        (expression("rack", "DoesNotExist"), True),
        (expression("disk", "DoesNotExist"), False),
        (expression("cores", "Gt", "7"), True),
        (expression("cores", "Gt", "8"), False),
        (expression("cores", "Gt", "10"), False),
        (expression("cores", "Lt", "10"), True),
        (expression("zone", "Lt", "10"), False),
        (expression("rack", "Lt", "10"), False),
        (expression("cores", "Near", "8"), False),
    ],
)
def test_an_expression_matches_a_label(wanted: dict[str, Any], expected: bool) -> None:
    assert expression_matches(wanted, NODE["metadata"]["labels"]) is expected  # type: ignore[arg-type]


def test_a_term_needs_all_its_expressions_and_fields() -> None:
    zone, name = expression("zone", "In", "a"), expression("metadata.name", "In", "n1")

    assert term_matches({"matchExpressions": [zone], "matchFields": [name]}, NODE)
    assert not term_matches({"matchExpressions": [zone, expression("rack", "Exists")]}, NODE)
    assert not term_matches({"matchFields": [expression("metadata.name", "In", "n2")]}, NODE)


def test_an_empty_term_matches_nothing() -> None:
    assert not term_matches({}, NODE)
    assert not node_eligible(required({}), NODE)
    assert not node_eligible(required(), NODE)


def test_one_matching_term_is_enough() -> None:
    assert node_eligible(required({}, {"matchExpressions": [expression("zone", "In", "a")]}), NODE)


def test_the_node_selector_counts_as_well() -> None:
    pod = required({"matchExpressions": [expression("zone", "In", "a")]})
    pod["spec"]["nodeSelector"] = {"cores": "16"}

    assert not node_eligible(pod, NODE)
    assert node_eligible({"spec": {"nodeSelector": {"cores": "8"}}}, NODE)
    assert node_eligible({"spec": {}}, NODE)


def test_preferences_add_up() -> None:
    preferred = [
        {"weight": 10, "preference": {"matchExpressions": [expression("zone", "In", "a")]}},
        {"weight": 5, "preference": {"matchExpressions": [expression("zone", "In", "b")]}},
        {"weight": 3, "preference": {"matchExpressions": [expression("disk", "Exists")]}},
        {"weight": 100, "preference": {}},
    ]
    pod = {"spec": {"affinity": {"nodeAffinity": {"preferredDuringSchedulingIgnoredDuringExecution": preferred}}}}

    assert preference_weight(pod, NODE) == 13
