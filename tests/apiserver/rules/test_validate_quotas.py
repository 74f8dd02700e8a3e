"""Resource quotas: what they may limit, and of which pods."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.rules.judged import problems, update_problems

MISPLACED = "unsupported scope applied to resource"


def scope(name: str, operator: str = "Exists", *values: str) -> dict[str, Any]:
    return {"scopeName": name, "operator": operator, **({"values": list(values)} if values else {})}


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ({"hard": {"foo": "1"}}, 'spec.hard[foo]: Invalid value: "foo": must be a standard resource for quota'),
        ({"hard": {"services": "1"}, "scopes": ["NotTerminating"]}, f'["NotTerminating"]: {MISPLACED}'),
        ({"hard": {"cpu": "1"}, "scopes": ["BestEffort"]}, f'["BestEffort"]: {MISPLACED}'),
        ({"hard": {"pods": "1"}, "scopes": ["VolumeAttributesClass"]}, f'["VolumeAttributesClass"]: {MISPLACED}'),
        ({"scopes": ["Big"]}, 'spec.scopes: Invalid value: ["Big"]: unsupported scope'),
        ({"scopes": ["Terminating", "NotTerminating"]}, 'value: ["Terminating","NotTerminating"]: conflicting scopes'),
        (
            {"scopeSelector": {"matchExpressions": [scope("Terminating", "In", "a")]}},
            "spec.scopeSelector.matchExpressions.operator: Invalid value: \"In\": must be 'Exist' when scope is any of "
            "ResourceQuotaScopeTerminating, ResourceQuotaScopeNotTerminating, ResourceQuotaScopeBestEffort, "
            "ResourceQuotaScopeNotBestEffort or ResourceQuotaScopeCrossNamespacePodAffinity",
        ),
        (
            {"scopeSelector": {"matchExpressions": [scope("PriorityClass", "In")]}},
            "matchExpressions.values: Required value: must be at least one value when `operator` is 'In' or 'NotIn'",
        ),
        (
            {"scopeSelector": {"matchExpressions": [scope("PriorityClass", "Exists", "a")]}},
            'matchExpressions.values: Invalid value: ["a"]: must be no value when `operator` is',
        ),
        (
            {"scopeSelector": {"matchExpressions": [scope("PriorityClass", "Is")]}},
            'matchExpressions.operator: Invalid value: "Is": not a valid selector operator',
        ),
    ],
)
def test_what_a_quota_may_not_be_about(spec: dict[str, Any], message: str) -> None:
    found = problems("ResourceQuota", {f"spec.{key}": value for key, value in spec.items()})

    assert any(message in problem for problem in found), found


@pytest.mark.parametrize(
    "spec",
    [
        {"hard": {"count/jobs.batch": "1", "requests.example.com/gpu": "1", "hugepages-2Mi": "1", "secrets": "1"}},
        {"hard": {"requests.cpu": "1", "pods": "2"}, "scopes": ["NotBestEffort", "NotTerminating"]},
        {"scopeSelector": {"matchExpressions": [scope("PriorityClass", "In", "high")]}},
        {"hard": {"persistentvolumeclaims": "1"}, "scopes": ["VolumeAttributesClass"]},
    ],
)
def test_what_a_quota_may_be_about(spec: dict[str, Any]) -> None:
    assert problems("ResourceQuota", {f"spec.{key}": value for key, value in spec.items()}) == []


def test_a_quota_stays_about_the_same_pods() -> None:
    found = update_problems("ResourceQuota", {"spec.scopes": ["BestEffort"], "spec.hard": {"pods": "1"}})

    assert any('spec.scopes: Invalid value: ["BestEffort"]: field is immutable' in problem for problem in found), found
