"""Where a policy in CEL and its binding meet a change: whether they are about it, and what expressions then see."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

from actors.apiserver.admission.attributes import Attributes, Operation
from actors.apiserver.admission.dynamic.conditions import (
    FAILED,
    ConditionError,
    PolicyError,
    Spent,
    evaluate,
    values_of,
    why,
)
from actors.apiserver.admission.dynamic.matching import match, may_concern
from actors.apiserver.admission.dynamic.review import request_of
from actors.apiserver.admission.stored import Stored
from actors.apiserver.conversions import Conversions
from actors.apiserver.schema.resources import Resource
from protocols.objects import Object, labels_of
from protocols.rules.selectors import selector_matches

if TYPE_CHECKING:
    from actors.apiserver.cel.budget import Budget

Versions = Callable[[Resource], Iterable[Resource]]
ByKind = Callable[[str, str], Resource | None]
Values = dict[str, Any]
Spec = Mapping[str, Any]


class Seen(NamedTuple):
    """`resource`: the version in which the policy sees the object. Each case has other parameters."""

    resource: Resource
    values: Values
    params: Iterable[Object | None]

    def cases(self) -> Iterator[Values]:
        return ({**self.values, "params": params} for params in self.params)


class Meeting:
    """`versions` gives all versions that a resource is served in, `by_kind` the resource of a kind of parameters."""

    def __init__(self, stored: Stored, versions: Versions, by_kind: ByKind, conversions: Conversions) -> None:
        self._stored = stored
        self._versions = versions
        self._by_kind = by_kind
        self._conversions = conversions

    async def of(self, policy: Spec, binding: Spec, attributes: Attributes) -> Seen | None:
        """None where they are not about the change. Raises ConditionError where there are no parameters."""
        versions = self._versions(attributes.requested)
        found = match(policy.get("matchConstraints") or {}, attributes, self._stored, versions, "resourceRules")
        narrower = binding.get("matchResources")
        if found is None or (narrower and not self._narrowed(narrower, attributes)):
            return None
        params = self._params(policy.get("paramKind"), binding.get("paramRef"), attributes)
        request = await request_of(attributes, found.resource, "", self._conversions)
        namespace = self._stored.get("namespaces", attributes.namespace) if attributes.namespace else None
        return Seen(found.resource, {**values_of(request), "namespaceObject": namespace}, params)

    def may_be_about(self, policies: Iterable[Object], operation: Operation, resource: Resource, sub: str) -> bool:
        """Whether one of them is about such changes, by its rules alone."""
        constraints = [(policy.get("spec") or {}).get("matchConstraints") or {} for policy in policies]
        return bool(constraints) and any(
            may_concern(constraints, operation, version, sub, "resourceRules") for version in self._versions(resource)
        )

    def _narrowed(self, matching: dict[str, Any], attributes: Attributes) -> bool:
        """A binding without rules of its own is about all that its policy is about."""
        everything = {"operations": ["*"], "apiGroups": ["*"], "apiVersions": ["*"], "resources": ["*", "*/*"]}
        rules = {**matching, "resourceRules": matching.get("resourceRules") or [everything]}
        return match(rules, attributes, self._stored, self._versions(attributes.requested), "resourceRules") is not None

    def _params(
        self, kind: Mapping[str, str] | None, wanted: Mapping[str, Any] | None, attributes: Attributes
    ) -> list[Object | None]:
        """The objects that the binding names; the policy is asked once for each. Raises ConditionError."""
        if not kind:
            return [None]
        resource = self._by_kind(kind.get("apiVersion") or "", kind.get("kind") or "")
        if resource is None:
            version, name = kind.get("apiVersion") or "", kind.get("kind") or ""
            problem = f"failed to find resource referenced by paramKind: '{version}, Kind={name}'"
            raise PolicyError(f"failed to configure policy: {problem}")
        if not wanted:
            return [None]
        found = list(self._chosen(resource, wanted, attributes))
        if not found and wanted.get("parameterNotFoundAction") != "Allow":
            raise ConditionError(
                "failed to configure binding: no params found for policy binding with `Deny` parameterNotFoundAction"
            )
        return [*found]

    def _chosen(self, resource: Resource, wanted: Mapping[str, Any], attributes: Attributes) -> Iterator[Object]:
        namespace = (wanted.get("namespace") or attributes.namespace) if resource.namespaced else ""
        if wanted.get("name"):
            key = f"{namespace}/{wanted['name']}" if namespace else str(wanted["name"])
            named = self._stored.get(resource.storage, key)
            yield from [named] if named is not None else []
            return
        selector = wanted.get("selector")
        yield from (
            obj for obj in self._stored.of(resource.storage, namespace) if selector_matches(selector, labels_of(obj))
        )


def with_variables(
    values: Values, variables: Iterable[Mapping[str, Any]], budget: Budget, *, builds: bool = False
) -> Values:
    """The values, and under `variables` what each expression makes of them and of the variables before it.

    Raises Spent.
    """
    values = {**values, "variables": {}, FAILED: {}}
    for variable in variables:
        text = variable.get("expression") or ""
        try:
            made = evaluate(text, values, budget, builds=builds)
        except Spent:
            raise
        except ConditionError as error:
            values[FAILED][variable["name"]] = why(error, text)  # who uses it is told
        else:
            values["variables"] = {**values["variables"], variable["name"]: made}
    return values
