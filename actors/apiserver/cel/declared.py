"""The types that a structural schema declares, as CEL sees them: messages for the checker, and what values become.

A JSON string whose format is date-time, date or duration is a timestamp or a duration in CEL, one of format byte is
bytes, an integer where the schema says number is a double. A field whose name CEL cannot spell is escaped:
`x-prop` is `self.x__dash__prop`. (Kubernetes: x-kubernetes-validations in the documentation of custom resources.)
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Callable
from typing import Any

from google.protobuf import descriptor_pb2, descriptor_pool, duration_pb2, timestamp_pb2

from actorkube.cel.engine import DYN, new_pool
from actors.apiserver.custom.structural import Node

Field = descriptor_pb2.FieldDescriptorProto
Present = Callable[[Any], Any]

_PACKAGE = "schema"
_VALUE = ".google.protobuf.Value"
_SCALARS = {"boolean": Field.TYPE_BOOL, "integer": Field.TYPE_INT64, "number": Field.TYPE_DOUBLE}
_RESERVED = frozenset(
    {
        "true",
        "false",
        "null",
        "in",
        "as",
        "break",
        "const",
        "continue",
        "else",
        "for",
        "function",
        "if",
        "import",
        "let",
        "loop",
        "package",
        "namespace",
        "return",
        "var",
        "void",
        "while",
    }
)
_KEYWORDS = {"true", "false", "null", "in"}  # which nothing else can be
_ESCAPES = (("__", "__underscores__"), (".", "__dot__"), ("-", "__dash__"), ("/", "__slash__"))
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_DURATION = re.compile(r"(\d+(?:\.\d*)?|\.\d+)(ns|us|µs|μs|ms|s|m|h)")
_UNITS_NS = {
    "ns": 1,
    "us": 10**3,
    "µs": 10**3,
    "μs": 10**3,
    "ms": 10**6,
    "s": 10**9,
    "m": 60 * 10**9,
    "h": 3600 * 10**9,
}
_METADATA = Node({"type": "object", "properties": {"name": {"type": "string"}, "generateName": {"type": "string"}}})
_TEXT = Node({"type": "string"})


class Declared:
    """The messages of one schema; `type_of` gives the type of any of its nodes."""

    def __init__(self, root: Node) -> None:
        self._file = descriptor_pb2.FileDescriptorProto(name="schema.proto", package=_PACKAGE, syntax="proto2")
        self._file.dependency.append("google/protobuf/struct.proto")
        self._file.dependency.append("google/protobuf/timestamp.proto")
        self._file.dependency.append("google/protobuf/duration.proto")
        self._messages: dict[Node, str] = {}
        self._root = root
        self._message(root)
        self._declare_all(root)
        self.pool: descriptor_pool.DescriptorPool = new_pool()
        self.pool.Add(self._file)

    def type_of(self, node: Node) -> str:
        """As engine.as_type() reads it."""
        if node in self._messages:
            return f"{_PACKAGE}.{self._messages[node]}"
        if node.int_or_string or not node.type:
            return DYN
        match node.type:
            case "array":
                return f"list({self.type_of(node.items) if node.items is not None else DYN})"
            case "object":
                return f"map(string, {self.type_of(node.rest) if isinstance(node.rest, Node) else DYN})"
            case "string":
                return _FORMATS.get(node.schema.get("format") or "", ("string", 0, ""))[0]
        return {"boolean": "bool", "integer": "int", "number": "double"}[node.type]

    def _declare_all(self, node: Node) -> None:
        for below in (*node.properties.values(), node.items, node.rest):
            if isinstance(below, Node):
                self._declare_all(below)
        if node.type == "object" and not isinstance(node.rest, Node) and node.rest is not True:
            self._message(node)

    def _message(self, node: Node) -> str:
        if node in self._messages:
            return self._messages[node]
        name = self._messages[node] = f"Object{len(self._messages)}"
        message = descriptor_pb2.DescriptorProto(name=name)
        fields = [(spelt, below) for name, below in fields_of(node, node is self._root) for spelt in spellings(name)]
        for number, (field, below) in enumerate(fields, 1):
            self._field(message, number, field, below)
        self._file.message_type.append(message)
        return name

    def _field(self, message: descriptor_pb2.DescriptorProto, number: int, escaped: str, node: Node) -> None:
        if not _NAME.fullmatch(escaped):
            return  # CEL has no way to write it
        # Names that JSON would take for the same (a_b, aB) may stand side by side: nobody writes these as JSON.
        field = message.field.add(name=escaped, number=number, label=Field.LABEL_OPTIONAL, json_name=f"f{number}")
        if node.type == "array" and node.items is not None and self._fits(node.items):
            field.label = Field.LABEL_REPEATED
            self._scalar(field, node.items)
        elif node.type == "array":
            field.type, field.type_name = Field.TYPE_MESSAGE, ".google.protobuf.ListValue"
        elif (
            self._is_map(node)
            and isinstance(node.rest, Node)
            and self._fits(node.rest)
            and self._is_new(message, escaped)
        ):
            entry = message.nested_type.add(name=_entry_name(escaped))
            entry.options.map_entry = True
            entry.field.add(name="key", number=1, label=Field.LABEL_OPTIONAL, type=Field.TYPE_STRING)
            self._scalar(entry.field.add(name="value", number=2, label=Field.LABEL_OPTIONAL), node.rest)
            field.label, field.type = Field.LABEL_REPEATED, Field.TYPE_MESSAGE
            field.type_name = f".{_PACKAGE}.{message.name}.{entry.name}"
        else:
            self._scalar(field, node)

    def _scalar(self, field: Field, node: Node) -> None:
        if node.int_or_string or not node.type or node.type == "array" or self._is_map(node):
            field.type, field.type_name = Field.TYPE_MESSAGE, _VALUE
        elif node.type == "object":
            field.type, field.type_name = Field.TYPE_MESSAGE, f".{_PACKAGE}.{self._message(node)}"
        elif node.type == "string":
            _, kind, type_name = _FORMATS.get(node.schema.get("format") or "", ("string", Field.TYPE_STRING, ""))
            field.type = kind
            if type_name:
                field.type_name = type_name
        else:
            field.type = _SCALARS[node.type]

    def _fits(self, node: Node) -> bool:
        """Whether it can be an element: messages have no lists of lists, and no maps of maps."""
        return node.type != "array" and not self._is_map(node)

    def _is_new(self, message: descriptor_pb2.DescriptorProto, field: str) -> bool:
        return all(each.name != _entry_name(field) for each in message.nested_type)

    def _is_map(self, node: Node) -> bool:
        return node.type == "object" and node.rest is not None


_FORMATS: dict[str, tuple[str, Any, str]] = {
    "byte": ("bytes", Field.TYPE_BYTES, ""),
    "date": ("timestamp", Field.TYPE_MESSAGE, ".google.protobuf.Timestamp"),
    "date-time": ("timestamp", Field.TYPE_MESSAGE, ".google.protobuf.Timestamp"),
    "duration": ("duration", Field.TYPE_MESSAGE, ".google.protobuf.Duration"),
}


def _entry_name(field: str) -> str:
    """As protoc names the entry of a map; any other name is refused."""
    return "".join(part[:1].upper() + part[1:] for part in field.split("_")) + "Entry"


def fields_of(node: Node, root: bool) -> list[tuple[str, Node]]:
    """What an expression may name below an object: a resource's own fields too, of its metadata only the names."""
    fields = dict(node.properties)
    if root or node.embedded:
        fields |= {"apiVersion": _TEXT, "kind": _TEXT, "metadata": _METADATA}
    return list(fields.items())


