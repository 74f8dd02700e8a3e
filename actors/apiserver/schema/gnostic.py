"""An OpenAPI v2 document in gnostic's protobuf form, which kubectl up to 1.28 asks for and nothing else.

The form follows the JSON closely: a message per JSON object, but maps are lists of (name, value) pairs, some values
stand in wrapper messages, and vendor extensions (`x-...`) travel as YAML text. The table says which key is which
field; only what our documents contain is in it.
"""

from __future__ import annotations

import struct
from typing import Any, NamedTuple

import orjson


class Row(NamedTuple):
    """How one JSON key is written."""

    number: int
    type: str  # "string", "bool", "yaml", or a message of the table
    wrappers: tuple[int, ...] = ()  # field numbers of the messages around the value, outermost first
    named: bool = False  # a JSON object of such values: each becomes a (name, value) pair in the innermost wrapper


_MESSAGES: dict[str, dict[str, Row]] = {
    "Document": {
        "swagger": Row(1, "string"),
        "info": Row(2, "Info"),
        "paths": Row(8, "PathItem", (2,), named=True),
        "definitions": Row(9, "Schema", (1,), named=True),
        "parameters": Row(10, "Parameter", (1,), named=True),
        "security": Row(12, "SecurityRequirement"),
        "securityDefinitions": Row(13, "ApiKey", (1,), named=True),
    },
    "SecurityRequirement": {"BearerToken": Row(1, "scopes")},
    "ApiKey": {
        "type": Row(1, "string"),
        "name": Row(2, "string"),
        "in": Row(3, "string"),
        "description": Row(4, "string"),
    },
    "Info": {"title": Row(1, "string"), "version": Row(2, "string")},
    "PathItem": {
        "get": Row(2, "Operation"),
        "put": Row(3, "Operation"),
        "post": Row(4, "Operation"),
        "delete": Row(5, "Operation"),
        "options": Row(6, "Operation"),
        "head": Row(7, "Operation"),
        "patch": Row(8, "Operation"),
        "parameters": Row(9, "ParametersItem"),
    },
    "Operation": {
        "tags": Row(1, "string"),
        "summary": Row(2, "string"),
        "description": Row(3, "string"),
        "operationId": Row(5, "string"),
        "produces": Row(6, "string"),
        "consumes": Row(7, "string"),
        "parameters": Row(8, "ParametersItem"),
        "responses": Row(9, "Response", (1,), named=True),
        "schemes": Row(10, "string"),
        "deprecated": Row(11, "bool"),
        "x-": Row(13, "yaml"),
    },
    "BodyParameter": {
        "name": Row(2, "string"),
        "in": Row(3, "string"),
        "required": Row(4, "bool"),
        "schema": Row(5, "Schema"),
    },
    "QueryParameter": {
        "required": Row(1, "bool"),
        "in": Row(2, "string"),
        "description": Row(3, "string"),
        "name": Row(4, "string"),
        "type": Row(6, "string"),
        "uniqueItems": Row(20, "bool"),
    },
    "PathParameter": {
        "required": Row(1, "bool"),
        "in": Row(2, "string"),
        "description": Row(3, "string"),
        "name": Row(4, "string"),
        "type": Row(5, "string"),
        "uniqueItems": Row(19, "bool"),
    },
    "Response": {"description": Row(1, "string"), "schema": Row(2, "Schema", (1,))},
    "ExternalDocs": {"description": Row(1, "string"), "url": Row(2, "string")},
    "JsonReference": {"$ref": Row(1, "string")},
    "Schema": {
        "$ref": Row(1, "string"),
        "format": Row(2, "string"),
        "title": Row(3, "string"),
        "description": Row(4, "string"),
        "default": Row(5, "yaml"),
        "multipleOf": Row(6, "double"),
        "maximum": Row(7, "double"),
        "exclusiveMaximum": Row(8, "bool"),
        "minimum": Row(9, "double"),
        "exclusiveMinimum": Row(10, "bool"),
        "maxLength": Row(11, "integer"),
        "minLength": Row(12, "integer"),
        "pattern": Row(13, "string"),
        "maxItems": Row(14, "integer"),
        "minItems": Row(15, "integer"),
        "uniqueItems": Row(16, "bool"),
        "maxProperties": Row(17, "integer"),
        "minProperties": Row(18, "integer"),
        "required": Row(19, "string"),
        "enum": Row(20, "values"),
        "additionalProperties": Row(21, "Schema", (1,)),
        "type": Row(22, "string", (1,)),
        "items": Row(23, "Schema", (1,)),
        "allOf": Row(24, "Schema"),
        "properties": Row(25, "Schema", (1,), named=True),
        "readOnly": Row(27, "bool"),
        "externalDocs": Row(29, "ExternalDocs"),
        "example": Row(30, "yaml"),
        "x-": Row(31, "yaml"),
    },
}
# A parameter or response is one of several messages; these wrappers say which: `in` -> (message, wrappers).
_PARAMETERS: dict[str, tuple[str, tuple[int, ...]]] = {
    "body": ("BodyParameter", (1,)),
    "query": ("QueryParameter", (2, 3)),
    "path": ("PathParameter", (2, 4)),
}
_RESPONSE_WRAPPERS = (1,)


