"""Events have two API versions, `v1` and `events.k8s.io/v1`, with one store: kept as v1, translated at the door."""

from __future__ import annotations

from actors.apiserver.schema.resources import Resource
from protocols.objects import Object

# field of events.k8s.io/v1 -> field of v1
_FIELDS = {
    "note": "message",
    "regarding": "involvedObject",
    "reportingController": "reportingComponent",
    "deprecatedSource": "source",
    "deprecatedFirstTimestamp": "firstTimestamp",
    "deprecatedLastTimestamp": "lastTimestamp",
    "deprecatedCount": "count",
}
_BACK = {core: new for new, core in _FIELDS.items()}


def to_stored(resource: Resource, obj: Object) -> Object:
    """The object as it is kept."""
    return _renamed(obj, _FIELDS, "v1") if resource.storage != resource.group_resource else obj


def to_served(resource: Resource, obj: Object) -> Object:
    """A stored object as the resource shows it."""
    return _renamed(obj, _BACK, resource.api_version) if resource.storage != resource.group_resource else obj


def _renamed(obj: Object, names: dict[str, str], api_version: str) -> Object:
    return {names.get(field, field): value for field, value in obj.items()} | {"apiVersion": api_version}
