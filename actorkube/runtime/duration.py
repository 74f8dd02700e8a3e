"""Durations as people write them and as Go writes them (`6m`, `1h30m`, `300ms`): to seconds and back."""

from __future__ import annotations

import re

UNITS_S = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "μs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}
LONGEST_S = 1e9  # some 31 years: more is a slip of the pen, and loses precision on a clock that counts in floats

_PART = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)", re.ASCII)
_DURATION = re.compile(rf"({_PART.pattern})+", re.ASCII)


def parse_duration(text: str) -> float:
    """Seconds, never negative. Go's grammar (time.ParseDuration) without a sign, and a plain number is seconds.

    Raises ValueError, with a sentence for people.
    """
    seconds = _plain(text)
    if seconds is None and _DURATION.fullmatch(text):
        seconds = sum(float(number) * UNITS_S[unit] for number, unit in _PART.findall(text))
    if seconds is None:
        raise ValueError(f"{text!r} is not a time such as 50s, 5m or 1h30m")
    if seconds > LONGEST_S:
        raise ValueError(f"{text!r} is longer than {LONGEST_S:.0f} seconds")
    return seconds


def in_seconds(duration: float | str) -> float:
    """What an interface takes that accepts both: seconds, or text as in `parse_duration`. Raises ValueError."""
    if isinstance(duration, str):
        return parse_duration(duration)
    if not 0 <= duration <= LONGEST_S:
        raise ValueError(f"{duration!r} is not a number of seconds from 0 to {LONGEST_S:.0f}")
    return float(duration)


def format_duration(seconds: float) -> str:
    """As Go prints it, to the millisecond: `1h30m0s`, `6m0s`, `1.5s`, `83ms`, `0s`."""
    milliseconds = round(seconds * 1000)
    if 0 < milliseconds < 1000:
        return f"{milliseconds}ms"
    minutes, rest = divmod(milliseconds, 60_000)
    hours, minutes = divmod(minutes, 60)
    shown = f"{rest / 1000:.3f}".rstrip("0").rstrip(".") + "s"
    if hours:
        return f"{hours}h{minutes}m{shown}"
    return f"{minutes}m{shown}" if minutes else shown


def _plain(text: str) -> float | None:
    return float(text) if re.fullmatch(r"\d+(\.\d*)?|\.\d+", text, re.ASCII) else None
