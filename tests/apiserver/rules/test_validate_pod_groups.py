"""Workloads, PodGroups and what pods say of them: what is refused, in Kubernetes' words."""

from __future__ import annotations

from typing import Any

import pytest

from actors.apiserver.rules.prepare import prepare_create
from actors.apiserver.schema.resources import by_kind
from tests.apiserver.rules.judged import ABSENT, problems, update_problems

TEMPLATE = {"name": "a", "schedulingPolicy": {"basic": {}}}
LABEL = "a lowercase RFC 1123 label must consist of"


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"spec.podGroupTemplates": []}, "spec.podGroupTemplates: Required value: must have at least one item"),
        (
            {"spec.podGroupTemplates": [{**TEMPLATE, "name": f"a{index}"} for index in range(9)]},
            "spec.podGroupTemplates: Too many: 9: must have at most 8 items",
        ),
        ({"spec.podGroupTemplates": [TEMPLATE, TEMPLATE]}, 'spec.podGroupTemplates[1]: Duplicate value: "a"'),
        ({"spec.podGroupTemplates.0.name": ""}, "spec.podGroupTemplates[0].name: Required value"),
        ({"spec.podGroupTemplates.0.name": "A"}, f'spec.podGroupTemplates[0].name: Invalid value: "A": {LABEL}'),
        (
            {"spec.podGroupTemplates.0.schedulingPolicy": {}},
            'spec.podGroupTemplates[0].schedulingPolicy: Invalid value: "": must specify one of: `basic`, `gang`',
        ),
        (
            {"spec.podGroupTemplates.0.schedulingPolicy.basic": {}},
            'spec.podGroupTemplates[0].schedulingPolicy: Invalid value: "{`basic`, `gang`}": '
            "exactly one of `basic`, `gang` is required, but multiple fields are set",
        ),
        (
            {"spec.podGroupTemplates.0.schedulingPolicy.gang.minCount": 0},
            "spec.podGroupTemplates[0].schedulingPolicy.gang.minCount: Required value",
        ),
        (
            {"spec.podGroupTemplates.0.schedulingPolicy.gang.minCount": -1},
            "spec.podGroupTemplates[0].schedulingPolicy.gang.minCount: Invalid value: -1: "
            "must be greater than or equal to 1",
        ),
        (
            {"spec.podGroupTemplates.0.disruptionMode": "All"},
            'spec.podGroupTemplates[0].disruptionMode: Unsupported value: "All": supported values: "Pod", "PodGroup"',
        ),
        ({"spec.controllerRef": {"kind": "Job", "name": ""}}, "spec.controllerRef.name: Required value"),
    ],
)
def test_a_bad_workload_is_refused(changes: dict[str, Any], found: str) -> None:
    (problem,) = problems("Workload", changes)

    assert problem.startswith(found)


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        (
            {"spec.schedulingPolicy": {}},
            'spec.schedulingPolicy: Invalid value: "": must specify one of: `basic`, `gang`',
        ),
        (
            {"spec.podGroupTemplateRef": {}},
            'spec.podGroupTemplateRef: Invalid value: "": must specify one of: `workload`',
        ),
        (
            {"spec.podGroupTemplateRef": {"workload": {"workloadName": "w", "podGroupTemplateName": ""}}},
            "spec.podGroupTemplateRef.workload.podGroupTemplateName: Required value",
        ),
        (
            {"spec.disruptionMode": "X"},
            'spec.disruptionMode: Unsupported value: "X": supported values: "Pod", "PodGroup"',
        ),
    ],
)
def test_a_bad_pod_group_is_refused(changes: dict[str, Any], found: str) -> None:
    assert problems("PodGroup", changes) == [found]


@pytest.mark.parametrize(
    ("kind", "changes", "field"),
    [
        ("Workload", {"spec.podGroupTemplates.0.schedulingPolicy.gang.minCount": 3}, "podGroupTemplates"),
        ("PodGroup", {"spec.schedulingPolicy": {"gang": {"minCount": 3}}}, "schedulingPolicy"),
        ("PodGroup", {"spec.disruptionMode": "PodGroup"}, "disruptionMode"),
        ("PodGroup", {"spec.priorityClassName": "high"}, "priorityClassName"),
    ],
)
def test_what_a_group_is_stays(kind: str, changes: dict[str, Any], field: str) -> None:
    (problem,) = update_problems(kind, changes)

    assert problem.startswith(f"spec.{field}: Invalid value: ") and problem.endswith("field is immutable")


@pytest.mark.parametrize(
    ("changes", "found"),
    [
        ({"spec.schedulingGroup": {"podGroupName": "g"}}, []),
        (
            {"spec.schedulingGroup": {}},
            ['spec.schedulingGroup: Invalid value: "": must specify one of: `podGroupName`'],
        ),
        ({"spec.schedulingGroup": {"podGroupName": ""}}, ["spec.schedulingGroup.podGroupName: Required value"]),
        ({"spec.workloadRef": {"name": "w"}}, ["spec.workloadRef.podGroup: Required value"]),
    ],
)
def test_what_a_pod_says_of_its_group(changes: dict[str, Any], found: list[str]) -> None:
    assert problems("Pod", changes) == found


@pytest.mark.parametrize("kind", ["Workload", "PodGroup"])
def test_fields_of_features_that_are_off_are_dropped(kind: str) -> None:
    resource = by_kind("scheduling.k8s.io/v1alpha2", kind)
    assert resource is not None
    group = {**TEMPLATE, "schedulingConstraints": {"topology": [{"key": "rack"}]}, "resourceClaims": []}
    spec = {"podGroupTemplates": [group]} if kind == "Workload" else group

    created = prepare_create(resource, {"metadata": {"name": "a"}, "spec": spec}, now=0.0, uid="u", suffix="")["spec"]

    assert (created["podGroupTemplates"][0] if kind == "Workload" else created) == TEMPLATE


def test_what_is_absent_is_no_policy() -> None:
    assert problems("PodGroup", {"spec.schedulingPolicy": ABSENT}) != []
