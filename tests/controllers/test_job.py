"""The job controller: pods that run until enough have succeeded, each counted exactly once."""

from __future__ import annotations

import asyncio
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.controllers import garbage_collector, job
from actors.controllers.job_pods import FINALIZER, INDEX, INDEX_FAILURES
from protocols.objects import Object, meta, name_of, uid_of
from tests.controllers.job_world import (
    JOBS,
    History,
    a_job,
    condition,
    events,
    in_world,
    index_of,
    indexed,
    reason,
    status,
)
from tests.controllers.virtual_time import run
from tests.controllers.world import World
from tests.effort import examples


def test_runs_a_pod_until_it_has_succeeded_and_says_so() -> None:
    async def scenario(world: World) -> None:
        owner = world.create(JOBS, a_job())
        await world.settled()

        [pod] = world.list("pods")
        assert meta(pod)["ownerReferences"][0]["uid"] == uid_of(owner)
        assert meta(pod)["labels"] == {"job-name": "pi"}
        assert "finalizers" not in meta(pod)
        after = status(world)
        assert (after["succeeded"], after["ready"], after["terminating"]) == (1, 0, 0)
        assert after["uncountedTerminatedPods"] == {}
        assert "active" not in after
        assert after["completionTime"] > after["startTime"]
        for type in ("SuccessCriteriaMet", "Complete"):
            assert condition(world, type)["reason"] == "CompletionsReached"  # type: ignore[index]
            assert condition(world, type)["message"] == "Reached expected number of succeeded pods"  # type: ignore[index]
        assert events(world) == [
            f"Normal SuccessfulCreate: Created pod: {name_of(pod)}",
            "Normal Completed: Job completed",
        ]

    in_world(scenario)


def test_shows_how_many_are_active_and_ready() -> None:
    async def scenario(world: World) -> None:
        world.create(JOBS, a_job(completions=5, parallelism=3))
        await world.settled()

        assert {key: status(world)[key] for key in ("active", "ready", "terminating")} == {
            "active": 3,
            "ready": 3,
            "terminating": 0,
        }
        assert all(FINALIZER in meta(pod)["finalizers"] for pod in world.list("pods"))

    in_world(scenario, ends=None)


def test_never_runs_more_than_are_still_missing() -> None:
    async def scenario(world: World) -> None:
        world.create(JOBS, a_job(completions=5, parallelism=3))
        await world.settled()

        history = History(world)
        assert (history.most_active, len(history.pods)) == (3, 5)
        assert status(world)["succeeded"] == 5
        history.check()

    in_world(scenario)


def test_a_work_queue_starts_nobody_after_the_first_success_and_waits_for_the_others() -> None:
    async def scenario(world: World) -> None:
        world.ends = lambda pod: (3.0, 0) if len(world.list("pods")) == 3 else None
        owner = a_job(parallelism=3)
        owner["spec"]["completions"] = None
        world.create(JOBS, owner)
        await world.settled()
        first = world.list("pods")[0]
        world.exit(first, 0)
        await world.settled()

        assert len(world.list("pods")) == 3
        assert reason(world, "Complete") == "CompletionsReached"

    in_world(scenario)


def test_a_pod_that_failed_is_replaced_later_each_time_until_the_limit() -> None:
    async def scenario(world: World) -> None:
        world.create(JOBS, a_job(backoffLimit=3))
        await asyncio.sleep(600)

        began = sorted(meta(pod)["creationTimestamp"] for pod in world.list("pods"))
        seconds = [int(at[14:16]) * 60 + int(at[17:19]) for at in began]
        waits = [later - sooner for sooner, later in pairwise(seconds)]
        assert [10 <= waits[0] <= 16, 20 <= waits[1] <= 26, 40 <= waits[2] <= 46] == [True] * 3
        assert status(world)["failed"] == 4
        for type in ("FailureTarget", "Failed"):
            assert reason(world, type) == "BackoffLimitExceeded"
        assert "completionTime" not in status(world)
        assert events(world)[-1] == "Warning BackoffLimitExceeded: Job has reached the specified backoff limit"
        History(world).check()

    in_world(scenario, ends=(1.0, 1))


