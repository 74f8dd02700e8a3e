"""Specs that the server would leave as they are: nothing to check, to fill in or to refuse.

Most changes leave the spec alone, which is most of an object. What a patch leaves is the same value as before (no copy
is made of it), so a settled spec need not be looked at again: neither for defaults, nor by those who judge it, and
comparing it with itself costs nothing. That it is settled is found out of its bytes, whoever wrote them, by looking
once, and remembered for the next object of the same template.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from actors.apiserver.alike import REMEMBERED, again, exactly
from actors.apiserver.rules.defaults import OF_THE_SPEC_ALONE
from actors.apiserver.rules.validate.pods import is_sound_spec
from actors.apiserver.schema.check import was_as_it_should
from actors.apiserver.schema.resources import Resource
from actors.apiserver.schema.types import Type, Types
from protocols.objects import Object


def has_settled_spec(types: Types, resource: Resource, obj: Object) -> bool:
    """False also where nothing is remembered of such specs. `obj` is of that resource, as it is stored."""
    if resource.group_resource not in OF_THE_SPEC_ALONE or resource.alias:
        return False
    encoded = exactly(obj.get("spec"))
    return encoded is not None and _is_settled(types.of(resource), resource.group_resource, encoded)


def keeps_spec(new: Object, old: Object) -> bool:
    """Whether both have one spec, not just two that are equal."""
    spec = new.get("spec")
    return spec is not None and spec is old.get("spec")


@lru_cache(REMEMBERED)
def _is_settled(type: Type, group_resource: str, encoded: bytes) -> bool:
    if not was_as_it_should(encoded, type.fields["spec"]):
        return False
    obj: dict[str, Any] = {"spec": again(encoded)}
    OF_THE_SPEC_ALONE[group_resource](obj)
    return exactly(obj["spec"]) == encoded and (group_resource != "pods" or is_sound_spec(obj["spec"]))
