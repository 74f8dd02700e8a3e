"""When a cron job is to start a job: the last time of its schedule that has come and was not met.

Of many that were missed only the last is made up for. How many there were is estimated, as Kubernetes does it, from the
time between the first two.
"""

from __future__ import annotations

from typing import NamedTuple

from protocols.objects import Object, meta
from protocols.rules.schedules import Schedule
from protocols.rules.times import seconds_of

MISSED_MAX = 100  # more than these are worth a warning
LATE_S = 0.1  # clocks differ a little


class NeverComes(ValueError):
    """The schedule has no times, or none that are apart."""


class Missed(NamedTuple):
    """`at`: the last time that has come, None when there is none. `since`: what was looked at for it."""

    since: float
    at: float | None
    number: int


def missed(cron_job: Object, schedule: Schedule, now: float, *, within_deadline: bool) -> Missed:
    """Raises NeverComes. `within_deadline`: what is too late to be started is not looked at."""
    since = _since(cron_job, now, within_deadline=within_deadline)
    first = _next(schedule, since)
    if now < first:
        return Missed(since, None, 0)
    second = _next(schedule, first)
    if now < second:
        return Missed(since, first, 0)
    apart = round(second - first)
    if apart < 1:
        raise NeverComes("time difference between two schedules is less than 1 second")
    number = int((now - first) // apart) + 1
    return Missed(since, _last(schedule, first, apart, number, now), number)


def _last(schedule: Schedule, first: float, apart: int, number: int, now: float) -> float:
    """Looked for from where it should be if all times were that far apart, and then from further and further back.

    (Kubernetes looks once; where a night or a weekend is at the end, it finds nothing to make up for.)
    """
    back = 2
    while True:
        begin = first + max(0, number - back) * apart
        at, candidate = first, _next(schedule, begin)
        while candidate <= now:
            at, candidate = candidate, _next(schedule, candidate)
        if at > first or begin == first:
            return at
        back *= 2


def wait_s(cron_job: Object, schedule: Schedule, now: float) -> float | None:
    """Until the next time after the last that has come; None when there is none."""
    last = missed(cron_job, schedule, now, within_deadline=False)
    known = last.at if last.at is not None else now if last.number else last.since
    following = schedule.next(known)
    return None if following is None else following + LATE_S - now


def _since(cron_job: Object, now: float, *, within_deadline: bool) -> float:
    last = (cron_job.get("status") or {}).get("lastScheduleTime")
    since = seconds_of(last or meta(cron_job)["creationTimestamp"])
    deadline_s = cron_job["spec"].get("startingDeadlineSeconds")
    return max(since, now - deadline_s) if within_deadline and deadline_s is not None else since


def _next(schedule: Schedule, after: float) -> float:
    found = schedule.next(after)
    if found is None:
        raise NeverComes("time difference between two schedules is less than 1 second")
    return found
