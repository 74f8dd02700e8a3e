"""JSON patch (RFC 6902): a list of operations, all of them or none."""

from __future__ import annotations

from typing import Any

import orjson

from protocols.errors import BadRequest, Invalid, RequestEntityTooLarge
from protocols.objects import Object

OPERATIONS_MAX = 10_000
COPIED_BYTES_MAX = 3 * 1024 * 1024
_REJECTED = "the server rejected our request due to an error in our request"


def json_patch(document: Object, operations: Any) -> Object:
    """The document with all operations applied; it may be changed. Invalid when one of them does not apply.

    Copies of copies double with each: what is copied in all is bounded, as kube-apiserver bounds it.
    """
    import jsonpatch  # 10 ms that a server nobody patches with JSON patches does not need

    _check(operations)
    patched: Any = document
    copied_bytes = 0
    for operation in operations:
        try:
            if operation.get("op") == "copy":
                copied_bytes += len(orjson.dumps(jsonpatch.JsonPointer(operation.get("from", "")).resolve(patched)))
            if copied_bytes > COPIED_BYTES_MAX:
                raise RequestEntityTooLarge(f"a JSON patch may copy {COPIED_BYTES_MAX} bytes, and no more")
            patched = jsonpatch.JsonPatch([operation]).apply(patched, in_place=True)
        except jsonpatch.InvalidJsonPatch as error:
            raise BadRequest(f"json: {error}") from None
        except jsonpatch.JsonPatchTestFailed:
            raise Invalid(f"{_REJECTED}: testing value {operation['path']} failed: test failed") from None
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException):
            raise Invalid(f"{_REJECTED}: {_missing(operation)}") from None
    if not isinstance(patched, dict):
        raise Invalid(f"{_REJECTED}: the patched document is not an object")
    return patched


def _missing(operation: dict[str, Any]) -> str:
    """In the words of Kubernetes' library, which never tell what is there instead: the text may be logged."""
    return (
        f"{operation.get('op')} operation does not apply: doc is missing path: {operation.get('path')}: missing value"
    )


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
