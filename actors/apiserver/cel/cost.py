"""What an expression can cost, before it is evaluated: Kubernetes' units, counted over its checked tree.

The count is cel-go's (checker/cost.go): a name, a field or a call costs 1, a list 10, a map 30, an object 40; a text
costs a tenth of each character that is looked at, a pattern a quarter of its own characters for each of these; a loop
costs its body times the size of what it goes over. How large values are is asked of `Sizes`. Of a range the upper end
is kept.

Two ends use it. When a definition is written, sizes are those that its schema allows (`estimated`), and what nothing is
known of is as large as can be. Before an evaluation they are those of the values (`bounded`): the count is never less
than what Kubernetes would count on the way, and what nothing is
known of is as large as the largest value before it. There, what is compared or handed to a function is counted with all
that is inside it, since that is what takes the time.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from actorkube.cel.tree import BYTES, SCALARS, STRING, Expr, Tree, Type, is_accumulator, is_bind, kind_of
from actors.apiserver.cel.function_costs import COSTS, FORMAT_COST, OWN, Call, Cost
from actors.apiserver.cel.sizes import Path, Sizes

UNKNOWN = 2**64 - 1  # and what overflows
TRAVERSAL, REGEX = 0.1, 0.25  # for each character of a text, of a pattern
_LIST, _MAP, _OBJECT = 10, 30, 40
_WELL_KNOWN_SCALARS = (2, 3)  # a timestamp, a duration
_ORDERS = frozenset(
    f"{name}_{type}" for name in ("less", "less_equals", "greater", "greater_equals") for type in ("string", "bytes")
)


def estimated(tree: Tree, sizes: Sizes) -> int:
    """The most that the expression costs for any value of these sizes."""
    return min(_Coster(tree, sizes).cost(tree.expr), UNKNOWN)


def bounded(tree: Tree, sizes: Sizes, weight: int) -> int:
    """The most that the expression costs for values of these sizes, which weigh `weight` together, with its result."""
    bound = _Bound(tree, sizes, weight)
    return min(bound.cost(tree.expr) + scaled(bound.looked_at(tree.expr), TRAVERSAL), UNKNOWN)


class _Local(NamedTuple):
    """A variable of a loop or of cel.bind()."""

    path: Path
    size: int | None
    entries: int | None  # the size of each item, or value, of what it names
    weight: int | None = None


class _Coster:
    def __init__(self, tree: Tree, sizes: Sizes) -> None:
        self._types = tree.type_map
        self._references = tree.reference_map
        self._given = sizes
        self._paths: dict[int, Path] = {}
        self._sizes: dict[int, int] = {}
        self._entries: dict[int, int] = {}  # sizes of what is in a list or map that the expression makes
        self._locals: dict[str, list[_Local]] = {}

    def cost(self, expr: Expr) -> int:
        match kind_of(expr):
            case "ident_expr":
                self._paths[expr.id] = self._path(expr)
                return 1
            case "select_expr":
                return self._select(expr)
            case "call_expr":
                return self._call(expr)
            case "list_expr":
                return self._list(expr)
            case "struct_expr":
                return self._struct(expr)
            case "comprehension_expr":
                return self._bind(expr) if is_bind(expr) else self._loop(expr)
        return 0

    # -- sizes ----------------------------------------------------------------------------------------------------

    def unknown(self) -> int:
        return UNKNOWN

    def size(self, expr: Expr) -> int:
        found = self.known_size(expr)
        return self.unknown() if found is None else found

    def known_size(self, expr: Expr) -> int | None:
        if expr.id in self._sizes:
            return self._sizes[expr.id]
        literal = _literal_size(expr)
        if literal is not None:
            return literal
        path = self._path(expr)
        given = self._given.of(path) if path and not is_accumulator(path[0]) else None
        if given is not None:
            return given
        if _is_scalar(self._types[expr.id]):
            return 1
        local = self._local(expr)
        return local.size if local is not None else None

    def element_size(self, expr: Expr) -> int | None:
        """The size of each item of a list, 0 where its items have none; None where it is no list."""
        type = self._types[expr.id]
        if type.WhichOneof("kind") != "list_type":
            return None
        element = type.list_type.elem_type
        if element.primitive not in (STRING, BYTES) and element.WhichOneof("kind") is not None:
            return 0
        path = self._path(expr)
        given = self._given.of((*path, "@items")) if path else self._entry_size(expr)
        return self.unknown() if given is None else given

    def looked_at(self, expr: Expr) -> int:
        """The size of what is gone through when a value is compared."""
        return self.size(expr)

    def below(self, path: Path, step: str) -> Path:
        """Of what has no path itself (`has(self.a) ? self.a : []`), a part has one of a single step: so it is in
        cel-go, where its size is then that of `self`, and definitions that many use are let in by that."""
        return (*path, step)

    def calls(self, call: Call, cost: Cost) -> Cost:
        return cost

    # -- parts ----------------------------------------------------------------------------------------------------

    def _select(self, expr: Expr) -> int:
        select = expr.select_expr
        cost = self.cost(select.operand)
        if select.test_only:
            return cost
        self._paths[expr.id] = self.below(self._path(select.operand), select.field)
        counted = self._types[select.operand.id].WhichOneof("kind") in ("map_type", "message_type", "type_param")
        return cost + counted

    def _list(self, expr: Expr) -> int:
        elements = expr.list_expr.elements
        cost = _LIST + sum(map(self.cost, elements))
        self._entries[expr.id] = max(map(self.size, elements), default=0)
        return cost

    def _struct(self, expr: Expr) -> int:
        struct = expr.struct_expr
        values = [entry.value for entry in struct.entries]
        cost = sum(map(self.cost, values))
        if struct.message_name:
            return cost + _OBJECT
        self._entries[expr.id] = max(map(self.size, values), default=0)
        return cost + _MAP + sum(self.cost(entry.map_key) for entry in struct.entries)

    def _bind(self, expr: Expr) -> int:
        loop = expr.comprehension_expr
        cost = self.cost(loop.iter_range) + self.cost(loop.accu_init)
        self._name(loop.accu_var, self._bound(loop.accu_init))
        cost += self.cost(loop.result)
        self._locals[loop.accu_var].pop()
        self._same(expr, loop.result)
        return cost

    def _loop(self, expr: Expr) -> int:
        loop = expr.comprehension_expr
        cost = self.cost(loop.iter_range) + self.cost(loop.accu_init)
        count = self.size(loop.iter_range)
        self._name(loop.accu_var, self._bound(loop.accu_init))
        steps = ("@keys", "@values") if loop.iter_var2 else ("@each",)
        variables = [name for name in (loop.iter_var, loop.iter_var2) if name]
        for name, step in zip(variables, steps, strict=True):
            self._name(name, self._item(loop.iter_range, step))
        each = self.cost(loop.loop_condition) + self.cost(loop.loop_step)
        for name in variables:
            self._locals[name].pop()
        cost += self.cost(loop.result) + count * each
        self._locals[loop.accu_var].pop()
        self._made(expr, count)
        return min(cost, UNKNOWN)

    def _made(self, expr: Expr, count: int) -> None:
        """A loop makes a list or map of as many items as it goes over, or a value of one size."""
        loop = expr.comprehension_expr
        if kind_of(loop.accu_init) == "const_expr":
            self._sizes[expr.id] = self.size(loop.accu_init)
        elif kind_of(loop.accu_init) in ("list_expr", "struct_expr"):
            self._sizes[expr.id] = count
            made = self._entries.get(loop.loop_step.id)
            if made is not None:
                self._entries[expr.id] = made

    def _call(self, expr: Expr) -> int:
        call = expr.call_expr
        target = call.target if call.HasField("target") else None
        costs = list(map(self.cost, call.args))
        if call.function == "_?_:_":
            costs = [costs[0], max(costs[1:])]
        cost = sum(costs) + (self.cost(target) if target is not None else 0)
        if call.function == "dyn":
            self._same(expr, call.args[0])
            return cost + 1
        found = [self._function(expr, target, each) for each in self._references[expr.id].overload_id]
        size = max((each.size for each in found if each.size is not None), default=None)
        if size is not None:
            self._sizes[expr.id] = size
        return min(cost + max((each.cost for each in found), default=0), UNKNOWN)

    def _function(self, expr: Expr, target: Expr | None, overload: str) -> Cost:
        call = Call(expr.call_expr.function, overload, target, expr.call_expr.args)
        count = COSTS.get(call.function)
        made = count(self, call) if count is not None else None
        return self.calls(call, made if made is not None else self._standard(expr, call))

    def _standard(self, expr: Expr, call: Call) -> Cost:
        args = call.args
        match call.overload:
            case "starts_with_string" | "ends_with_string":
                return Cost(scaled(self.size(args[0]), TRAVERSAL))
            case "in_list":
                return Cost(self.looked_at(args[1]))
            case "matches_string" | "matches":
                text, pattern = (call.target, args[0]) if call.target is not None else args[:2]
                return Cost(scaled(self.size(text) + 1, TRAVERSAL) * scaled(self.size(pattern), REGEX))
            case "contains_string" if call.target is not None:
                return Cost(scaled(self.size(call.target), TRAVERSAL) * scaled(self.size(args[0]), TRAVERSAL))
            case "logical_or" | "logical_and" | "not_strictly_false":
                return Cost(int(call.overload == "not_strictly_false"))
            case "conditional":
                self._entries_of_both(expr, args[1], args[2])
                return Cost(0, max(self.size(args[1]), self.size(args[2])))
            case "add_string" | "add_bytes" | "add_list":
                self._entries_of_both(expr, args[0], args[1])
                size = min(self.size(args[0]) + self.size(args[1]), UNKNOWN)
                return Cost(1 if call.overload == "add_list" else scaled(size, TRAVERSAL), size)
            case "equals" if all(self._types[each.id].message_type.startswith(OWN) for each in args):
                return Cost(FORMAT_COST if self._types[args[0].id].message_type == f"{OWN}Format" else 1)
            case "equals" | "not_equals":
                return Cost(scaled(min(self.looked_at(args[0]), self.looked_at(args[1])), TRAVERSAL))
            case "index_list" | "index_map":
                step = "@items" if call.overload == "index_list" else "@values"
                self._paths[expr.id] = self.below(self._path(args[0]), step)
                return Cost(1, self._entry_size(args[0]))
        if call.overload in _ORDERS:
            return Cost(scaled(min(self.size(args[0]), self.size(args[1])), TRAVERSAL))
        return Cost(1)

    # -- names ----------------------------------------------------------------------------------------------------

    def _name(self, name: str, local: _Local) -> None:
        self._locals.setdefault(name, []).append(local)

    def _local(self, expr: Expr) -> _Local | None:
        if kind_of(expr) != "ident_expr":
            return None
        known = self._locals.get(expr.ident_expr.name)
        return known[-1] if known else None

    def _bound(self, expr: Expr) -> _Local:
        return _Local(self._path(expr), self.known_size(expr), self._entry_size(expr))

    def _item(self, whole: Expr, step: str) -> _Local:
        return _Local(self.below(self._path(whole), step), self._entry_size(whole), None)

    def _path(self, expr: Expr) -> Path:
        if kind_of(expr) == "ident_expr":
            local = self._local(expr)
            return local.path if local is not None else (expr.ident_expr.name,)
        return self._paths.get(expr.id, ())

    def _entry_size(self, expr: Expr) -> int | None:
        local = self._local(expr)
        found = self._entries.get(expr.id)
        return found if found is not None or local is None else local.entries

    def _entries_of_both(self, expr: Expr, one: Expr, other: Expr) -> None:
        left, right = self._entry_size(one), self._entry_size(other)
        if left is not None and right is not None:
            self._entries[expr.id] = max(left, right)

    def _same(self, expr: Expr, source: Expr) -> None:
        """An expression whose value is another's."""
        size, entries = self.known_size(source), self._entry_size(source)
        if size is not None:
            self._sizes[expr.id] = size
        if entries is not None:
            self._entries[expr.id] = entries


