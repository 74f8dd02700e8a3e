"""Webhooks and admission policies."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

from actors.apiserver.admission.dynamic.conditions import Scope, problem
from actors.apiserver.rules import names
from actors.apiserver.rules.field import (
    FieldErrors,
    duplicate,
    forbidden,
    invalid_value,
    matches,
    not_supported,
    one_of,
    required,
)
from actors.apiserver.rules.validate.scheduling import label_selector
from protocols.objects import Object

_OPERATIONS = ("*", "CONNECT", "CREATE", "DELETE", "UPDATE")
_FAILURE = ("Fail", "Ignore")
_MATCH = ("Equivalent", "Exact")
_SCOPES = ("*", "Cluster", "Namespaced")
_ACTIONS = ("Audit", "Deny", "Warn")
_REINVOCATIONS = ("IfNeeded", "Never")
_REASONS = ("Forbidden", "Invalid", "RequestEntityTooLarge")
_CONDITIONS_MAX = 64
_IDENTIFIER = re.compile("[_a-zA-Z][_a-zA-Z0-9]*")


def webhook_configuration(obj: Object, old: Object | None) -> FieldErrors:
    seen: set[str] = set()
    for index, hook in enumerate(obj.get("webhooks") or ()):
        at, name = f"webhooks[{index}]", hook.get("name") or ""
        yield from _name(f"{at}.name", name)
        if name in seen:
            yield duplicate(f"{at}.name", name)
        seen.add(name)
        yield from _webhook(at, hook)


def admission_policy(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    if not (spec.get("validations") or spec.get("auditAnnotations")):
        for field in ("validations", "auditAnnotations"):
            yield required(f"spec.{field}", "validations or auditAnnotations must contain at least one item")
    yield from policy_subject(spec)
    scope = scope_of(spec)
    for index, validation in enumerate(spec.get("validations") or ()):
        at = f"spec.validations[{index}]"
        yield from _validation(at, validation, scope)
        if validation.get("reason") is not None and validation["reason"] not in _REASONS:
            yield not_supported(f"{at}.reason", validation["reason"], _REASONS)
    name = obj["metadata"].get("name") or ""
    yield from _audit_annotations("spec.auditAnnotations", name, spec.get("auditAnnotations") or (), scope)


def scope_of(spec: dict[str, Any], variables: int | None = None) -> Scope:
    """What the expressions of a policy may name, if they stand behind so many of its variables (None: all)."""
    found = (spec.get("variables") or [])[:variables]
    return Scope(tuple(str(each.get("name") or "") for each in found), has_params=spec.get("paramKind") is not None)


def _validation(at: str, validation: dict[str, Any], scope: Scope) -> FieldErrors:
    text, message, told = ((validation.get(key) or "") for key in ("expression", "message", "messageExpression"))
    if not text.strip():
        yield required(f"{at}.expression", "expression is not specified")
    else:
        yield from expression(f"{at}.expression", text, "BOOL", scope=scope)
    if message and not message.strip():
        yield invalid_value(f"{at}.message", message, "must be non-empty if specified")
    elif "\n" in message.strip():
        yield invalid_value(f"{at}.message", message, "must not contain line breaks")
    if told and not told.strip():
        yield invalid_value(f"{at}.messageExpression", told, "must be non-empty if specified")
    elif told:
        yield from expression(f"{at}.messageExpression", told, "STRING", authorizer=False, scope=scope)


def _audit_annotations(field: str, policy: str, annotations: Sequence[dict[str, Any]], scope: Scope) -> FieldErrors:
    """Their keys in the log begin with the policy's name."""
    seen: set[str] = set()
    for index, annotation in enumerate(annotations):
        at, key = f"{field}[{index}]", annotation.get("key") or ""
        yield from matches(f"{at}.key", f"{policy}/{key}", names.label_key(f"{policy}/{key}"))
        if key in seen:
            yield duplicate(f"{at}.key", key)
        seen.add(key)
        text = annotation.get("valueExpression") or ""
        if not text.strip():
            yield required(f"{at}.valueExpression", "valueExpression is not specified")
        else:
            yield from expression(f"{at}.valueExpression", text, "STRING", "NULL", scope=scope)


def policy_subject(spec: dict[str, Any], *, builds: bool = False) -> FieldErrors:
    """What policies of both kinds have: what they are about, and variables."""
    yield from one_of("spec.failurePolicy", spec.get("failurePolicy"), _FAILURE)
    if spec.get("paramKind") is not None:
        yield from _param_kind("spec.paramKind", spec["paramKind"])
    constraints = spec.get("matchConstraints")
    if constraints is None:
        yield required("spec.matchConstraints")
    else:
        yield from resources_matched("spec.matchConstraints", constraints)
        if not constraints.get("resourceRules"):
            yield required("spec.matchConstraints.resourceRules")
    yield from _conditions("spec.matchConditions", spec)
    for index, variable in enumerate(spec.get("variables") or ()):
        yield from _variable(f"spec.variables[{index}]", variable, scope_of(spec, index), builds=builds)


