"""Request bodies in `application/vnd.kubernetes.protobuf`, decoded into the plain objects that JSON would have given.

kubectl from 1.32 on, controller-runtime and typed client-go send these. A body is `k8s\\0` and an envelope that names
apiVersion and kind; the object's message follows from those. Which number is which field says protobuf_fields.txt, and
also where JSON differs from the message: embedded structs, and zeros that Go writes on the wire but leaves out of JSON.
"""

from __future__ import annotations

import base64
import datetime
import math
import struct
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

import msgspec

CONTENT_TYPE = "application/vnd.kubernetes.protobuf"

MAGIC = b"k8s\x00"
_META_KINDS = frozenset({"APIGroup", "APIGroupList", "APIResourceList", "APIVersions", "DeleteOptions", "Status"})
SCHEMA = "apiextensions.v1.JSONSchemaProps"
_VARINT, _FIXED64, _BYTES, _FIXED32 = 0, 1, 2, 5
_FIXED_SIZES = {_FIXED64: 8, _FIXED32: 4}

_Wire = int | bytes


class Malformed(ValueError):
    """The bytes are not what they claim to be, or of a kind that is not served; the message says what and where."""


class Field(NamedTuple):
    """One row of the table."""

    name: str
    type: str  # a scalar, a built-in, or a message with its package
    shape: str  # "" one, "[]" list, "{}" map with string keys
    keep: bool  # a zero means something
    inline: bool  # its fields belong to the parent's JSON object


def decode(body: bytes) -> dict[str, Any]:
    """The object in a body, `apiVersion` and `kind` included. Raises Malformed."""
    if not body.startswith(MAGIC):
        raise Malformed("provided data does not appear to be a protobuf message, expected prefix [107 56 115 0]")
    envelope = {number: value for number, _, value in _fields(body[len(MAGIC) :]) if isinstance(value, bytes)}
    header = {number: _string(value) for number, _, value in _fields(envelope.get(1, b""))}
    api_version, kind = header.get(1, ""), header.get(2, "")
    fields = table().get(message_name(api_version, kind))
    if fields is None:
        raise Malformed(f'no kind "{kind}" is registered for version "{api_version}"')
    if envelope.get(3):
        raise Malformed(f"content encoding {envelope[3]!r} of a protobuf body is not supported")
    try:
        return {"apiVersion": api_version, "kind": kind, **_object(envelope.get(2, b""), fields)}
    except RecursionError:
        raise Malformed("exceeded max recursion depth") from None


@cache
def table() -> dict[str, dict[int, Field]]:
    """Every message by its name with its package ("core.v1.Pod"), its fields by number."""
    text = (Path(__file__).parent / "protobuf_fields.txt").read_text()
    lines = (line.split(" ") for line in text.splitlines() if line and not line.startswith("#"))
    return {name: dict(_row(name, cell) for cell in cells) for name, *cells in lines}


def _row(message: str, cell: str) -> tuple[int, Field]:
    name, _, rest = cell.partition("=")
    number, _, type_ = rest.removesuffix("!").partition(":")
    shape = type_[:2] if type_[:1] in ("[", "{") else ""
    type_ = type_.removeprefix(shape) or "string"
    if type_ not in _CONVERTERS and type_.count(".") == 0:
        type_ = f"{message.rpartition('.')[0]}.{type_}"
    return int(number), Field(name.removeprefix("~"), type_, shape, rest.endswith("!"), name.startswith("~"))


def plain_fields(definition: str) -> Iterator[Field]:
    """The fields of the JSON object that a definition of the schemas describes ("io.k8s.api.core.v1.Pod")."""
    yield from _plain(".".join(definition.split(".")[-3:]))


def _plain(message: str) -> Iterator[Field]:
    for field in table().get(message, {}).values():
        if field.inline:
            yield from _plain(field.type)
        else:
            yield field


def message_name(api_version: str, kind: str) -> str:
    """Packages are called after the first word of the group; these are one message in every group."""
    if kind in _META_KINDS:
        return f"meta.v1.{kind}"
    group, _, version = api_version.rpartition("/")
    return f"{group.partition('.')[0] or 'core'}.{version}.{kind}"


def _object(data: bytes, fields: dict[int, Field]) -> dict[str, Any]:
    obj: dict[str, Any] = {}
    for number, wire, value in _fields(data):
        field = fields.get(number)
        if field is None:
            continue  # of a newer version: dropped, as Kubernetes does
        if field.shape == "[]":
            obj.setdefault(field.name, []).extend(_items(value, wire, field))
        elif field.shape == "{}":
            key, entry = _entry(value, field)
            obj.setdefault(field.name, {})[key] = entry
        elif field.inline:
            obj.update(_value(value, field))
        else:
            converted = _value(value, field)
            if converted or (field.keep and converted is not None):
                obj[field.name] = converted
    return obj


def _value(value: _Wire, field: Field) -> Any:
    """One value; None for a time that is not set."""
    convert = _CONVERTERS.get(field.type)
    try:
        if convert is not None:
            return convert(value)
        return _object(_bytes(value), table()[field.type])
    except (msgspec.DecodeError, OverflowError) as error:
        raise Malformed(f"field {field.name}: {error}") from error


def _items(value: _Wire, wire: int, field: Field) -> list[Any]:
    """One element of a list, or several where numbers are packed."""
    if wire == _BYTES and field.type in _NUMBERS:
        return [_value(number, field) for number in _packed(_bytes(value))]
    return [_value(value, field)]


