"""What a job's status may not say: that it has ended without having begun, or in both ways, or of indexes it has not.

Most is said only of what changes: what is stored already may have been written by an older controller.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from actors.apiserver.rules.field import (
    OMITTED,
    FieldErrors,
    duplicate,
    invalid_value,
    not_negative,
    required,
    unchanged,
)
from protocols.objects import Object

Part = dict[str, Any]

_NUMBERS = ("active", "succeeded", "failed", "ready", "terminating")
_TERMINAL = ("Failed", "Complete", "FailureTarget")
# Which conditions exclude each other, and which one another follows.
_APART = (("Complete", "Failed"), ("Complete", "FailureTarget"))
_APART_LATER = (("SuccessCriteriaMet", "Failed"), ("SuccessCriteriaMet", "FailureTarget"))
_AFTER = (("Failed", "FailureTarget"), ("Complete", "SuccessCriteriaMet"))


def job_status(obj: Object, old: Object | None) -> FieldErrors:
    status, before, spec = obj.get("status") or {}, (old or {}).get("status") or {}, obj.get("spec") or {}
    for name in _NUMBERS:
        yield from not_negative(f"status.{name}", status.get(name))
    yield from _uncounted(status.get("uncountedTerminatedPods") or {})
    yield from _apart(status, before, _APART)
    yield from _completion_time(status, before)
    for later, earlier in _AFTER:
        if _has(status, later) and not _has(before, later) and not _has(status, earlier):
            why = f"cannot set {later}=True condition without the {earlier}=true condition"
            yield invalid_value("status.conditions", OMITTED, why)
    yield from _at_the_end(status, before)
    yield from _indexes(status, before, spec)
    if _changes(status, before, "ready", "active") and (status.get("ready") or 0) > (status.get("active") or 0):
        yield invalid_value("status.ready", status["ready"], "cannot set more ready pods than active")
    yield from _apart(status, before, _APART_LATER)
    yield from _never_back(status, before, spec, (old or {}).get("spec") or {})


def _uncounted(pods: Part) -> FieldErrors:
    seen: set[str] = set()
    for key in ("succeeded", "failed"):
        for index, uid in enumerate(pods.get(key) or ()):
            where = f"status.uncountedTerminatedPods.{key}[{index}]"
            if not uid:
                yield invalid_value(where, uid, "must not be empty")
            elif uid in seen:
                yield duplicate(where, uid)
            seen.add(uid)


def _apart(status: Part, before: Part, pairs: Sequence[tuple[str, str]]) -> FieldErrors:
    for one, other in pairs:
        both = _has(status, one) and _has(status, other)
        if both and not (_has(before, one) and _has(before, other)):
            yield invalid_value("status.conditions", OMITTED, f"cannot set {one}=True and {other}=true conditions")


def _completion_time(status: Part, before: Part) -> FieldErrors:
    field, at, complete = "status.completionTime", status.get("completionTime"), _has(status, "Complete")
    if _changes(status, before, "completionTime") or complete != _has(before, "Complete"):
        if at is not None and not complete:
            yield invalid_value(field, at, "cannot set completionTime when there is no Complete=True condition")
        if at is None and complete:
            yield required(field, "completionTime is required for Complete jobs")
    if _changes(status, before, "startTime", "completionTime"):
        if at is not None and at < (status.get("startTime") or ""):
            yield invalid_value(field, at, "must be equal to or after `startTime`")


def _at_the_end(status: Part, before: Part) -> FieldErrors:
    if not _finished(status):
        return
    ends = not _finished(before)
    if (ends or _changes(status, before, "active")) and (status.get("active") or 0) > 0:
        yield invalid_value("status.active", status["active"], "active>0 is invalid for finished job")
    if (ends or _changes(status, before, "startTime")) and status.get("startTime") is None:
        yield required("status.startTime", "startTime is required for finished job")
    pods = status.get("uncountedTerminatedPods") or {}
    uncounted = pods.get("succeeded") or None, pods.get("failed") or None
    if (ends or _changes(status, before, "uncountedTerminatedPods")) and any(uncounted):
        shown = {"Succeeded": uncounted[0], "Failed": uncounted[1]}
        yield invalid_value("status.uncountedTerminatedPods", shown, "must be empty for finished job")
    if (ends or _changes(status, before, "terminating")) and (status.get("terminating") or 0) > 0:
        yield invalid_value("status.terminating", status["terminating"], "terminating>0 is invalid for finished job")


def _indexes(status: Part, before: Part, spec: Part) -> FieldErrors:
    completed, failed, completions = (
        status.get("completedIndexes") or "",
        status.get("failedIndexes"),
        spec.get("completions"),
    )
    of_each = spec.get("backoffLimitPerIndex") is not None
    changed = {key: _changes(status, before, key) for key in ("completedIndexes", "failedIndexes")}
    if changed["completedIndexes"]:
        yield from _parsed("completedIndexes", completed, completions)
    if changed["failedIndexes"] and of_each and failed is not None:
        yield from _parsed("failedIndexes", failed, completions)
    if changed["completedIndexes"] and completed and spec.get("completionMode") != "Indexed":
        why = "cannot set non-empty completedIndexes when non-indexed completion mode"
        yield invalid_value("status.completedIndexes", completed, why)
    if changed["failedIndexes"] and failed is not None and not of_each:
        why = "cannot set non-null failedIndexes when backoffLimitPerIndex is null"
        yield invalid_value("status.failedIndexes", failed, why)
    if any(changed.values()) and of_each and failed and completed:
        yield from _overlap(failed, completed, completions)


def _parsed(name: str, text: str, completions: int | None) -> FieldErrors:
    if completions is None:
        return
    try:
        for _ in _intervals(text, completions):
            pass
    except ValueError as error:
        yield invalid_value(f"status.{name}", text, f"error parsing {name}: {error}")


def _intervals(text: str, completions: int) -> Iterator[tuple[int, int]]:
    """The first and the last index of each interval of `0,2-4`. Raises ValueError with what is wrong."""
    last: int | None = None
    for interval in text.split(",") if text else ():
        limits = interval.split("-")
        if len(limits) > 2:
            rule = "the requirement that an index interval can have at most two parts separated by '-'"
            raise ValueError(f'the fragment "{interval}" violates {rule}')
        first = last
        for limit in limits:
            index = _index(limit, completions)
            if last is not None and last >= index:
                raise ValueError(f"non-increasing order, previous: {last}, current: {index}")
            first, last = index if limit is limits[0] else first, index
        assert first is not None and last is not None
        yield first, last


def _index(text: str, completions: int) -> int:
    if not (text.isascii() and text.isdigit()):
        raise ValueError(f'cannot convert string to integer for index: "{text}"')
    if int(text) >= completions:
        raise ValueError(f'too large index: "{text}"')
    return int(text)


def _overlap(failed: str, completed: str, completions: int | None) -> FieldErrors:
    """Intervals are looked at in their order, once."""
    if completions is None:
        return
    try:
        ones, others = list(_intervals(failed, completions)), list(_intervals(completed, completions))
    except ValueError:
        return  # said already
    while ones and others:
        start = max(ones[0][0], others[0][0])
        if start <= min(ones[0][1], others[0][1]):
            why = f"failedIndexes and completedIndexes overlap at index: {start}"
            yield invalid_value("status.failedIndexes", failed, why)
            return
        (ones if ones[0][1] < others[0][1] else others).pop(0)


def _never_back(status: Part, before: Part, spec: Part, old_spec: Part) -> FieldErrors:
    for kind in _TERMINAL:
        if _has(before, kind) and not _has(status, kind):
            yield invalid_value("status.conditions", OMITTED, f"cannot disable the terminal {kind}=True condition")
    scaled = spec.get("completionMode") == "Indexed" and spec.get("completions") == spec.get("parallelism")
    for counter in ("failed",) if scaled else ("failed", "succeeded"):
        count = status.get(counter) or 0
        if count < (before.get(counter) or 0):
            yield invalid_value(f"status.{counter}", count, f"cannot decrease the {counter} counter")
    if status.get("completionTime") is not None and before.get("completionTime") is not None:
        yield from unchanged("status.completionTime", status["completionTime"], before["completionTime"])
    began = before.get("startTime")
    if began is not None and not old_spec.get("suspend") and status.get("startTime") != began:
        why = "field is immutable for unsuspended job once set"
        yield invalid_value("status.startTime", status.get("startTime"), why)
    if _has(before, "SuccessCriteriaMet") and not _has(status, "SuccessCriteriaMet"):
        yield invalid_value("status.conditions", OMITTED, "cannot disable the SuccessCriteriaMet=True condition")


def _has(status: Part, kind: str) -> bool:
    conditions = status.get("conditions") or ()
    return any(condition.get("type") == kind and condition.get("status") == "True" for condition in conditions)


def _finished(status: Part) -> bool:
    return _has(status, "Complete") or _has(status, "Failed")


def _changes(status: Part, before: Part, *names: str) -> bool:
    return any((status.get(name) or None) != (before.get(name) or None) for name in names)