def _variable(at: str, variable: dict[str, Any], scope: Scope, *, builds: bool) -> FieldErrors:
    name, text = variable.get("name") or "", variable.get("expression") or ""
    if not name.strip():
        yield required(f"{at}.name", "name is not specified")
    elif not _IDENTIFIER.fullmatch(name):
        yield invalid_value(f"{at}.name", name, "must be a valid CEL identifier")
    if not text.strip():
        yield required(f"{at}.expression", "expression is not specified")
    else:
        yield from expression(f"{at}.expression", text, builds=builds, scope=scope)


def admission_policy_binding(obj: Object, old: Object | None) -> FieldErrors:
    spec = obj.get("spec") or {}
    yield from policy_name("spec.policyName", spec.get("policyName") or "")
    actions = spec.get("validationActions") or ()
    if not actions:
        yield required("spec.validationActions", "at least one validation action is required")
    for index, action in enumerate(actions):
        if action not in _ACTIONS:
            yield not_supported(f"spec.validationActions[{index}]", action, _ACTIONS)
        if action in actions[:index]:
            yield duplicate(f"spec.validationActions[{index}]", action)
    if "Deny" in actions and "Warn" in actions:
        detail = "must not contain both Deny and Warn (repeating the same validation failure information in the API "
        yield invalid_value("spec.validationActions", actions, detail + "response and headers serves no purpose)")
    yield from params("spec.paramRef", spec.get("paramRef"))
    if spec.get("matchResources") is not None:
        yield from resources_matched("spec.matchResources", spec["matchResources"])


def _param_kind(field: str, kind: dict[str, Any]) -> FieldErrors:
    version, name = kind.get("apiVersion") or "", kind.get("kind") or ""
    if not version:
        yield required(f"{field}.apiVersion")
    elif version.count("/") > 1:
        yield invalid_value(f"{field}.apiVersion", version, f"unexpected GroupVersion string: {version}")
    if not name:
        yield required(f"{field}.kind")
    else:
        for why in names.dns_1035_label(name.lower()):
            yield invalid_value(f"{field}.kind", name, f"may have mixed case, but should otherwise match: {why}")


def policy_name(field: str, name: str) -> FieldErrors:
    """Of the policy that a binding is about."""
    if not name:
        yield required(field)
    else:
        yield from matches(field, name, names.dns_subdomain(name))


def params(field: str, reference: dict[str, Any] | None) -> FieldErrors:
    if reference is None:
        return
    if reference.get("name") and reference.get("selector") is not None:
        for name in ("name", "selector"):
            yield forbidden(f"{field}.{name}", "name and selector are mutually exclusive")
    elif not reference.get("name") and reference.get("selector") is None:
        yield required(field, "one of name or selector must be specified")
    yield from one_of(f"{field}.parameterNotFoundAction", reference.get("parameterNotFoundAction"), ("Deny", "Allow"))


def _name(field: str, name: str) -> FieldErrors:
    if not name:
        yield required(field)
        return
    yield from matches(field, name, names.dns_subdomain(name))
    if name.count(".") < 2:
        yield invalid_value(field, name, "should be a domain with at least three segments separated by dots")


def _webhook(at: str, hook: dict[str, Any]) -> FieldErrors:
    versions = hook.get("admissionReviewVersions") or ()
    if not versions:
        yield required(f"{at}.admissionReviewVersions", "must specify one of v1, v1beta1")
    for index, version in enumerate(versions):
        where = f"{at}.admissionReviewVersions[{index}]"
        yield from matches(where, version, names.dns_1035_label(version))
        if version in versions[:index]:
            yield invalid_value(where, version, "duplicate version")
    if versions and "v1" not in versions:
        yield invalid_value(f"{at}.admissionReviewVersions", versions, "must include at least one of v1, v1beta1")
    for index, rule in enumerate(hook.get("rules") or ()):
        yield from _rule(f"{at}.rules[{index}]", rule)
    yield from one_of(f"{at}.failurePolicy", hook.get("failurePolicy"), _FAILURE)
    yield from one_of(f"{at}.matchPolicy", hook.get("matchPolicy"), _MATCH)
    again = hook.get("reinvocationPolicy")
    if again is not None and again not in _REINVOCATIONS:
        yield not_supported(f"{at}.reinvocationPolicy", again, _REINVOCATIONS)
    yield from one_of(f"{at}.sideEffects", hook.get("sideEffects"), ("None", "NoneOnDryRun"))
    timeout = hook.get("timeoutSeconds")
    if timeout is not None and not 1 <= timeout <= 30:
        yield invalid_value(f"{at}.timeoutSeconds", timeout, "the timeout value must be between 1 and 30 seconds")
    yield from label_selector(f"{at}.namespaceSelector", hook.get("namespaceSelector"))
    yield from label_selector(f"{at}.objectSelector", hook.get("objectSelector"))
    yield from client_config(f"{at}.clientConfig", hook.get("clientConfig") or {})
    yield from _conditions(f"{at}.matchConditions", hook)


