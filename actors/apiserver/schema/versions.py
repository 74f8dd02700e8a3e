"""Two views of one object: kinds that are stored in the form of another (`Resource.storage` says which).

Events are the only case: events.k8s.io gives other names to what a core Event holds, and both show the same objects.
"""

from __future__ import annotations

from actors.apiserver.schema.resources import Resource, find
from protocols.objects import Object

# resource -> its own top-level field names, and what the stored form calls them
_RENAMED: dict[str, dict[str, str]] = {
    "events.events.k8s.io": {
        "deprecatedCount": "count",
        "deprecatedFirstTimestamp": "firstTimestamp",
        "deprecatedLastTimestamp": "lastTimestamp",
        "deprecatedSource": "source",
        "note": "message",
        "regarding": "involvedObject",
        "reportingController": "reportingComponent",
    }
}
_NAMED_BACK = {resource: {theirs: own for own, theirs in names.items()} for resource, names in _RENAMED.items()}


def to_stored(resource: Resource, obj: Object) -> Object:
    """The object as its store keeps it: with the stored kind's field names, apiVersion and kind."""
    names = _RENAMED.get(resource.group_resource)
    if names is None:
        return obj
    stored_as = find(resource.storage)
    assert stored_as is not None, f"{resource.group_resource} is stored as {resource.storage}, which is not served"
    return _renamed(obj, names, stored_as)


def from_stored(resource: Resource, obj: Object) -> Object:
    """The stored object as `resource` shows it."""
    names = _NAMED_BACK.get(resource.group_resource)
    return obj if names is None else _renamed(obj, names, resource)


def _renamed(obj: Object, names: dict[str, str], resource: Resource) -> Object:
    renamed = {names.get(field, field): value for field, value in obj.items()}
    return {**renamed, "apiVersion": resource.api_version, "kind": resource.kind}
