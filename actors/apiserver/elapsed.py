"""How long something has been, in kubectl's short form: the only texts of a table that change while nothing happens."""

from __future__ import annotations

import math
from typing import NamedTuple

from protocols.rules.times import seconds_of

UNKNOWN = "<unknown>"
_MINUTE, _HOUR, _DAY, _YEAR_DAYS = 60, 3600, 86400, 365
# How old something is, and from then on every how many seconds its text changes.
_STEPS = ((8 * _DAY, _DAY), (8 * _HOUR, _HOUR), (10 * _MINUTE, _MINUTE))


class Elapsed(NamedTuple):
    """The time since a moment (epoch, s), and what stands around it in its cell."""

    since: float
    before: str = ""
    after: str = ""

    def text(self, now: float) -> str:
        return f"{self.before}{human_duration(now - self.since)}{self.after}"

    def changes_at(self, now: float) -> float:
        """When the text is another one than now, at the earliest."""
        whole = int(now - self.since)
        if whole < 0:  # it is still to come, and seconds are cut off towards it
            return max(self.since + whole, math.nextafter(now, math.inf))
        step = next((step for age, step in _STEPS if whole >= age), 1)
        return self.since + (whole // step + 1) * step


def since(moment: str | None) -> Elapsed | str:
    """From an RFC 3339 time."""
    return Elapsed(seconds_of(moment)) if moment else UNKNOWN


def human_duration(seconds: float) -> str:
    """Two or three significant figures: `119s`, `5m12s`, `47m`, `3h20m`, `26h`, `3d4h`, `45d`, `2y10d`."""
    whole = int(seconds)
    if whole < 0:
        return "0s" if whole == -1 else "<invalid>"
    if whole < 2 * _MINUTE:
        return f"{whole}s"
    if whole < 3 * _HOUR:
        minutes = whole // _MINUTE
        return f"{minutes}m{_rest(whole % _MINUTE, 's') if minutes < 10 else ''}"
    hours = whole // _HOUR
    if hours < 48:
        return f"{hours}h{_rest(whole % _HOUR // _MINUTE, 'm') if hours < 8 else ''}"
    days = whole // _DAY
    if days < 2 * _YEAR_DAYS:
        return f"{days}d{_rest(hours % 24, 'h') if days < 8 else ''}"
    years = days // _YEAR_DAYS
    return f"{years}y{_rest(days % _YEAR_DAYS, 'd') if years < 8 else ''}"


def _rest(count: int, unit: str) -> str:
    return f"{count}{unit}" if count else ""
