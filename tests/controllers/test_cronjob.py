"""The cron job controller: a job at each time of its schedule, and no more of them than are wanted."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actorkube.kube import Controller, Views, Watches
from actorkube.kube.writes import RequeueAfter, UpdateStatus, Write
from actors.controllers import cronjob, job
from actors.controllers.cronjob_times import Missed, missed
from actors.controllers.ttl_after_finished import controller as ttl_controller
from protocols.objects import Object, decode_object, meta, name_of, uid_of
from protocols.rules.schedules import parse
from protocols.rules.times import seconds_of, time_of
from tests.controllers.job_world import JOBS, a_job, events, reason
from tests.controllers.virtual_time import run
from tests.controllers.world import EPOCH, World
from tests.effort import examples

CRON_JOBS = "cronjobs.batch"
MINUTE = EPOCH - EPOCH % 60 + 60  # the first whole minute after the world begins


def a_cron_job(schedule: str = "* * * * *", **spec: Any) -> Object:
    template = a_job()["spec"]
    whole = {
        "schedule": schedule,
        "concurrencyPolicy": "Allow",
        "suspend": False,
        "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1,
        "jobTemplate": {"metadata": {"labels": {"app": "tick"}}, "spec": template},
        **spec,
    }
    metadata = {"name": "tick", "namespace": "default"}
    return {"apiVersion": "batch/v1", "kind": "CronJob", "metadata": metadata, "spec": whole}


def in_cron_world(scenario: Callable[[World], Any], ends: Callable[[Object], Any], seed: int = 0) -> None:
    async def play() -> None:
        async with World(cronjob.controller(), Ending(ends).controller(), seed=seed) as world:
            await scenario(world)

    run(play())


class Ending:
    """In place of the job controller: each job ends some time after it has been made, as `ends` says (seconds, how)."""

    def __init__(self, ends: Callable[[Object], tuple[float, str] | None]) -> None:
        self.ends = ends

    def controller(self) -> Controller:
        return Controller("ending", (Watches(JOBS),), self.reconcile)

    def reconcile(self, key: str, views: Views, now: float) -> list[Write]:
        found = views[JOBS].get(key)
        if found is None or found.get("status") or (end := self.ends(found)) is None:
            return []
        made = seconds_of(meta(found)["creationTimestamp"])
        if now < made + end[0]:
            return [RequeueAfter(made + end[0] - now)]
        condition = {"type": end[1], "status": "True", "lastTransitionTime": time_of(now)}
        status = {"startTime": time_of(made), "completionTime": time_of(now), "conditions": [condition]}
        return [UpdateStatus(JOBS, {**found, "status": status})]


def done(job: Object) -> tuple[float, str]:
    return 5.0, "Complete"


def never(job: Object) -> None:
    return None


def status(world: World) -> Object:
    return world.get(CRON_JOBS, "tick").get("status") or {}


def active(world: World) -> list[str]:
    return [reference["name"] for reference in status(world).get("active", ())]


def name_at(minute: int) -> str:
    return f"tick-{int(MINUTE) // 60 + minute}"


def test_makes_a_job_at_each_time_and_remembers_it() -> None:
    async def scenario(world: World) -> None:
        owner = world.create(CRON_JOBS, a_cron_job())
        await asyncio.sleep(MINUTE - EPOCH + 1)
        assert active(world) == [name_at(0)]
        await asyncio.sleep(30)

        made = world.get(JOBS, name_at(0))
        reference = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "tick", "uid": uid_of(owner)}
        assert meta(made)["ownerReferences"] == [{**reference, "controller": True, "blockOwnerDeletion": True}]
        assert meta(made)["annotations"]["batch.kubernetes.io/cronjob-scheduled-timestamp"] == time_of(MINUTE)
        assert (meta(made)["labels"], made["spec"]) == ({"app": "tick"}, owner["spec"]["jobTemplate"]["spec"])
        assert status(world)["lastScheduleTime"] == time_of(MINUTE)
        assert status(world)["lastSuccessfulTime"] > status(world)["lastScheduleTime"]
        assert "active" not in status(world)
        assert events(world) == [
            f"Normal SuccessfulCreate: Created job {name_at(0)}",
            f"Normal SawCompletedJob: Saw completed job: {name_at(0)}, condition: Complete",
        ]

    in_cron_world(scenario, done)


def test_keeps_only_the_latest_that_have_ended() -> None:
    async def scenario(world: World) -> None:
        world.create(CRON_JOBS, a_cron_job(successfulJobsHistoryLimit=2, failedJobsHistoryLimit=1))
        await asyncio.sleep(MINUTE - EPOCH + 60 * 7 + 30)

        assert [name_of(each) for each in world.list(JOBS)] == [name_at(4), name_at(6), name_at(7)]
        assert f"Normal SuccessfulDelete: Deleted job {name_at(0)}" in events(world)

    in_cron_world(scenario, lambda made: (5.0, "Failed" if name_of(made) in map(name_at, (1, 3, 5, 7)) else "Complete"))


@pytest.mark.parametrize(("policy", "expected"), [("Allow", [0, 1, 2]), ("Forbid", [0]), ("Replace", [2])])
def test_what_becomes_of_jobs_that_take_longer(policy: str, expected: list[int]) -> None:
    async def scenario(world: World) -> None:
        world.create(CRON_JOBS, a_cron_job(concurrencyPolicy=policy))
        await asyncio.sleep(MINUTE - EPOCH + 130)

        assert [name_of(each) for each in world.list(JOBS)] == active(world) == [name_at(n) for n in expected]
        told = " ".join(events(world))
        assert ("JobAlreadyActive: Not starting job because prior execution is running" in told) == (policy == "Forbid")
        assert "MissingJob" not in told

    in_cron_world(scenario, never)


def test_one_that_was_forbidden_is_made_up_for_when_the_other_has_ended() -> None:
    async def scenario(world: World) -> None:
        world.create(CRON_JOBS, a_cron_job(concurrencyPolicy="Forbid"))
        await asyncio.sleep(MINUTE - EPOCH + 90)

        assert sorted(name_of(each) for each in world.list(JOBS)) == [name_at(0), name_at(1)]

    in_cron_world(scenario, lambda made: (70.0, "Complete"))


def test_nothing_is_made_while_it_is_suspended_and_one_for_all_that_was_missed() -> None:
    async def scenario(world: World) -> None:
        world.create(CRON_JOBS, a_cron_job(suspend=True))
        await asyncio.sleep(MINUTE - EPOCH + 60 * 150)
        assert world.list(JOBS) == []
        world.patch(CRON_JOBS, "tick", {"spec": {"suspend": False}})
        await asyncio.sleep(1)

        assert [name_of(each) for each in world.list(JOBS)] == [name_at(150)]
        assert any("TooManyMissedTimes: too many missed start times." in event for event in events(world))

    in_cron_world(scenario, done)


def test_what_is_too_late_is_not_started() -> None:
    async def scenario(world: World) -> None:
        world.create(CRON_JOBS, a_cron_job("0 * * * *", suspend=True, startingDeadlineSeconds=120))
        await asyncio.sleep(3600 * 2)
        world.patch(CRON_JOBS, "tick", {"spec": {"suspend": False}})
        await asyncio.sleep(1)
        assert world.list(JOBS) == []
        await asyncio.sleep(3600)

        assert len(world.list(JOBS)) == 1

    in_cron_world(scenario, done)


def test_a_job_that_somebody_made_from_it_is_not_its_own() -> None:
    async def scenario(world: World) -> None:
        owner = world.create(CRON_JOBS, a_cron_job("0 0 1 1 *"))
        reference = {"apiVersion": "batch/v1", "kind": "CronJob", "name": "tick", "uid": uid_of(owner)}
        by_hand = a_job("by-hand")
        meta(by_hand)["ownerReferences"] = [{**reference, "controller": True}]
        world.create(JOBS, by_hand)
        await world.settled()

        assert active(world) == []
        message = "Saw a job that the controller did not create or forgot: by-hand"
        assert f"Warning UnexpectedJob: {message}" in events(world)

    in_cron_world(scenario, done)


def test_a_job_that_went_missing_is_active_no_more() -> None:
    async def scenario(world: World) -> None:
        world.create(CRON_JOBS, a_cron_job(concurrencyPolicy="Forbid"))
        await asyncio.sleep(MINUTE - EPOCH + 5)
        world.delete(JOBS, name_at(0))
        await asyncio.sleep(5)

        assert (active(world), world.list(JOBS)) == ([], [])
        assert f"Normal MissingJob: Active job went missing: {name_at(0)}" in events(world)

    in_cron_world(scenario, never)


def test_a_time_zone_says_when() -> None:
    async def scenario(world: World) -> None:
        world.create(CRON_JOBS, a_cron_job("0 8 * * *", timeZone="Asia/Kolkata"))  # EPOCH is 22:13 in UTC
        await asyncio.sleep(3600 * 6)

        [made] = world.list(JOBS)
        assert meta(made)["annotations"][cronjob.SCHEDULED_AT] == "2023-11-15T08:00:00+05:30"
        assert status(world)["lastScheduleTime"] == "2023-11-15T02:30:00Z"

    in_cron_world(scenario, done)


@pytest.mark.parametrize(
    ("schedule", "since", "now", "at", "number"),
    [
        ("* * * * *", 0, 59, None, 0),
        ("* * * * *", 0, 61, 60, 0),
        ("* * * * *", 0, 185, 180, 3),
        ("*/10 * * * *", 0, 600 * 200 + 5, 600 * 200, 200),
        ("@every 45s", 10, 200, 190, 4),
        ("0 6-16/4 * * 1-5", 0, 3600 * 24 * 6, 3600 * 24 * 5 + 3600 * 14, 35),  # it begins on a Friday
    ],
)
def test_the_last_time_that_has_come(schedule: str, since: int, now: int, at: int | None, number: int) -> None:
    begin = seconds_of("2027-01-01T00:00:00Z")
    made = {"metadata": {"creationTimestamp": time_of(begin + since)}, "spec": {}}

    found = missed(made, parse(schedule), begin + now, within_deadline=False)

    assert found._replace(number=0) == Missed(begin + since, None if at is None else begin + at, 0)
    assert found.number == number


def test_a_job_goes_some_time_after_it_has_ended() -> None:
    async def play() -> None:
        async with World(job.controller(), ttl_controller()) as world:
            world.ends = lambda pod: (1.0, int(meta(pod)["labels"]["job-name"] == "bad"))
            for name, ttl in (("good", 60), ("bad", 0), ("kept", None)):
                spec = {} if ttl is None else {"ttlSecondsAfterFinished": ttl}
                world.create(JOBS, a_job(name, backoffLimit=0, **spec))
            await asyncio.sleep(30)
            assert [name_of(each) for each in world.list(JOBS) if "deletionTimestamp" not in meta(each)] == [
                "good",
                "kept",
            ]
            world.patch(JOBS, "good", {"spec": {"ttlSecondsAfterFinished": 600}})
            await asyncio.sleep(300)
            assert "deletionTimestamp" not in meta(world.get(JOBS, "good"))
            await asyncio.sleep(400)

            assert "deletionTimestamp" in meta(world.get(JOBS, "good"))
            assert reason(world, "Complete", "kept") == "CompletionsReached"

    run(play())


@settings(max_examples=examples(20))
@given(st.sampled_from(("Allow", "Forbid", "Replace")), st.integers(0, 2**16))
def test_no_time_has_two_jobs_whatever_happens(policy: str, seed: int) -> None:
    async def scenario(world: World) -> None:
        world.create(CRON_JOBS, a_cron_job(concurrencyPolicy=policy))
        await world.unrest(400)
        await asyncio.sleep(400)

        made = [
            decode_object(event.body)
            for resource, event in world.store.log
            if resource == JOBS and event.type == "ADDED"
        ]
        names = [name_of(each) for each in made]
        assert len(names) == len(set(names))
        assert {name_at(n) for n in range(8, 12)} <= set(names)
        assert [name for name in names if world.find(JOBS, name)] == sorted(name_of(each) for each in world.list(JOBS))
        unfinished = [name_of(each) for each in world.list(JOBS) if not each.get("status")]
        assert sorted(active(world)) == sorted(unfinished)
        assert len(world.list(JOBS)) - len(unfinished) <= 3

    in_cron_world(scenario, lambda made: (20.0, "Complete"), seed)
