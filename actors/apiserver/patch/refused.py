"""What is said of a patch that makes of an object what is none: kube-apiserver's words, by which people search."""

from __future__ import annotations

from typing import Any

import orjson

from actors.apiserver.rules.field import invalid_value, refusal
from protocols.api import PatchType
from protocols.errors import Invalid
from protocols.objects import Object


def refused(type: PatchType, patch: Any, patched: Object, problem: str) -> Invalid:
    """Of a strategic patch it shows the patch, of others what came of them. It does not say of which object."""
    shown = printed(patch) if type == "strategic" else orjson.dumps(patched, option=orjson.OPT_SORT_KEYS).decode()
    return refusal("", "", "", "", [invalid_value("patch", shown, problem)])


def printed(value: Any) -> str:
    """As Go prints it: `map[spec:map[replicas:2]]`."""
    match value:
        case dict():
            return f"map[{' '.join(f'{key}:{printed(value[key])}' for key in sorted(value))}]"
        case list():
            return f"[{' '.join(map(printed, value))}]"
        case None:
            return "<nil>"
        case bool():
            return "true" if value else "false"
    return str(value)
