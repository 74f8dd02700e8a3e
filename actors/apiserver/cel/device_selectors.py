"""Which devices a request takes: expressions about `device`, checked when a class or a claim is written (KEP-4381)."""

from __future__ import annotations

from functools import cache, lru_cache
from typing import Any

from actorkube.cel.engine import CompileError, Environment
from actors.apiserver.cel.cost import estimated
from actors.apiserver.cel.declared import Declared
from actors.apiserver.cel.sizes import SchemaSizes
from actors.apiserver.custom.structural import Node

TOO_EXPENSIVE = "too complex, exceeds cost limit"
_COST_MAX = 1_000_000
_KEPT_MAX = 1024
_NAMES_MAX = 32  # attributes and capacities of one device


def _named(value: dict[str, Any]) -> dict[str, Any]:
    """By domain, then by name."""
    inner = {"type": "object", "maxProperties": _NAMES_MAX, "additionalProperties": value}
    return {"type": "object", "maxProperties": _NAMES_MAX, "additionalProperties": inner}


_ANY = {"x-kubernetes-preserve-unknown-fields": True}
_DEVICE = {
    "type": "object",
    "properties": {
        "driver": {"type": "string", "maxLength": 63},
        "attributes": _named(_ANY),  # a string, a version, a number, a boolean
        "capacity": _named(_ANY),  # quantities
        "allowMultipleAllocations": {"type": "boolean"},
    },
}


@lru_cache(maxsize=_KEPT_MAX)
def problem(text: str) -> str:
    """Why a text is no selector, "" where it is one."""
    try:
        program = _environment().compile(text)
    except CompileError as error:
        return str(error)
    if program.result not in ("BOOL", "DYN"):
        return f"must evaluate to bool or the unknown type, not {program.result.lower()}"
    return TOO_EXPENSIVE if estimated(program.tree, SchemaSizes(_node(), False)) > _COST_MAX else ""


@cache
def _node() -> Node:
    return Node(_DEVICE)


@cache
def _environment() -> Environment:
    whole = Node({"type": "object", "properties": {"device": _DEVICE}})
    declared = Declared(whole)
    return Environment({"device": declared.type_of(whole.properties["device"])}, declared.pool)
