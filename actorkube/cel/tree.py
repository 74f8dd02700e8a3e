"""The checked tree of an expression (cel.expr.CheckedExpr), as cel-cpp hands it out.

Only the fields that costs are counted by are declared; the names and numbers are those of cel-spec's proto files.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from google.protobuf import any_pb2, descriptor_pb2, descriptor_pool, message_factory

Tree = Any  # a message cel.expr.CheckedExpr: `expr`, `type_map`, `reference_map`
Expr = Any  # a message cel.expr.Expr
Type = Any  # a message cel.expr.Type

SCALARS = frozenset({1, 2, 3, 4})  # Type.PrimitiveType: bool, int64, uint64, double
STRING, BYTES = 5, 6
_PACKAGE = "cel.expr"

# A field reads `number name type`: `*` for repeated, `~` for a map by int64; a capital begins the name of a message.
_MESSAGES = {
    "Ident": "1 name string",
    "Select": "1 operand Expr, 2 field string, 3 test_only bool",
    "Call": "1 target Expr, 2 function string, 3 args *Expr",
    "CreateList": "1 elements *Expr",
    "Entry": "2 field_key string, 3 map_key Expr, 4 value Expr",
    "CreateStruct": "1 message_name string, 2 entries *Entry",
    "Comprehension": "1 iter_var string, 2 iter_range Expr, 3 accu_var string, 4 accu_init Expr, "
    "5 loop_condition Expr, 6 loop_step Expr, 7 result Expr, 8 iter_var2 string",
    "Constant": "2 bool_value bool, 3 int64_value int64, 6 string_value string, 7 bytes_value bytes",
    "Expr": "2 id int64, 3 const_expr Constant, 4 ident_expr Ident, 5 select_expr Select, 6 call_expr Call, "
    "7 list_expr CreateList, 8 struct_expr CreateStruct, 9 comprehension_expr Comprehension",
    "ListType": "1 elem_type Type",
    "MapType": "1 key_type Type, 2 value_type Type",
    "Type": "2 null int32, 3 primitive int32, 4 wrapper int32, 5 well_known int32, 6 list_type ListType, "
    "7 map_type MapType, 9 message_type string, 10 type_param string",
    "Reference": "1 name string, 3 overload_id *string",
    "SourceInfo": "4 positions ~int32",
    "CheckedExpr": "2 reference_map ~Reference, 3 type_map ~Type, 4 expr Expr, 5 source_info SourceInfo",
}
_PRIMITIVES = {1: "bool", 2: "int", 3: "uint", 4: "double", 5: "string", 6: "bytes"}
_WELL_KNOWN = {2: "google.protobuf.Timestamp", 3: "google.protobuf.Duration"}
_ONE_OF = {"Constant", "Expr", "Type"}  # a message of which one field but the id is set
_KINDS = {"string": 9, "bool": 8, "int64": 3, "int32": 5, "bytes": 12}


def parse(serialized: bytes) -> Tree:
    """What `Expression.serialize()` gave."""
    wrapped = any_pb2.Any()
    wrapped.ParseFromString(serialized)
    tree = _checked_expr()()
    tree.ParseFromString(wrapped.value)
    return tree


def kind_of(expr: Expr) -> str:
    """`const_expr`, `ident_expr`, `call_expr`, ..."""
    return expr.WhichOneof("kind") or ""


def parts(expr: Expr) -> Iterator[Expr]:
    """What an expression is made of, in the order in which it is written."""
    match kind_of(expr):
        case "select_expr":
            yield expr.select_expr.operand
        case "call_expr":
            if expr.call_expr.HasField("target"):
                yield expr.call_expr.target
            yield from expr.call_expr.args
        case "list_expr":
            yield from expr.list_expr.elements
        case "struct_expr":
            for entry in expr.struct_expr.entries:
                yield from (part for part in (entry.map_key, entry.value) if kind_of(part))
        case "comprehension_expr":
            loop = expr.comprehension_expr
            yield from (loop.iter_range, loop.accu_init, loop.loop_condition, loop.loop_step, loop.result)


def name_of_type(tree: Tree, expr: Expr) -> str:
    """As CEL writes it: `int`, `list(string)`, `dyn`."""
    return _named(tree.type_map[expr.id]) if expr.id in tree.type_map else "dyn"


def _named(type: Type) -> str:
    match type.WhichOneof("kind"):
        case "primitive":
            return _PRIMITIVES.get(type.primitive, "dyn")
        case "well_known":
            return _WELL_KNOWN.get(type.well_known, "any")
        case "list_type":
            return f"list({_named(type.list_type.elem_type)})"
        case "map_type":
            return f"map({_named(type.map_type.key_type)}, {_named(type.map_type.value_type)})"
        case "message_type":
            return str(type.message_type)
        case "null":
            return "null"
    return "dyn"


def is_bind(expr: Expr) -> bool:
    """Whether a comprehension is what the macro cel.bind() becomes: no loop, a value with a name."""
    loop = expr.comprehension_expr
    empty = kind_of(loop.iter_range) == "list_expr" and not loop.iter_range.list_expr.elements
    condition = loop.loop_condition
    never = kind_of(condition) == "const_expr" and condition.const_expr.WhichOneof("kind") == "bool_value"
    return empty and never and not condition.const_expr.bool_value and not is_accumulator(loop.accu_var)


def is_accumulator(name: str) -> bool:
    return name in ("__result__", "@result")


@cache
def _checked_expr() -> Any:
    file = descriptor_pb2.FileDescriptorProto(name="tree.proto", package=_PACKAGE, syntax="proto3")
    for name, fields in _MESSAGES.items():
        message = file.message_type.add(name=name)
        if name in _ONE_OF:
            message.oneof_decl.add(name="kind")
        for field in fields.split(", "):
            _declare(message, *field.split(), alternative=name in _ONE_OF)
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{_PACKAGE}.CheckedExpr"))


def _declare(message: Any, number: str, name: str, written: str, *, alternative: bool) -> None:
    field = message.field.add(name=name, number=int(number), label=3 if written[0] in "*~" else 1)
    type = written.lstrip("*~")
    if written.startswith("~"):
        entry = message.nested_type.add(name="".join(part.capitalize() for part in name.split("_")) + "Entry")
        entry.options.map_entry = True
        entry.field.add(name="key", number=1, label=1, type=3)
        value = entry.field.add(name="value", number=2, label=1, type=_KINDS.get(type, 11))
        if type not in _KINDS:
            value.type_name = f".{_PACKAGE}.{type}"
        field.type, field.type_name = 11, f".{_PACKAGE}.{message.name}.{entry.name}"
    elif type in _KINDS:
        field.type = _KINDS[type]
    else:
        field.type, field.type_name = 11, f".{_PACKAGE}.{type}"
    if alternative and name != "id":
        field.oneof_index = 0
