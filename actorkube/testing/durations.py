"""Times as people write them in manifests and on command lines: `50s`, `6m`, `1h30m`, or seconds as a number."""

from __future__ import annotations

import re

_UNITS = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}
_PART = re.compile(r"(\d+(?:\.\d+)?)(ms|s|m|h|d)")


def seconds(time: str | float) -> float:
    """ValueError for what is not a time."""
    if isinstance(time, int | float):
        return float(time)
    parts = _PART.findall(time)
    if not parts or "".join(number + unit for number, unit in parts) != time:
        raise ValueError(f"{time!r} is not a time such as 50s, 6m or 1h30m")
    return sum(float(number) * _UNITS[unit] for number, unit in parts)