def test_restarts_of_containers_count_where_they_are_restarted() -> None:
    async def scenario(world: World) -> None:
        world.create(JOBS, a_job(restartPolicy="OnFailure", backoffLimit=2))
        await world.settled()
        [pod] = world.list("pods")
        for restarts in (1, 2):
            assert reason(world, "FailureTarget") is None
            restarted = [{"name": "c", "restartCount": restarts, "state": {"running": {}}}]
            world.patch("pods", name_of(pod), {"status": {"containerStatuses": restarted}}, subresource="status")
            await world.settled()

        assert reason(world, "Failed") == "BackoffLimitExceeded"
        assert status(world)["failed"] == 1
        assert world.list("pods") == []

    in_world(scenario, ends=None)


def test_a_job_that_is_active_for_too_long_fails_and_its_pods_go_first() -> None:
    async def scenario(world: World) -> None:
        world.gone_after_s = 20
        world.create(JOBS, a_job(completions=4, parallelism=2, activeDeadlineSeconds=60))
        await asyncio.sleep(65)
        assert reason(world, "FailureTarget") == "DeadlineExceeded"
        assert (status(world)["terminating"], condition(world, "Failed")) == (2, None)
        await asyncio.sleep(30)

        failed = condition(world, "Failed")
        assert failed is not None and failed["message"] == "Job was active longer than specified deadline"
        assert (status(world)["failed"], world.list("pods")) == (2, [])

    in_world(scenario, ends=None)


def test_a_suspended_job_has_no_pods_and_its_deadline_begins_anew() -> None:
    async def scenario(world: World) -> None:
        world.create(JOBS, a_job(completions=2, parallelism=2, suspend=True, activeDeadlineSeconds=100))
        await world.settled()
        assert (world.list("pods"), reason(world, "Suspended")) == ([], "JobSuspended")
        assert "startTime" not in status(world)

        world.patch(JOBS, "pi", {"spec": {"suspend": False}})
        await world.settled()
        first = status(world)["startTime"]
        assert len(world.list("pods")) == 2
        world.patch(JOBS, "pi", {"spec": {"suspend": True}})
        await world.settled()
        assert (world.list("pods"), status(world).get("failed")) == ([], None)
        assert "startTime" not in status(world)
        await asyncio.sleep(200)
        world.patch(JOBS, "pi", {"spec": {"suspend": False}})
        await world.settled()

        assert len(world.list("pods")) == 2
        assert status(world)["startTime"] > first
        assert condition(world, "Suspended")["reason"] == "JobResumed"  # type: ignore[index]
        told = [event for event in events(world) if "pod" not in event]
        assert sorted(set(told)) == ["Normal Resumed: Job resumed", "Normal Suspended: Job suspended"]

    in_world(scenario, ends=None)


def test_fewer_run_when_parallelism_is_less_and_nobody_has_failed_by_it() -> None:
    async def scenario(world: World) -> None:
        world.create(JOBS, a_job(completions=6, parallelism=4))
        await world.settled()
        world.patch(JOBS, "pi", {"spec": {"parallelism": 1}})
        await world.settled()

        assert len(world.list("pods")) == 1
        assert (status(world)["active"], status(world).get("failed")) == (1, None)

    in_world(scenario, ends=None)


def test_a_job_that_others_manage_is_left_alone() -> None:
    async def scenario(world: World) -> None:
        world.create(JOBS, a_job(managedBy="example.com/queue"))
        await world.settled()

        assert (world.list("pods"), status(world)) == ([], {})

    in_world(scenario)


