"""Which changes a webhook or a policy is about: rules over groups, versions, resources, operations, and selectors."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from actors.apiserver.admission.attributes import Attributes
from actors.apiserver.admission.stored import Stored
from actors.apiserver.schema.resources import Resource
from protocols.objects import Object, labels_of
from protocols.rules.selectors import selector_matches

GROUP = "admissionregistration.k8s.io"
MUTATING_WEBHOOKS = f"mutatingwebhookconfigurations.{GROUP}"
VALIDATING_WEBHOOKS = f"validatingwebhookconfigurations.{GROUP}"
POLICIES = f"validatingadmissionpolicies.{GROUP}"
MUTATING_POLICIES = f"mutatingadmissionpolicies.{GROUP}"
MUTATING_BINDINGS = f"mutatingadmissionpolicybindings.{GROUP}"
BINDINGS = f"validatingadmissionpolicybindings.{GROUP}"


class Match(NamedTuple):
    """`resource`: the version of what is asked for in which the rule wants to see it."""

    resource: Resource


def match(
    hook: Mapping[str, Any], attributes: Attributes, stored: Stored, versions: Iterable[Resource], rules: str = "rules"
) -> Match | None:
    """`hook` has rules, excludeResourceRules, matchPolicy and the two selectors; `versions`: of what is asked for.

    Who configures admission is never kept from it, or a wrong configuration could not be mended.
    """
    if attributes.resource.group == GROUP:
        return None
    exact = attributes.requested
    if any(_rule_matches(rule, attributes, exact) for rule in hook.get("excludeResourceRules") or ()):
        return None
    found = _by_rules(hook, attributes, exact, versions, rules)
    if found is None or not _namespace_matches(hook.get("namespaceSelector"), attributes, stored):
        return None
    selector = hook.get("objectSelector")
    if selector and not any(selector_matches(selector, labels_of(obj)) for obj in _objects(attributes)):
        return None
    return found


def may_concern(
    hooks: Iterable[Mapping[str, Any]], operation: str, resource: Resource, subresource: str, rules: str = "rules"
) -> bool:
    """Whether a rule of one of them is about such changes at all, whatever object and namespace they are about."""
    return any(_is_about(rule, operation, resource, subresource) for hook in hooks for rule in hook.get(rules) or ())


def _by_rules(
    hook: Mapping[str, Any], attributes: Attributes, exact: Resource, versions: Iterable[Resource], key: str
) -> Match | None:
    rules = hook.get(key) or ()
    if any(_rule_matches(rule, attributes, exact) for rule in rules):
        return Match(exact)
    if hook.get("matchPolicy") == "Exact":
        return None
    for version in versions:
        if any(_rule_matches(rule, attributes, version) for rule in rules):
            return Match(version)
    return None


def _rule_matches(rule: Mapping[str, Any], attributes: Attributes, resource: Resource) -> bool:
    names = rule.get("resourceNames") or ()
    about = _is_about(rule, attributes.operation, resource, attributes.subresource)
    return about and (not names or attributes.name in names)


def _is_about(rule: Mapping[str, Any], operation: str, resource: Resource, subresource: str) -> bool:
    scope = rule.get("scope") or "*"
    if scope != "*" and (scope == "Namespaced") != bool(resource.namespaced):
        return False
    return (
        _has(rule.get("operations"), operation)
        and _has(rule.get("apiGroups"), resource.group)
        and _has(rule.get("apiVersions"), resource.version)
        and any(_resource_matches(each, resource.plural, subresource) for each in rule.get("resources") or ())
    )


def _has(choices: Iterable[str] | None, value: str) -> bool:
    return any(choice in ("*", value) for choice in choices or ())


def _resource_matches(written: str, plural: str, subresource: str) -> bool:
    """`pods`, `pods/status`, `pods/*`, `*`, `*/status`, `*/*`: without a slash, no subresource is meant."""
    resource, slash, sub = written.partition("/")
    if resource not in ("*", plural):
        return False
    return sub in ("*", subresource) if slash else not subresource


def _namespace_matches(selector: Mapping[str, Any] | None, attributes: Attributes, stored: Stored) -> bool:
    if not selector:
        return True
    if attributes.resource.group_resource == "namespaces":
        return selector_matches(selector, labels_of(attributes.obj or attributes.old))
    if not attributes.namespace:
        return True
    namespace = stored.get("namespaces", attributes.namespace)
    return selector_matches(selector, labels_of(namespace) if namespace is not None else {})


def _objects(attributes: Attributes) -> list[Object]:
    """What has labels to be selected by: not the options of a connection."""
    return [obj for obj in (attributes.obj, attributes.old) if "metadata" in obj]
