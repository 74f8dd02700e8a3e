"""Every write but an apply: its manager owns what it changed, and nobody owns what it removed."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from actors.apiserver.alike import REMEMBERED, again, exactly
from actors.apiserver.patch.compare import Comparison, compare
from actors.apiserver.patch.fields import FieldSet, difference, in_order, union
from actors.apiserver.patch.managers import (
    UNOWNED_METADATA,
    Manager,
    Managers,
    Ownership,
    cap_updaters,
    decode_managers,
    drop_empty,
    encode_manager,
    encode_managers,
    manager_of,
    without_unowned,
)
from actors.apiserver.schema.resources import Resource
from actors.apiserver.schema.types import Type, Types
from protocols.objects import Object
from protocols.rules.times import time_of

_UNNAMED = "unknown"
_ONE_FAMILY = ("SingleStack", ["IPv4"])
_MADE_FROM_TEMPLATES = "pods"
_NEVER_SENT = frozenset({"deletionTimestamp", "deletionGracePeriodSeconds"})  # with what is new


def track_update(
    types: Types,
    resource: Resource,
    old: Object | None,
    new: Object,
    *,
    manager: str,
    operation: str = "Update",
    now: float,
    subresource: str = "",
) -> Object:
    """`new` with its managedFields, given what it replaces (None: nothing). A write that changes nothing leaves them.

    A client may send managedFields of its own (to hand fields over), or an empty list or entry to be rid of them;
    through a subresource it may not. Objects that are stored without managedFields stay so until they are applied.
    """
    type = resource.custom.type if resource.custom is not None else types.by_kind(resource.api_version, resource.kind)
    kept = _managed_fields(old or {})
    entries = _entries(kept, new, subresource)
    if type is None or (old is not None and not entries):
        return with_managed_fields(new, entries)
    writer = manager_of(manager or _UNNAMED, operation, resource.api_version, subresource)
    if old is None and entries is None and resource.group_resource == _MADE_FROM_TEMPLATES:
        if fields := _fields_of_new(type, new):
            return with_managed_fields(new, [encode_manager(writer, fields, time_of(now), resource.api_version)])
    changes = compare(type, without_managed_fields(old or {}), without_managed_fields(new))
    if not changes and entries == kept:
        return with_managed_fields(new, kept)
    return with_managed_fields(new, recorded(entries, changes, writer, now, resource))


def as_sent(resource: Resource, obj: Object) -> Object:
    """Of a new object, what its creator owns: all that was sent, with defaults. What admission completes, and what is
    allocated, is nobody's: who applies the object later and leaves it out does not remove it, nor meets a conflict.
    """
    if resource.group_resource == "services":
        obj = _without_one_family(obj)
    if not _NEVER_SENT.isdisjoint(obj.get("metadata") or ()):
        obj = {**obj, "metadata": {key: value for key, value in obj["metadata"].items() if key not in _NEVER_SENT}}
    return {key: value for key, value in obj.items() if key != "status"} if "status" in resource.subresources else obj


def _without_one_family(service: Object) -> Object:
    """A default of ours, by the cluster's; in Kubernetes it is allocated."""
    spec = service.get("spec") or {}
    if (spec.get("ipFamilyPolicy"), spec.get("ipFamilies")) != _ONE_FAMILY:
        return service
    return {
        **service,
        "spec": {key: value for key, value in spec.items() if key not in ("ipFamilyPolicy", "ipFamilies")},
    }


def tracked_like(obj: Object, sent: Object) -> Object:
    return with_managed_fields(obj, _managed_fields(sent))


def recorded(
    entries: list[Any] | None, changes: Comparison, writer: Manager, now: float, resource: Resource
) -> list[dict[str, Any]]:
    """The managedFields that follow. Of times nothing counts but their order, so objects of one template that are
    changed in the same fields have the same, however they differ in times and values."""
    times = sorted({time_of(now), *(entry.get("time") or "" for entry in entries or ())})
    ranks = {time: _rank(index) if time else "" for index, time in enumerate(times)}
    ranked = [{**entry, "time": ranks[entry.get("time") or ""]} for entry in entries or ()]
    encoded = exactly((ranked, ranks[time_of(now)], changes.added, changes.modified, changes.removed))
    if encoded is None:
        return _recorded(entries, changes, writer, time_of(now), resource.api_version)
    found = _recorded_like(writer, resource.api_version, encoded)
    return [{**entry, "time": times[int(entry["time"])]} if "time" in entry else entry for entry in found]


def _rank(index: int) -> str:
    """In the order of numbers, as text."""
    return f"{index:04}"


@lru_cache(REMEMBERED)
def _recorded_like(writer: Manager, api_version: str, encoded: bytes) -> list[dict[str, Any]]:
    entries, now, *changes = again(encoded)
    return _recorded(entries, Comparison(*changes), writer, now, api_version)


def _recorded(
    entries: list[Any] | None, changes: Comparison, writer: Manager, time: str, api_version: str
) -> list[dict[str, Any]]:
    try:
        managers = decode_managers(entries)
    except ValueError:
        managers = {}
    record(managers, changes, writer, time, api_version)
    cap_updaters(managers)
    return encode_managers(managers)


def _fields_of_new(type: Type, new: Object) -> FieldSet | None:
    """What the creator of a new object owns, in order, as another one like it has it; None: not remembered."""
    metadata = {key: value for key, value in (new.get("metadata") or {}).items() if key not in UNOWNED_METADATA}
    encoded = exactly({**new, "metadata": metadata})
    return _fields_like(type, encoded) if encoded is not None else None


@lru_cache(REMEMBERED)
def _fields_like(type: Type, encoded: bytes) -> FieldSet:
    return in_order(without_unowned(compare(type, {}, again(encoded)).changed))


def record(managers: Managers, changes: Comparison, writer: Manager, time: str, api_version: str) -> None:
    """The writer gains what was added or modified, everybody loses it, and what was removed."""
    disown(managers, changes)
    gained = without_unowned(changes.changed)
    if gained:
        before = managers.get(writer)
        fields = union(before.fields, gained) if before is not None else gained
        managers[writer] = Ownership(fields, time, api_version)
    drop_empty(managers)


def disown(managers: Managers, changes: Comparison) -> None:
    """Nobody has what changed hands or is gone."""
    lost = union(changes.changed, changes.removed)
    for ownership in managers.values():
        ownership.fields = difference(ownership.fields, lost)


def without_managed_fields(obj: Object) -> Object:
    metadata = obj.get("metadata")
    if not metadata or "managedFields" not in metadata:
        return obj
    return {**obj, "metadata": {key: value for key, value in metadata.items() if key != "managedFields"}}


def _entries(kept: list[Any] | None, new: Object, subresource: str) -> list[Any] | None:
    """The managedFields to start from; None where there are none to keep."""
    sent = _managed_fields(new)
    if subresource or sent is None or sent == kept:
        return kept
    if not sent or sent == [{}]:
        return []
    try:
        return sent if decode_managers(sent) else kept
    except ValueError:
        return kept


def _managed_fields(obj: Object) -> list[Any] | None:
    entries: list[Any] | None = (obj.get("metadata") or {}).get("managedFields")
    return entries


def with_managed_fields(obj: Object, entries: list[Any] | None) -> Object:
    bare = without_managed_fields(obj)
    if not entries:
        return bare
    return {**bare, "metadata": {**(bare.get("metadata") or {}), "managedFields": entries}}
