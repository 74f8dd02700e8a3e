"""Which names a definition gets, and what its status says: the first that asks has a name, in its API group.

Decided in the write itself, so that a definition is served with the answer to its create. Who lost a name gets it when
it is free again (keeper.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from actors.apiserver.custom.version import ESTABLISHED, NAMES_ACCEPTED, TERMINATING
from actors.apiserver.item import Item
from protocols.objects import Object, meta, name_of
from protocols.rules.conditions import with_condition

CLEANUP = "customresourcecleanup.apiextensions.k8s.io"
DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"

_ROUNDS = ("Plural", "Singular", "ShortNames", "Kind", "ListKind")


def settled(definition: Object, others: Iterable[Object], now: float) -> Object:
    """The definition with the status and the finalizer that it should have beside others. Twice changes nothing."""
    group = [other for other in others if other["spec"]["group"] == definition["spec"]["group"]]
    taken = _taken([other for other in group if name_of(other) != name_of(definition)])
    status = {**(definition.get("status") or {})}
    accepted, problem = _accepted(definition["spec"]["names"], status.get("acceptedNames") or {}, taken)
    conditions: Any = status.get("conditions")
    if problem:
        conditions = with_condition(conditions, NAMES_ACCEPTED, "False", *problem, now)
        if not _is(conditions, ESTABLISHED):
            why = "not all names are accepted"
            conditions = with_condition(conditions, ESTABLISHED, "False", "NotAccepted", why, now)
    else:
        conditions = with_condition(conditions, NAMES_ACCEPTED, "True", "NoConflicts", "no conflicts found", now)
        why = "the initial names have been accepted"
        conditions = with_condition(conditions, ESTABLISHED, "True", "InitialNamesAccepted", why, now)
    status |= {"acceptedNames": accepted, "conditions": list(conditions)}
    status["storedVersions"] = _stored_versions(definition, status.get("storedVersions") or [])
    return _with_finalizer({**definition, "status": status})


def is_settled(definition: Object) -> bool:
    """Whether it has all the names that it asks for: then others do not matter to it."""
    status = definition.get("status") or {}
    wanted = {key: value for key, value in definition["spec"]["names"].items() if value}
    return status.get("acceptedNames") == wanted and _is(status.get("conditions"), NAMES_ACCEPTED)


def of_group(items: Mapping[str, Item], group: str) -> list[Object]:
    """The stored definitions of a group; the others need not even be decoded."""
    return [item.object() for key, item in items.items() if key.endswith(f".{group}")]


def terminating(definition: Object, now: float) -> Object:
    status = {**(definition.get("status") or {})}
    message = "CustomResource deletion is in progress"
    status["conditions"] = list(
        with_condition(status.get("conditions"), TERMINATING, "True", "InstanceDeletionInProgress", message, now)
    )
    return {**definition, "status": status}


def _accepted(
    wanted: dict[str, Any], before: dict[str, Any], taken: tuple[set[str], set[str]]
) -> tuple[dict[str, Any], tuple[str, str] | None]:
    accepted, problem = {**before}, None
    for what in _ROUNDS:
        key = what[0].lower() + what[1:]
        asked = wanted.get(key)
        names: list[str] = asked if isinstance(asked, list) else [asked] if asked else []
        kept = before.get(key)
        own = {*kept} if isinstance(kept, list) else {kept}
        used = taken[1] if what in ("Kind", "ListKind") else taken[0]
        lost = [name for name in names if name in used and name not in own]
        if lost:
            problem = (f"{what}Conflict", ", ".join(f'"{name}" is already in use' for name in lost))
        elif asked:
            accepted[key] = asked
        else:
            accepted.pop(key, None)
    accepted.pop("categories", None)
    if wanted.get("categories"):
        accepted["categories"] = wanted["categories"]
    return accepted, problem


def _taken(others: list[Object]) -> tuple[set[str], set[str]]:
    """The resource names and the kinds that others have."""
    resources: set[str] = set()
    kinds: set[str] = set()
    for other in others:
        names = (other.get("status") or {}).get("acceptedNames") or {}
        resources |= {names.get("plural", ""), names.get("singular", ""), *(names.get("shortNames") or ())}
        kinds |= {names.get("kind", ""), names.get("listKind", "")}
    return resources - {""}, kinds - {""}


def _stored_versions(definition: Object, before: list[str]) -> list[str]:
    storage = next((each["name"] for each in definition["spec"]["versions"] if each.get("storage")), None)
    return before if storage is None or storage in before else [*before, storage]


def _with_finalizer(definition: Object) -> Object:
    metadata = meta(definition)
    finalizers = metadata.get("finalizers") or []
    if (
        CLEANUP in finalizers
        or "deletionTimestamp" in metadata
        or not _is(definition["status"]["conditions"], ESTABLISHED)
    ):
        return definition
    return {**definition, "metadata": {**metadata, "finalizers": [*finalizers, CLEANUP]}}


def _is(conditions: Any, type: str) -> bool:
    return any(each.get("type") == type and each.get("status") == "True" for each in conditions or ())
