"""JSON patch (RFC 6902): a list of operations, all of them or none."""

from __future__ import annotations

from typing import Any

from protocols.errors import BadRequest, Invalid, RequestEntityTooLarge
from protocols.objects import Object

OPERATIONS_MAX = 10_000
_REJECTED = "the server rejected our request due to an error in our request"


def json_patch(document: Object, operations: Any) -> Object:
    """The document with all operations applied; it may be changed. Invalid when one of them does not apply."""
    import jsonpatch  # 10 ms that a server nobody patches with JSON patches does not need

    _check(operations)
    try:
        patch = jsonpatch.JsonPatch(operations)
        patched = patch.apply(document, in_place=True)
    except jsonpatch.InvalidJsonPatch as error:
        raise BadRequest(f"json: {error}") from None
    except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException) as error:
        raise Invalid(f"{_REJECTED}: {error}") from None
    if not isinstance(patched, dict):
        raise Invalid(f"{_REJECTED}: the patched document is not an object")
    return patched


def _check(operations: Any) -> None:
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise BadRequest("json: a JSON patch is a list of operations")
    if len(operations) > OPERATIONS_MAX:
        count = f"got {len(operations)}"
        raise RequestEntityTooLarge(f"The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, {count}")
    for operation in operations:
        for key in ("path", "from"):
            if not isinstance(operation.get(key, ""), str):
                raise BadRequest(f"json: `{key}` of an operation is a string")
