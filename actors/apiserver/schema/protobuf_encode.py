"""Answers in `application/vnd.kubernetes.protobuf`, for clients that take nothing else: protobuf.py, the other way.

JSON is kept ready, so whoever takes that too is given that; this is made for each answer anew.
"""

from __future__ import annotations

import base64
import datetime
import struct
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import msgspec

from actors.apiserver.schema.protobuf import MAGIC, SCHEMA, Field, message_name, table
from protocols.objects import Object

_LIST_META = Field("metadata", "meta.v1.ListMeta", "", False, False)
_DOUBLE, _BYTES = 1, 2  # wire types
_NANOS = 1_000_000_000


def has_message(api_version: str, kind: str) -> bool:
    return _fields(api_version, kind) is not None


def encode(obj: Object) -> bytes:
    """An object, list or Status of which there is a message, with its envelope."""
    api_version, kind_name = obj.get("apiVersion", ""), obj["kind"]  # discovery of the core has no version
    fields = _fields(api_version, kind_name)
    assert fields is not None, (api_version, kind_name)
    kind = _text(1, api_version) + _text(2, kind_name)
    return b"".join((MAGIC, _chunk(1, kind), _chunk(2, _message(fields, obj)), _text(3, ""), _text(4, "")))


def watch_frame(type: str, obj: Object) -> bytes:
    """One event of a watch: its size in four bytes, and a WatchEvent around the object."""
    event = _text(1, type) + _chunk(2, _chunk(1, encode(obj)))
    return len(event).to_bytes(4, "big") + event


def _fields(api_version: str, kind: str) -> dict[int, Field] | None:
    name = message_name(api_version, kind)
    if name in table() or not name.endswith("List"):
        return table().get(name)
    item = name.removesuffix("List")
    return {1: _LIST_META, 2: Field("items", item, "[]", False, False)} if item in table() else None


def _message(fields: dict[int, Field], obj: Object) -> bytes:
    return b"".join(part for number, field in fields.items() for part in _written(number, field, obj))


def _written(number: int, field: Field, obj: Object) -> Iterator[bytes]:
    if field.inline:
        yield _chunk(number, _message(table()[field.type], obj))
        return
    value = obj.get(field.name)
    if value is None:
        return
    if field.shape == "[]":
        for item in value:
            yield _one(number, field.type, item)
    elif field.shape == "{}":
        for key, below in value.items():
            yield _chunk(number, _text(1, key) + _one(2, field.type, below))
    else:
        yield _one(number, field.type, value)


def _one(number: int, type: str, value: Any) -> bytes:
    write = _WRITERS.get(type)
    return write(number, value) if write is not None else _chunk(number, _message(table()[type], value))


def _varint(value: int) -> bytes:
    value &= 2**64 - 1
    written = bytearray()
    while value >= 0x80:
        written.append(value & 0x7F | 0x80)
        value >>= 7
    written.append(value)
    return bytes(written)


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(int(value))


def _chunk(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | _BYTES) + _varint(len(value)) + value


def _text(number: int, value: str) -> bytes:
    return _chunk(number, value.encode())


def _moment(number: int, value: str) -> bytes:
    since = datetime.datetime.fromisoformat(value) - _EPOCH
    micros = since // datetime.timedelta(microseconds=1)
    seconds, rest = divmod(micros, 1_000_000)
    return _chunk(number, _number(1, seconds) + _number(2, rest * (_NANOS // 1_000_000)))


def _int_or_string(number: int, value: int | str) -> bytes:
    if isinstance(value, str):
        return _chunk(number, _number(1, 1) + _number(2, 0) + _text(3, value))
    return _chunk(number, _number(1, 0) + _number(2, value) + _text(3, ""))


def _schemas(number: int, values: Iterable[Object]) -> bytes:
    return b"".join(_chunk(number, _message(table()[SCHEMA], value)) for value in values)


def _schema_or_array(number: int, value: Any) -> bytes:
    return _chunk(number, _schemas(1, [value]) if isinstance(value, dict) else _schemas(2, value))


def _schema_or_bool(number: int, value: Any) -> bytes:
    return _chunk(number, _number(1, True) + _schemas(2, [value]) if isinstance(value, dict) else _number(1, value))


def _schema_or_strings(number: int, value: Any) -> bytes:
    return _chunk(number, _schemas(1, [value]) if isinstance(value, dict) else _texts(2, value))


def _texts(number: int, values: Iterable[str]) -> bytes:
    return b"".join(_text(number, value) for value in values)


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_WRITERS: dict[str, Callable[[int, Any], bytes]] = {
    "string": _text,
    "bytes": lambda number, value: _chunk(number, base64.b64decode(value)),
    "int32": _number,
    "int64": _number,
    "bool": _number,
    "Time": _moment,
    "MicroTime": _moment,
    "IntOrString": _int_or_string,
    "Quantity": lambda number, value: _chunk(number, _text(1, str(value))),
    "Json": lambda number, value: _chunk(number, _chunk(1, msgspec.json.encode(value))),
    "Strings": lambda number, value: _chunk(number, _texts(1, value)),
    "double": lambda number, value: _varint(number << 3 | _DOUBLE) + struct.pack("<d", value),
    "SchemaOrArray": _schema_or_array,
    "SchemaOrBool": _schema_or_bool,
    "SchemaOrStrings": _schema_or_strings,
}