def test_a_pod_that_is_going_is_replaced_at_once_or_when_it_has_gone() -> None:
    async def scenario(world: World) -> None:
        world.gone_after_s = 1000
        for policy in ("TerminatingOrFailed", "Failed"):
            world.create(JOBS, a_job(policy.lower(), podReplacementPolicy=policy))
        await world.settled()
        for pod in world.list("pods"):
            world.delete("pods", name_of(pod))
        await asyncio.sleep(60)

        names = [name_of(pod) for pod in world.active_pods()]
        assert [name.startswith("terminatingorfailed") for name in names] == [True]
        assert (status(world, "failed")["terminating"], status(world, "failed").get("failed")) == (1, None)
        assert status(world, "terminatingorfailed")["failed"] == 1
        await asyncio.sleep(1500)
        assert len(world.active_pods()) == 2
        assert status(world, "failed")["failed"] == 1

    in_world(scenario, ends=None)


# -- indexes ----------------------------------------------------------------------------------------------------------


def test_each_index_gets_a_pod_that_knows_it() -> None:
    async def scenario(world: World) -> None:
        world.create(JOBS, indexed(3))
        await world.settled()

        for number, pod in enumerate(sorted(world.list("pods"), key=index_of)):
            assert meta(pod)["annotations"][INDEX] == meta(pod)["labels"][INDEX] == str(number)
            assert pod["spec"]["hostname"] == f"pi-{number}"
            assert name_of(pod).startswith(f"pi-{number}-")
            path = {"fieldRef": {"fieldPath": f"metadata.labels['{INDEX}']"}}
            assert pod["spec"]["containers"][0]["env"] == [{"name": "JOB_COMPLETION_INDEX", "valueFrom": path}]
        assert (status(world)["completedIndexes"], status(world)["succeeded"]) == ("0-2", 3)
        assert reason(world, "Complete") == "CompletionsReached"

    in_world(scenario)


def test_an_index_that_failed_is_tried_again() -> None:
    async def scenario(world: World) -> None:
        world.ends = lambda pod: (1.0, int(index_of(pod) == 1 and not status(world).get("failed")))
        world.create(JOBS, indexed(3))
        await asyncio.sleep(60)

        assert sorted(index_of(pod) for pod in world.list("pods")) == [0, 1, 1, 2]
        assert (status(world)["completedIndexes"], status(world)["failed"]) == ("0-2", 1)
        assert reason(world, "Complete") == "CompletionsReached"

    in_world(scenario)


def test_each_index_has_its_own_limit_and_the_others_go_on() -> None:
    async def scenario(world: World) -> None:
        world.ends = lambda pod: (1.0, int(index_of(pod) == 1))
        world.create(JOBS, indexed(4, parallelism=2, backoffLimitPerIndex=2))
        await asyncio.sleep(600)

        tries = sorted(meta(p)["annotations"][INDEX_FAILURES] for p in world.list("pods") if index_of(p) == 1)
        assert tries == ["0", "1", "2"]
        after = status(world)
        assert (after["completedIndexes"], after["failedIndexes"], after["failed"]) == ("0,2,3", "1", 3)
        assert reason(world, "Failed") == "FailedIndexes"
        History(world).check()

    in_world(scenario)


def test_too_many_failed_indexes_end_the_job() -> None:
    async def scenario(world: World) -> None:
        world.ends = lambda pod: (1.0, 1) if index_of(pod) < 2 else None
        world.create(JOBS, indexed(4, backoffLimitPerIndex=0, maxFailedIndexes=1))
        await world.settled()

        assert reason(world, "Failed") == "MaxFailedIndexesExceeded"
        assert status(world)["failedIndexes"] == "0,1"

    in_world(scenario)


def test_an_elastic_job_becomes_larger_and_smaller() -> None:
    async def scenario(world: World) -> None:
        world.create(JOBS, indexed(2))
        await world.settled()
        for size in (4, 1):
            world.patch(JOBS, "pi", {"spec": {"completions": size, "parallelism": size}})
            await world.settled()
            assert sorted(index_of(pod) for pod in world.list("pods")) == list(range(size))
        world.exit(world.list("pods")[0], 0)
        await world.settled()

        assert status(world)["completedIndexes"] == "0"
        assert reason(world, "Complete") == "CompletionsReached"

    in_world(scenario, ends=None)


