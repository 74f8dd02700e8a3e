"""Kubernetes' timestamps: RFC 3339 in UTC, whole seconds (Time) or six digits (MicroTime)."""

from __future__ import annotations

import datetime
from functools import lru_cache


@lru_cache(maxsize=256)
def timestamp(second: int) -> str:
    """`metav1.Time` of a number of whole seconds since the epoch: "2026-01-01T00:00:00Z"."""
    return datetime.datetime.fromtimestamp(second, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def time_of(now: float) -> str:
    """`metav1.Time` of a moment; the fraction of the second is cut off."""
    return timestamp(int(now))


def micro_time_of(now: float) -> str:
    """`metav1.MicroTime` of a moment: "2026-01-01T00:00:00.000000Z"."""
    return datetime.datetime.fromtimestamp(now, datetime.UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


@lru_cache(maxsize=4096)
def seconds_of(text: str) -> float:
    """The moment that a Time or MicroTime names, in seconds since the epoch. Raises ValueError."""
    return datetime.datetime.fromisoformat(text).timestamp()