class _Bound(_Coster):
    """Counts for values that are there: what is not known is no larger than what was there before it."""

    def __init__(self, tree: Tree, sizes: Sizes, weight: int) -> None:
        super().__init__(tree, sizes)
        self._largest = weight + 1
        self._weights: dict[int, int] = {}

    def cost(self, expr: Expr) -> int:
        cost = super().cost(expr)
        self._weights[expr.id] = weight = min(self._weight(expr), UNKNOWN)
        size = self.known_size(expr)
        self._largest = max(self._largest, weight, size if size is not None else 0)
        return min(cost, UNKNOWN)

    def unknown(self) -> int:
        return self._largest

    def element_size(self, expr: Expr) -> int | None:
        if self._types[expr.id].WhichOneof("kind") is None:
            return self._largest  # a list, perhaps
        return super().element_size(expr)

    def looked_at(self, expr: Expr) -> int:
        return self._weights.get(expr.id, self._largest)

    def below(self, path: Path, step: str) -> Path:
        return (*path, step) if path else ()

    def calls(self, call: Call, cost: Cost) -> Cost:
        """A function goes through all that it gets, and so does who hands it over."""
        if call.overload.partition("_")[0] in _FREE:
            return cost
        handed = [each for each in (call.target, *call.args) if each is not None]
        return Cost(cost.cost + scaled(sum(map(self.looked_at, handed)), TRAVERSAL), cost.size)

    def _weight(self, expr: Expr) -> int:
        """The weight of what a part of the expression makes."""
        match kind_of(expr):
            case "const_expr":
                return _literal_size(expr) or 1
            case "list_expr":
                return 1 + sum(self._weights[each.id] for each in expr.list_expr.elements)
            case "struct_expr":
                parts = [part for entry in expr.struct_expr.entries for part in (entry.map_key, entry.value)]
                return 1 + sum(self._weights.get(each.id, 0) for each in parts)
            case "comprehension_expr" if is_bind(expr):
                return self._weights[expr.comprehension_expr.result.id]
            case "comprehension_expr":
                loop = expr.comprehension_expr
                return 1 + self.size(loop.iter_range) * self._weights[loop.loop_step.id]
            case "call_expr" if self._references[expr.id].overload_id[:1] == ["add_list"]:
                return sum(self._weights[each.id] for each in expr.call_expr.args)
        if _is_scalar(self._types[expr.id]):
            return 1
        local = self._local(expr)
        if local is not None and local.weight is not None:
            return local.weight
        size = self.known_size(expr)
        is_text = self._types[expr.id].primitive in (STRING, BYTES)
        return size if is_text and size is not None else self._largest

    def _bound(self, expr: Expr) -> _Local:
        return super()._bound(expr)._replace(weight=self._weights[expr.id])


_FREE = frozenset({"add", "index", "size", "conditional", "logical", "not", "type", "optional", "equals", "in"})


def scaled(size: int, factor: float) -> int:
    return UNKNOWN if size >= UNKNOWN else math.ceil(size * factor)


def _literal_size(expr: Expr) -> int | None:
    match kind_of(expr):
        case "const_expr":
            match expr.const_expr.WhichOneof("kind"):
                case "string_value":
                    return len(expr.const_expr.string_value)
                case "bytes_value":
                    return len(expr.const_expr.bytes_value)
            return 1
        case "list_expr":
            return len(expr.list_expr.elements)
        case "struct_expr" if not expr.struct_expr.message_name:
            return len(expr.struct_expr.entries)
    return None


def _is_scalar(type: Type) -> bool:
    return type.primitive in SCALARS or type.wrapper in SCALARS or type.well_known in _WELL_KNOWN_SCALARS
