"""What a manager applies: checked for what every configuration must say, and cut to what its endpoint writes."""

from __future__ import annotations

from typing import Any

from actors.apiserver.patch.fields import FieldSet
from actors.apiserver.patch.structure import NotOfItsType, field_set
from actors.apiserver.schema.resources import Resource
from actors.apiserver.schema.types import Type
from protocols.errors import BadRequest, Invalid
from protocols.objects import Object, meta, name_of, namespace_of

_OPTIONS = 'PatchOptions.meta.k8s.io "" is invalid: '
_NO_MANAGER = "fieldManager: Required value: is required for apply patch"
_OF_STATUS = ("apiVersion", "kind", "metadata", "status")
# Given by the server; people apply what they read, and `creationTimestamp: null` is in every generated manifest.
_SERVER_METADATA = ("creationTimestamp", "deletionTimestamp", "deletionGracePeriodSeconds", "generation", "selfLink")


def configuration(resource: Resource, patch: Any, manager: str, subresource: str) -> Object:
    """The configuration to apply. Raises BadRequest, or Invalid when nobody is named as its manager."""
    if not isinstance(patch, dict):
        raise BadRequest("the patch is not a JSON object")
    if not manager:
        raise Invalid(_OPTIONS + _NO_MANAGER)
    version, kind = patch.get("apiVersion") or "", patch.get("kind") or ""
    if (version, kind) != (resource.api_version, resource.kind):
        group, _, version = str(version).rpartition("/")
        raise BadRequest(f"invalid object type: {group}/{version}, Kind={kind}")
    metadata = meta(patch)
    if not isinstance(metadata, dict):
        raise BadRequest("the metadata of the patch is not a JSON object")
    if metadata.get("managedFields") is not None:
        raise BadRequest("metadata.managedFields must be nil")
    own = {key: value for key, value in metadata.items() if key not in _SERVER_METADATA}
    return {**_of_endpoint(resource, patch, subresource), "metadata": own}


def applied_fields(type: Type, config: Object, resource: Resource) -> FieldSet:
    try:
        return field_set(type, config)
    except NotOfItsType as error:
        raise not_typed(config, resource, error) from None


def not_typed(config: Object, resource: Resource, error: NotOfItsType) -> BadRequest:
    where = f"{namespace_of(config)}/{name_of(config)}"
    what = f"{where}; {resource.group}/{resource.version}, Kind={resource.kind}"
    return BadRequest(f"failed to create typed patch object ({what}): {error}")


def _of_endpoint(resource: Resource, patch: Object, subresource: str) -> Object:
    if subresource == "status":
        return {key: value for key, value in patch.items() if key in _OF_STATUS}
    if "status" in resource.subresources:
        return {key: value for key, value in patch.items() if key != "status"}
    return patch
