"""Schedules of cron jobs: which times match, and what is no schedule."""

from __future__ import annotations

import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocols.rules.schedules import Cron, InvalidSchedule, parse
from protocols.rules.times import seconds_of, time_of


def after(schedule: str, moment: str, time_zone: str = "UTC") -> str | None:
    found = parse(schedule, time_zone).next(seconds_of(moment))
    return None if found is None else time_of(found)


@pytest.mark.parametrize(
    ("schedule", "moment", "expected"),
    [
        ("* * * * *", "2026-01-01T00:00:00Z", "2026-01-01T00:01:00Z"),
        ("* * * * *", "2026-01-01T00:00:59Z", "2026-01-01T00:01:00Z"),
        ("*/15 * * * *", "2026-01-01T00:50:00Z", "2026-01-01T01:00:00Z"),
        ("5/15 * * * *", "2026-01-01T00:21:00Z", "2026-01-01T00:35:00Z"),
        ("0 9-17/4 * * mon-fri", "2026-01-02T17:30:00Z", "2026-01-05T09:00:00Z"),
        ("@hourly", "2026-12-31T23:10:00Z", "2027-01-01T00:00:00Z"),
        ("@weekly", "2026-01-01T00:00:00Z", "2026-01-04T00:00:00Z"),
        ("0 0 29 2 *", "2026-01-01T00:00:00Z", "2028-02-29T00:00:00Z"),
        ("0 0 13 * 5", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),  # the 13th, or a Friday
        ("0 0 13 * ?", "2026-01-01T00:00:00Z", "2026-01-13T00:00:00Z"),
        ("0 0 */2 * 5", "2026-01-01T00:00:00Z", "2026-01-02T00:00:00Z"),  # odd days, or Fridays
        ("0 0 30 2 *", "2026-01-01T00:00:00Z", None),
        ("@every 90s", "2026-01-01T00:00:10Z", "2026-01-01T00:01:40Z"),
        ("@every 1h30m", "2026-01-01T00:00:00Z", "2026-01-01T01:30:00Z"),
    ],
)
def test_the_next_time(schedule: str, moment: str, expected: str | None) -> None:
    assert after(schedule, moment) == expected


@pytest.mark.parametrize(
    ("schedule", "moment", "expected"),
    [
        ("0 9 * * *", "2026-07-01T00:00:00Z", "2026-07-01T07:00:00Z"),
        ("30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"),  # 02:30 is left out on the 29th
        ("30 2 * * *", "2026-10-25T00:00:00Z", "2026-10-25T00:30:00Z"),  # 02:30 comes twice on the 25th
        ("30 2 * * *", "2026-10-25T00:30:00Z", "2026-10-25T01:30:00Z"),
        ("30 2 * * *", "2026-10-25T01:30:00Z", "2026-10-26T01:30:00Z"),
    ],
)
def test_a_time_zone_says_when_that_is(schedule: str, moment: str, expected: str) -> None:
    assert after(schedule, moment, "Europe/Berlin") == expected


@pytest.mark.parametrize(
    ("schedule", "why"),
    [
        ("* * *", "expected exactly 5 fields, found 3: [* * *]"),
        ("@sometimes", "unrecognized descriptor: @sometimes"),
        ("* 24 * * *", "end of range (24) above maximum (23): 24"),
        ("* * 0 * *", "beginning of range (0) below minimum (1): 0"),
        ("* * * * 7", "end of range (7) above maximum (6): 7"),
        ("*/0 * * * *", "step of range should be a positive number: */0"),
        ("1/2/3 * * * *", "too many slashes: 1/2/3"),
        ("1-2-3 * * * *", "too many hyphens: 1-2-3"),
        ("x * * * *", 'failed to parse int from x: strconv.Atoi: parsing "x": invalid syntax'),
        ("@every soon", 'failed to parse duration @every soon: time: invalid duration "soon"'),
    ],
)
def test_what_is_no_schedule_is_refused_as_kubernetes_does(schedule: str, why: str) -> None:
    with pytest.raises(InvalidSchedule) as refused:
        parse(schedule)

    assert str(refused.value) == why


def test_a_time_zone_that_does_not_exist_is_refused() -> None:
    with pytest.raises(ValueError, match="unknown time zone Mars/Olympus"):
        parse("* * * * *", "Mars/Olympus")


_FIELD_TEXTS = st.tuples(
    st.sampled_from(("*", "0", "*/7", "3,33", "10-20/5")),
    st.sampled_from(("*", "4", "*/5", "22-23")),
    st.sampled_from(("*", "1", "*/10", "31", "?")),
    st.sampled_from(("*", "2", "*/3", "jun")),
    st.sampled_from(("*", "0", "mon-wed", "*/4", "*/1")),
)


@given(_FIELD_TEXTS, st.integers(0, 400 * 24 * 3600))
def test_no_earlier_time_matches(fields: tuple[str, ...], offset: int) -> None:
    schedule = parse(" ".join(fields))
    assert isinstance(schedule, Cron)
    begin = 1_767_225_600 + offset

    found = schedule.next(begin)

    minute = begin - begin % 60 + 60
    while not _matches(schedule, minute) and minute < begin + 20 * 24 * 3600:
        minute += 60
    if _matches(schedule, minute):
        assert found == minute
    else:
        assert found is None or found > minute


def _matches(schedule: Cron, at: int) -> bool:
    """Slow, and obviously right."""
    when = datetime.datetime.fromtimestamp(at, datetime.UTC)
    day, weekday = when.day in schedule.days, when.isoweekday() % 7 in schedule.weekdays
    is_day = day and weekday if schedule.any_day or schedule.any_weekday else day or weekday
    return when.minute in schedule.minutes and when.hour in schedule.hours and when.month in schedule.months and is_day
