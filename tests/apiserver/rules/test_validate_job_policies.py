"""Policies of Jobs, and limits of indexes: what is refused, in which words."""

from __future__ import annotations

from typing import Any

import pytest

from tests.apiserver.rules.judged import created, problems, update_problems

INDEXED = {"spec.completionMode": "Indexed", "spec.completions": 5}
PER_INDEX = {**INDEXED, "spec.backoffLimitPerIndex": 1}
CODES = {"operator": "In", "values": [1]}
CHOICES = '["Count" "FailIndex" "FailJob" "Ignore"]'


def failure(**rule: Any) -> dict[str, Any]:
    return {"spec.podFailurePolicy": {"rules": [{"action": "Count", **rule}]}}


def success(**rule: Any) -> dict[str, Any]:
    return {**INDEXED, "spec.successPolicy": {"rules": [rule]}}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"spec.backoffLimitPerIndex": 1},
            "spec.backoffLimitPerIndex: Invalid value: 1: requires indexed completion mode",
        ),
        ({"spec.successPolicy": {"rules": []}}, 'spec.successPolicy: Invalid value: {"rules":[]}: requires indexed'),
        (
            {**INDEXED, "spec.maxFailedIndexes": 1},
            "spec.backoffLimitPerIndex: Required value: when maxFailedIndexes is",
        ),
        ({**PER_INDEX, "spec.maxFailedIndexes": 6}, "Invalid value: 6: must be less than or equal to completions"),
        (
            {**INDEXED, "spec.parallelism": 100001},
            "must be less than or equal to 100000 when completion mode is Indexed",
        ),
        (
            {**PER_INDEX, "spec.completions": 100001},
            "spec.maxFailedIndexes: Required value: must be specified when completions is above 100000",
        ),
        (
            {"spec.podReplacementPolicy": "Now"},
            'Unsupported value: "Now": supported values: "Failed", "TerminatingOrFailed"',
        ),
        (
            {**failure(onExitCodes=CODES), "spec.podReplacementPolicy": "TerminatingOrFailed"},
            'Unsupported value: "TerminatingOrFailed": supported values: "Failed"',
        ),
        (
            {**failure(onExitCodes=CODES), "spec.template.spec.restartPolicy": "OnFailure"},
            'Invalid value: "OnFailure": only "Never" is supported when podFailurePolicy is specified',
        ),
        (
            failure(),
            "rules[0]: Invalid value: specifying one of OnExitCodes and OnPodConditions is required",
        ),
        (
            failure(onExitCodes=CODES, onPodConditions=[{"type": "Bad"}]),
            "rules[0]: Invalid value: specifying both OnExitCodes and OnPodConditions is not supported",
        ),
        (failure(action="", onExitCodes=CODES), f"rules[0].action: Required value: valid values: {CHOICES}"),
        (failure(action="Forget", onExitCodes=CODES), 'rules[0].action: Unsupported value: "Forget"'),
        (failure(action="FailIndex", onExitCodes=CODES), '"FailIndex": requires the backoffLimitPerIndex to be set'),
        (
            failure(onExitCodes={**CODES, "containerName": "x"}),
            '"x": must be one of the container or initContainer names',
        ),
        (
            failure(onExitCodes={"operator": "In", "values": []}),
            "values: Invalid value: []: at least one value is required",
        ),
        (
            failure(onExitCodes={"operator": "In", "values": [0]}),
            "values[0]: Invalid value: 0: must not be 0 for the In",
        ),
        (failure(onExitCodes={"operator": "In", "values": [2, 1]}), "values: Invalid value: [2,1]: must be ordered"),
        (failure(onExitCodes={"operator": "In", "values": [1, 1]}), "values[1]: Duplicate value: 1"),
        (
            failure(onExitCodes={"operator": "Is", "values": [1]}),
            'Unsupported value: "Is": supported values: "In", "NotIn"',
        ),
        (
            failure(onPodConditions=[{"type": "Bad", "status": "No"}]),
            'status: Unsupported value: "No": supported values:',
        ),
        (failure(onPodConditions=[{"type": "a b"}]), 'onPodConditions[0].type: Invalid value: "a b"'),
        (
            {**INDEXED, "spec.successPolicy": {"rules": []}},
            "rules: Required value: at least one rules must be specified",
        ),
        (success(), "rules[0]: Required value: at least one of succeededCount or succeededIndexes must be specified"),
        (
            success(succeededCount=6),
            "Invalid value: 6: must be less than or equal to 5 (the number of specified completions)",
        ),
        (success(succeededIndexes="0,2", succeededCount=3), "less than or equal to 2 (the number of indexes in the"),
        (
            success(succeededIndexes="x"),
            'error parsing succeededIndexes: cannot convert string to integer for index: "x"',
        ),
        (success(succeededIndexes="0-5"), 'error parsing succeededIndexes: too large index: "5"'),
        (success(succeededIndexes="2,1"), "non-increasing order, previous: 2, current: 1"),
        (success(succeededIndexes="0-1-2"), "an index interval can have at most two parts separated by '-'"),
        ({"spec.managedBy": "me"}, 'spec.managedBy: Invalid value: "me": must be a domain-prefixed path'),
        ({"spec.managedBy": "a.example/" + "b" * 60}, "spec.managedBy: Too long: may not be more than 63 bytes"),
    ],
)
def test_is_refused(changes: dict[str, Any], message: str) -> None:
    assert any(message in problem for problem in problems("Job", changes)), problems("Job", changes)


@pytest.mark.parametrize(
    "changes",
    [
        {**PER_INDEX, "spec.maxFailedIndexes": 3},
        {**PER_INDEX, **failure(action="FailIndex", onExitCodes={**CODES, "containerName": "web"})},
        failure(onPodConditions=[{"type": "DisruptionTarget"}]),
        success(succeededIndexes="0-1,4", succeededCount=2),
        success(succeededCount=5),
        {"spec.managedBy": "example.com/queue"},
    ],
)
def test_is_allowed(changes: dict[str, Any]) -> None:
    assert problems("Job", changes) == []


def test_a_condition_that_is_looked_for_holds_by_default() -> None:
    job = created("Job", failure(onPodConditions=[{"type": "DisruptionTarget"}]))

    [rule] = job["spec"]["podFailurePolicy"]["rules"]
    assert rule["onPodConditions"] == [{"type": "DisruptionTarget", "status": "True"}]


def test_what_is_success_stays_so() -> None:
    before = success(succeededCount=2)

    [problem] = update_problems("Job", {"spec.successPolicy.rules.0.succeededCount": 3}, before)
    assert problem.endswith("field is immutable")
