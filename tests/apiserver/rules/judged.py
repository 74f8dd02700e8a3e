"""Minimal objects with one thing changed, and what validation says of them."""

from __future__ import annotations

import copy
from typing import Any

from actors.apiserver.rules.defaults import apply_defaults
from actors.apiserver.rules.prepare import prepare_create, prepare_update
from actors.apiserver.rules.validate import validate
from actors.apiserver.schema.resources import Resource, by_kind
from tests.apiserver.rules.minimal import minimal_of

ABSENT: Any = object()
NOW = 1767225600.0


def resource_of(obj: dict[str, Any]) -> Resource:
    resource = by_kind(obj["apiVersion"], obj["kind"])
    assert resource is not None
    return resource


def changed(obj: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    """A copy with values at dotted paths ("spec.ports.0.port") set, or removed where they are ABSENT."""
    new = copy.deepcopy(obj)
    for path, value in changes.items():
        *parents, last = path.split("/") if "/" in path else path.split(".")
        here: Any = new
        for step in parents:
            here = here[int(step)] if isinstance(here, list) else here.setdefault(step, {})
        key = int(last) if isinstance(here, list) else last
        if value is ABSENT:
            del here[key]
        else:
            here[key] = copy.deepcopy(value)
    return new


def created(kind: str, changes: dict[str, Any] | None = None) -> dict[str, Any]:
    obj = changed(minimal_of(kind), changes or {})
    new = prepare_create(resource_of(obj), obj, now=NOW, uid="u", suffix="abcde")
    apply_defaults(resource_of(obj), new)
    return new


def problems(kind: str, changes: dict[str, Any]) -> list[str]:
    """What is said of a minimal object that is created with these changes."""
    obj = created(kind, changes)
    return [str(error) for error in validate(resource_of(obj), obj)]


def update_problems(
    kind: str, changes: dict[str, Any], before: dict[str, Any] | None = None, subresource: str = ""
) -> list[str]:
    """What is said of an update that makes these changes to what was created with `before`."""
    old = created(kind, before)
    new = changed(old, changes)
    apply_defaults(resource_of(old), new)
    new = prepare_update(resource_of(old), old, new, subresource)
    return [str(error) for error in validate(resource_of(old), new, old, subresource)]
