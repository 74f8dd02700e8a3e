"""Which FlowSchema a request belongs to: whose, about what. Pure.

Source: flowcontrol.apiserver.k8s.io/v1, "FlowSchemaSpec"; a rule is compiled once into sets.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from actors.apiserver.access.attributes import Attributes
from actors.apiserver.callers import Caller, account_of

ALL = "*"
_Words = frozenset[str] | None  # None: whatever it is


class ResourceRule(NamedTuple):
    verbs: _Words
    groups: _Words
    resources: _Words
    namespaces: _Words
    cluster_scope: bool

    def matches(self, asked: Attributes) -> bool:
        if not (_in(asked.verb, self.verbs) and _in(asked.what, self.resources) and _in(asked.group, self.groups)):
            return False
        return _in(asked.namespace, self.namespaces) if asked.namespace else self.cluster_scope


class PathRule(NamedTuple):
    verbs: _Words
    paths: tuple[str, ...]

    def matches(self, asked: Attributes) -> bool:
        return _in(asked.verb, self.verbs) and any(_path_matches(path, asked.path) for path in self.paths)


class Rule(NamedTuple):
    """One of `spec.rules`: subjects, and what they do."""

    users: _Words
    groups: _Words
    accounts: frozenset[tuple[str, str]]  # (namespace, name); the name may be ALL
    on_resources: tuple[ResourceRule, ...]
    on_paths: tuple[PathRule, ...]

    def matches(self, caller: Caller, asked: Attributes) -> bool:
        if not self._is_of(caller):
            return False
        rules: Iterable[ResourceRule | PathRule] = self.on_paths if asked.path else self.on_resources
        return any(rule.matches(asked) for rule in rules)

    def _is_of(self, caller: Caller) -> bool:
        if _in(caller.user, self.users) or self.groups is None or not self.groups.isdisjoint(caller.groups):
            return True
        account = account_of(caller.user) if self.accounts else None
        return account is not None and (account in self.accounts or (account[0], ALL) in self.accounts)


def rule_of(document: Mapping[str, Any]) -> Rule:
    """A rule of a FlowSchema that has been validated."""
    subjects = document.get("subjects") or ()
    return Rule(
        users=_named(subjects, "User", "user"),
        groups=_named(subjects, "Group", "group"),
        accounts=frozenset(
            (subject["serviceAccount"]["namespace"], subject["serviceAccount"]["name"])
            for subject in subjects
            if subject.get("kind") == "ServiceAccount"
        ),
        on_resources=tuple(_resource_rule(rule) for rule in document.get("resourceRules") or ()),
        on_paths=tuple(_path_rule(rule) for rule in document.get("nonResourceRules") or ()),
    )


def distinguisher_of(method: str, caller: Caller, asked: Attributes) -> str:
    """What tells the flows of one schema apart; "" where they are all one."""
    if method == "ByUser":
        return caller.user
    return asked.namespace if method == "ByNamespace" else ""


def _named(subjects: Iterable[Mapping[str, Any]], kind: str, field: str) -> _Words:
    return _words([subject[field]["name"] for subject in subjects if subject.get("kind") == kind])


def _resource_rule(rule: Mapping[str, Any]) -> ResourceRule:
    return ResourceRule(
        _words(rule.get("verbs") or ()),
        _words(rule.get("apiGroups") or ()),
        _words(rule.get("resources") or ()),
        _words(rule.get("namespaces") or ()),
        bool(rule.get("clusterScope")),
    )


def _path_rule(rule: Mapping[str, Any]) -> PathRule:
    return PathRule(_words(rule.get("verbs") or ()), tuple(rule.get("nonResourceURLs") or ()))


def _words(listed: Iterable[str]) -> _Words:
    words = frozenset(listed)
    return None if ALL in words else words


def _in(word: str, words: _Words) -> bool:
    return words is None or word in words


def _path_matches(path: str, asked: str) -> bool:
    """`/healthz` is also what lies below it, with or without a star at the end."""
    if path in (ALL, asked):
        return True
    prefix = path.removesuffix(ALL)
    return asked.startswith(prefix if prefix.endswith("/") else f"{prefix}/")
