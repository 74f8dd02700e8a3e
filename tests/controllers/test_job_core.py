"""What the job controller decides by itself: indexes, failures, waits, and what a crash may leave behind."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actorkube.kube.controller import Views
from actorkube.kube.view import View
from actorkube.kube.writes import ConfirmNone, Patch, Update, Write
from actors.controllers import job, job_backoff
from actors.controllers.job_failure_policy import Verdict, judge
from actors.controllers.job_indexes import contains, first_missing, overlap, parse, render, total, union, with_indexes
from actors.controllers.job_pods import (
    FINALIZER,
    INDEX,
    INDEX_FAILURES,
    JobPod,
    free_name_of_index,
    pod_from,
    summarise_job_pod,
)
from actors.controllers.job_success_policy import met
from protocols.api import Stored
from protocols.objects import Object, encode_object
from protocols.rules.times import time_of
from tests.controllers.job_world import a_job, indexed

NOW = 1_700_000_000.0


def owner(**spec: Any) -> Object:
    made = a_job(**{"completions": 3, **spec} if spec.get("completionMode") == "Indexed" else spec)
    return {**made, "metadata": {**made["metadata"], "uid": "job-uid"}}


def pod(name: str, phase: str = "Running", *, tracked: bool = True, deleting: bool = False, **status: Any) -> Object:
    reference = {"apiVersion": "batch/v1", "kind": "Job", "name": "pi", "uid": "job-uid", "controller": True}
    metadata: dict[str, Any] = {
        "name": name,
        "namespace": "default",
        "uid": f"{name}-uid",
        "labels": {"job-name": "pi"},
    }
    metadata |= {"ownerReferences": [reference], "creationTimestamp": time_of(NOW - 100)}
    metadata |= {"finalizers": [FINALIZER]} if tracked else {}
    metadata |= {"deletionTimestamp": time_of(NOW)} if deleting else {}
    return {"metadata": metadata, "spec": {}, "status": {"phase": phase, **status}}


def ended(code: int, at: float = NOW - 30, container: str = "c", **status: Any) -> Object:
    state = {"terminated": {"exitCode": code, "finishedAt": time_of(at)}}
    return {"containerStatuses": [{"name": container, "restartCount": 0, "state": state}], **status}


def summary(of: Object) -> JobPod:
    made = summarise_job_pod(of)
    assert made is not None
    return made


def decide(the_job: Object, *pods: Object) -> list[Write]:
    views = {}
    for resource, objects in ((job.RESOURCE, [the_job]), ("pods", pods)):
        watches = next(each for each in job.controller().watches if each.resource == resource)
        views[resource] = View(resource, indexes=watches.indexes, summaries=watches.summaries)
        for number, obj in enumerate(objects):
            views[resource].wrote(Stored(encode_object(obj), 10 + number), NOW)
    return job.reconcile("default/pi", Views(views), NOW)


def status_of(writes: list[Write]) -> Object:
    [written] = [write.obj["status"] for write in writes if isinstance(write, Update)]
    found: Object = written
    return found


# -- indexes ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("text", "completions", "expected"),
    [
        ("", 5, ""),
        ("0-2,5", 9, "0-2,5"),
        ("0,1,2,4,5", 9, "0-2,4,5"),
        ("0-7,9", 5, "0-4"),
        ("6", 5, ""),
        ("x,1,-,3-", 5, "1"),
    ],
)
def test_indexes_are_read_as_far_as_they_are_asked_for(text: str, completions: int, expected: str) -> None:
    assert render(parse(text, completions)) == expected


indexes = st.sets(st.integers(0, 30))


@given(indexes, indexes, st.integers(0, 10))
def test_intervals_are_sets(some: set[int], others: set[int], count: int) -> None:
    one, other = with_indexes((), some), with_indexes((), others)

    assert parse(render(one), 31) == one
    assert union(one, other) == with_indexes(one, others) == with_indexes((), some | others)
    assert (total(one), overlap(one, other)) == (len(some), len(some & others))
    assert [n for n in range(31) if contains(one, n)] == sorted(some)
    assert first_missing(one, count, 20) == [n for n in range(20) if n not in some][:count]


def test_a_name_of_an_index_leaves_room_for_what_is_generated() -> None:
    long = {"metadata": {"name": "a" * 63, "namespace": "default", "uid": "u"}}
    pods = View("pods")

    name = free_name_of_index(long, 12345, pods)

    assert len(name) == 63
    assert name[51:58] == "-12345-"
    assert free_name_of_index(long, 12345, pods) == name


def test_a_pod_keeps_what_its_template_says_of_the_index() -> None:
    made = owner(completionMode="Indexed", backoffLimitPerIndex=1)
    made["spec"]["template"]["spec"]["containers"][0]["env"] = [{"name": "JOB_COMPLETION_INDEX", "value": "mine"}]

    pod = pod_from(made, "pi-2-x", 2, (1, 3))

    assert pod["spec"]["containers"][0]["env"] == [{"name": "JOB_COMPLETION_INDEX", "value": "mine"}]
    assert pod["metadata"]["annotations"] == {
        INDEX: "2",
        INDEX_FAILURES: "1",
        "batch.kubernetes.io/job-index-ignored-failure-count": "3",
    }


# -- policies ---------------------------------------------------------------------------------------------------------

IN = {"operator": "In", "values": [3, 4]}
NOT_IN = {"operator": "NotIn", "values": [3, 4]}


@pytest.mark.parametrize(
    ("rule", "status", "action"),
    [
        ({"action": "Ignore", "onExitCodes": IN}, ended(3), "Ignore"),
        ({"action": "Ignore", "onExitCodes": IN}, ended(5), "Count"),
        ({"action": "Ignore", "onExitCodes": NOT_IN}, ended(5), "Ignore"),
        ({"action": "Ignore", "onExitCodes": NOT_IN}, ended(0), "Count"),
        ({"action": "FailIndex", "onExitCodes": {**IN, "containerName": "c"}}, ended(3), "FailIndex"),
        ({"action": "FailIndex", "onExitCodes": {**IN, "containerName": "other"}}, ended(3), "Count"),
        ({"action": "Ignore", "onPodConditions": [{"type": "Bad"}]}, {"conditions": [{"type": "Bad"}]}, "Count"),
        (
            {"action": "Ignore", "onPodConditions": [{"type": "Bad"}]},
            {"conditions": [{"type": "Bad", "status": "True"}]},
            "Ignore",
        ),
    ],
)
def test_a_rule_matches_codes_of_containers_or_conditions(rule: Object, status: Object, action: str) -> None:
    judged = judge(owner(podFailurePolicy={"rules": [rule]}), summary(pod("a", "Failed", **status)))

    assert judged.action == action


def test_the_first_rule_that_matches_decides() -> None:
    rules = [
        {"action": "Count", "onExitCodes": {"operator": "In", "values": [9]}},
        {"action": "FailJob", "onPodConditions": [{"type": "ConfigIssue", "status": "True"}]},
        {"action": "Ignore", "onExitCodes": {"operator": "NotIn", "values": [9]}},
    ]
    failed = pod("a", "Failed", **ended(1), conditions=[{"type": "ConfigIssue", "status": "True"}])

    judged = judge(owner(podFailurePolicy={"rules": rules}), summary(failed))

    message = "Pod default/a has condition ConfigIssue matching FailJob rule at index 1"
    assert judged == Verdict("FailJob", message)


@pytest.mark.parametrize(
    ("rules", "succeeded", "expected"),
    [
        ([{"succeededCount": 2}], "0,3", "Matched rules at index 0"),
        ([{"succeededCount": 2}], "0", ""),
        ([{"succeededIndexes": "0-1"}], "0,2", ""),
        ([{"succeededIndexes": "0-2", "succeededCount": 2}], "0,2", "Matched rules at index 0"),
        ([{"succeededIndexes": "1"}, {"succeededIndexes": "2"}], "2", "Matched rules at index 1"),
        ([{"succeededIndexes": "1"}], "", ""),
    ],
)
def test_success_policies(rules: list[Object], succeeded: str, expected: str) -> None:
    made = indexed(5, successPolicy={"rules": rules})

    assert met(made, parse(succeeded, 5)) == expected


# -- waits ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("failed_at", "succeeded_at", "wait_s"),
    [
        ([], [], 0),
        ([0], [], 10),
        ([-4], [], 6),
        ([-30], [], 0),
        ([-20, 0], [], 20),
        ([-50, -20, 0], [-30], 20),
        ([-50, -20], [0], 0),
        ([0] * 12, [], 600),
    ],
)
def test_waits_double_with_each_failure_in_a_row(failed_at: list[int], succeeded_at: list[int], wait_s: int) -> None:
    failed = [summary(pod(f"f{n}", "Failed", **ended(1, NOW + at))) for n, at in enumerate(failed_at)]
    succeeded = [summary(pod(f"s{n}", "Succeeded", **ended(0, NOW + at))) for n, at in enumerate(succeeded_at)]

    assert job_backoff.wait_s(failed, succeeded, NOW) == wait_s


def test_when_a_pod_ended_is_known_from_what_there_is() -> None:
    not_ready = [{"type": "Ready", "status": "False", "lastTransitionTime": time_of(NOW - 7)}]

    assert summary(pod("a", "Failed", **ended(1, NOW - 3), conditions=not_ready)).finished_at == NOW - 3
    assert summary(pod("a", "Failed", conditions=not_ready)).finished_at == NOW - 7
    assert summary(pod("a", deleting=True)).finished_at == NOW
    assert summary(pod("a", "Failed")).finished_at == NOW - 100


# -- counting, from wherever the one before stopped -------------------------------------------------------------------


def counted(**status: Any) -> Object:
    made = owner(completions=9, parallelism=0)
    return {**made, "status": {"startTime": time_of(NOW - 100), **status}}


def test_a_pod_that_has_ended_is_written_down_before_it_is_let_go() -> None:
    writes = decide(counted(), pod("a", "Succeeded"), pod("b", "Failed", **ended(1)))

    listed = {"succeeded": ["a-uid"], "failed": ["b-uid"]}
    assert status_of(writes)["uncountedTerminatedPods"] == listed
    assert "succeeded" not in status_of(writes)
    kinds = [type(write) for write in writes if isinstance(write, Update | Patch)]
    assert kinds == [Update, Patch, Patch]


def test_one_that_is_written_down_is_only_let_go() -> None:
    noted = counted(ready=0, terminating=0, uncountedTerminatedPods={"failed": ["a-uid"]})
    writes = decide(noted, pod("a", "Failed", **ended(1)))

    assert [write.name for write in writes if isinstance(write, Patch)] == ["a"]
    assert not any(isinstance(write, Update) for write in writes)


def test_one_that_was_let_go_is_counted() -> None:
    noted = counted(failed=2, uncountedTerminatedPods={"failed": ["a-uid"], "succeeded": ["b-uid"]})
    writes = decide(noted, pod("a", "Failed", tracked=False, **ended(1)), pod("b", "Succeeded", tracked=False))

    after = status_of(writes)
    assert (after["failed"], after["succeeded"], after["uncountedTerminatedPods"]) == (3, 1, {})
    assert not any(isinstance(write, Patch | ConfirmNone) for write in writes)


def test_one_that_is_nowhere_to_be_seen_is_counted_when_it_is_sure_that_it_has_gone() -> None:
    noted = counted(uncountedTerminatedPods={"failed": ["a-uid"]})
    writes = decide(noted)

    [proof] = [write for write in writes if isinstance(write, ConfirmNone)]
    assert proof.is_one(pod("a", "Failed"))
    assert not proof.is_one(pod("a", "Failed", tracked=False))
    assert not proof.is_one(pod("b", "Failed"))
    assert status_of(writes)["failed"] == 1


def test_an_index_is_counted_once_however_many_pods_of_it_succeed() -> None:
    made = {**owner(completionMode="Indexed", parallelism=0), "status": {"completedIndexes": "1", "succeeded": 1}}
    pods = [pod(name, "Succeeded") for name in ("a", "b", "c")]
    for each, index in zip(pods, ("1", "2", "7"), strict=True):
        each["metadata"]["annotations"] = {INDEX: index}
    writes = decide(made, *pods)

    after = status_of(writes)
    assert (after["completedIndexes"], after["succeeded"], after["uncountedTerminatedPods"]) == ("1,2", 2, {})
    assert sorted(write.name for write in writes if isinstance(write, Patch)) == ["a", "b", "c"]


def test_a_status_lists_five_hundred_pods_at_most() -> None:
    writes = decide(counted(), *(pod(f"p{n}", "Succeeded") for n in range(600)))

    assert len(status_of(writes)["uncountedTerminatedPods"]["succeeded"]) == 500
    assert sum(isinstance(write, Patch) for write in writes) == 500


def test_a_pod_is_let_go_only_as_it_was_seen() -> None:
    writes = decide(counted(), pod("a", "Succeeded"))

    [patch] = [write.patch for write in writes if isinstance(write, Patch)]
    assert patch == {"metadata": {"uid": "a-uid", "resourceVersion": "10", "finalizers": None}}


def test_the_job_says_that_it_ends_before_it_deletes_anybody() -> None:
    made = {**owner(restartPolicy="OnFailure", backoffLimit=1), "status": {"startTime": time_of(NOW)}}
    restarted = [{"name": "c", "restartCount": 1, "state": {"running": {}}}]
    writes = decide(made, pod("a", containerStatuses=restarted))

    kinds = [type(write).__name__ for write in writes if type(write).__name__ in ("Update", "Delete")]
    assert kinds == ["Update", "Delete"]
    assert status_of(writes)["conditions"][0]["type"] == "FailureTarget"