def _entry(value: _Wire, field: Field) -> tuple[str, Any]:
    parts = {number: part for number, _, part in _fields(_bytes(value))}
    return _string(parts.get(1, b"")), _value(parts.get(2, b""), field)


def _fields(data: bytes) -> Iterator[tuple[int, int, _Wire]]:
    """The (number, wire type, value) of each field of a message."""
    at, end = 0, len(data)
    while at < end:
        tag, at = _varint(data, at)
        wire = tag & 7
        if wire == _VARINT:
            value, at = _varint(data, at)
            yield tag >> 3, wire, value
            continue
        if wire == _BYTES:
            size, at = _varint(data, at)
        elif wire in _FIXED_SIZES:
            size = _FIXED_SIZES[wire]
        else:
            raise Malformed(f"proto: illegal wireType {wire}")
        if at + size > end:
            raise Malformed("unexpected EOF")
        yield tag >> 3, wire, data[at : at + size]
        at += size


def _varint(data: bytes, at: int) -> tuple[int, int]:
    """The number at a place, and the place behind it."""
    value = shift = 0
    while at < len(data):
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value & (2**64 - 1), at
        shift += 7
        if shift > 63:
            raise Malformed("proto: integer overflow")
    raise Malformed("unexpected EOF")


def _packed(data: bytes) -> Iterator[int]:
    at = 0
    while at < len(data):
        value, at = _varint(data, at)
        yield value


def _bytes(value: _Wire) -> bytes:
    if isinstance(value, bytes):
        return value
    raise Malformed("proto: wrong wireType: a number where bytes belong")


def _string(value: _Wire) -> str:
    try:
        return _bytes(value).decode()
    except UnicodeDecodeError as error:
        raise Malformed("proto: string field contains invalid UTF-8") from error


def _number(value: _Wire) -> int:
    """A varint is two's complement in 64 bits; an absent one, in a map, is 0."""
    if value == b"":
        return 0
    if not isinstance(value, int):
        raise Malformed("proto: wrong wireType: bytes where a number belongs")
    return value - 2**64 if value >= 2**63 else value


def _numbers(value: _Wire) -> tuple[int, int]:
    """Seconds and nanoseconds: the first two fields."""
    parts = {number: part for number, _, part in _fields(_bytes(value))}
    return _number(parts.get(1, 0)), _number(parts.get(2, 0))


def _moment(value: _Wire, format_: str) -> str | None:
    seconds, nanos = _numbers(value)
    if not seconds and not nanos:
        return None
    return (_EPOCH + datetime.timedelta(seconds=seconds, microseconds=nanos // 1000)).strftime(format_)


def _int_or_string(value: _Wire) -> int | str:
    parts = {number: part for number, _, part in _fields(_bytes(value))}
    return _string(parts.get(3, b"")) if parts.get(1) else _number(parts.get(2, 0))


def _quantity(value: _Wire) -> str:
    return next((_string(part) for number, _, part in _fields(_bytes(value)) if number == 1), "") or "0"


def _json(value: _Wire) -> Any:
    raw = next((_bytes(part) for number, _, part in _fields(_bytes(value)) if number == 1), b"")
    return msgspec.json.decode(raw) if raw else None


def _strings(value: _Wire, number: int = 1) -> list[str]:
    return [_string(part) for at, _, part in _fields(_bytes(value)) if at == number]


def _double(value: _Wire) -> int | float:
    """Eight bytes; whole numbers look like such in JSON."""
    raw = _bytes(value)
    if len(raw) != _FIXED_SIZES[_FIXED64]:
        raise Malformed("proto: wrong wireType: no double")
    number: float = struct.unpack("<d", raw)[0]
    if not math.isfinite(number):
        raise Malformed(f"json: unsupported value: {number}")
    return int(number) if number.is_integer() and abs(number) < 1e21 else number


def _schemas(value: _Wire, number: int) -> list[dict[str, Any]]:
    fields = table()[SCHEMA]
    return [_object(_bytes(part), fields) for at, _, part in _fields(_bytes(value)) if at == number]


def _schema_or_array(value: _Wire) -> dict[str, Any] | list[dict[str, Any]]:
    several, one = _schemas(value, 2), _schemas(value, 1)
    return several or (one[-1] if one else {})


def _schema_or_bool(value: _Wire) -> dict[str, Any] | bool:
    one = _schemas(value, 2)
    return one[-1] if one else any(part == 1 for number, _, part in _fields(_bytes(value)) if number == 1)


def _schema_or_strings(value: _Wire) -> dict[str, Any] | list[str]:
    several, one = _strings(value, 2), _schemas(value, 1)
    return several or (one[-1] if one else [])


_EPOCH = datetime.datetime(1970, 1, 1, tzinfo=datetime.UTC)
_NUMBERS = frozenset({"int32", "int64", "bool"})
_CONVERTERS: dict[str, Callable[[_Wire], Any]] = {
    "string": _string,
    "bytes": lambda value: base64.b64encode(_bytes(value)).decode(),
    "int32": _number,
    "int64": _number,
    "bool": lambda value: bool(_number(value)),
    "Time": lambda value: _moment(value, "%Y-%m-%dT%H:%M:%SZ"),
    "MicroTime": lambda value: _moment(value, "%Y-%m-%dT%H:%M:%S.%fZ"),
    "IntOrString": _int_or_string,
    "Quantity": _quantity,
    "Json": _json,
    "Strings": _strings,
    "double": _double,
    "SchemaOrArray": _schema_or_array,
    "SchemaOrBool": _schema_or_bool,
    "SchemaOrStrings": _schema_or_strings,
}