def encode(document: dict[str, Any]) -> bytes:
    """The document as openapi.v2.Document. KeyError for a key that the table does not know."""
    return _message(document, "Document")


def _message(obj: dict[str, Any], type_: str) -> bytes:
    rows = _MESSAGES[type_]
    parts = []
    for key, value in obj.items():
        if key.startswith("x-"):
            row = rows["x-"]
            parts.append(_bytes(row.number, _bytes(1, key.encode()) + _bytes(2, _value(value, row.type))))
        else:
            parts.append(_field(value, rows[key]))
    return b"".join(parts)


def _field(value: Any, row: Row) -> bytes:
    if row.named:
        pairs = (_bytes(1, name.encode()) + _bytes(2, _value(below, row.type)) for name, below in value.items())
        return _bytes(row.number, b"".join(_bytes(row.wrappers[-1], pair) for pair in pairs))
    if row.type == "scopes":  # of a security scheme: there are none
        return _bytes(row.number, _bytes(1, b"BearerToken") + _bytes(2, b""))
    if isinstance(value, list) and row.type != "yaml":
        return b"".join(_field(item, row) for item in value)
    if isinstance(value, bool) and row.type == "Schema":  # of other properties: whether there may be any
        return _bytes(row.number, _varint(2 << 3) + _varint(int(value)))
    if row.type in ("bool", "integer"):
        return _varint(row.number << 3) + _varint(int(value))
    if row.type == "double":
        return _varint(row.number << 3 | 1) + struct.pack("<d", value)
    return _bytes(row.number, _wrap(_value(value, row.type), row.wrappers))


def _value(value: Any, type_: str) -> bytes:
    if type_ == "string":
        return str(value).encode()
    if type_ in ("yaml", "values"):
        return _bytes(2, orjson.dumps(value))  # JSON is YAML
    if type_ == "ParametersItem":
        if "$ref" in value:
            return _bytes(2, _message(value, "JsonReference"))
        return _bytes(1, _value(value, "Parameter"))
    if type_ == "ApiKey":
        return _bytes(2, _message(value, "ApiKey"))
    if type_ == "Parameter":
        message, wrappers = _PARAMETERS[value["in"]]
        return _wrap(_message(value, message), wrappers)
    if type_ == "Response":
        return _wrap(_message(value, type_), _RESPONSE_WRAPPERS)
    return _message(value, type_)


def _wrap(value: bytes, numbers: tuple[int, ...]) -> bytes:
    for number in reversed(numbers):
        value = _bytes(number, value)
    return value


def _bytes(number: int, value: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(value)) + value


def _varint(value: int) -> bytes:
    if value < 0x80:
        return bytes((value,))
    encoded = bytearray()
    while value >= 0x80:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
