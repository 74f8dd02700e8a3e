"""A protobuf writer for the tests: slow, plain, and as untidy on the wire as Go and newer clients are."""

from __future__ import annotations

import base64
import datetime
import json
import random
import struct
from typing import Any

from actors.apiserver.schema.protobuf import Field, table

MAGIC = b"k8s\x00"
_SCHEMA = "apiextensions.v1.JSONSchemaProps"


def body(api_version: str, kind: str, message: bytes) -> bytes:
    header = text(1, api_version) + text(2, kind)
    return MAGIC + chunk(1, header) + chunk(2, message) + text(3, "") + text(4, "")


def varint(value: int) -> bytes:
    value &= 2**64 - 1
    groups = [value >> shift & 0x7F for shift in range(0, 70, 7)]
    while len(groups) > 1 and groups[-1] == 0:
        groups.pop()
    return bytes([group | 0x80 for group in groups[:-1]] + groups[-1:])


def number(field: int, value: int) -> bytes:
    return varint(field << 3) + varint(value)


def chunk(field: int, value: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(value)) + value


def text(field: int, value: str) -> bytes:
    return chunk(field, value.encode())


def write(name: str, obj: dict[str, Any], chance: random.Random) -> bytes:
    """The message of an object; its fields in any order, unset zeros written, unknown fields among them."""
    parts = [number(1000, 7), chunk(1001, b"new"), varint(1002 << 3 | 1) + bytes(8), varint(1003 << 3 | 5) + bytes(4)]
    for tag, field in table()[name].items():
        if field.inline:
            parts.append(chunk(tag, write(field.type, obj, chance)))
        elif field.name in obj:
            parts.append(_written(tag, field, obj[field.name], chance))
        elif not field.keep and not field.shape:
            parts.append(_zero(tag, field))
    chance.shuffle(parts)
    return b"".join(parts)


def _written(tag: int, field: Field, value: Any, chance: random.Random) -> bytes:
    if field.shape == "[]":
        return b"".join(_one(tag, field, item, chance) for item in value)
    if field.shape == "{}":
        entries = (text(1, key) + _one(2, field, below, chance) for key, below in value.items())
        return b"".join(chunk(tag, entry) for entry in entries)
    return _one(tag, field, value, chance)


def _one(tag: int, field: Field, value: Any, chance: random.Random) -> bytes:
    match field.type:
        case "string":
            return text(tag, value)
        case "int32" | "int64" | "bool":
            return number(tag, int(value))
        case "bytes":
            return chunk(tag, base64.b64decode(value))
        case "Time" | "MicroTime":
            moment = datetime.datetime.fromisoformat(value)
            return chunk(tag, number(1, int(moment.timestamp())) + number(2, moment.microsecond * 1000))
        case "Quantity":
            return chunk(tag, text(1, value))
        case "Json":
            return chunk(tag, text(1, json.dumps(value)))
        case "Strings":
            return chunk(tag, b"".join(text(1, item) for item in value))
        case "double":
            return varint(tag << 3 | 1) + struct.pack("<d", value)
        case "SchemaOrBool" if isinstance(value, bool):
            return chunk(tag, number(1, value))
        case "SchemaOrBool":
            return chunk(tag, number(1, 1) + chunk(2, write(_SCHEMA, value, chance)))
        case "SchemaOrArray" | "SchemaOrStrings" if isinstance(value, dict):
            return chunk(tag, chunk(1, write(_SCHEMA, value, chance)))
        case "SchemaOrArray":
            return chunk(tag, b"".join(chunk(2, write(_SCHEMA, item, chance)) for item in value))
        case "SchemaOrStrings":
            return chunk(tag, b"".join(text(2, item) for item in value))
        case "IntOrString":
            is_text = isinstance(value, str)
            return chunk(
                tag, number(1, is_text) + number(2, 0 if is_text else value) + text(3, value if is_text else "")
            )
    return chunk(tag, write(field.type, value, chance))


def _zero(tag: int, field: Field) -> bytes:
    match field.type:
        case "string" | "bytes":
            return chunk(tag, b"")
        case "int32" | "int64" | "bool":
            return number(tag, 0)
        case "IntOrString":
            return chunk(tag, number(1, 0) + number(2, 0) + text(3, ""))
        case "Quantity":
            return b""  # Go writes "0", which is not nothing
    return chunk(tag, b"")
