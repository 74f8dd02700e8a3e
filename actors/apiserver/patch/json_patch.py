"""JSON patch (RFC 6902): a list of operations, all of them or none."""

from __future__ import annotations

from typing import Any

import orjson

from actors.apiserver.patch.json_operations import Unfit, indexed, normal
from protocols.errors import BadRequest, Invalid, RequestEntityTooLarge
from protocols.objects import Object

OPERATIONS_MAX = 10_000
COPIED_BYTES_MAX = 3 * 1024 * 1024
REJECTED = "the server rejected our request due to an error in our request"
TEST_FAILED = "failed: test failed"


def json_patch(document: Object, operations: Any) -> Object:
    """The document with all operations applied; it may be changed. Invalid when one of them does not apply.

    Copies of copies double with each: what is copied in all is bounded, as kube-apiserver bounds it.
    """
    import jsonpatch  # 10 ms that a server nobody patches with JSON patches does not need

    _check(operations)
    patched: Any = document
    copied_bytes = 0
    for given in operations:
        try:
            operation = normal(given, patched)
            if operation is None:
                continue
            if operation["op"] == "copy":
                copied_bytes += len(orjson.dumps(jsonpatch.JsonPointer(operation["from"]).resolve(patched)))
            if copied_bytes > COPIED_BYTES_MAX:
                raise RequestEntityTooLarge(f"a JSON patch may copy {COPIED_BYTES_MAX} bytes, and no more")
            if operation["op"] == "move":
                value = jsonpatch.JsonPointer(operation["from"]).resolve(patched)
                away = {"op": "remove", "path": operation["from"]}
                patched = jsonpatch.JsonPatch([away]).apply(patched, in_place=True)
                operation = {"op": "add", "path": indexed(operation["path"], patched, grows=True), "value": value}
            patched = jsonpatch.JsonPatch([operation]).apply(patched, in_place=True)
        except Unfit as unfit:
            raise Invalid(f"{REJECTED}: {unfit}") from None
        except jsonpatch.JsonPatchTestFailed:
            raise Invalid(f"{REJECTED}: testing value {given['path']} {TEST_FAILED}") from None
        except (jsonpatch.JsonPatchException, jsonpatch.JsonPointerException):
            raise Invalid(f"{REJECTED}: {_why(given, patched)}") from None
    if not isinstance(patched, dict):
        raise Invalid(f"{REJECTED}: the patched document is not an object")
    return patched


def _why(operation: dict[str, Any], document: Any) -> str:
    """Why an operation does not apply, in the words of Kubernetes' library (evanphx/json-patch): clients look for them.
    They never tell what is there instead, for the text may be logged."""
    op, path = operation.get("op"), str(operation.get("path"))
    if op in ("copy", "move") and not _leads_somewhere(document, str(operation.get("from"))):
        return f"{op} operation does not apply: doc is missing from path: {operation.get('from')}: missing value"
    parent, key = _parent(document, path)
    if isinstance(parent, list) and op in ("add", "remove"):
        return f"error in {op} for path: '{path}': Unable to access invalid index: {key}: invalid index referenced"
    if isinstance(parent, dict) and op == "remove":
        return f"error in remove for path: '{path}': Unable to remove nonexistent key: {key}: missing value"
    if isinstance(parent, dict | list) and op == "replace":
        return f"replace operation does not apply: doc is missing key: {path}: missing value"
    quoted = path if op == "replace" else f'"{path}"'
    return f"{op} operation does not apply: doc is missing path: {quoted}: missing value"


def _parent(document: Any, path: str) -> tuple[Any, str]:
    """What a path's last step is taken in, None where the path does not lead there; and that step."""
    *steps, last = [step.replace("~1", "/").replace("~0", "~") for step in path.split("/")]
    for step in steps[1:]:
        if isinstance(document, list):
            document = document[int(step)] if step.isdecimal() and int(step) < len(document) else None
        else:
            document = document.get(step) if isinstance(document, dict) else None
    return document, last


def _leads_somewhere(document: Any, path: str) -> bool:
    parent, key = _parent(document, path)
    if isinstance(parent, list):
        return key.isdecimal() and int(key) < len(parent)
    return isinstance(parent, dict) and key in parent


def _check(operations: Any) -> None:
    if not isinstance(operations, list) or not all(isinstance(operation, dict) for operation in operations):
        raise BadRequest("json: a JSON patch is a list of operations")
    if len(operations) > OPERATIONS_MAX:
        why = f"The allowed maximum operations in a JSON patch is {OPERATIONS_MAX}, got {len(operations)}"
        raise RequestEntityTooLarge(f"Request entity too large: {why}")
    for operation in operations:
        for key in ("path", "from"):
            if not isinstance(operation.get(key, ""), str):
                raise BadRequest(f"json: `{key}` of an operation is a string")
