"""ValidatingAdmissionPolicies: rules in CEL about changes of any kind, each put to use by its bindings (KEP-3488)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

import orjson

from actors.apiserver.admission.attributes import Attributes, Operation
from actors.apiserver.admission.dynamic.conditions import ConditionError, PolicyError, Spent, evaluate, hold, new_budget
from actors.apiserver.admission.dynamic.matching import BINDINGS, POLICIES
from actors.apiserver.admission.dynamic.meeting import Meeting, with_variables
from actors.apiserver.admission.stored import Stored
from actors.apiserver.schema.resources import Resource
from protocols import errors
from protocols.errors import StatusError
from protocols.objects import Object, name_of

if TYPE_CHECKING:
    from actors.apiserver.cel.budget import Budget

_FAILURES = "validation.policy.admission.k8s.io/validation_failure"
_REASONS: dict[str, type[StatusError]] = {
    "Forbidden": errors.Forbidden,
    "RequestEntityTooLarge": errors.RequestEntityTooLarge,
    "Unauthorized": errors.Unauthorized,
}


class Finding(NamedTuple):
    """What a validation, or the evaluation of a policy, has against a change."""

    message: str
    reason: str = ""
    bound: bool = True  # whether it is one of the policy as the binding uses it


class Policies:
    def __init__(self, stored: Stored, meeting: Meeting) -> None:
        self._stored = stored
        self._meeting = meeting

    def may_concern(self, operation: Operation, resource: Resource, subresource: str) -> bool:
        """Whether there is any that is about such changes, by its rules alone."""
        return self._meeting.may_be_about(self._stored.of(POLICIES), operation, resource, subresource)

    def judging(self) -> bool:
        """Whether there is any that could have something against a change."""
        return bool(self._stored.of(BINDINGS))

    async def judge(self, attributes: Attributes) -> None:
        """Warns, or raises what the first policy refuses with."""
        for binding in self._stored.of(BINDINGS):
            spec = binding.get("spec") or {}
            policy = self._stored.get(POLICIES, spec.get("policyName") or "")
            if policy is not None:
                for finding in await self._findings(policy, spec, attributes):
                    _act(attributes, finding, spec.get("validationActions") or (), name_of(policy), name_of(binding))

    async def _findings(self, policy: Object, binding: dict[str, Any], attributes: Attributes) -> list[Finding]:
        spec: dict[str, Any] = policy.get("spec") or {}
        findings: list[Finding] = []
        budget = new_budget()
        try:
            seen = await self._meeting.of(spec, binding, attributes)
            for case in seen.cases() if seen is not None else ():
                conditions = spec.get("matchConditions") or []
                if conditions and not hold(conditions, case):
                    continue
                values = with_variables(case, spec.get("variables") or (), budget)
                findings += _judged(spec, values, budget)
                if attributes.annotations is not None:
                    _annotate(attributes, name_of(policy), spec, values, budget)
        except ConditionError as error:
            if spec.get("failurePolicy") != "Ignore":
                findings.append(Finding(str(error), bound=not isinstance(error, PolicyError)))
        return findings


def _judged(spec: dict[str, Any], values: dict[str, Any], budget: Budget) -> Iterator[Finding]:
    for validation in spec.get("validations") or ():
        expression = validation.get("expression") or ""
        try:
            if evaluate(expression, values, budget) is not True:
                yield Finding(_message(validation, values, budget), validation.get("reason") or "")
        except Spent:
            raise
        except ConditionError as error:
            if spec.get("failurePolicy") != "Ignore":
                yield Finding(str(error))


def _annotate(
    attributes: Attributes, policy: str, spec: dict[str, Any], values: dict[str, Any], budget: Budget
) -> None:
    """What a policy has to say for the audit log, of each change that it was asked about."""
    for each in spec.get("auditAnnotations") or ():
        try:
            said = evaluate(each.get("valueExpression") or "", values, budget)
        except ConditionError:
            continue
        if isinstance(said, str) and said:
            attributes.annotate(f"{policy}/{each.get('key')}", said)


def _message(validation: dict[str, Any], values: dict[str, Any], budget: Budget) -> str:
    if validation.get("messageExpression"):
        try:
            said = evaluate(validation["messageExpression"], values, budget)
        except ConditionError:
            said = ""
        if isinstance(said, str) and said.strip() and "\n" not in said:
            return said.strip()
    message = (validation.get("message") or "").strip()
    return message or f"failed expression: {(validation.get('expression') or '').strip()}"


def _act(attributes: Attributes, finding: Finding, actions: Iterable[str], policy: str, binding: str) -> None:
    who = f"ValidatingAdmissionPolicy '{policy}'" + (f" with binding '{binding}'" if finding.bound else "")
    if "Warn" in actions:
        attributes.warn(f"Validation failed for {who}: {finding.message}")
    if "Audit" in actions and attributes.annotations is not None:
        failure = {"message": finding.message, "policy": policy, "binding": binding, "validationActions": [*actions]}
        known = orjson.loads(attributes.annotations.get(_FAILURES, "[]"))
        attributes.annotations[_FAILURES] = orjson.dumps([*known, failure]).decode()
    if "Deny" in actions:
        why = f"{who} denied request: {finding.message}"
        refusal = attributes.refusal(why)
        # kubectl shows only the causes of what is invalid.
        details = {**refusal.details, "causes": [{"message": why}]}
        raise _REASONS.get(finding.reason, errors.Invalid)(refusal.message, details)
