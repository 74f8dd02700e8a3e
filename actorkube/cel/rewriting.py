"""What cel-cpp's binding for Python cannot do by itself, written anew in the tree of an expression before it runs.

A function of ours cannot give an optional value: it gives a list of one value or none, of which `[?0]` is taken. The
step of the macros that make maps (`transformMap`) is there for the checker only: a function of ours takes its place.
What compares and adds lists that are sets or maps is a function of ours, too (provenance.py).
"""

from __future__ import annotations

from collections.abc import Iterator

from google.protobuf import any_pb2

from actorkube.cel.provenance import Shapes, may_depend, tell_operators
from actorkube.cel.tree import Expr, Tree, kind_of, parse, parts

OPTIONALS = frozenset({"validate", "format.named"})
MAP_INSERT, _OF_THE_MACRO = "kubernetes.mapInsert", "cel.@mapInsert"
_TYPE_URL = "type.googleapis.com/cel.expr.CheckedExpr"


def needs_rewriting(text: str, shapes: Shapes) -> bool:
    """Whether there could be something to write anew in a text."""
    return any(name in text for name in ("transformMap", *OPTIONALS)) or may_depend(text, shapes)


def rewritten(serialized: bytes, shapes: Shapes) -> bytes | None:
    """The tree to evaluate in the place of this one; None where it can stay as it is."""
    tree = parse(serialized)
    changed = tell_operators(tree, shapes, max(expr.id for expr in _all(tree.expr)))
    ours = [expr for expr in _calls(tree.expr) if expr.call_expr.function in (*OPTIONALS, _OF_THE_MACRO)]
    if not ours and not changed:
        return None
    free = max(expr.id for expr in _all(tree.expr)) + 1
    for expr in ours:
        if expr.call_expr.function == _OF_THE_MACRO:
            expr.call_expr.function = MAP_INSERT
            _refer(tree, expr.id, f"{MAP_INSERT}_{len(expr.call_expr.args)}")
        else:
            free = _first_of(tree, expr, free)
    return any_pb2.Any(type_url=_TYPE_URL, value=tree.SerializeToString()).SerializeToString()


def _first_of(tree: Tree, expr: Expr, free: int) -> int:
    """`call` becomes `call[?0]`."""
    inner = type(expr)()
    inner.CopyFrom(expr)
    inner.id = free
    tree.reference_map[free].CopyFrom(tree.reference_map[expr.id])
    expr.Clear()
    expr.id = free + 1
    expr.call_expr.function = "_[?_]"
    expr.call_expr.args.append(inner)
    zero = expr.call_expr.args.add(id=free + 2)
    zero.const_expr.int64_value = 0
    _refer(tree, free + 1, "list_optindex_optional_int")
    return free + 3


def _refer(tree: Tree, id: int, overload: str) -> None:
    del tree.reference_map[id].overload_id[:]
    tree.reference_map[id].overload_id.append(overload)


def _calls(expr: Expr) -> Iterator[Expr]:
    return (each for each in _all(expr) if kind_of(each) == "call_expr")


def _all(expr: Expr) -> Iterator[Expr]:
    """What is inside comes first."""
    for below in parts(expr):
        yield from _all(below)
    yield expr
