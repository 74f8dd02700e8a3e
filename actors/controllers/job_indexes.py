"""Completion indexes as a Job's status keeps them: in compressed form, "0-2,5,7,8".

Intervals are in order, and neither overlap nor touch. What is at or beyond `completions` (an elastic job has been made
smaller) is read as if it were not there.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator
from itertools import islice

Intervals = tuple[tuple[int, int], ...]  # first and last index of each


def parse(text: str, completions: int) -> Intervals:
    """What cannot be read is left out."""
    found: list[tuple[int, int]] = []
    for part in text.split(",") if text else ():
        first, dash, last = part.partition("-")
        if first.isdigit() and (last.isdigit() or not dash) and int(first) < completions:
            found.append((int(first), min(int(last) if dash else int(first), completions - 1)))
    return _joined(found)


def render(intervals: Intervals) -> str:
    return ",".join(_text(first, last) for first, last in intervals)


def with_indexes(intervals: Intervals, indexes: Iterable[int]) -> Intervals:
    return _joined([*intervals, *((index, index) for index in indexes)])


def union(one: Intervals, other: Intervals) -> Intervals:
    return _joined([*one, *other])


def total(intervals: Intervals) -> int:
    return sum(last - first + 1 for first, last in intervals)


def contains(intervals: Intervals, index: int) -> bool:
    position = bisect_left(intervals, index, key=lambda interval: interval[1])
    return position < len(intervals) and intervals[position][0] <= index


def overlap(one: Intervals, other: Intervals) -> int:
    """How many indexes are in both."""
    return total(one) + total(other) - total(union(one, other))


def first_missing(intervals: Intervals, count: int, completions: int) -> list[int]:
    """The lowest indexes below `completions` that are not in the intervals, `count` of them at most."""
    return list(islice(_missing(intervals, completions), count))


def _missing(intervals: Intervals, completions: int) -> Iterator[int]:
    candidate = 0
    for first, last in intervals:
        yield from range(candidate, min(first, completions))
        candidate = last + 1
    yield from range(candidate, completions)


def _text(first: int, last: int) -> str:
    if first == last:
        return str(first)
    return f"{first},{last}" if last == first + 1 else f"{first}-{last}"


def _joined(intervals: list[tuple[int, int]]) -> Intervals:
    joined: list[tuple[int, int]] = []
    for first, last in sorted(intervals):
        if joined and first <= joined[-1][1] + 1:
            joined[-1] = (joined[-1][0], max(joined[-1][1], last))
        elif first <= last:
            joined.append((first, last))
    return tuple(joined)
