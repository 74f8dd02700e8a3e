"""What is written out in an expression and can never be right, found before it is evaluated, as cel-go's validators do.

Durations, timestamps and patterns that are none, lists and maps whose parts are of different types, and formats that do
not fit what they are given.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import NamedTuple

from actorkube.cel.patterns import GO_DURATION, BadPattern, compiled
from actorkube.cel.tree import Expr, Tree, kind_of, name_of_type, parts

_TIMESTAMP = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?(Z|[+-]\d\d:\d\d)")
_TEXT_BYTES_MAX = 256
_ANY = ("dyn", "")
_CLAUSE = re.compile(r"%(%|(?:\.(?P<precision>[^a-zA-Z%]*))?(?P<verb>[a-zA-Z])?)")
_INTEGERS = ("int", "uint")
# The types that a clause takes, and what is said of any other.
_CLAUSES: dict[str, tuple[tuple[str, ...], str]] = {
    "d": (_INTEGERS, "decimal clause can only be used on integers"),
    "f": (("double", "string"), "fixed-point clause can only be used on doubles"),
    "e": (("double", "string"), "scientific clause can only be used on doubles"),
    "b": ((*_INTEGERS, "bool"), "only integers and bools can be formatted as binary"),
    "o": (_INTEGERS, "octal clause can only be used on integers"),
    "x": ((*_INTEGERS, "string", "bytes"), "only integers, byte buffers, and strings can be formatted as hex"),
    "s": ((), ""),
}
_CLAUSES["X"] = _CLAUSES["x"]


class Problem(NamedTuple):
    offset: int  # in letters of the expression
    words: str


def problems(tree: Tree, *, mixed: bool = False) -> list[Problem]:
    """`mixed`: parts of lists and maps may be of different types."""
    return sorted(_below(tree, tree.expr, mixed, formatted=False))


def _below(tree: Tree, expr: Expr, mixed: bool, *, formatted: bool) -> Iterator[Problem]:
    """`formatted`: it is the list that a format is given, whose parts may be of any types."""
    if kind_of(expr) == "call_expr":
        yield from _call(tree, expr)
    elif kind_of(expr) == "list_expr" and not (mixed or formatted):
        yield from _alike(tree, list(expr.list_expr.elements))
    elif kind_of(expr) == "struct_expr" and not (mixed or expr.struct_expr.message_name):
        entries = expr.struct_expr.entries
        yield from _alike(tree, [entry.map_key for entry in entries])
        yield from _alike(tree, [entry.value for entry in entries])
    is_format = kind_of(expr) == "call_expr" and expr.call_expr.function == "format"
    for part in parts(expr):
        yield from _below(tree, part, mixed, formatted=is_format)


def _call(tree: Tree, expr: Expr) -> Iterator[Problem]:
    call = expr.call_expr
    if call.function == "format" and len(call.args) == 1 and _text(call.target) is not None:
        yield from _format(tree, expr, str(_text(call.target)))
    if len(call.args) != 1:
        return
    said = _text(call.args[0])
    if said is None:
        return
    wrong = {"duration": _is_no_duration, "timestamp": _is_no_timestamp, "matches": _is_no_pattern}.get(call.function)
    if wrong is not None and wrong(said):
        yield _at(tree, call.args[0], f"invalid {call.function} argument")


def _alike(tree: Tree, elements: list[Expr]) -> Iterator[Problem]:
    types = [name_of_type(tree, each) for each in elements]
    for each, type in zip(elements, types, strict=True):
        if type != types[0]:
            yield _at(tree, each, f"expected type '{types[0]}' but found '{type}'")
            return


def _format(tree: Tree, expr: Expr, text: str) -> Iterator[Problem]:
    call = expr.call_expr
    if kind_of(call.args[0]) != "list_expr":
        return
    given, used = list(call.args[0].list_expr.elements), 0
    for clause in _CLAUSE.finditer(text):
        if clause[1] == "%":
            continue
        problem = _clause_problem(clause)
        if problem:
            yield _at(tree, expr, problem)
            return
        if used >= len(given):
            yield _at(tree, expr, f"index {used} out of range")
            return
        types, words = _CLAUSES[clause["verb"]]
        type = name_of_type(tree, given[used])
        if types and type not in types and type not in _ANY:
            yield _at(tree, given[used], f"error during formatting: {words}, was given {type}")
            return
        used += 1
    if used < len(given):
        many = f"too many arguments supplied to string.format (expected {used}, got {len(given)})"
        yield _at(tree, expr, many)


def _clause_problem(clause: re.Match[str]) -> str:
    verb, precision = clause["verb"], clause["precision"]
    if precision is not None and not precision.isdigit():
        parsing = f'strconv.Atoi: parsing "{precision}": invalid syntax'
        return (
            "could not parse formatting clause: error while parsing precision: "
            f"error while converting precision to integer: {parsing}"
        )
    if verb is None:
        return "unexpected end of string"
    return "" if verb in _CLAUSES else f'could not parse formatting clause: unrecognized formatting clause "{verb}"'


def _at(tree: Tree, expr: Expr, words: str) -> Problem:
    return Problem(tree.source_info.positions[expr.id], words)


def _text(expr: Expr) -> str | None:
    is_text = kind_of(expr) == "const_expr" and expr.const_expr.WhichOneof("kind") == "string_value"
    return expr.const_expr.string_value if is_text else None


def _is_no_duration(text: str) -> bool:
    return compiled(rf"\A(?:{GO_DURATION})\z").search(text) is None


def _is_no_timestamp(text: str) -> bool:
    return len(text) > _TEXT_BYTES_MAX or _TIMESTAMP.fullmatch(text) is None


def _is_no_pattern(text: str) -> bool:
    try:
        compiled(text)
    except BadPattern:
        return True
    return False