def spellings(name: str) -> tuple[str, ...]:
    """How an expression may name a field: some of CEL's reserved words are understood behind a dot, too."""
    return (escape(name), name) if name in _RESERVED - _KEYWORDS else (escape(name),)


def escape(name: str) -> str:
    if name in _RESERVED:
        return f"__{name}__"
    for plain, escaped in _ESCAPES:
        name = name.replace(plain, escaped)
    return name


def presenter(node: Node, root: bool = False) -> Present | None:
    """What turns a JSON value into what CEL shall see; None where it is the same."""
    if node.type == "array" and node.items is not None:
        return _of_list(presenter(node.items))
    if node.type == "object" and isinstance(node.rest, Node):
        return _of_map(presenter(node.rest))
    if node.type == "object":
        return _of_object({name: (spellings(name), presenter(below)) for name, below in fields_of(node, root)})
    if node.type == "number":
        return lambda value: float(value) if isinstance(value, int) and not isinstance(value, bool) else value
    return _CONVERSIONS.get(node.schema.get("format") or "") if node.type == "string" else None


def _of_list(below: Present | None) -> Present | None:
    if below is None:
        return None
    return lambda value: [below(each) for each in value] if isinstance(value, list) else value


def _of_map(below: Present | None) -> Present | None:
    if below is None:
        return None
    return lambda value: {key: below(each) for key, each in value.items()} if isinstance(value, dict) else value


def _of_object(fields: dict[str, tuple[tuple[str, ...], Present | None]]) -> Present | None:
    changing = {name: how for name, how in fields.items() if how != ((name,), None)}
    if not changing:
        return None

    def present(value: Any) -> Any:
        if not isinstance(value, dict):
            return value
        shown: dict[str, Any] = {}
        for name, each in value.items():
            spelt, below = changing.get(name, ((name,), None))
            shown |= dict.fromkeys(spelt, below(each) if below is not None else each)
        return shown

    return present


def _timestamp(value: Any) -> Any:
    made = timestamp_pb2.Timestamp()
    try:
        made.FromJsonString(value if "T" in value or "t" in value else f"{value}T00:00:00Z")
    except (ValueError, TypeError):
        return value
    return made


def _duration(value: Any) -> Any:
    sign, text = (-1, value[1:]) if isinstance(value, str) and value.startswith("-") else (1, value)
    if not isinstance(text, str) or not text or _DURATION.sub("", text):
        return value
    made = duration_pb2.Duration()
    made.FromNanoseconds(sign * sum(int(float(count) * _UNITS_NS[unit]) for count, unit in _DURATION.findall(text)))
    return made


def _bytes(value: Any) -> Any:
    try:
        return base64.b64decode(value, validate=True)
    except (binascii.Error, ValueError, TypeError):
        return value


_CONVERSIONS: dict[str, Present] = {
    "byte": _bytes,
    "date": _timestamp,
    "date-time": _timestamp,
    "duration": _duration,
}
