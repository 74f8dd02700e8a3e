"""A gnostic reader for the tests: openapi.v2.Document back to JSON, written from the published message definitions."""

from __future__ import annotations

import json
import struct
from typing import Any

# message -> field number -> (JSON key, reader); a reader is a scalar, a message, "Named <message>" or a wrapper.
_TABLE: dict[str, dict[int, tuple[str, str]]] = {
    "Document": {
        1: ("swagger", "string"), 2: ("info", "Info"), 8: ("paths", "Paths"), 9: ("definitions", "Definitions"),
        10: ("parameters", "ParameterDefinitions"), 12: ("security", "[]SecurityRequirement"),
        13: ("securityDefinitions", "SecurityDefinitions"),
    },
    "Info": {1: ("title", "string"), 2: ("version", "string")},
    "PathItem": {
        2: ("get", "Operation"), 3: ("put", "Operation"), 4: ("post", "Operation"), 5: ("delete", "Operation"),
        6: ("options", "Operation"), 7: ("head", "Operation"), 8: ("patch", "Operation"),
        9: ("parameters", "[]ParametersItem"),
    },
    "Operation": {
        1: ("tags", "[]string"), 3: ("description", "string"), 5: ("operationId", "string"),
        6: ("produces", "[]string"), 7: ("consumes", "[]string"), 8: ("parameters", "[]ParametersItem"),
        9: ("responses", "Responses"), 10: ("schemes", "[]string"), 11: ("deprecated", "bool"), 13: ("", "NamedAny"),
    },
    "BodyParameter": {2: ("name", "string"), 3: ("in", "string"), 4: ("required", "bool"), 5: ("schema", "Schema")},
    "QueryParameterSubSchema": {
        1: ("required", "bool"), 2: ("in", "string"), 3: ("description", "string"), 4: ("name", "string"),
        6: ("type", "string"), 20: ("uniqueItems", "bool"),
    },
    "PathParameterSubSchema": {
        1: ("required", "bool"), 2: ("in", "string"), 3: ("description", "string"), 4: ("name", "string"),
        5: ("type", "string"), 19: ("uniqueItems", "bool"),
    },
    "Response": {1: ("description", "string"), 2: ("schema", "SchemaItem")},
    "Schema": {
        1: ("$ref", "string"), 2: ("format", "string"), 4: ("description", "string"), 19: ("required", "[]string"),
        21: ("additionalProperties", "AdditionalPropertiesItem"), 22: ("type", "TypeItem"), 23: ("items", "ItemsItem"),
        25: ("properties", "Properties"), 31: ("", "NamedAny"), 3: ("title", "string"), 7: ("maximum", "double"),
        9: ("minimum", "double"), 11: ("maxLength", "int"), 12: ("minLength", "int"), 13: ("pattern", "string"),
        14: ("maxItems", "int"), 15: ("minItems", "int"), 20: ("enum", "[]Any"), 29: ("externalDocs", "ExternalDocs"),
        30: ("example", "Any"),
    },
    "JsonReference": {1: ("$ref", "string")},
    "ExternalDocs": {1: ("description", "string"), 2: ("url", "string")},
    "ApiKeySecurity": {
        1: ("type", "string"), 2: ("name", "string"), 3: ("in", "string"), 4: ("description", "string"),
    },
}  # fmt: skip
# Messages that hold one of several others, or one thing: field number -> reader.
_WRAPPERS: dict[str, dict[int, str]] = {
    "ParametersItem": {1: "Parameter", 2: "JsonReference"},
    "SecurityDefinitionsItem": {2: "ApiKeySecurity"},
    "Parameter": {1: "BodyParameter", 2: "NonBodyParameter"},
    "NonBodyParameter": {3: "QueryParameterSubSchema", 4: "PathParameterSubSchema"},
    "ResponseValue": {1: "Response"},
    "SchemaItem": {1: "Schema"},
    "AdditionalPropertiesItem": {1: "Schema"},
    "TypeItem": {1: "string"},
    "ItemsItem": {1: "Schema"},
}
# Maps as lists of pairs: the field number of the pairs, and what a pair's value is.
_MAPS = {
    "Paths": (2, "PathItem"), "Definitions": (1, "Schema"), "Properties": (1, "Schema"),
    "Responses": (1, "ResponseValue"), "ParameterDefinitions": (1, "Parameter"),
    "SecurityDefinitions": (1, "SecurityDefinitionsItem"), "SecurityRequirement": (1, "StringArray"),
}  # fmt: skip


_SCALARS = {"bool": bool, "int": int, "double": lambda value: struct.unpack("<d", value)[0]}


def read(data: bytes, message: str = "Document") -> Any:
    if message == "string":
        return data.decode()
    if message == "Any":
        return json.loads(dict(fields(data))[2])
    if message == "StringArray":
        return [value.decode() for _, value in fields(data)]
    if message in _WRAPPERS:
        [(number, value)] = fields(data)
        return read(value, _WRAPPERS[message][number])
    if message in _MAPS:
        number, reader = _MAPS[message]
        return dict(pair(value, reader) for found, value in fields(data) if same(found, number))
    obj: dict[str, Any] = {}
    for number, value in fields(data):
        key, reader = _TABLE[message][number]
        if reader == "NamedAny":
            name, extension = dict_of(value)
            obj[name] = json.loads(dict(fields(extension))[2])
        elif reader.startswith("[]"):
            obj.setdefault(key, []).append(read(value, reader[2:]))
        else:
            obj[key] = _SCALARS[reader](value) if reader in _SCALARS else read(value, reader)
    return obj


def same(found: int, number: int) -> bool:
    assert found == number, (found, number)
    return True


def dict_of(data: bytes) -> tuple[str, bytes]:
    parts = dict(fields(data))
    return parts[1].decode(), parts[2]


def pair(data: bytes, reader: str) -> tuple[str, Any]:
    name, value = dict_of(data)
    return name, read(value, reader)


def fields(data: bytes) -> list[tuple[int, Any]]:
    found, at = [], 0
    while at < len(data):
        tag, at = varint(data, at)
        size, at = (8, at) if tag & 7 == 1 else varint(data, at)
        found.append((tag >> 3, size if tag & 7 == 0 else data[at : at + size]))
        at += 0 if tag & 7 == 0 else size
    return found


def varint(data: bytes, at: int) -> tuple[int, int]:
    end = at
    while data[end] >= 0x80:
        end += 1
    return sum((byte & 0x7F) << 7 * place for place, byte in enumerate(data[at : end + 1])), end + 1