def test_of_two_pods_with_one_index_one_goes() -> None:
    async def scenario(world: World) -> None:
        world.create(JOBS, indexed(2))
        await world.settled()
        [first, _] = world.list("pods")
        again = {**first, "metadata": {**meta(first), "name": "again", "finalizers": [FINALIZER]}}
        world.create("pods", again)
        await world.settled()

        assert sorted(index_of(pod) for pod in world.list("pods")) == [0, 1]

    in_world(scenario, ends=None)


def test_enough_indexes_may_be_success() -> None:
    async def scenario(world: World) -> None:
        world.ends = lambda pod: (1.0, 0) if index_of(pod) == 1 else None
        rules = [{"succeededIndexes": "0,2", "succeededCount": 2}, {"succeededIndexes": "1"}]
        world.create(JOBS, indexed(4, successPolicy={"rules": rules}))
        await world.settled()

        assert reason(world, "Complete") == "SuccessPolicy"
        assert condition(world, "Complete")["message"] == "Matched rules at index 1"  # type: ignore[index]
        assert (status(world)["completedIndexes"], status(world).get("failed")) == ("1", None)
        assert [index_of(pod) for pod in world.list("pods")] == [1]

    in_world(scenario)


# -- failures that mean something -------------------------------------------------------------------------------------


def test_a_failure_that_fails_the_job_says_which_rule_it_was() -> None:
    async def scenario(world: World) -> None:
        rules = [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}]
        world.create(JOBS, a_job(podFailurePolicy={"rules": rules}))
        await world.settled()

        [pod] = world.list("pods")
        failed = condition(world, "Failed")
        assert failed is not None
        assert (failed["reason"], failed["message"]) == (
            "PodFailurePolicy",
            f"Container c for pod default/{name_of(pod)} failed with exit code 42 matching FailJob rule at index 0",
        )
        assert status(world)["failed"] == 1

    in_world(scenario, ends=(1.0, 42))


