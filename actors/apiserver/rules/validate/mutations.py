"""MutatingAdmissionPolicies and their bindings."""

from __future__ import annotations

from typing import Any

from actors.apiserver.admission.dynamic.conditions import PATCH, Scope
from actors.apiserver.rules.field import FieldErrors, invalid_value, one_of, required
from actors.apiserver.rules.validate.admission import (
    expression,
    params,
    policy_name,
    policy_subject,
    resources_matched,
    scope_of,
)
from protocols.objects import Object

_KINDS = {"ApplyConfiguration": "applyConfiguration", "JSONPatch": "jsonPatch"}
_RESULTS = {"ApplyConfiguration": ("MAP",), "JSONPatch": (PATCH,)}


def mutating_policy(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    yield from policy_subject(spec, builds=True)
    mutations = spec.get("mutations") or ()
    if not mutations:
        yield required("spec.mutations", "mutations must contain at least one item")
    scope = scope_of(spec)
    for index, mutation in enumerate(mutations):
        yield from _mutation(f"spec.mutations[{index}]", mutation, scope)
    yield from one_of("spec.reinvocationPolicy", spec.get("reinvocationPolicy"), ("IfNeeded", "Never"))


def mutating_policy_binding(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    yield from policy_name("spec.policyName", spec.get("policyName") or "")
    yield from params("spec.paramRef", spec.get("paramRef"))
    if spec.get("matchResources") is not None:
        yield from resources_matched("spec.matchResources", spec["matchResources"])


def _mutation(at: str, mutation: dict[str, Any], scope: Scope) -> FieldErrors:
    kind = mutation.get("patchType")
    yield from one_of(f"{at}.patchType", kind, tuple(_KINDS))
    if kind not in _KINDS:
        return
    for each, field in _KINDS.items():
        given = mutation.get(field)
        if each == kind and given is None:
            yield required(f"{at}.{field}", f"must be specified when patchType is {each}")
        elif each == kind and given is not None:
            text = given.get("expression")
            yield from expression(f"{at}.{field}.expression", text, *_RESULTS[each], builds=True, scope=scope)
        elif given is not None:
            why = f"must not be specified when patchType is {kind}"
            yield invalid_value(f"{at}.{field}", f"{{{field}}}", why)
