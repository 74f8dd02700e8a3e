"""MutatingAdmissionPolicies: changes in CEL to what is about to be stored, put to use by their bindings (KEP-3962).

A mutation is an object to merge, as server-side apply merges it, or a list of JSON patch operations. What a policy has
made of an object is completed and checked like what a webhook has.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from actors.apiserver.admission.attributes import Attributes, Operation
from actors.apiserver.admission.dynamic.conditions import ConditionError, evaluate, hold, new_budget
from actors.apiserver.admission.dynamic.matching import MUTATING_BINDINGS, MUTATING_POLICIES
from actors.apiserver.admission.dynamic.meeting import Meeting, Seen, Values, with_variables
from actors.apiserver.admission.dynamic.webhooks import Accept
from actors.apiserver.admission.stored import Stored
from actors.apiserver.patch.combine import merge, without_nulls
from actors.apiserver.patch.json_patch import REJECTED, TEST_FAILED, json_patch
from actors.apiserver.patch.structure import NotOfItsType, field_set, field_type
from actors.apiserver.schema.resources import Resource
from actors.apiserver.schema.types import Type, Types
from protocols.errors import AdmissionRefusal, StatusError
from protocols.objects import Object, name_of

if TYPE_CHECKING:
    from actors.apiserver.cel.budget import Budget


class Mutations:
    """`round` may be asked twice about a change: the second time only who wants to see what others made of it."""

    def __init__(self, stored: Stored, meeting: Meeting, types: Types) -> None:
        self._stored = stored
        self._meeting = meeting
        self._types = types

    def mutating(self) -> bool:
        """Whether there is any that could want to change something."""
        return bool(self._stored.of(MUTATING_BINDINGS))

    def may_concern(self, operation: Operation, resource: Resource, subresource: str) -> bool:
        """Whether there is any that is about such changes, by its rules alone."""
        return self._meeting.may_be_about(self._stored.of(MUTATING_POLICIES), operation, resource, subresource)

    async def round(self, attributes: Attributes, accept: Accept, seen: dict[str, Object], *, again: bool) -> None:
        """Changes `attributes.obj`; `seen` is what each binding left it as. Raises what a policy refuses with."""
        for binding in self._stored.of(MUTATING_BINDINGS):
            name, spec = name_of(binding), binding.get("spec") or {}
            policy = self._stored.get(MUTATING_POLICIES, spec.get("policyName") or "")
            if policy is None or not attributes.obj:
                continue
            if again and (not _wants_again(policy) or seen.get(name) in (None, attributes.obj)):
                continue
            await self._mutate(policy, binding, attributes, accept)
            seen[name] = attributes.obj

    async def _mutate(self, policy: Object, binding: Object, attributes: Attributes, accept: Accept) -> None:
        spec = policy.get("spec") or {}
        try:
            found = await self._meeting.of(spec, binding.get("spec") or {}, attributes)
            if found is None:
                return
            made = self._made(spec, found)
        except ConditionError as error:
            if spec.get("failurePolicy") == "Ignore":
                return
            who = f"policy '{name_of(policy)}' with binding '{name_of(binding)}'"
            message = f"{who} denied request: {error}"
            about = {**attributes.refusal(message).details, "causes": [{"message": message}]}
            raise AdmissionRefusal(message, {"code": 403, "reason": "Invalid", **about}) from None
        if made != found.values["object"]:
            attributes.obj = await accept(made, found.resource)

    def _made(self, spec: dict[str, Any], found: Seen) -> Object:
        """What all mutations, for all parameters, make of the object: each sees what those before it did."""
        obj: Object = found.values["object"]
        budget = new_budget()
        variables, conditions = spec.get("variables") or (), spec.get("matchConditions") or []
        for case in found.cases():
            if conditions and not hold(conditions, {**case, "object": obj}):
                continue
            for mutation in spec.get("mutations") or ():
                values = with_variables({**case, "object": obj}, variables, budget, builds=True)
                obj = self._mutated(mutation, values, found.resource, obj, budget)
        return obj

    def _mutated(
        self, mutation: dict[str, Any], values: Values, resource: Resource, obj: Object, budget: Budget
    ) -> Object:
        if mutation.get("patchType") == "JSONPatch":
            text = (mutation.get("jsonPatch") or {}).get("expression") or ""
            return patched(obj, evaluate(text, values, budget, builds=True))
        text = (mutation.get("applyConfiguration") or {}).get("expression") or ""
        return applied(self._type(resource, obj), obj, evaluate(text, values, budget, builds=True))

    def _type(self, resource: Resource, obj: Object) -> Type:
        """Of what passes through, that of its own kind. The options of connections have none. Raises ConditionError."""
        if resource.custom is not None:
            return resource.custom.type
        found = self._types.by_kind(obj["apiVersion"], obj["kind"])
        if found is None:
            why = f"no corresponding type for /{obj['apiVersion']}, Kind={obj['kind']}"
            raise ConditionError(f"error applying patch: failed to convert original object to typed object: {why}")
        return found


def patched(obj: Object, operations: Any) -> Object:
    """The object as it was if what the operations test for is not so. Raises ConditionError."""
    if not isinstance(operations, list):
        raise ConditionError("must evaluate to an array of JSONPatch operations")
    try:
        # What the document gives away it must not share: operations change it in place.
        return json_patch(without_shared(obj), without_shared(operations))
    except StatusError as error:
        if error.message.endswith(TEST_FAILED):
            return obj
        raise ConditionError(f"JSON Patch: {error.message.removeprefix(f'{REJECTED}: ')}") from None


def applied(type: Type, obj: Object, configuration: Any) -> Object:
    """The object with the configuration merged into it. Raises ConditionError."""
    if not isinstance(configuration, dict):
        raise ConditionError("must evaluate to Object")
    config = {**configuration, "apiVersion": obj["apiVersion"], "kind": obj["kind"]}
    found = sorted(_atomics(type, config, ""))
    if found:
        why = f"may not mutate atomic arrays, maps or structs: {', '.join(found)}"
        raise ConditionError(f"error applying patch: invalid ApplyConfiguration: {why}")
    try:
        field_set(type, config, duplicates=True)
        merged: Object = without_nulls(merge(type, obj, config))
        return merged
    except NotOfItsType as error:
        raise ConditionError(f"error applying patch: invalid ApplyConfiguration: {error}") from None


def without_shared(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: without_shared(each) for key, each in value.items()}
    return [without_shared(each) for each in value] if isinstance(value, list) else value


def _wants_again(policy: Object) -> bool:
    return bool((policy.get("spec") or {}).get("reinvocationPolicy") == "IfNeeded")


def _atomics(type: Type, value: Any, path: str) -> Iterator[str]:
    """The places of a configuration that could only be replaced as a whole: an expression cannot mean that."""
    if isinstance(value, dict) and type.kind in ("object", "map"):
        if type.map_type == "atomic":
            yield path
            return
        for key, item in value.items():
            below = field_type(type, key)
            if below is not None:
                yield from _atomics(below, item, f"{path}.{key}")
    elif isinstance(value, list) and type.kind == "array":
        if type.list_type not in ("map", "set"):
            yield path
            return
        for index, item in enumerate(value):
            yield from _atomics(type.items, item, f"{path}[{index}]")
