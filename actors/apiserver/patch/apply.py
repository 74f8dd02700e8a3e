"""Server-side apply (KEP-555): a manager says all that it wants, and nothing of what others look after.

What it says is merged into the object and becomes its own. What it said last time and says no more goes, unless
somebody else wants it too. What differs from what another manager set is a conflict, unless `force` takes it over; what
is equal belongs to both.
"""

from __future__ import annotations

from typing import Any

from actors.apiserver.patch.combine import merge, remove, with_named_fields, without_nulls
from actors.apiserver.patch.compare import Comparison, compare
from actors.apiserver.patch.configuration import applied_fields, configuration, not_typed
from actors.apiserver.patch.conflicts import Conflicts, conflict_error
from actors.apiserver.patch.fields import FieldSet, difference, intersection, union
from actors.apiserver.patch.last_applied import KUBECTL, last_applied, with_last_applied
from actors.apiserver.patch.managers import (
    Manager,
    Managers,
    Ownership,
    decode_managers,
    drop_empty,
    encode_managers,
    manager_of,
    without_unowned,
)
from actors.apiserver.patch.structure import NotOfItsType, field_set
from actors.apiserver.patch.track import disown, record, with_managed_fields, without_managed_fields
from actors.apiserver.schema.resources import Resource
from actors.apiserver.schema.types import Type
from protocols.errors import UnsupportedMediaType
from protocols.objects import Object
from protocols.rules.times import time_of

_BEFORE = "before-first-apply"


def server_side_apply(
    type: Type | None,
    resource: Resource,
    current: Object | None,
    patch: Any,
    *,
    manager: str,
    force: bool,
    now: float,
    subresource: str,
) -> Object:
    """The object with the configuration applied and its managedFields settled. Neither argument is changed."""
    if type is None:
        raise UnsupportedMediaType(f"apply is not supported for {resource.group_resource}")
    config = configuration(resource, patch, manager, subresource)
    applied = applied_fields(type, config, resource)
    live = without_managed_fields(current or {"apiVersion": resource.api_version, "kind": resource.kind})
    managers = _managers(type, resource, current, now)
    applier = manager_of(manager, "Apply", resource.api_version, subresource)
    before = managers.get(applier)
    managers[applier] = Ownership(applied, before.time if before else "", resource.api_version)
    try:
        merged = merge(type, live, config)
        if before is not None and difference(before.fields, without_unowned(applied)):
            merged = _pruned(type, merged, before.fields, managers)
    except NotOfItsType as error:
        raise not_typed(live, resource, error) from None
    changes = compare(type, live, merged)
    if not force:
        _refuse_conflicts(type, live, managers, applier, changes)
    _settle(managers, applier, changes, now)
    result = with_last_applied(without_nulls(merged), config, manager)
    return with_managed_fields(result, encode_managers(managers))


def _managers(type: Type, resource: Resource, current: Object | None, now: float) -> Managers:
    """Who owns what so far; the fields of an object that nobody tracked get a manager who did it all."""
    if current is None:
        return {}
    try:
        managers = decode_managers((current.get("metadata") or {}).get("managedFields"))
    except ValueError:
        managers = {}
    if not managers:
        earlier = manager_of(_BEFORE, "Update", resource.api_version, "")
        record(
            managers, compare(type, {}, without_managed_fields(current)), earlier, time_of(now), resource.api_version
        )
    return managers


def _pruned(type: Type, merged: Object, last: FieldSet, managers: Managers) -> Object:
    """Without what the applier applied last time and nobody has now: neither it nor another manager.

    In three steps, because an owner of a field keeps the items around it only as far as they are owned too: everything
    that was applied goes, what somebody owns comes back, and of the rest only what was applied last time is left out.
    """
    owned: FieldSet = {}
    for ownership in managers.values():
        owned = union(owned, ownership.fields)
    last, owned = with_named_fields(type, last), with_named_fields(type, owned)
    if not difference(last, owned):
        return merged
    everything = _all_fields(type, merged)
    kept = union(_all_fields(type, remove(type, merged, last)), owned)
    kept = _all_fields(type, remove(type, merged, difference(everything, kept)))
    return remove(type, merged, intersection(difference(everything, kept), last))


def _all_fields(type: Type, obj: Object) -> FieldSet:
    return with_named_fields(type, field_set(type, obj, duplicates=True))


def _refuse_conflicts(type: Type, live: Object, managers: Managers, applier: Manager, changes: Comparison) -> None:
    conflicts: Conflicts = {
        manager: intersection(ownership.fields, changes.changed)
        for manager, ownership in managers.items()
        if manager != applier
    }
    if applier.name == KUBECTL and any(conflicts.values()):
        allowed = last_applied(type, live)
        conflicts = {manager: difference(fields, allowed) for manager, fields in conflicts.items()}
    conflicts = {manager: fields for manager, fields in conflicts.items() if fields}
    if conflicts:
        raise conflict_error(conflicts)


def _settle(managers: Managers, applier: Manager, changes: Comparison, now: float) -> None:
    """The others lose what changed and what is gone; the applier has what it applied."""
    own = managers.pop(applier)
    disown(managers, changes)
    own.fields = without_unowned(own.fields)
    if changes:  # who applies what is there already has no time
        own.time = time_of(now)
    managers[applier] = own
    drop_empty(managers)
