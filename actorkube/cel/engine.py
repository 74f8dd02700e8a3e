"""Expressions: checked against declared types, then evaluated on plain values.

An expression is compiled twice. The checker knows the variables' types (messages of a descriptor pool, so it knows each
field's name); what is evaluated takes any value, so that objects need not be turned into messages for it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import cache, cached_property
from typing import Any, ClassVar

from cel_expr_python import cel
from cel_expr_python.ext import ext_bindings, ext_math, ext_optional, ext_strings
from google.protobuf import descriptor_pool

from actorkube.cel.library import BASE, Table, comparisons, extension, opaque_types
from actorkube.cel.literals import problems
from actorkube.cel.provenance import Shapes
from actorkube.cel.rewriting import needs_rewriting, rewritten
from actorkube.cel.tree import Tree, parse
from actorkube.cel.words import explained, located

DYN = "dyn"
EXPRESSION_BYTES_MAX = 16 * 1024
_CONVERSION = re.compile(r"cannot convert (\w+) to (\w+)")
_MISSING_KEY = re.compile(r'Key not found in map : "?(.*?)"?$')


class CompileError(Exception):
    """The message is what Kubernetes shows: `compilation failed: ERROR: <input>:1:5: ...`."""


class OutOfBudget(Exception):
    """It went through more items of lists and maps than cel-cpp lets one evaluation (10,000), or costs too much."""


class EvaluationError(Exception):
    """No value came of it: a missing key, a division by zero, arguments that do not fit."""


class Program:
    """A compiled expression. `result` is the name of its type: BOOL, STRING, ... or DYN."""

    def __init__(self, expression: Any, result: str, checked: bytes) -> None:
        self._expression = expression
        self._checked = checked
        self.result = result

    @cached_property
    def tree(self) -> Tree:
        """What was checked, by which costs are counted."""
        return parse(self._checked)

    def __call__(self, values: Mapping[str, Any]) -> Any:
        """Raises EvaluationError, OutOfBudget."""
        try:
            value = self._expression.eval(data=values)
        except (RuntimeError, ValueError, TypeError) as error:
            raise _failure(str(error)) from None
        if value.type() == cel.Type.ERROR:
            raise _failure(str(value.value()))
        return value.plain_value()


class Environment:
    """`variables`: names with their types, as CEL writes them (`dyn`, `list(string)`, or a message of `pool`).

    `shapes`: of those that have lists in them which are sets or maps. A class that derives from it may have more
    `functions`.
    """

    functions: ClassVar[tuple[Table, ...]] = BASE

    def __init__(
        self,
        variables: Mapping[str, Any],
        pool: descriptor_pool.DescriptorPool | None = None,
        shapes: Shapes | None = None,
    ) -> None:
        self._shapes = shapes or {}
        pool = pool if pool is not None else new_pool()
        checked = {name: as_type(type) for name, type in variables.items()}
        self._checker = cel.NewEnv(
            descriptor_pool=pool, config=_macros(), variables=checked, extensions=self._checked(typed=True)
        )
        self._names = tuple(variables)

    def compile(self, text: str, *, mixed: bool = False) -> Program:
        """`mixed`: parts of a list or map may be of different types. Raises CompileError."""
        if len(text.encode()) > EXPRESSION_BYTES_MAX:
            raise CompileError(f"compilation failed: the expression is longer than {EXPRESSION_BYTES_MAX} bytes")
        try:
            checked = self._checker.compile(text)
            result = checked.return_type().name()
        except RuntimeError as error:
            raise CompileError(f"compilation failed: {explained(str(error), text)}") from None
        try:
            program = Program(self._evaluated(text), result, checked.serialize())
        except RuntimeError as error:
            raise CompileError(f"compilation failed: {explained(str(error), text)}") from None
        wrong = [located(text, *problem) for problem in problems(program.tree, mixed=mixed)]
        if wrong:
            raise CompileError("compilation failed: " + "\n".join(wrong))
        return program

    def _evaluated(self, text: str) -> Any:
        checker, evaluator = self._evaluator(self._names)
        tree = checker.compile(text).serialize()
        changed = rewritten(tree, self._shapes) if needs_rewriting(text, self._shapes) else None
        return evaluator.deserialize(tree if changed is None else changed)

    @classmethod
    @cache
    def _evaluator(cls, names: tuple[str, ...]) -> tuple[Any, Any]:
        """What compiles for any values, and what evaluates that."""
        variables = dict.fromkeys(names, cel.Type.DYN)
        extensions = (cls._checked(typed=False), cls._extensions(typed=False))
        checker, evaluator = (cel.NewEnv(config=_macros(), variables=variables, extensions=each) for each in extensions)
        return checker, evaluator

    @classmethod
    def _checked(cls, *, typed: bool) -> list[Any]:
        return [*cls._extensions(typed=typed), comparisons()]

    @classmethod
    @cache
    def _extensions(cls, *, typed: bool) -> list[Any]:
        return [
            ext_strings.ExtStrings(),
            ext_optional.ExtOptional(),
            ext_math.ExtMath(),
            ext_bindings.ExtBindings(),
            extension(cls.functions, typed=typed),
        ]


def new_pool() -> descriptor_pool.DescriptorPool:
    """A pool with the messages that stand for Kubernetes' own types (a quantity, a URL), for the checker."""
    from google.protobuf import duration_pb2, struct_pb2, timestamp_pb2, wrappers_pb2

    pool = descriptor_pool.DescriptorPool()
    for module in (struct_pb2, timestamp_pb2, duration_pb2, wrappers_pb2):
        pool.AddSerializedFile(module.DESCRIPTOR.serialized_pb)
    pool.Add(opaque_types())
    return pool


def as_type(written: Any) -> Any:
    """The type that a name stands for; `list(T)` and `map(string, T)` with the types inside them."""
    if not isinstance(written, str):
        return written
    if written.startswith("list("):
        return cel.Type.List(as_type(written[5:-1]))
    if written.startswith("map("):
        return cel.Type.Map(cel.Type.STRING, as_type(written.partition(",")[2][:-1].strip()))
    return _PLAIN.get(written) or cel.Type(written)


def _failure(text: str) -> Exception:
    return OutOfBudget() if "Iteration budget exceeded" in text else EvaluationError(_explained(text))


def _explained(text: str) -> str:
    text = explained(text)
    missing = _MISSING_KEY.search(text)
    if missing:
        return f"no such key: {missing[1]}"
    if "No matching overloads found" in text:
        return text.replace("No matching overloads found", "no such overload")
    text = _CONVERSION.sub(r"type conversion error from '\1' to '\2'", text)
    return text.replace("divide by zero", "division by zero")


@cache
def _macros() -> Any:
    """Loops with two variables; the binding has no name of its own for that extension."""
    return cel.NewEnvConfigFromYaml("name: kubernetes\nextensions:\n- name: two-var-comprehensions\n")


_PLAIN = {
    DYN: cel.Type.DYN,
    "bool": cel.Type.BOOL,
    "bytes": cel.Type.BYTES,
    "double": cel.Type.DOUBLE,
    "duration": cel.Type.DURATION,
    "int": cel.Type.INT,
    "null": cel.Type.NULL,
    "string": cel.Type.STRING,
    "timestamp": cel.Type.TIMESTAMP,
}
