"""The functions that Kubernetes adds to CEL: what each is called with, and which Python function computes it.

A value of a type that CEL does not have (a quantity, a URL, an address, a version) is a map with an entry whose key
says what it is: functions are the only way to look into it. To the checker these types are messages without fields, but
for one (`authorizer.requestResource`).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from itertools import permutations
from typing import Any, NamedTuple

from cel_expr_python import cel
from google.protobuf import descriptor_pb2

from actorkube.cel import addresses, images, list_types, lists, quantities, texts, urls

Table = Mapping[str, Callable[..., Any]]  # a function's signature, and what computes it

_Field = descriptor_pb2.FieldDescriptorProto
_PACKAGE = "kubernetes"
_OPAQUE = (
    *("Quantity", "URL", "IP", "CIDR", "Semver", "Format", "Image"),
    *("Authorizer", "PathCheck", "GroupCheck", "ResourceCheck", "Decision"),
)
_COMPARISONS = {"_<_": "less", "_<=_": "less_equals", "_>_": "greater", "_>=_": "greater_equals"}
_FIELDS = {"Authorizer": ("requestResource", "ResourceCheck")}


class Function(NamedTuple):
    """`member`: it is called on its first parameter. Types are CEL's own, or one of `_OPAQUE`."""

    name: str
    member: bool
    result: str
    parameters: tuple[str, ...]
    compute: Callable[..., Any]


def _rows(tables: Iterable[Table]) -> Iterator[Function]:
    for table in tables:
        for signature, compute in table.items():
            yield _parsed(signature, compute)


BASE: tuple[Table, ...] = (
    lists.FUNCTIONS,
    list_types.FUNCTIONS,
    texts.FUNCTIONS,
    urls.FUNCTIONS,
    quantities.FUNCTIONS,
    addresses.FUNCTIONS,
    images.FUNCTIONS,
)


def _parsed(signature: str, compute: Callable[..., Any]) -> Function:
    """`Quantity.add(Quantity) -> Quantity`, `url(string) -> URL`, `sets.contains(list, list) -> bool`."""
    call, _, result = signature.partition(" -> ")
    path, _, arguments = call.removesuffix(")").partition("(")
    parameters = tuple(each.strip() for each in arguments.split(",") if each.strip())
    owner, dot, name = path.rpartition(".")
    if dot and (owner in _OPAQUE or owner in ("list", "string")):
        return Function(name, True, result, (owner, *parameters), compute)
    return Function(path, False, result, parameters, compute)


def extension(tables: Iterable[Table], *, typed: bool) -> Any:
    """For the checker each overload has its own types; what is evaluated tells them apart by their values."""
    by_name: dict[str, list[Function]] = {}
    for row in _rows(tables):
        by_name.setdefault(row.name, []).append(row)
    declared = [
        cel.FunctionDecl(name, list(_typed(name, rows) if typed else _untyped(name, rows)))
        for name, rows in by_name.items()
    ]
    return cel.CelExtension(_PACKAGE, declared)


def comparisons() -> Any:
    """Numbers of different types are compared by their values, as Kubernetes enables it. Whatever evaluates can do
    that; only the checker must be told, and in an environment of its own: to declare a function is to implement it.
    """
    numbers = {"int64": cel.Type.INT, "uint64": cel.Type.UINT, "double": cel.Type.DOUBLE}
    declared = [
        cel.FunctionDecl(
            operator,
            [
                cel.Overload(f"{name}_{left}_{right}", cel.Type.BOOL, [numbers[left], numbers[right]])
                for left, right in permutations(numbers, 2)
            ],
        )
        for operator, name in _COMPARISONS.items()
    ]
    return cel.CelExtension(f"{_PACKAGE}.comparisons", declared)


def opaque_types() -> descriptor_pb2.FileDescriptorProto:
    file = descriptor_pb2.FileDescriptorProto(name="kubernetes.proto", package=_PACKAGE, syntax="proto3")
    for name in _OPAQUE:
        message = file.message_type.add(name=name)
        if name in _FIELDS:
            field, type = _FIELDS[name]
            kind, below = _Field.TYPE_MESSAGE, f".{_PACKAGE}.{type}"
            message.field.add(name=field, number=1, label=_Field.LABEL_OPTIONAL, type=kind, type_name=below)
    return file


def _typed(name: str, rows: Sequence[Function]) -> Iterator[Any]:
    for index, row in enumerate(rows):
        parameters = [_type(each) for each in row.parameters]
        yield cel.Overload(f"{name}_{index}", _type(row.result), parameters, row.member, _plainly(row.compute))


def _untyped(name: str, rows: Sequence[Function]) -> Iterator[Any]:
    """One overload for each shape: functions of one shape look at their first argument to know which one is meant."""
    shapes: dict[tuple[bool, tuple[str, ...]], list[Function]] = {}
    for row in rows:
        kinds = tuple(
            each if row.member and index == 0 and each in ("list", "string") else "dyn"
            for index, each in enumerate(row.parameters)
        )
        shapes.setdefault((row.member, kinds), []).append(row)
    for index, ((member, kinds), same) in enumerate(shapes.items()):
        parameters = [_type(kind) for kind in kinds]
        yield cel.Overload(f"{name}_{index}", cel.Type.DYN, parameters, member, _plainly(_choice(name, same)))


def _choice(name: str, rows: Sequence[Function]) -> Callable[..., Any]:
    if len(rows) == 1:
        return rows[0].compute
    by_owner = {row.parameters[0]: row.compute for row in rows}

    def call(first: Any, *rest: Any) -> Any:
        owner = next((key for key in first if key in by_owner), None) if isinstance(first, dict) else None
        if owner is None:
            raise ValueError(f"no such overload: {name}")
        return by_owner[owner](first, *rest)

    return call


def _plainly(compute: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any) -> Any:
        try:
            return compute(*(_plain(each) for each in arguments))
        except (AttributeError, KeyError):  # of a value of another type, which the checker could not know
            raise ValueError("no such overload") from None

    return call


def _plain(value: Any) -> Any:
    if isinstance(value, cel.Value):
        return value.plain_value()
    if isinstance(value, list):
        return [_plain(each) for each in value]
    return value


def _type(name: str) -> Any:
    if name in _OPAQUE:
        return cel.Type(f"{_PACKAGE}.{name}")
    if name == "list":
        return cel.Type.List(cel.Type.DYN)
    if name == "map":
        return cel.Type.Map(cel.Type.DYN, cel.Type.DYN)
    if name.startswith("list("):
        return cel.Type.List(_type(name[5:-1]))
    if name.startswith("optional("):
        return cel.Type.AbstractType("optional_type", [_type(name[9:-1])])
    return {
        "bool": cel.Type.BOOL,
        "double": cel.Type.DOUBLE,
        "dyn": cel.Type.DYN,
        "int": cel.Type.INT,
        "string": cel.Type.STRING,
    }[name]
