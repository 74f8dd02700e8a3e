"""Operations of a JSON patch as Kubernetes' library (evanphx/json-patch, version 4) takes them, made such as RFC 6902
has them: it takes indexes from the end and what is written like a number, replaces what is not there, and knows a value
that is not given as null.
"""

from __future__ import annotations

import re
from typing import Any

_OPERATIONS = ("add", "remove", "replace", "move", "copy", "test")
_NUMBER = re.compile(r"[+-]?[0-9]{1,18}")


class Unfit(Exception):
    """No operation that could apply to anything."""


def normal(operation: dict[str, Any], document: Any) -> dict[str, Any] | None:
    """The operation for this document; None where it passes without doing anything. The path of a move is left as it
    is: it is one of the document without what is moved. Raises Unfit."""
    op, path = operation.get("op"), operation.get("path")
    if op not in _OPERATIONS:
        raise Unfit(f"Unexpected kind: {op or 'unknown'}")
    if path is None or (path == "" and op != "replace"):
        raise Unfit(f'{op} operation does not apply: doc is missing path: "": missing value')
    found = {**operation, "path": path if op == "move" else indexed(path, document, grows=op in ("add", "copy"))}
    if op in ("move", "copy"):
        if not operation.get("from"):
            raise Unfit(f"{op} operation does not apply: doc is missing from path: : missing value")
        found["from"] = indexed(operation["from"], document)
    elif op != "remove":
        found["value"] = operation.get("value")
        if path.startswith("/") and is_missing(document, found["path"]):
            if op == "test" and found["value"] is None:
                return None
            found["op"] = "add" if op == "replace" else op
    return found


def indexed(path: str, document: Any, *, grows: bool = False) -> str:
    """The path with every index as a plain number. `grows`: at the last step one comes in, so that -1 is behind all
    others. Raises Unfit."""
    first, *steps = path.split("/")
    for place, step in enumerate(steps):
        if isinstance(document, list):
            behind = grows and place == len(steps) - 1
            if step == "-" and not behind:  # there is nothing yet
                raise Unfit(f"error for path: '{path}': Unable to access invalid index: -: invalid index referenced")
            if _NUMBER.fullmatch(step) is None:
                return path
            index = int(step)
            steps[place] = str(index if index >= 0 else index + len(document) + behind)
            document = document[index] if -len(document) <= index < len(document) else None
        else:
            document = document.get(_unescaped(step)) if isinstance(document, dict) else None
    return "/".join([first, *steps])


def is_missing(document: Any, path: str) -> bool:
    """Whether the last step of the path, as `indexed` has it, leads to a key that an object does not have."""
    *steps, last = map(_unescaped, path.split("/")[1:])
    for step in steps:
        if isinstance(document, list):
            document = document[int(step)] if step.isdecimal() and int(step) < len(document) else None
        else:
            document = document.get(step) if isinstance(document, dict) else None
    return isinstance(document, dict) and last not in document


def _unescaped(step: str) -> str:
    return step.replace("~1", "/").replace("~0", "~")