def test_what_the_cluster_did_to_a_pod_may_be_ignored() -> None:
    async def scenario(world: World) -> None:
        rules = [{"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]}]
        world.create(JOBS, a_job(podFailurePolicy={"rules": rules}, backoffLimit=0))
        await world.settled()
        [pod] = world.list("pods")
        disrupted = [{"type": "DisruptionTarget", "status": "True"}]
        world.patch("pods", name_of(pod), {"status": {"conditions": disrupted}}, subresource="status")
        world.exit(pod, 137)
        await asyncio.sleep(30)

        assert (len(world.list("pods")), status(world).get("failed")) == (2, None)
        assert reason(world, "FailureTarget") is None

    in_world(scenario, ends=None)


def test_a_failure_may_fail_its_index_at_once() -> None:
    async def scenario(world: World) -> None:
        world.ends = lambda pod: (1.0, 7 if index_of(pod) == 0 else 0)
        rules = [{"action": "FailIndex", "onExitCodes": {"operator": "NotIn", "values": [1, 2]}}]
        world.create(JOBS, indexed(2, backoffLimitPerIndex=5, podFailurePolicy={"rules": rules}))
        await world.settled()

        assert (status(world)["failedIndexes"], status(world)["completedIndexes"]) == ("0", "1")
        assert len(world.list("pods")) == 2

    in_world(scenario)


# -- whose pods -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("propagation", ["Background", "Foreground", "Orphan"])
def test_the_pods_of_a_job_that_is_deleted_are_held_by_nobody(propagation: str) -> None:
    async def play() -> None:
        async with World(job.controller(), garbage_collector.controller()) as world:
            world.create(JOBS, a_job(completions=2, parallelism=2))
            await world.settled()
            world.delete(JOBS, "pi", propagation=propagation)
            await world.settled()

            assert world.find(JOBS, "pi") is None
            assert [meta(pod).get("finalizers") for pod in world.list("pods")] == (
                [None, None] if propagation == "Orphan" else []
            )

    run(play())


def test_a_job_of_the_same_name_counts_only_its_own() -> None:
    async def scenario(world: World) -> None:
        world.create(JOBS, a_job())
        await world.settled()
        world.store.delete(JOBS, "default", "pi")
        again = world.create(JOBS, a_job())
        await world.settled()

        assert status(world)["active"] == 1
        owners = {meta(pod)["ownerReferences"][0]["uid"]: meta(pod).get("finalizers") for pod in world.list("pods")}
        assert owners.pop(uid_of(again)) == [FINALIZER]
        assert list(owners.values()) == [None]

    in_world(scenario, ends=None)


def test_says_what_was_refused_and_keeps_trying() -> None:
    async def scenario(world: World) -> None:
        world.store.refusals["pods"] = "exceeded quota"
        world.create(JOBS, a_job())
        await asyncio.sleep(20)
        assert "Warning FailedCreate: Error creating: exceeded quota" in events(world)
        assert status(world)["startTime"]
        del world.store.refusals["pods"]
        await asyncio.sleep(60)

        assert reason(world, "Complete") == "CompletionsReached"

    in_world(scenario)


# -- whatever happens -------------------------------------------------------------------------------------------------


@st.composite
def jobs(draw: st.DrawFn) -> Object:
    completions = draw(st.integers(1, 6))
    spec: dict[str, Any] = {"completions": completions, "parallelism": draw(st.integers(1, 4))}
    spec["backoffLimit"] = draw(st.sampled_from((0, 2, 6, 20)))  # after each failure it may be ten minutes
    if draw(st.booleans()):
        spec["podReplacementPolicy"] = "Failed"
    if draw(st.booleans()):
        spec["completionMode"] = "Indexed"
        if draw(st.booleans()):
            spec |= {"backoffLimitPerIndex": draw(st.integers(0, 2)), "backoffLimit": 100}
    return a_job(**spec)


@settings(max_examples=examples(20))
@given(jobs(), st.integers(0, 2**16), st.integers(0, 100))
def test_each_pod_is_counted_exactly_once_whatever_happens(owner: Object, seed: int, failing: int) -> None:
    async def scenario(world: World) -> None:
        def ends(pod: Object) -> tuple[float, int]:
            chance = world.random.random
            return 0.5 + 4 * chance(), int(chance() * 100 < failing)

        world.ends = ends
        world.create(JOBS, owner)
        await world.unrest(40)
        await world.settled(within_s=20_000, quiet_s=700)

        history, spec, after = History(world), owner["spec"], status(world)
        history.check()
        assert (reason(world, "Complete") is None) != (reason(world, "Failed") is None)
        assert history.most_active <= spec["parallelism"]
        assert history.ended("Succeeded") <= after.get("succeeded", 0) <= spec["completions"]
        assert history.ended("Failed") <= after.get("failed", 0)
        if reason(world, "Complete"):
            assert after["succeeded"] == spec["completions"]

    in_world(scenario, seed=seed)


@settings(max_examples=examples(12))
@given(jobs(), st.integers(0, 2**16))
def test_settles_when_its_spec_changes_amid_faults(owner: Object, seed: int) -> None:
    async def scenario(world: World) -> None:
        world.ends = lambda pod: (1 + 8 * world.random.random(), int(world.random.random() < 0.2))
        world.create(JOBS, owner)

        def change(**spec: Any) -> Any:
            return lambda: world.patch(JOBS, "pi", {"spec": spec})

        def delete_one() -> None:
            for pod in world.active_pods()[:1]:
                world.delete("pods", name_of(pod))

        size = {"completions": 3} if owner["spec"]["completionMode"] == "Indexed" else {}
        changes = [change(parallelism=5), delete_one, change(suspend=True), change(suspend=False), delete_one]
        await world.unrest(60, [*changes, change(parallelism=3, **size)])
        await world.settled(within_s=20_000, quiet_s=700)

        assert (reason(world, "Complete") is None) != (reason(world, "Failed") is None)
        assert not any(FINALIZER in (meta(pod).get("finalizers") or ()) for pod in world.list("pods"))
        assert world.active_pods() == [pod for pod in world.list("pods") if pod["status"]["phase"] != "Running"]
        before = world.revision()
        await asyncio.sleep(3600)
        assert world.revision() == before

    in_world(scenario, seed=seed)
