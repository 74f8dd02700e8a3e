"""Conditions of the form that most newer kinds share (KEP-1623)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import (
    FieldErrors,
    duplicate,
    invalid_value,
    matches,
    not_supported,
    required,
    too_long,
)

STATUSES = ("False", "True", "Unknown")
_REASON = re.compile(r"[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?")
_REASON_RULE = (
    "a condition reason must start with alphabetic character, optionally followed by a string of alphanumeric "
    "characters or '_,:', and must end with an alphanumeric character or '_' (e.g. 'my_name',  or 'MY_NAME',  "
    "or 'MyName',  or 'ReasonA,ReasonB',  or 'ReasonA:ReasonB', regex used for validation is "
    "'[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?')"
)
_REASON_BYTES_MAX, _MESSAGE_BYTES_MAX = 1024, 32 * 1024


def conditions(field: str, listed: Sequence[dict[str, Any]]) -> FieldErrors:
    seen: set[str] = set()
    for index, condition in enumerate(listed):
        yield from _condition(f"{field}[{index}]", condition)
        kind = condition.get("type") or ""
        if kind in seen:
            yield duplicate(f"{field}[{index}].type", kind)
        seen.add(kind)


def named_once(field: str, listed: Sequence[dict[str, Any]]) -> FieldErrors:
    """Conditions of which no more is asked than a type that no other one has."""
    seen: set[str] = set()
    for index, condition in enumerate(listed):
        kind = condition.get("type") or ""
        if kind in seen:
            yield duplicate(f"{field}[{index}].type", kind)
        seen.add(kind)
        if not kind:
            yield required(f"{field}[{index}].type")


def _condition(where: str, condition: dict[str, Any]) -> FieldErrors:
    kind = condition.get("type") or ""
    yield from matches(f"{where}.type", kind, names.label_key(kind))
    if condition.get("status") not in STATUSES:
        yield not_supported(f"{where}.status", condition.get("status") or "", STATUSES)
    generation = condition.get("observedGeneration")
    if generation is not None and generation < 0:
        yield invalid_value(f"{where}.observedGeneration", generation, "must be greater than or equal to zero")
    if condition.get("lastTransitionTime") is None:
        yield required(f"{where}.lastTransitionTime")
    reason = condition.get("reason") or ""
    if not reason:
        yield required(f"{where}.reason")
    elif len(reason) > _REASON_BYTES_MAX:
        yield too_long(f"{where}.reason", _REASON_BYTES_MAX)
    elif not _REASON.fullmatch(reason):
        yield invalid_value(f"{where}.reason", reason, _REASON_RULE)
    if len(condition.get("message") or "") > _MESSAGE_BYTES_MAX:
        yield too_long(f"{where}.message", _MESSAGE_BYTES_MAX)