def client_config(field: str, config: dict[str, Any]) -> FieldErrors:
    """A WebhookClientConfig: how a webhook is reached."""
    url, service = config.get("url"), config.get("service")
    if (url is None) == (service is None):
        yield required(field, "exactly one of url or service is required")
    elif service is not None:
        yield from _service(f"{field}.service", service)
    else:
        parts = urlsplit(str(url))
        if parts.scheme != "https":
            detail = "'https' is the only allowed URL scheme; desired format: https://host[:port]/path"
            yield invalid_value(f"{field}.url", url, detail)
        if not parts.hostname:
            yield invalid_value(f"{field}.url", url, "host must be specified; desired format: https://host[:port]/path")
        if parts.query or parts.fragment or parts.username:
            yield invalid_value(
                f"{field}.url", url, "query, fragment and user information are not permitted in the URL"
            )


def _service(field: str, service: dict[str, Any]) -> FieldErrors:
    for key in ("name", "namespace"):
        if not service.get(key):
            yield required(f"{field}.{key}", f"service {key} is required")
    if not 1 <= (service.get("port") or 443) <= 65535:
        yield invalid_value(
            f"{field}.port", service["port"], "port is not valid: must be between 1 and 65535, inclusive"
        )


def resources_matched(field: str, matching: dict[str, Any]) -> FieldErrors:
    policy = matching.get("matchPolicy")
    if policy is None:
        yield required(f"{field}.matchPolicy")
    elif policy not in _MATCH:
        yield not_supported(f"{field}.matchPolicy", policy, _MATCH)
    yield from label_selector(f"{field}.namespaceSelector", matching.get("namespaceSelector"))
    yield from label_selector(f"{field}.objectSelector", matching.get("objectSelector"))
    for key in ("resourceRules", "excludeResourceRules"):
        for index, rule in enumerate(matching.get(key) or ()):
            yield from _rule(f"{field}.{key}[{index}]", rule)


def _rule(field: str, rule: dict[str, Any]) -> FieldErrors:
    for key in ("operations", "apiGroups", "apiVersions", "resources"):
        values = rule.get(key) or ()
        if not values:
            yield required(f"{field}.{key}")
        elif "*" in values and len(values) > 1 and key != "resources":
            detail = "if '*' is present, must not specify other values"
            yield invalid_value(f"{field}.{key}", values, detail)
    for index, operation in enumerate(rule.get("operations") or ()):
        if operation not in _OPERATIONS:
            yield not_supported(f"{field}.operations[{index}]", operation, _OPERATIONS)
    if rule.get("scope") is not None and rule["scope"] not in _SCOPES:
        yield not_supported(f"{field}.scope", rule["scope"], _SCOPES)


def _conditions(field: str, holder: dict[str, Any]) -> FieldErrors:
    conditions = holder.get("matchConditions") or ()
    if len(conditions) > _CONDITIONS_MAX:
        yield invalid_value(field, len(conditions), f"must have at most {_CONDITIONS_MAX} items")
        return
    seen: set[str] = set()
    for index, condition in enumerate(conditions):
        at, name = f"{field}[{index}]", condition.get("name") or ""
        yield from expression(f"{at}.expression", condition.get("expression"), "BOOL")
        if not name:
            yield required(f"{at}.name")
        else:
            yield from matches(f"{at}.name", name, names.label_key(name))
        if name and name in seen:
            yield duplicate(f"{at}.name", name)
        seen.add(name)


def expression(
    field: str,
    text: str | None,
    *results: str,
    builds: bool = False,
    authorizer: bool = True,
    scope: Scope | None = None,
) -> FieldErrors:
    """`results`: the types that it may be of, none: any. `scope`: what it may name, of a policy."""
    if not (text or "").strip():
        yield required(field)
        return
    assert text is not None
    why = problem(text, *results, builds=builds, authorizer=authorizer, scope=scope)
    if why:
        yield invalid_value(field, text, why)
