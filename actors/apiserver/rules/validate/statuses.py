"""What may not stand in the status of kinds of which there is little to say."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from actors.apiserver.rules import names
from actors.apiserver.rules.field import FieldErrors, invalid_value, matches, not_supported, required
from actors.apiserver.rules.validate.conditions import conditions, named_once
from actors.apiserver.rules.validate.counted_status import counted_status
from actors.apiserver.rules.validate.definitions import accepted_names
from actors.apiserver.rules.validate.quotas import limited
from actors.apiserver.rules.validate.resources import basic_quantity
from protocols.objects import Object

_RESIZING = (
    *("ControllerResizeInProgress", "ControllerResizeInfeasible", "NodeResizeInProgress", "NodeResizeInfeasible"),
    "NodeResizePending",
)
_CODE_MAX = 2**31 - 1


def namespace_status(obj: Object, old: Object | None) -> FieldErrors:
    phase = (obj.get("status") or {}).get("phase") or "Active"
    ending = bool((obj.get("metadata") or {}).get("deletionTimestamp"))
    expected = "Terminating" if ending else "Active"
    if phase != expected:
        when = "is not empty" if ending else "is empty"
        yield invalid_value("status.Phase", phase, f"may only be '{expected}' if `deletionTimestamp` {when}")


def claim_status(obj: Object, old: Object | None) -> FieldErrors:
    status = obj.get("status") or {}
    for name, value in (status.get("capacity") or {}).items():
        yield from basic_quantity(f"status.capacity[{name}]", value)
    for name, state in (status.get("allocatedResourceStatuses") or {}).items():
        yield from _of_claims("status.allocatedResourceStatuses", name)
        if state not in _RESIZING:
            yield not_supported("status.allocatedResourceStatuses", name, _RESIZING)
    for name, value in (status.get("allocatedResources") or {}).items():
        yield from _of_claims("status.allocatedResources", name)
        yield from basic_quantity(f"status.allocatedResources[{name}]", value)


def quota_status(obj: Object, old: Object | None) -> FieldErrors:
    status = obj.get("status") or {}
    for field in ("hard", "used"):
        yield from limited(f"status.{field}", status.get(field) or {})


def budget_status(obj: Object, old: Object | None) -> FieldErrors:
    yield from counted_status(obj, old)
    yield from conditions("status.conditions", (obj.get("status") or {}).get("conditions") or ())


def attachment_status(obj: Object, old: Object | None) -> FieldErrors:
    status = obj.get("status") or {}
    for field in ("attachError", "detachError"):
        code = (status.get(field) or {}).get("errorCode")
        if code is not None and code < 0:
            where = f"status.{field}.errorCode"
            yield invalid_value(where, code, names.in_range(0, _CODE_MAX))


def policy_status(obj: Object, old: Object | None) -> FieldErrors:
    status = obj.get("status") or {}
    yield from conditions("status.conditions", status.get("conditions") or ())
    for index, warning in enumerate((status.get("typeChecking") or {}).get("expressionWarnings") or ()):
        for field in ("warning", "fieldRef"):
            if not warning.get(field):
                yield required(f"status.typeChecking.expressionWarnings[{index}].{field}")


def flow_status(obj: Object, old: Object | None) -> FieldErrors:
    yield from named_once("status.conditions", (obj.get("status") or {}).get("conditions") or ())


def api_service_status(obj: Object, old: Object | None) -> FieldErrors:
    listed: Iterable[dict[str, Any]] = (obj.get("status") or {}).get("conditions") or ()
    for index, condition in enumerate(listed):
        if condition.get("status") not in ("True", "False", "Unknown"):
            where = f"status.conditions[{index}].status"
            yield not_supported(where, condition.get("status") or "", ("True", "False", "Unknown"))


def definition_status(obj: Object, old: Object | None) -> FieldErrors:
    yield from accepted_names((obj.get("status") or {}).get("acceptedNames") or {})


def _of_claims(field: str, name: str) -> FieldErrors:
    problems = list(names.label_key(name))
    yield from matches(field, name, problems)
    if not problems and "/" not in name and name != "storage":
        yield not_supported(field, name, ("storage",))
