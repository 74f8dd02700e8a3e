"""Where the value of each part of an expression comes from, by the schema: `==`, `!=`, `in` and `+` depend on it.

Kubernetes gives a list its type with its value. Values are plain here, so the shape of what an operator works on is
found in the tree: it follows fields, items, the variables of loops, optional values and conditions. What an operator's
left side is decides, as in cel-go; of a condition whose sides differ, the one that is declared. Optional values are
compared as CEL does, what is taken out of them by its shape.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import NamedTuple

from actorkube.cel.list_types import DIFFERS, EQUALS, HOLDS, SUM, Shape
from actorkube.cel.tree import Expr, Tree, kind_of

Shapes = Mapping[str, Shape]
_OPERATORS = {"_==_": EQUALS, "_!=_": DIFFERS}
# What gives back what it is given, as far as lists are concerned.
_SAME = frozenset({"dyn", "or"})
_WRAPS, _UNWRAPS = frozenset({"optional.of", "optional.ofNonZeroValue"}), frozenset({"value", "orValue"})
_SIGNS = ("==", "!=", "+", " in ")


def may_depend(text: str, shapes: Shapes) -> bool:
    """Whether there could be such an operator in a text."""
    return bool(shapes) and any(sign in text for sign in _SIGNS)


def tell_operators(tree: Tree, shapes: Shapes, free: int) -> bool:
    """Puts functions in the place of operators that work on sets and maps. `free`: no id of the tree is larger."""
    walk = _Walk(tree, shapes, free)
    walk.shape(tree.expr)
    return walk.changed


class Maybe(NamedTuple):
    """The shape of what is in an optional value."""

    shape: Shape


Found = Shape | Maybe | None


class _Walk:
    def __init__(self, tree: Tree, shapes: Shapes, free: int) -> None:
        self._tree = tree
        self._free = free
        self._known: dict[str, Found] = dict(shapes)
        self.changed = False

    def shape(self, expr: Expr) -> Found:
        """Of what an expression gives; what is inside it has been changed then."""
        match kind_of(expr):
            case "ident_expr":
                return self._known.get(expr.ident_expr.name)
            case "select_expr":
                operand = self.shape(expr.select_expr.operand)
                return None if expr.select_expr.test_only else _field(operand, expr.select_expr.field)
            case "call_expr":
                return self._call(expr)
            case "list_expr":
                rest = _plain(_first(map(self.shape, expr.list_expr.elements)))
                return Shape(rest=rest) if rest is not None else None
            case "struct_expr":
                return self._struct(expr)
            case "comprehension_expr":
                return self._loop(expr)
        return None

    def _call(self, expr: Expr) -> Found:
        call = expr.call_expr
        parts = [call.target, *call.args] if call.HasField("target") else list(call.args)
        shapes = [self.shape(part) for part in parts]
        match call.function:
            case "_==_" | "_!=_" if isinstance(shapes[0], Shape):
                self._tell(expr, _OPERATORS[call.function], shapes[0])
            case "@in" if isinstance(shapes[1], Shape) and shapes[1].rest is not None:
                self._tell(expr, HOLDS, shapes[1].rest)
            case "_+_" if isinstance(shapes[0], Shape) and shapes[0].list_type:
                self._tell(expr, SUM, shapes[0])
                return shapes[0]
            case "_?_:_":
                return _first(shapes[1:])
            case "_[_]":
                return _field(shapes[0], _text(parts[1]))
            case "_[?_]" | "_?._":
                return _optional(_field(shapes[0], _text(parts[1])))
            case name if name in _WRAPS:
                return _optional(shapes[0])
            case name if name in _UNWRAPS:
                return _plain(_first(shapes))
            case name if name in _SAME or name == "_+_":
                return _first(shapes)
        return None

    def _struct(self, expr: Expr) -> Found:
        fields: dict[str, Shape] = {}
        for entry in expr.struct_expr.entries:
            shape = _plain(self.shape(entry.value))
            if shape is not None and kind_of(entry.map_key):
                fields[_text(entry.map_key)] = shape
        return Shape(fields=fields) if fields else None

    def _loop(self, expr: Expr) -> Found:
        loop = expr.comprehension_expr
        over, begun = _plain(self.shape(loop.iter_range)), self.shape(loop.accu_init)
        outside = dict(self._known)
        one, two = (loop.iter_var, loop.iter_var2) if loop.iter_var2 else ("", loop.iter_var)
        # A loop with one variable goes over a list's items, or a map's keys, which are texts.
        self._known |= {one: None, two: over.rest if over is not None else None, loop.accu_var: begun}
        self.shape(loop.loop_condition)
        step = self.shape(loop.loop_step)
        self._known = {**outside, loop.accu_var: _first((begun, step))}
        found = self.shape(loop.result)
        self._known = outside
        return found

    def _tell(self, expr: Expr, function: str, shape: Shape) -> None:
        self._free += 1
        expr.call_expr.function = function
        expr.call_expr.args.add(id=self._free).const_expr.string_value = shape.text
        del self._tree.reference_map[expr.id].overload_id[:]
        self._tree.reference_map[expr.id].overload_id.append(f"{function}_0")
        self.changed = True


def _field(of: Found, name: str) -> Found:
    shape = _plain(of)
    below = (shape.fields.get(name) or shape.rest) if shape is not None else None
    return _optional(below) if isinstance(of, Maybe) else below


def _plain(found: Found) -> Shape | None:
    return found.shape if isinstance(found, Maybe) else found


def _optional(found: Found) -> Found:
    return Maybe(found) if isinstance(found, Shape) else found


def _text(expr: Expr) -> str:
    return str(expr.const_expr.string_value) if kind_of(expr) == "const_expr" else ""


def _first(shapes: Iterable[Found]) -> Found:
    found = [shape for shape in shapes if shape is not None]
    return found[0] if found else None
