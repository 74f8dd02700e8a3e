"""What a request for a connection asks for, as an object: PodExecOptions and its like, of core/v1.

Clients send the fields as a query; whoever admits sees the object, and what became of it is what is done. `path` is
what stands behind `/proxy` in the URL.
"""

from __future__ import annotations

from typing import Any

from multidict import MultiMapping

from protocols.errors import BadRequest, InternalError
from protocols.objects import Object

_STREAMS = {"stdin": bool, "stdout": bool, "stderr": bool, "tty": bool, "container": str}
_PROXY = {"path": str}
_PORT_MAX, _DIGITS_MAX = 65_535, 100
_FIELDS: dict[str, dict[str, Any]] = {
    "PodExecOptions": {**_STREAMS, "command": [str]},
    "PodAttachOptions": _STREAMS,
    "PodPortForwardOptions": {"ports": [int]},
    "PodProxyOptions": _PROXY,
    "ServiceProxyOptions": _PROXY,
    "NodeProxyOptions": _PROXY,
}


def options_of(kind: str, query: MultiMapping[str], path: str = "") -> Object:
    """Without what is empty, as Kubernetes writes them. Raises BadRequest."""
    found: Object = {"kind": kind, "apiVersion": "v1"}
    for name, type in _FIELDS[kind].items():
        value = path if name == "path" else _value(type, query.getall(name, []))
        if value or name == "command":
            found[name] = value or None
    return found


def accepted(kind: str, changed: Object) -> Object:
    """What admission has made of them, as far as it has a meaning. Raises InternalError."""
    found: Object = {"kind": kind, "apiVersion": "v1"}
    for name, type in _FIELDS[kind].items():
        value = changed.get(name)
        if value is None:
            continue
        if not _is_of(type, value):
            raise InternalError(f"Internal error occurred: admission has made no {kind}: {name} is {value!r}")
        found[name] = value
    return found


def ports_of(texts: list[str]) -> list[int]:
    """`ports=80,81` or `ports=80&ports=81`. Raises BadRequest."""
    parts = [part for text in texts for part in text.split(",")]
    for part in parts:
        is_number = part.isascii() and part.isdigit()
        if not is_number or len(part) > _DIGITS_MAX or int(part) > _PORT_MAX:
            why = "value out of range" if is_number else "invalid syntax"
            raise BadRequest(f'cannot convert to []int32: strconv.ParseUint: parsing "{part}": {why}')
    if "0" in {part.lstrip("0") or "0" for part in parts}:
        raise BadRequest(f"unable to parse ports: {','.join(parts)}")
    return [int(part) for part in parts]


def _value(type: Any, texts: list[str]) -> Any:
    if type == [int]:
        return ports_of(texts)
    if type == [str]:
        return texts
    if not texts:
        return type()
    # Go clients write true, Python ones True: only these two are false.
    return texts[0].lower() not in ("false", "0") if type is bool else texts[0]


def _is_of(type: Any, value: Any) -> bool:
    if isinstance(type, list):
        return isinstance(value, list) and all(_is_of(type[0], each) for each in value)
    return isinstance(value, type) and (type is bool or not isinstance(value, bool))
