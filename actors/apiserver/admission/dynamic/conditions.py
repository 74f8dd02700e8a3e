"""Expressions about a change: `object`, `oldObject`, `request`, `authorizer`; in policies `params`, `namespaceObject`,
`variables`.

They are compiled once for each text. Objects are not declared: what an expression may name is known when it runs.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import TYPE_CHECKING, Any

from actors.apiserver.access.attributes import Attributes
from actors.apiserver.cel.authorization import authorizer
from actors.apiserver.cel.objects import BadObject, as_maps
from protocols.objects import Object

if TYPE_CHECKING:
    from actorkube.cel.engine import Program
    from actors.apiserver.cel.budget import Budget

VARIABLES = ("object", "oldObject", "request", "params", "namespaceObject", "variables")
AUTHORIZER = "authorizer"
_KEPT_MAX = 4096
_SAID = {"NULL": "null_type"}


class ConditionError(Exception):
    """An expression that does not compile, or that no value came of."""


@lru_cache(maxsize=_KEPT_MAX)
def _program(text: str, builds: bool, authorizer: bool = True) -> Program | str:
    from actorkube.cel.engine import CompileError  # loaded with the first expression
    from actors.apiserver.cel.environment import Environment

    try:
        types = {**dict.fromkeys(VARIABLES, "dyn"), **({AUTHORIZER: "kubernetes.Authorizer"} if authorizer else {})}
        return Environment(types).compile(as_maps(text) if builds else text, mixed=builds)
    except CompileError as error:
        return str(error)
    except BadObject as error:
        return f"compilation failed: ERROR: {error}"


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


def problem(text: str, *results: str, builds: bool = False, authorizer: bool = True) -> str:
    """Why a text is no expression of one of these types (BOOL, MAP, ...; none: any), "" where it is one.

    `builds`: it may build objects and JSON patches (cel/objects.py). `authorizer`: it may ask what is allowed.
    """
    found = _program(text, builds, authorizer)
    if isinstance(found, str):
        return found
    if results and found.result.partition("<")[0] not in (*results, "DYN"):
        *wanted, got = [_SAID.get(each, each.lower()) for each in (*results, found.result)]
        only = wanted[0] if len(wanted) == 1 else f"one of [{' '.join(wanted)}]"
        return f"must evaluate to {only} but got {got}"
    return ""


class Spent(ConditionError):
    """There is no budget left: nothing that would come after it is evaluated."""


def evaluate(text: str, values: Mapping[str, Any], budget: Budget, *, builds: bool = False) -> Any:
    """Raises ConditionError, and Spent."""
    from actorkube.cel.engine import EvaluationError, OutOfBudget
    from actors.apiserver.cel.budget import SPENT

    found = _program(text, builds)
    if isinstance(found, str):
        raise ConditionError(found)
    try:
        return budget.evaluate(found, {**dict.fromkeys(VARIABLES), AUTHORIZER: None, **values})
    except EvaluationError as error:
        raise ConditionError(f"expression '{text}' resulted in error: {error}") from None
    except OutOfBudget:
        raise Spent(SPENT) from None


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
