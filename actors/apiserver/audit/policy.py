"""An audit policy, as a value: which level a request has, which of its stages are left out. The first rule that is
about it decides.

Source: "Auditing" of Kubernetes' documentation, and the type audit.k8s.io/v1 Policy.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, cast, get_args

from actors.apiserver.access.attributes import Attributes
from actors.apiserver.callers import Caller

Level = Literal["None", "Metadata", "Request", "RequestResponse"]
Stage = Literal["RequestReceived", "ResponseStarted", "ResponseComplete", "Panic"]
LEVELS: tuple[Level, ...] = get_args(Level)
STAGES: tuple[Stage, ...] = get_args(Stage)
_API_VERSION = "audit.k8s.io/v1"
_TEXTS = ("users", "userGroups", "verbs", "namespaces", "nonResourceURLs", "omitStages")
_RULE_FIELDS = ("level", "resources", "omitManagedFields", *_TEXTS)
_RESOURCE_FIELDS = ("group", "resources", "resourceNames")


class PolicyError(ValueError):
    """What is wrong, with the path of the field."""


class Verdict(NamedTuple):
    """What is written about one request."""

    level: Level
    omit_stages: frozenset[Stage] = frozenset()
    omit_managed_fields: bool = False


NOTHING = Verdict("None")


class Resources(NamedTuple):
    """Resources of one API group ("pods", "pods/log", "*", "*/scale", "pods/*"); none are all of them."""

    group: str
    resources: tuple[str, ...]
    names: frozenset[str]

    def are_about(self, asked: Attributes) -> bool:
        if self.group != asked.group:
            return False
        if not self.resources:
            return True
        named = not self.names or asked.name in self.names
        return named and any(_is_about(resource, asked) for resource in self.resources)


@dataclass(frozen=True, slots=True)
class Rule:
    """What is empty is about all."""

    verdict: Verdict
    users: frozenset[str]
    groups: frozenset[str]
    verbs: frozenset[str]
    namespaces: frozenset[str]
    resources: tuple[Resources, ...]
    urls: tuple[str, ...]

    def is_about(self, caller: Caller, asked: Attributes) -> bool:
        if self.users and caller.user not in self.users:
            return False
        if self.groups and self.groups.isdisjoint(caller.groups):
            return False
        if self.verbs and asked.verb not in self.verbs:
            return False
        if self.namespaces or self.resources:
            return self._is_about_resource(asked)
        if self.urls:
            return any(asked.path and _path_matches(url, asked.path) for url in self.urls)
        return True

    def _is_about_resource(self, asked: Attributes) -> bool:
        if asked.path or (self.namespaces and asked.namespace not in self.namespaces):
            return False
        return not self.resources or any(each.are_about(asked) for each in self.resources)


class Policy(NamedTuple):
    rules: tuple[Rule, ...]

    def verdict(self, caller: Caller, asked: Attributes) -> Verdict:
        return next((rule.verdict for rule in self.rules if rule.is_about(caller, asked)), NOTHING)


def read_policy(document: object) -> Policy:
    """Raises PolicyError, with all that is wrong."""
    if not isinstance(document, dict):
        raise PolicyError("a policy is a YAML mapping")
    errors = [*_document_errors(document)]
    if errors:
        raise PolicyError("; ".join(errors))
    return Policy(tuple(_rule(rule, document) for rule in document["rules"]))


def _rule(rule: Mapping[str, Any], policy: Mapping[str, Any]) -> Rule:
    omitted = frozenset(cast(Stage, stage) for each in (policy, rule) for stage in each.get("omitStages") or ())
    managed = rule.get("omitManagedFields")
    verdict = Verdict(rule["level"], omitted, bool(policy.get("omitManagedFields") if managed is None else managed))
    resources = (
        Resources(
            each.get("group") or "", tuple(each.get("resources") or ()), frozenset(each.get("resourceNames") or ())
        )
        for each in rule.get("resources") or ()
    )
    users, groups, verbs, namespaces = (
        frozenset(rule.get(field) or ()) for field in ("users", "userGroups", "verbs", "namespaces")
    )
    urls = tuple(rule.get("nonResourceURLs") or ())
    return Rule(verdict, users, groups, verbs, namespaces, tuple(resources), urls)


def _is_about(resource: str, asked: Attributes) -> bool:
    if resource == "*":
        return True
    kind, slash, subresource = resource.partition("/")
    if not slash:
        return (kind, "") == (asked.resource, asked.subresource)
    if kind == "*":
        return bool(asked.subresource) and subresource == asked.subresource
    return kind == asked.resource and bool(asked.subresource) and subresource in ("*", asked.subresource)


def _path_matches(url: str, path: str) -> bool:
    return url in ("*", path) or (url.endswith("*") and path.startswith(url.rstrip("*")))


# -- what is wrong with it --------------------------------------------------------------------------------------------


def _document_errors(document: Mapping[str, Any]) -> Iterator[str]:
    if (document.get("apiVersion"), document.get("kind")) != (_API_VERSION, "Policy"):
        yield f"it must be of kind Policy, apiVersion {_API_VERSION}"
    yield from _unknown("", document, ("apiVersion", "kind", "metadata", "omitStages", "omitManagedFields", "rules"))
    yield from _stage_errors("omitStages", document)
    rules = document.get("rules")
    if not isinstance(rules, list) or not rules:
        yield "rules: Required value: a policy without rules would write nothing"
        return
    for index, rule in enumerate(rules):
        yield from _rule_errors(f"rules[{index}]", rule)


def _rule_errors(path: str, rule: object) -> Iterator[str]:
    if not isinstance(rule, dict):
        yield f"{path}: it must be a mapping"
        return
    yield from _unknown(f"{path}.", rule, _RULE_FIELDS)
    if rule.get("level") not in LEVELS:
        yield f"{path}.level: Unsupported value: {rule.get('level')!r}: supported values: {', '.join(LEVELS)}"
    for field in _TEXTS:
        if not _are_texts(rule.get(field)):
            yield f"{path}.{field}: it must be a list of strings"
            return
    yield from _stage_errors(f"{path}.omitStages", rule)
    urls = rule.get("nonResourceURLs") or ()
    if urls and (rule.get("resources") or rule.get("namespaces")):
        yield f"{path}.nonResourceURLs: Invalid value: a rule is about resources or about non-resource URLs, not both"
    for url in urls:
        if url != "*" and (not url.startswith("/") or "*" in url[:-1]):
            yield f"{path}.nonResourceURLs: Invalid value: {url!r}: it begins with a /, and a * stands at its end only"
    yield from _resource_errors(f"{path}.resources", rule.get("resources") or ())


def _resource_errors(path: str, resources: object) -> Iterator[str]:
    if not isinstance(resources, list | tuple):
        yield f"{path}: it must be a list"
        return
    for index, each in enumerate(resources):
        if not isinstance(each, dict):
            yield f"{path}[{index}]: it must be a mapping"
            continue
        yield from _unknown(f"{path}[{index}].", each, _RESOURCE_FIELDS)
        for field in ("resources", "resourceNames"):
            if not _are_texts(each.get(field)):
                yield f"{path}[{index}].{field}: it must be a list of strings"
        if "/" in str(each.get("group") or ""):
            yield f"{path}[{index}].group: Invalid value: {each['group']!r}: a group has no version"
        if each.get("resourceNames") and not each.get("resources"):
            yield f"{path}[{index}].resourceNames: Invalid value: using resourceNames requires at least one resource"


def _stage_errors(path: str, owner: Mapping[str, Any]) -> Iterator[str]:
    stages = owner.get("omitStages")
    if not _are_texts(stages):
        yield f"{path}: it must be a list of strings"
        return
    for stage in stages or ():
        if stage not in STAGES:
            yield f"{path}: Unsupported value: {stage!r}: supported values: {', '.join(STAGES)}"


def _unknown(prefix: str, owner: Mapping[str, Any], known: tuple[str, ...]) -> Iterator[str]:
    yield from (f"{prefix}{field}: there is no such field" for field in owner if field not in known)


def _are_texts(value: object) -> bool:
    return value is None or (isinstance(value, list) and all(isinstance(each, str) for each in value))
