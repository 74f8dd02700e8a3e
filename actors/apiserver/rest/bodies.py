"""Request bodies: from bytes in one of three encodings to the value that JSON would have given."""

from __future__ import annotations

from typing import Any

import orjson

from actors.apiserver.patch.dispatch import NO_STRATEGIC
from actors.apiserver.rest.negotiate import JSON, JSON_PATCH, PROTOBUF, YAML, media_type_of, unsupported
from actors.apiserver.schema import protobuf
from protocols.api import PatchType
from protocols.errors import BadRequest, UnsupportedMediaType

_PATCH_TYPES: dict[str, PatchType] = {
    JSON_PATCH: "json",
    "application/merge-patch+json": "merge",
    "application/strategic-merge-patch+json": "strategic",
    "application/apply-patch+yaml": "apply",
}
BODY_BYTES_MAX = 3 * 1024 * 1024
_NODES_MAX = 1_000_000  # more than any 3 MiB document has, unless its aliases multiply


def decode_body(body: bytes, content_type: str) -> Any:
    """Raises BadRequest for what does not decode, UnsupportedMediaType for an encoding that there is not."""
    media_type = media_type_of(content_type)
    if media_type == JSON:
        return _json(body)
    if media_type in (YAML, "application/x-yaml", "text/yaml"):
        return _yaml(body)
    if media_type == PROTOBUF:
        try:
            return protobuf.decode(body)
        except protobuf.Malformed as error:
            raise BadRequest(f"the object provided is unrecognized: {error}") from None
    raise unsupported([JSON, YAML, PROTOBUF])


def decode_patch(body: bytes, content_type: str, *, custom: bool) -> tuple[PatchType, Any]:
    """`custom`: whether it is of a custom resource."""
    media_type = media_type_of(content_type, default="")
    type = _PATCH_TYPES.get(media_type)
    if type is None:
        raise UnsupportedMediaType(NO_STRATEGIC if custom else "415: Unsupported Media Type")
    return type, _yaml(body) if type == "apply" else _json(body)


def is_patch(content_type: str) -> bool:
    return media_type_of(content_type, default="") in _PATCH_TYPES


def is_apply(content_type: str) -> bool:
    return _PATCH_TYPES.get(media_type_of(content_type, default="")) == "apply"


def _json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise BadRequest(f"the object provided is unrecognized: it is not JSON: {error}") from None


def _yaml(body: bytes) -> Any:
    """JSON is YAML too, and decodes a hundred times faster as what it is."""
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError:
        pass
    import yaml  # only who applies or posts YAML pays for it

    try:
        value = yaml.load(body, Loader=getattr(yaml, "CSafeLoader", yaml.SafeLoader))
        _refuse_multiplied(value)
        return orjson.loads(orjson.dumps(value, option=orjson.OPT_NON_STR_KEYS))  # as JSON would have said it
    except (yaml.YAMLError, orjson.JSONEncodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadRequest(f"the object provided is unrecognized: it is not YAML: {error}") from None


def _refuse_multiplied(value: Any) -> None:
    """A few lines of YAML can name each other so often that written out they fill the memory."""
    waiting, nodes = [value], 0
    while waiting:
        here = waiting.pop()
        nodes += 1
        if nodes > _NODES_MAX:
            raise BadRequest("the object provided is unrecognized: document contains excessive aliasing")
        if isinstance(here, dict):
            waiting.extend(here.values())
        elif isinstance(here, list):
            waiting.extend(here)
