"""Expressions about a change: `object`, `oldObject`, `request`, `authorizer`; in policies `params`, `namespaceObject`,
`variables`.

They are compiled once for each text. Objects are not declared: what an expression may name is known when it runs.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from actors.apiserver.access.attributes import Attributes
from actors.apiserver.cel.authorization import authorizer
from actors.apiserver.cel.objects import BadObject, as_maps
from protocols.objects import Object

if TYPE_CHECKING:
    from google.protobuf.descriptor_pool import DescriptorPool

    from actorkube.cel.engine import Program
    from actors.apiserver.cel.budget import Budget

VARIABLES = ("object", "oldObject", "request", "params", "namespaceObject", "variables")
AUTHORIZER = "authorizer"
PATCH = "list(JSONPatch)"  # the result of an expression that makes a patch: what builds an object builds a map here
FAILED = "failed variables"  # among the values, for no expression: of which variables no value came, and why
_KEPT_MAX = 4096
_SAID = {"NULL": "null_type", "MAP": "Object"}
_COMPOSED = "kubernetes.policy.Variables"
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_RESULTED = "expression '{}' resulted in error: "


class ConditionError(Exception):
    """An expression that does not compile, or that no value came of."""


class Scope(NamedTuple):
    """What an expression of a policy may name."""

    variables: tuple[str, ...]
    has_params: bool


@lru_cache(maxsize=_KEPT_MAX)
def _program(text: str, builds: bool, authorizer: bool = True, scope: Scope | None = None) -> Program | str:
    """`scope`: None where it is not known; then what is not there is found when it is evaluated."""
    from actorkube.cel.engine import CompileError  # loaded with the first expression
    from actors.apiserver.cel.environment import Environment

    try:
        types = {**dict.fromkeys(VARIABLES, "dyn"), **({AUTHORIZER: "kubernetes.Authorizer"} if authorizer else {})}
        pool = None
        if scope is not None:
            types["variables"], pool = _COMPOSED, _pool(scope.variables)
            if not scope.has_params:
                del types["params"]
        return Environment(types, pool).compile(as_maps(text) if builds else text, mixed=builds)
    except CompileError as error:
        return str(error)
    except BadObject as error:
        return f"compilation failed: ERROR: {error}"


class PolicyError(ConditionError):
    """Of a policy, whatever binds it."""


@lru_cache(maxsize=_KEPT_MAX)
def _pool(names: tuple[str, ...]) -> DescriptorPool:
    """With the type of `variables`: a message that has these fields, of any type."""
    from google.protobuf import descriptor_pb2

    from actorkube.cel.engine import new_pool

    package, _, message = _COMPOSED.rpartition(".")
    file = descriptor_pb2.FileDescriptorProto(name="variables.proto", package=package, syntax="proto3")
    file.dependency.append("google/protobuf/struct.proto")
    made = file.message_type.add(name=message)
    for number, name in enumerate(dict.fromkeys(filter(_NAME.fullmatch, names)), 1):
        made.field.add(
            name=name, number=number, label=1, type=11, type_name=".google.protobuf.Value", json_name=f"f{number}"
        )
    pool = new_pool()
    pool.Add(file)
    return pool


def values_of(request: Object) -> dict[str, Any]:
    """What every expression sees of a request."""
    asked = request["requestResource"]
    about = Attributes(
        "",
        asked["group"],
        asked["resource"],
        request.get("requestSubResource", ""),
        request.get("namespace", ""),
        request["name"],
    )
    seen = {"object": request["object"], "oldObject": request["oldObject"], "request": request}
    return {**seen, AUTHORIZER: authorizer(about)}


def problem(text: str, *results: str, builds: bool = False, authorizer: bool = True, scope: Scope | None = None) -> str:
    """Why a text is no expression of one of these types (BOOL, MAP, ...; none: any), "" where it is one.

    `builds`: it may build objects and JSON patches (cel/objects.py). `authorizer`: it may ask what is allowed.
    """
    found = _program(text, builds, authorizer, scope)
    if isinstance(found, str):
        return found
    if PATCH in results:
        type = _type_of(found)
        return "" if type == "dyn" or type.startswith("list(map(") else f"must evaluate to {PATCH} but got {type}"
    if results and found.result.partition("<")[0] not in (*results, "DYN"):
        *wanted, got = [_SAID.get(each, each.lower()) for each in (*results, found.result)]
        only = wanted[0] if len(wanted) == 1 else f"one of [{' '.join(wanted)}]"
        return f"must evaluate to {only} but got {got}"
    return ""


def _type_of(program: Program) -> str:
    from actorkube.cel.tree import name_of_type

    return name_of_type(program.tree, program.tree.expr)


class Spent(ConditionError):
    """There is no budget left: nothing that would come after it is evaluated."""


def evaluate(text: str, values: Mapping[str, Any], budget: Budget, *, builds: bool = False) -> Any:
    """Raises ConditionError, and Spent."""
    from actorkube.cel.engine import EvaluationError, OutOfBudget
    from actors.apiserver.cel.budget import SPENT

    found = _program(text, builds)
    if isinstance(found, str):
        raise ConditionError(found)
    given = {**dict.fromkeys(VARIABLES), AUTHORIZER: None, **values}
    failed = given.pop(FAILED, {})
    try:
        return budget.evaluate(found, given)
    except EvaluationError as error:
        raise ConditionError(f"{_RESULTED.format(text)}{_composed(str(error), failed)}") from None
    except OutOfBudget:
        raise Spent(SPENT) from None


def why(error: ConditionError, text: str) -> str:
    """What is wrong with the values of an expression, without the expression."""
    return str(error).removeprefix(_RESULTED.format(text))


def _composed(error: str, failed: Mapping[str, str]) -> str:
    """A variable that is not there because it failed says why it did."""
    name = error.removeprefix("no such key: ")
    return f'composited variable "{name}" fails to evaluate: {failed[name]}' if name in failed else error


def new_budget() -> Budget:
    """For all that one policy and binding evaluate about one change."""
    from actors.apiserver.cel.budget import Budget

    return Budget()


def hold(conditions: list[dict[str, Any]], values: Mapping[str, Any]) -> bool:
    """Whether all conditions hold. One that is false decides; else one that fails raises ConditionError."""
    from actors.apiserver.cel.budget import MATCH_CONDITIONS_MAX, Budget

    budget = Budget(MATCH_CONDITIONS_MAX)
    failed: ConditionError | None = None
    for condition in conditions:
        try:
            if evaluate(condition.get("expression") or "", values, budget) is not True:
                return False
        except Spent:
            raise
        except ConditionError as error:
            failed = failed or error
    if failed is not None:
        raise failed
    return True
