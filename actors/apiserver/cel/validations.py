"""x-kubernetes-validations: the rules of a schema, compiled with it, and what they say of an object (KEP-2876).

`self` is the value where the rule stands, `oldSelf` what was there before: a rule that names it holds for changes only,
unless it says `optionalOldSelf`. What did not change is not refused by a rule that is newer than it (KEP-4008).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, NamedTuple

from actorkube.cel.engine import CompileError, EvaluationError, OutOfBudget, Program
from actorkube.cel.list_types import Shape
from actors.apiserver.cel.budget import EXCEEDED, SPENT, Budget
from actors.apiserver.cel.declared import Declared, Present, presenter
from actors.apiserver.cel.environment import Environment
from actors.apiserver.cel.limits import Estimates, Times, times_below
from actors.apiserver.cel.shapes import shape_of
from actors.apiserver.custom.structural import Node
from actors.apiserver.rules.field import OMITTED, FieldError, FieldErrors, duplicate, forbidden, invalid_value, required

_ABSENT: Any = object()
_OLD = "oldSelf"
_HIDDEN_OLD = "__oldSelf"  # a list with one value or none: what becomes an optional inside CEL
_STEP = re.compile(r"\.([A-Za-z_][\w-]*)|\['((?:[^'\\]|\\.)*)'\]")
Place = tuple[Any, ...]


@dataclass(frozen=True, slots=True)
class Rule:
    text: str
    program: Program
    message: str
    message_program: Program | None
    reason: str
    field: str  # what follows the place of the rule in the path of its errors
    uses_old: bool
    optional: bool


class Self(NamedTuple):
    """What `self` is where a rule stands: its type to the checker, and where it has lists that are sets or maps."""

    name: str
    shape: Shape | None


class Rules:
    """The rules of one schema. Compiling raises nothing: what does not compile is `problems`, and never evaluated."""

    def __init__(self, root: Node) -> None:
        self.problems: list[FieldError] = []
        self._rules: dict[Node, list[Rule]] = {}
        self._presenters: dict[Node, Present | None] = {}
        self._has_rules: set[Node] = set()
        self._root = root
        self._estimates = Estimates()
        if self._find(root):
            self._declared = Declared(root)
            self._compile(root, "", forbidden_old="", times=1)
            self.problems += self._estimates.total()

    def errors(self, obj: Any, old: Any = None) -> FieldErrors:
        """What the rules say of an object that its schema has found to be of the right types."""
        try:
            yield from self._errors(self._root, obj, _ABSENT if old is None else old, "", Budget())
        except _Stopped as stopped:
            yield stopped.error

    def errors_below(self, node: Node, value: Any, path: str) -> FieldErrors:
        """Of a value that would stand at one place, as `errors`."""
        try:
            yield from self._errors(node, value, _ABSENT, path, Budget())
        except _Stopped as stopped:
            yield stopped.error

    # -- compiling ------------------------------------------------------------------------------------------------

    def _find(self, node: Node) -> bool:
        below = [self._find(each) for _, each in _children(node)]
        if any(below) or node.schema.get("x-kubernetes-validations"):
            self._has_rules.add(node)
            return True
        return False

    def _compile(self, node: Node, at: str, forbidden_old: str, times: Times) -> None:
        written = node.schema.get("x-kubernetes-validations") or ()
        if written:
            type, shape = self._declared.type_of(node), shape_of(node, node is self._root)
            self._presenters[node] = presenter(node, node is self._root)
            found = []
            for index, each in enumerate(written):
                place = f"{at}.x-kubernetes-validations[{index}]"
                rule = self._rule(each, node, Self(type, shape), place, forbidden_old)
                if rule is not None:
                    found.append(rule)
                    self._estimate(rule, node, times, place)
            self._rules[node] = found
        for step, below in _children(node):
            if below in self._has_rules:
                correlatable = not forbidden_old and (step != ".items" or node.list_type == "map")
                atomic = node.schema.get("x-kubernetes-map-type") == "atomic"
                inside = forbidden_old or ("" if correlatable and not atomic else at or "root")
                self._compile(below, at + step, inside, times_below(node, step, times))

    def _estimate(self, rule: Rule, node: Node, times: Times, at: str) -> None:
        root = node is self._root
        found = [self._estimates.of_rule(rule.program, node, root, times, f"{at}.rule")]
        if rule.message_program is not None:
            found.append(self._estimates.of_message(rule.message_program, node, root, f"{at}.messageExpression"))
        self.problems += [error for error in found if error is not None]

    def _rule(self, written: dict[str, Any], node: Node, type: Self, at: str, forbidden_old: str) -> Rule | None:
        text = written.get("rule") or ""
        optional = bool(written.get("optionalOldSelf"))
        uses_old = _OLD in text and not self._compiles(text, {"self": type.name})
        try:
            program = self._program(text, type, optional and uses_old)
        except CompileError as error:
            self.problems.append(invalid_value(f"{at}.rule", written, str(error)))
            return None
        if program.result not in ("BOOL", "DYN"):
            self.problems.append(invalid_value(f"{at}.rule", written, "cel expression must evaluate to a bool"))
            return None
        if uses_old and forbidden_old:
            detail = f"oldSelf cannot be used on the uncorrelatable portion of the schema within {forbidden_old}"
            self.problems.append(invalid_value(f"{at}.rule", text, detail))
        if not uses_old and written.get("optionalOldSelf") is not None:
            detail = "may not be set if oldSelf is not used in rule"
            self.problems.append(invalid_value(f"{at}.optionalOldSelf", optional, detail))
        path = written.get("fieldPath") or ""
        field = _below(node, path)
        if field is None and path.strip():
            self.problems.append(invalid_value(f"{at}.fieldPath", path, "must be a valid path"))
        message = self._message(written, type, optional and uses_old, f"{at}.messageExpression")
        return Rule(
            text.strip(),
            program,
            (written.get("message") or "").strip(),
            message,
            written.get("reason") or "",
            field or "",
            uses_old,
            optional,
        )

    def _message(self, written: dict[str, Any], type: Self, optional: bool, at: str) -> Program | None:
        text = written.get("messageExpression")
        if not text:
            return None
        try:
            program = self._program(text, type, optional)
        except CompileError as error:
            self.problems.append(invalid_value(at, written, f"messageExpression {error}"))
            return None
        if program.result not in ("STRING", "DYN"):
            self.problems.append(invalid_value(at, written, "messageExpression must evaluate to a string"))
            return None
        return program

    def _program(self, text: str, type: Self, optional: bool) -> Program:
        if not optional:
            shapes = dict.fromkeys(("self", _OLD), type.shape) if type.shape is not None else {}
            return Environment({"self": type.name, _OLD: type.name}, self._declared.pool, shapes).compile(text)
        old = f"{_HIDDEN_OLD}.size() == 0 ? optional.none() : optional.of({_HIDDEN_OLD}[0])"
        variables = {"self": type.name, _HIDDEN_OLD: f"list({type.name})"}
        shapes = {"self": type.shape, _HIDDEN_OLD: Shape(rest=type.shape)} if type.shape is not None else {}
        return Environment(variables, self._declared.pool, shapes).compile(f"cel.bind({_OLD}, {old}, {text})")

    def _compiles(self, text: str, variables: dict[str, str]) -> bool:
        try:
            Environment(variables, self._declared.pool).compile(text)
        except CompileError:
            return False
        return True

    # -- evaluating -----------------------------------------------------------------------------------------------

    def _errors(self, node: Node, value: Any, old: Any, path: str, budget: Budget) -> FieldErrors:
        if value is None or node not in self._has_rules:
            return
        yield from self._own_errors(node, value, old, path, budget)
        if isinstance(value, dict):
            before = old if isinstance(old, dict) else {}
            for name, each in value.items():
                below = node.below(name)
                if below is not None:
                    place = f"{path}.{name}" if name in node.properties else f"{path}[{name}]"
                    yield from self._errors(below, each, before.get(name, _ABSENT), place.removeprefix("."), budget)
        elif isinstance(value, list) and node.items is not None:
            known = (
                {_key(node, each): each for each in old} if isinstance(old, list) and node.list_type == "map" else {}
            )
            for index, each in enumerate(value):
                was = known.get(_key(node, each), _ABSENT) if known else _ABSENT
                yield from self._errors(node.items, each, was, f"{path}[{index}]", budget)

    def _own_errors(self, node: Node, value: Any, old: Any, path: str, budget: Budget) -> FieldErrors:
        rules = self._rules.get(node)
        if not rules:
            return
        present = self._presenters[node]
        show = present if present is not None else _as_it_is
        values = {"self": show(value), _OLD: None, _HIDDEN_OLD: []}
        if old is not _ABSENT:
            values[_OLD] = show(old)
            values[_HIDDEN_OLD] = [values[_OLD]]
        for rule in rules:
            if rule.uses_old and old is _ABSENT and not rule.optional:
                continue
            if not rule.uses_old and old is not _ABSENT and old == value:
                continue
            try:
                yield from _judged(rule, values, node, value, path, budget)
            except OutOfBudget:
                raise _Stopped(invalid_value(path, node.type, SPENT)) from None


class _Stopped(Exception):
    """No further rule is asked about the object."""

    def __init__(self, error: FieldError) -> None:
        self.error = error


def _judged(rule: Rule, values: dict[str, Any], node: Node, value: Any, path: str, budget: Budget) -> FieldErrors:
    try:
        if budget.evaluate(rule.program, values) is True:
            return
    except EvaluationError as error:
        text = str(error)
        if text == EXCEEDED:
            why = "no further validation rules will be run due to call cost exceeds limit for rule"
            raise _Stopped(invalid_value(path, node.type, f"'{text}': {why}: {rule.message or rule.text}")) from None
        if text.startswith("no such overload"):
            signature = "call arguments did not match a supported operator, function or macro signature for rule"
            yield invalid_value(path, node.type, f"'{text}': {signature}: {rule.message or rule.text}")
        else:
            yield invalid_value(path, node.type, f"{text} evaluating rule: {rule.message or rule.text}")
        return
    field = (f"{path}{rule.field}" if path else rule.field.removeprefix(".")) or "<nil>"
    shown = OMITTED if node.type in ("object", "array") else value
    detail = _detail(rule, values, budget)
    match rule.reason:
        case "FieldValueForbidden":
            yield forbidden(field, detail)
        case "FieldValueRequired":
            yield required(field, detail)
        case "FieldValueDuplicate":
            yield duplicate(field, shown)
        case _:
            yield invalid_value(field, shown, detail)


def _detail(rule: Rule, values: dict[str, Any], budget: Budget) -> str:
    """A messageExpression that fails, is empty or has several lines counts for nothing: the message, or the rule."""
    if rule.message_program is not None:
        try:
            said = budget.evaluate(rule.message_program, values)
        except EvaluationError:
            said = ""
        if isinstance(said, str) and said.strip() and "\n" not in said:
            return said
    return rule.message or f"failed rule: {rule.text}"


def _children(node: Node) -> Iterator[tuple[str, Node]]:
    for name, below in node.properties.items():
        yield f".properties[{name}]", below
    if node.items is not None:
        yield ".items", node.items
    if isinstance(node.rest, Node):
        yield ".additionalProperties", node.rest


def _below(node: Node, path: str) -> str | None:
    """The path of a field as errors have it; None if there is no such field. A list's items have no path."""
    steps = list(_STEP.finditer(path))
    if "".join(step[0] for step in steps) != path:
        return None
    found = ""
    for step in steps:
        name = step[1] or step[2]
        below = node.below(name)
        if below is None:
            return None
        found += f".{name}" if name in node.properties else f"[{name}]"
        node = below
    return found


def _key(node: Node, item: Any) -> Place:
    return tuple(item.get(key) for key in node.keys) if isinstance(item, dict) else ()


def _as_it_is(value: Any) -> Any:
    return value
