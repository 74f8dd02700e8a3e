"""One door for all patches. They are left as they are, and so is the current object.

The answer has what a patch leaves in common with the object: one value, so that nobody need compare or copy it. Only an
object of its own is the caller's to change.
"""

from __future__ import annotations

from typing import Any

import msgspec

from actors.apiserver.patch.apply import server_side_apply
from actors.apiserver.patch.json_patch import json_patch
from actors.apiserver.patch.merge_patch import merge_patch
from actors.apiserver.patch.strategic import PATCH, RETAIN_KEYS, strategic_merge
from actors.apiserver.schema.resources import Resource
from actors.apiserver.schema.types import Type, Types
from protocols.api import PatchType
from protocols.errors import BadRequest, NotFound, UnsupportedMediaType
from protocols.objects import Object

_SCALE = ("autoscaling/v1", "Scale")
NO_STRATEGIC = (
    "the body of the request was in an unknown format - accepted media types include: "
    "application/json-patch+json, application/merge-patch+json, application/apply-patch+yaml"
)


def apply_patch(
    types: Types,
    resource: Resource,
    type: PatchType,
    current: Object | None,
    patch: Any,
    *,
    manager: str,
    force: bool,
    now: float,
    subresource: str = "",
) -> Object:
    """What the patch makes of `current`; only an apply makes something of None.

    Raises BadRequest for what is no patch, Invalid for one that does not fit the object, Conflict for an apply that
    would take fields from other managers. Only an apply settles managedFields; after the others, call `track_update`.
    """
    if type == "apply":
        schema = _type(types, resource, "")
        return server_side_apply(
            schema, resource, current, patch, manager=manager, force=force, now=now, subresource=subresource
        )
    if current is None:
        raise NotFound(f"{resource.group_resource} not found")
    if type == "json":
        named = _named(patch)
        return json_patch(
            {key: _fresh(value) if named is None or key in named else value for key, value in current.items()}, patch
        )
    if not isinstance(patch, dict):
        why = f"json: cannot unmarshal {_json_type(patch)} into Go value of type map[string]interface {{}}"
        raise BadRequest(f"error decoding patch: {why}" if type == "merge" else why)
    if type == "merge":
        merged: Object = merge_patch(current, patch)
        return merged
    if resource.custom is not None and subresource != "scale":
        raise UnsupportedMediaType(NO_STRATEGIC)
    return strategic_merge(_type(types, resource, subresource), current, patch)


def _json_type(value: Any) -> str:
    match value:
        case bool():
            return "bool"
        case int() | float():
            return "number"
        case str():
            return "string"
        case list():
            return "array"
    return "null"


def _type(types: Types, resource: Resource, subresource: str) -> Type | None:
    """The structure that is patched; None where there is none, and patches fall back to plain merging."""
    if resource.custom is not None and subresource != "scale":
        return resource.custom.type
    api_version, kind = _SCALE if subresource == "scale" else (resource.api_version, resource.kind)
    return types.by_kind(api_version, kind)


def touches(field: str, type: PatchType, patch: Any) -> bool:
    """Whether anything of this field of an object could become another by the patch."""
    if type in ("merge", "strategic"):
        return not isinstance(patch, dict) or not patch.keys().isdisjoint((field, PATCH, RETAIN_KEYS))
    named = _named(patch) if type == "json" else None
    return named is None or field in named


def _named(operations: Any) -> set[str] | None:
    """The object's own fields of which a JSON patch speaks; None where that is not plain to see."""
    named = set()
    for operation in operations if isinstance(operations, list) else ():
        for key in ("path", "from"):
            pointer = operation.get(key, "/") if isinstance(operation, dict) else None
            if not isinstance(pointer, str) or not pointer.startswith("/") or "~" in pointer.split("/")[1]:
                return None
            named.add(pointer.split("/")[1])
    return named


def _fresh(value: Any) -> Any:
    """A copy that can be changed in place: four times as quick as copy.deepcopy."""
    return msgspec.msgpack.decode(msgspec.msgpack.encode(value))
