"""Schedules of cron jobs, as robfig's cron reads them: five fields, names, macros and `@every`.

A time matches when its minute, hour and month do, and its day; where both kinds of day are restricted, either will do.
Times that a change of clocks leaves out do not happen, and what it repeats happens twice.
"""

from __future__ import annotations

import datetime
import math
import re
from collections.abc import Iterable
from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

_FIELDS = (("minute", 0, 59), ("hour", 0, 23), ("day", 1, 31), ("month", 1, 12), ("weekday", 0, 6))
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
_NAMES = {
    3: {name: number for number, name in enumerate(_MONTHS, 1)},
    4: {name: number for number, name in enumerate(_WEEKDAYS)},
}
_MACROS = {
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
    "@monthly": "0 0 1 * *",
    "@weekly": "0 0 * * 0",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@hourly": "0 * * * *",
}
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
_YEARS = 5  # as far as the next time is looked for: 30 February never comes


class InvalidSchedule(ValueError):
    """The message is the one that the user sees."""


@dataclass(frozen=True, slots=True)
class Every:
    """A fixed time after the last one, in whole seconds."""

    seconds: int

    def next(self, after: float) -> float:
        return math.floor(after) + self.seconds


@dataclass(frozen=True, slots=True)
class Cron:
    minutes: tuple[int, ...]
    hours: tuple[int, ...]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday
    any_day: bool  # the day of the month is `*`
    any_weekday: bool
    zone: ZoneInfo

    def next(self, after: float) -> float | None:
        """The first time after that moment; None when there is none for years."""
        begin = datetime.datetime.fromtimestamp(math.floor(after), self.zone)
        day = begin.date()
        end = datetime.date(day.year + _YEARS, 12, 31)
        while day <= end:
            if day.month not in self.months:
                day = _first_of_next_month(day)
                continue
            if self._is_day(day):
                found = next((at for at in self._times(day) if at > after), None)
                if found is not None:
                    return found
            day += datetime.timedelta(days=1)
        return None

    def _is_day(self, day: datetime.date) -> bool:
        of_month, of_week = day.day in self.days, (day.isoweekday() % 7) in self.weekdays
        return of_month and of_week if self.any_day or self.any_weekday else of_month or of_week

    def _times(self, day: datetime.date) -> Iterable[float]:
        begin, end = self._midnight(day), self._midnight(day + datetime.timedelta(days=1))
        if begin.utcoffset() == end.utcoffset():
            midnight = begin.timestamp()
            return (midnight + hour * 3600 + minute * 60 for hour in self.hours for minute in self.minutes)
        return sorted(self._times_of_change(day))

    def _times_of_change(self, day: datetime.date) -> set[float]:
        """Of a day on which clocks change: some times do not exist, and others do twice."""
        found: set[float] = set()
        for hour in self.hours:
            for minute in self.minutes:
                for fold in (0, 1):
                    local = datetime.datetime(day.year, day.month, day.day, hour, minute, tzinfo=self.zone, fold=fold)
                    at = local.timestamp()
                    seen = datetime.datetime.fromtimestamp(at, self.zone)
                    if (seen.hour, seen.minute) == (hour, minute):
                        found.add(at)
        return found

    def _midnight(self, day: datetime.date) -> datetime.datetime:
        return datetime.datetime(day.year, day.month, day.day, tzinfo=self.zone)


Schedule = Cron | Every


def parse(text: str, time_zone: str = "UTC") -> Schedule:
    """Raises InvalidSchedule, or ValueError where there is no such time zone."""
    if text.startswith("@every "):
        return Every(max(1, int(_duration_s(text.removeprefix("@every ").strip()))))
    if text.startswith("@") and text not in _MACROS:
        raise InvalidSchedule(f"unrecognized descriptor: {text}")
    fields = _MACROS.get(text, text).split()
    if len(fields) != len(_FIELDS):
        raise InvalidSchedule(f"expected exactly 5 fields, found {len(fields)}: [{' '.join(fields)}]")
    sets = [_field(field, position) for position, field in enumerate(fields)]
    minutes, hours, days, months, weekdays = sets
    return Cron(
        tuple(sorted(minutes)),
        tuple(sorted(hours)),
        days,
        months,
        weekdays,
        _is_any(fields[2]),
        _is_any(fields[4]),
        zone(time_zone),
    )


def zone(name: str) -> ZoneInfo:
    """Raises ValueError where there is none of that name."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as error:
        raise ValueError(f"unknown time zone {name}") from error


def _field(text: str, position: int) -> frozenset[int]:
    return frozenset(value for part in text.split(",") for value in _part(part, position))


def _part(text: str, position: int) -> range:
    _, low, high = _FIELDS[position]
    span, slash, step_text = text.partition("/")
    first_text, dash, last_text = span.partition("-")
    if "/" in step_text:
        raise InvalidSchedule(f"too many slashes: {text}")
    if "-" in last_text:
        raise InvalidSchedule(f"too many hyphens: {text}")
    step = _number(step_text, position, named=False) if slash else 1
    if first_text in ("*", "?") and not dash:
        first, last = low, high
    else:
        first = _number(first_text, position)
        last = _number(last_text, position) if dash else high if slash else first
    if first < low:
        raise InvalidSchedule(f"beginning of range ({first}) below minimum ({low}): {text}")
    if last > high:
        raise InvalidSchedule(f"end of range ({last}) above maximum ({high}): {text}")
    if first > last:
        raise InvalidSchedule(f"beginning of range ({first}) beyond end of range ({last}): {text}")
    if step == 0:
        raise InvalidSchedule(f"step of range should be a positive number: {text}")
    return range(first, last + 1, step)


def _number(text: str, position: int, *, named: bool = True) -> int:
    name = text.lower()
    if named and name in _NAMES.get(position, {}):
        return _NAMES[position][name]
    if not (text.isascii() and text.isdigit()):
        raise InvalidSchedule(f'failed to parse int from {text}: strconv.Atoi: parsing "{text}": invalid syntax')
    return int(text)


def _is_any(field: str) -> bool:
    """`*` and `?`, also in steps of one; a field that leaves something out restricts."""
    return any(
        part.partition("/")[0] in ("*", "?") and part.partition("/")[2] in ("", "1") for part in field.split(",")
    )


def _duration_s(text: str) -> float:
    if not text or _DURATION.sub("", text):
        raise InvalidSchedule(f'failed to parse duration @every {text}: time: invalid duration "{text}"')
    return sum(float(number) * _UNITS_S[unit] for number, unit in _DURATION.findall(text))


def _first_of_next_month(day: datetime.date) -> datetime.date:
    return datetime.date(day.year + day.month // 12, day.month % 12 + 1, 1)
