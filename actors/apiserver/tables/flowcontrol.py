"""Flow schemas and priority levels."""

from __future__ import annotations

from typing import Any

from actors.apiserver.tables.cells import NONE, Columns, Printer, age, name_of_row
from protocols.objects import Object
from protocols.rules.conditions import find_condition


def _flow_schema(obj: Object) -> list[Any]:
    spec = obj.get("spec") or {}
    method = (spec.get("distinguisherMethod") or {}).get("type") or NONE
    dangling = find_condition((obj.get("status") or {}).get("conditions"), "Dangling")
    missing = (dangling.get("status") or "") if dangling is not None else "?"
    level = (spec.get("priorityLevelConfiguration") or {}).get("name") or ""
    return [name_of_row(obj), level, spec.get("matchingPrecedence") or 0, method, age(obj), missing]


def _priority_level(obj: Object) -> list[Any]:
    spec = obj.get("spec") or {}
    part = spec.get("limited") or {}
    queuing = (part.get("limitResponse") or {}).get("queuing") or {}
    numbers = [queuing.get(key, NONE) for key in ("queues", "handSize", "queueLengthLimit")]
    return [
        name_of_row(obj),
        spec.get("type") or "",
        part.get("nominalConcurrencyShares", part.get("assuredConcurrencyShares", NONE)),  # as v1beta2 calls them
        *numbers,
        age(obj),
    ]


FLOW_SCHEMA = Printer(
    Columns("Name", "PriorityLevel", "MatchingPrecedence", "DistinguisherMethod", "Age", "MissingPL"), _flow_schema
)
PRIORITY_LEVEL = Printer(
    Columns("Name", "Type", "NominalConcurrencyShares", "Queues", "HandSize", "QueueLengthLimit", "Age"),
    _priority_level,
)
