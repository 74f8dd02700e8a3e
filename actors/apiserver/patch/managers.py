"""Who set which fields: `metadata.managedFields`, decoded and encoded.

A manager is told apart by its name, the operation, the subresource, and (for updates) the API version it wrote in; an
applier is one manager whatever version it applies.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any, NamedTuple

from actors.apiserver.alike import REMEMBERED, again, exactly
from actors.apiserver.patch.fields import FieldSet, difference, in_order, normal, union

UPDATERS_MAX = 10
NAME_BYTES_MAX = 128
_OLDEST = "ancient-changes"

# Never owned by anybody: they are given by the server or are the object's address.
UNOWNED_METADATA = (
    "name",
    "namespace",
    "creationTimestamp",
    "selfLink",
    "uid",
    "clusterName",
    "generation",
    "managedFields",
    "resourceVersion",
)
_UNOWNED: FieldSet = {
    "f:apiVersion": {},
    "f:kind": {},
    "f:metadata": {".": {}, **{f"f:{field}": {} for field in UNOWNED_METADATA}},
}


class Manager(NamedTuple):
    name: str
    operation: str
    api_version: str  # "" for appliers
    subresource: str

    def __str__(self) -> str:
        shown = f'"{self.name}"'
        if self.subresource:
            shown += f' with subresource "{self.subresource}"'
        return f"{shown} using {self.api_version}" if self.operation == "Update" else shown


@dataclass(slots=True)
class Ownership:
    """What one manager has, when it last changed something, and in which version it did."""

    fields: FieldSet
    time: str
    api_version: str


Managers = dict[Manager, Ownership]


def manager_of(name: str, operation: str, api_version: str, subresource: str) -> Manager:
    return Manager(name, operation, api_version if operation == "Update" else "", subresource)


def manager_named(user_agent: str) -> str:
    """As whom a program writes that calls itself so, and says nothing else; "" where it has no name."""
    name = "".join([character for character in user_agent.partition("/")[0] if character.isprintable()])
    return name.encode()[:NAME_BYTES_MAX].decode(errors="ignore")


def decode_managers(entries: Any) -> Managers:
    """The managers of managedFields. Raises ValueError when they are not of the form that the server writes."""
    managers: Managers = {}
    for entry in entries or ():
        operation, version = entry.get("operation"), entry.get("apiVersion") or ""
        if entry.get("fieldsType") != "FieldsV1" or operation not in ("Apply", "Update"):
            raise ValueError(f"no entry of managedFields: {entry!r}")
        manager = manager_of(entry.get("manager") or "", operation, version, entry.get("subresource") or "")
        managers[manager] = Ownership(_normal(entry.get("fieldsV1") or {}), entry.get("time") or "", version)
    return managers


def encode_managers(managers: Managers) -> list[dict[str, Any]]:
    """In Kubernetes' order: appliers first, then by time and name."""
    entries = [
        encode_manager(manager, _in_order(ownership.fields), ownership.time, ownership.api_version)
        for manager, ownership in managers.items()
    ]
    return sorted(
        entries,
        key=lambda entry: (
            entry["operation"],
            entry.get("time", ""),
            entry["manager"],
            entry["apiVersion"],
            entry.get("subresource", ""),
        ),
    )


def _normal(fields: Any) -> FieldSet:
    """Objects of one template have the same sets, and sets are never changed."""
    encoded = exactly(fields)
    return normal(fields) if encoded is None else _normal_like(encoded)


@lru_cache(REMEMBERED)
def _normal_like(encoded: bytes) -> FieldSet:
    return normal(again(encoded))


def _in_order(fields: FieldSet) -> FieldSet:
    encoded = exactly(fields)
    return in_order(fields) if encoded is None else _in_order_like(encoded)


@lru_cache(REMEMBERED)
def _in_order_like(encoded: bytes) -> FieldSet:
    return in_order(again(encoded))


def encode_manager(manager: Manager, fields: FieldSet, time: str, api_version: str) -> dict[str, Any]:
    """One entry; `fields` are in order."""
    if manager.subresource == "scale":
        time = ""  # as in Kubernetes, where it gets lost on the way through a Scale and back
    entry: dict[str, Any] = {
        "manager": manager.name,
        "operation": manager.operation,
        "apiVersion": api_version,
        "time": time,
        "fieldsType": "FieldsV1",
        "fieldsV1": fields,
        "subresource": manager.subresource,
    }
    return {key: value for key, value in entry.items() if value or key == "manager"}


def without_unowned(fields: FieldSet) -> FieldSet:
    return difference(fields, _UNOWNED)


def drop_empty(managers: Managers) -> None:
    for manager in [manager for manager, ownership in managers.items() if not ownership.fields]:
        del managers[manager]


def cap_updaters(managers: Managers) -> None:
    """The oldest updaters beyond the tenth become one, so that an object's history stays bounded."""
    updaters = [manager for manager in managers if manager.operation == "Update"]
    updaters.sort(key=lambda manager: (managers[manager].time, manager))
    excess = len(updaters) - UPDATERS_MAX
    if excess <= 0:
        return
    for manager in updaters[: excess + 1]:
        ownership = managers.pop(manager)
        bucket = manager_of(_OLDEST, "Update", ownership.api_version, "")
        kept = managers.get(bucket)
        if kept is not None:
            ownership = Ownership(union(kept.fields, ownership.fields), ownership.time, ownership.api_version)
        managers[bucket] = ownership
