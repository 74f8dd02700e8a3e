"""etcd's messages as JSON, as its gateway writes and reads them: proto3's rules, with the fields' own names.

Numbers of 64 bits are strings, bytes are base64, enums have names; what is not said is 0 or empty and is left out.
Numbers and names are both read, names also in camelCase, and what nobody knows is passed over.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

_ALARMS = ("NONE", "NOSPACE", "CORRUPT")
ENUMS = {
    ("mvccpb.Event", "type"): ("PUT", "DELETE"),
    ("authpb.Permission", "permType"): ("READ", "WRITE", "READWRITE"),
    ("etcdserverpb.RangeRequest", "sort_order"): ("NONE", "ASCEND", "DESCEND"),
    ("etcdserverpb.RangeRequest", "sort_target"): ("KEY", "VERSION", "CREATE", "MOD", "VALUE"),
    ("etcdserverpb.Compare", "result"): ("EQUAL", "GREATER", "LESS", "NOT_EQUAL"),
    ("etcdserverpb.Compare", "target"): ("VERSION", "CREATE", "MOD", "VALUE", "LEASE"),
    ("etcdserverpb.WatchCreateRequest", "filters"): ("NOPUT", "NODELETE"),
    ("etcdserverpb.AlarmRequest", "action"): ("GET", "ACTIVATE", "DEACTIVATE"),
    ("etcdserverpb.AlarmRequest", "alarm"): _ALARMS,
    ("etcdserverpb.AlarmMember", "alarm"): _ALARMS,
    ("etcdserverpb.DowngradeRequest", "action"): ("VALIDATE", "ENABLE", "CANCEL"),
}


def to_json(message: Any) -> dict[str, Any]:
    return {field.name: _said(field, value) for field, value in message.ListFields()}


def _said(field: Any, value: Any) -> Any:
    if _is_repeated(value):
        return [_one_said(field, one) for one in value]
    return _one_said(field, value)


def _one_said(field: Any, value: Any) -> Any:
    if field.message_type is not None:
        return to_json(value)
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    names = ENUMS.get((field.containing_type.full_name, field.name))
    if names is not None:
        return names[value] if 0 <= value < len(names) else value
    if field.cpp_type in (field.CPPTYPE_INT64, field.CPPTYPE_UINT64):
        return str(value)
    return value


def fill(message: Any, said: object) -> None:
    """Raises ValueError."""
    if not isinstance(said, dict):
        raise ValueError(f"{message.DESCRIPTOR.name}: an object is expected")
    fields = message.DESCRIPTOR.fields_by_name
    camel = message.DESCRIPTOR.fields_by_camelcase_name
    for name, value in said.items():
        field = fields.get(name) or camel.get(name)
        if field is None or value is None:
            continue
        try:
            _fill_field(message, field, value)
        except (ValueError, TypeError) as error:
            raise ValueError(f"{name}: {error}") from error


def _fill_field(message: Any, field: Any, value: object) -> None:
    there = getattr(message, field.name)
    if _is_repeated(there):
        if not isinstance(value, list):
            raise ValueError("a list is expected")
        for one in value:
            if field.message_type is not None:
                fill(there.add(), one)
            else:
                there.append(_read(field, one))
    elif field.message_type is not None:
        there.SetInParent()
        fill(there, value)
    else:
        setattr(message, field.name, _read(field, value))


def _read(field: Any, value: object) -> Any:
    if field.type == field.TYPE_BOOL:
        if not isinstance(value, bool):
            raise ValueError("true or false is expected")
        return value
    if field.type in (field.TYPE_BYTES, field.TYPE_STRING):
        if not isinstance(value, str):
            raise ValueError("a string is expected")
        return value if field.type == field.TYPE_STRING else _bytes(value)
    names = ENUMS.get((field.containing_type.full_name, field.name), ())
    if isinstance(value, str) and value in names:
        return names.index(value)
    if isinstance(value, bool) or not isinstance(value, int | str):
        raise ValueError("a number is expected")
    return int(value)  # of too many bits it is refused by the message


def _bytes(text: str) -> bytes:
    """Base64, of either alphabet, with or without what fills it up."""
    text = text.rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return base64.b64decode(text + "=" * (-len(text) % 4), validate=True)
    except binascii.Error as error:
        raise ValueError("illegal base64 data") from error


def _is_repeated(value: object) -> bool:
    return hasattr(value, "append")
