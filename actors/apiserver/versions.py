"""What is kept in one version and served in several: events are kept as `v1` and also served as `events.k8s.io/v1`,
autoscalers as `v2` and also served as `v1`, flow schemas as `v1` and also served as betas; a custom resource is kept in
its storage version, and its versions differ in what they show, or a webhook converts them (conversions.py), before
these functions are called.
"""

from __future__ import annotations

from actors.apiserver import autoscaling_versions, flowcontrol_versions
from actors.apiserver.item import Item
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
    """The object as it is kept; one that a webhook must convert stays as it is until it is written."""
    if resource.custom is not None:
        return (
            obj if resource.custom.webhook is not None else {**obj, "apiVersion": resource.custom.storage.api_version}
        )
    if not resource.alias:
        return obj
    match resource.group:
        case "autoscaling":
            return autoscaling_versions.to_v2(obj)
        case "flowcontrol.apiserver.k8s.io":
            return flowcontrol_versions.to_v1(obj)
    return _renamed(obj, _FIELDS, "v1")


def served(resource: Resource, item: Item) -> Object:
    """What an item holds, as the resource shows it: a fresh object."""
    return item.object() if item.made else to_served(resource, item.object_for(resource))


def to_served(resource: Resource, obj: Object) -> Object:
    """A stored object, the caller's own, as the resource shows it."""
    if resource.custom is not None:
        return resource.custom.serve(obj, resource.api_version)
    if not resource.alias:
        return obj
    match resource.group:
        case "autoscaling":
            return autoscaling_versions.to_v1(obj)
        case "flowcontrol.apiserver.k8s.io":
            return flowcontrol_versions.to_beta(obj, resource.api_version)
    return _renamed(obj, _BACK, resource.api_version)


def _renamed(obj: Object, names: dict[str, str], api_version: str) -> Object:
    return {names.get(field, field): value for field, value in obj.items()} | {"apiVersion": api_version}
