"""RBAC as its documentation words it, literally and slowly: every binding is looked at, every rule, every word."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from actors.apiserver.access.attributes import Attributes
from actors.apiserver.callers import Caller

Objects = list[tuple[str, dict[str, Any]]]


def allowed(objects: Objects, caller: Caller, asked: Attributes) -> bool:
    return any(rule_allows(rule, asked) for rule in rules_for(objects, caller, asked.namespace))


def rules_for(objects: Objects, caller: Caller, namespace: str) -> Iterator[dict[str, Any]]:
    for group_resource, binding in objects:
        if group_resource.startswith("clusterrolebindings"):
            here = ""
        elif group_resource.startswith("rolebindings") and namespace == binding["metadata"]["namespace"]:
            here = namespace
        else:
            continue
        if any(is_subject(subject, caller, here) for subject in binding.get("subjects", [])):
            yield from role_rules(objects, binding["roleRef"], here)


def is_subject(subject: dict[str, Any], caller: Caller, namespace: str) -> bool:
    if subject["kind"] == "User":
        return bool(subject["name"] == caller.user)
    if subject["kind"] == "Group":
        return subject["name"] in caller.groups
    where = subject.get("namespace") or namespace
    return caller.user == "system:serviceaccount:" + where + ":" + subject["name"]


def role_rules(objects: Objects, reference: dict[str, Any], namespace: str) -> list[dict[str, Any]]:
    for group_resource, role in objects:
        metadata = role["metadata"]
        if reference["kind"] == "ClusterRole":
            found = group_resource.startswith("clusterroles")
        else:
            found = group_resource.startswith("roles") and metadata["namespace"] == namespace
        if found and metadata["name"] == reference["name"]:
            rules: list[dict[str, Any]] = role.get("rules", [])
            return rules
    return []


def rule_allows(rule: dict[str, Any], asked: Attributes) -> bool:
    if "*" not in rule["verbs"] and asked.verb not in rule["verbs"]:
        return False
    if asked.path:
        return any(path_matches(path, asked.path) for path in rule.get("nonResourceURLs", []))
    if "*" not in rule.get("apiGroups", []) and asked.group not in rule.get("apiGroups", []):
        return False
    if rule.get("resourceNames") and asked.name not in rule["resourceNames"]:
        return False
    return any(resource_matches(resource, asked) for resource in rule.get("resources", []))


def resource_matches(resource: str, asked: Attributes) -> bool:
    if resource == "*":
        return True
    if not asked.subresource:
        return resource == asked.resource
    return resource in (asked.resource + "/" + asked.subresource, "*/" + asked.subresource)


def path_matches(path: str, asked: str) -> bool:
    if path.endswith("*"):
        return asked.startswith(path[:-1])
    return path == asked
