"""Bugs of the controllers of jobs and cron jobs."""

from __future__ import annotations

from tests.planted.bug import Bug

JOBS = [
    Bug(
        "a pod that has ended is let go before it is written down",
        "actors/controllers/job.py",
        '        *_status_write(state, told.status, told.events),\n        *_let_go(told.letting_go, views["pods"]),\n',
        '        *_let_go(told.letting_go, views["pods"]),\n        *_status_write(state, told.status, told.events),\n',
        "tests/controllers/test_job_core.py::test_a_pod_that_has_ended_is_written_down_before_it_is_let_go",
    ),
    Bug(
        "a pod that is written down is counted while it is still held",
        "actors/controllers/job_state.py",
        "    held = {pod.uid for pod in pods if pod.tracked}\n",
        "    held = {pod.uid for pod in pods if pod.active}\n",
        "tests/controllers/test_job_core.py::test_one_that_is_written_down_is_only_let_go",
    ),
    Bug(
        "a pod that a new controller has not seen yet counts as gone",
        "actors/controllers/job.py",
        "    if not unproved:\n        return []\n",
        "    return []\n",
        "tests/controllers/test_job_core.py"
        "::test_one_that_is_nowhere_to_be_seen_is_counted_when_it_is_sure_that_it_has_gone",
    ),
    Bug(
        "a status lists every pod that has ended, however many",
        "actors/controllers/job_status.py",
        "[: max(0, room)]",
        "",
        "tests/controllers/test_job_core.py::test_a_status_lists_five_hundred_pods_at_most",
    ),
    Bug(
        "a pod is let go though it has changed since",
        "actors/controllers/job_pods.py",
        'exactly = {"uid": uid_of(pod), "resourceVersion": str(revision_of(pod))}',
        'exactly = {"uid": uid_of(pod)}',
        "tests/controllers/test_job_core.py::test_a_pod_is_let_go_only_as_it_was_seen",
    ),
    Bug(
        "a job deletes its pods before it says why",
        "actors/controllers/job.py",
        "    if end is None and is_changing and views.failure is None:",
        "    if is_changing and views.failure is None:",
        "tests/controllers/test_job_core.py::test_the_job_says_that_it_ends_before_it_deletes_anybody",
    ),
    Bug(
        "a success does not end a row of failures",
        "actors/controllers/job_backoff.py",
        "if last_success is None or pod.finished_at > last_success",
        "if True",
        "tests/controllers/test_job_core.py::test_waits_double_with_each_failure_in_a_row",
    ),
    Bug(
        "a work queue replaces who has succeeded",
        "actors/controllers/job_scale.py",
        "        return len(state.active) if state.succeeded else parallelism",
        "        return parallelism",
        "tests/controllers/test_job.py"
        "::test_a_work_queue_starts_nobody_after_the_first_success_and_waits_for_the_others",
    ),
    Bug(
        "the time while a job was suspended counts for its deadline",
        "actors/controllers/job_end.py",
        ' or condition_is(job, "Suspended"):',
        ":",
        "tests/controllers/test_job.py::test_a_suspended_job_has_no_pods_and_its_deadline_begins_anew",
    ),
    Bug(
        "a job is over while its pods still end",
        "actors/controllers/job_status.py",
        "    busy = state.active or state.terminating or",
        "    busy = state.active or",
        "tests/controllers/test_job.py::test_a_job_that_is_active_for_too_long_fails_and_its_pods_go_first",
    ),
    Bug(
        "pods that a job deletes because it has failed fail their indexes",
        "actors/controllers/job_state.py",
        "    if is_ending(job):\n        return before  # it is the job that deletes the others' pods\n",
        "",
        "tests/controllers/test_job.py::test_too_many_failed_indexes_end_the_job",
    ),
    Bug(
        "an index's last pod is let go before the next takes over what it counts",
        "actors/controllers/job_state.py",
        "(awaited is None or awaited.uid != pod.uid)",
        "True",
        "tests/controllers/test_job.py::test_each_index_has_its_own_limit_and_the_others_go_on",
    ),
    Bug(
        "pods of a job that has gone are held for ever",
        "actors/controllers/job.py",
        "        if job is None or owner != uid_of(job):",
        "        if job is not None and owner != uid_of(job):",
        "tests/controllers/test_job.py::test_the_pods_of_a_job_that_is_deleted_are_held_by_nobody",
    ),
    Bug(
        "who is stopped because enough have succeeded has failed",
        "actors/controllers/job_status.py",
        '    if end is not None and end.succeeded and pod.phase != "Failed":\n        return False\n',
        "",
        "tests/controllers/test_job.py::test_enough_indexes_may_be_success",
    ),
    Bug(
        "a cron job starts beside a job that it is not to meet",
        "actors/controllers/cronjob.py",
        'if active and spec.get("concurrencyPolicy") == "Forbid":',
        'if False and spec.get("concurrencyPolicy") == "Forbid":',
        "tests/controllers/test_cronjob.py::test_what_becomes_of_jobs_that_take_longer",
    ),
    Bug(
        "a cron job keeps every job that has ended",
        "actors/controllers/cronjob.py",
        "ended[: max(0, len(ended) - limit)]",
        "ended[:0]",
        "tests/controllers/test_cronjob.py::test_keeps_only_the_latest_that_have_ended",
    ),
    Bug(
        "of many times that were missed the last is guessed",
        "actors/controllers/cronjob_times.py",
        "        if at > first or begin == first:\n            return at\n",
        "        return at\n",
        "tests/controllers/test_cronjob.py::test_the_last_time_that_has_come",
    ),
    Bug(
        "a job of somebody else counts as one that the schedule asked for",
        "actors/controllers/cronjob.py",
        "        if each.scheduled_at:\n            active.append",
        "        if True:\n            active.append",
        "tests/controllers/test_cronjob.py::test_a_job_that_somebody_made_from_it_is_not_its_own",
    ),
    Bug(
        "either kind of day is enough where one of them is any",
        "protocols/rules/schedules.py",
        "return of_month and of_week if self.any_day or self.any_weekday else of_month or of_week",
        "return of_month or of_week",
        "tests/rules/test_schedules.py::test_the_next_time",
    ),
    Bug(
        "a time that comes twice happens once",
        "protocols/rules/schedules.py",
        "for fold in (0, 1):",
        "for fold in (0,):",
        "tests/rules/test_schedules.py::test_a_time_zone_says_when_that_is",
    ),
    Bug(
        "a job goes before its time is over",
        "actors/controllers/ttl_after_finished.py",
        'return seconds_of(condition["lastTransitionTime"]) + int(ttl_s)',
        'return seconds_of(condition["lastTransitionTime"])',
        "tests/controllers/test_cronjob.py::test_a_job_goes_some_time_after_it_has_ended",
    ),
]
