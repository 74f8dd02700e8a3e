"""One PolicyRule: what it allows, and whether rules together grant all that others do.

Kubernetes' semantics: rbac.authorization.k8s.io/v1 PolicyRule, and the covering that prevents escalation.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import product
from typing import Any, NamedTuple

from actors.apiserver.access.attributes import Attributes, quoted

ANY = "*"


class Rule(NamedTuple):
    verbs: frozenset[str]
    groups: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    names: frozenset[str] = frozenset()
    paths: tuple[str, ...] = ()

    def allows(self, asked: Attributes) -> bool:
        if asked.verb not in self.verbs and ANY not in self.verbs:
            return False
        if asked.path:
            return any(path_covers(path, asked.path) for path in self.paths)
        if asked.group not in self.groups and ANY not in self.groups:
            return False
        if self.names and asked.name not in self.names:
            return False
        return self.allows_resource(asked)

    def allows_resource(self, asked: Attributes) -> bool:
        resources = self.resources
        if asked.what in resources or ANY in resources:
            return True
        return bool(asked.subresource) and f"*/{asked.subresource}" in resources


def rule_of(rule: Mapping[str, Any]) -> Rule:
    """A stored PolicyRule, compiled."""
    return Rule(
        frozenset(rule.get("verbs") or ()),
        frozenset(rule.get("apiGroups") or ()),
        frozenset(rule.get("resources") or ()),
        frozenset(rule.get("resourceNames") or ()),
        tuple(rule.get("nonResourceURLs") or ()),
    )


def document_of(rule: Rule) -> dict[str, Any]:
    """The PolicyRule again, as reviews show it."""
    parts = {
        "verbs": sorted(rule.verbs),
        "apiGroups": sorted(rule.groups),
        "resources": sorted(rule.resources),
        "resourceNames": sorted(rule.names),
        "nonResourceURLs": list(rule.paths),
    }
    return {key: value for key, value in parts.items() if value}


def path_covers(path: str, asked: str) -> bool:
    """A path of a rule may end in a star."""
    return path == asked or (path.endswith(ANY) and asked.startswith(path.rstrip(ANY)))


def missing(owned: Sequence[Rule], granted: Iterable[Rule]) -> list[Rule]:
    """What of `granted` no single rule of `owned` covers, taken apart into the smallest rules."""
    return [part for rule in granted for part in _parts(rule) if not any(_covers(own, part) for own in owned)]


def described(rules: Iterable[Rule]) -> list[str]:
    """Rules as escalation errors list them, those of resources that differ only in their verbs joined."""
    joined: dict[Rule, set[str]] = {}
    for rule in rules:
        alike = rule if rule.paths else rule._replace(verbs=frozenset())
        joined.setdefault(alike, set()).update(rule.verbs)
    return sorted({_described(rule, verbs) for rule, verbs in joined.items()})


def _described(rule: Rule, verbs: set[str]) -> str:
    parts: list[tuple[str, Iterable[str]]] = [
        ("APIGroups", sorted(rule.groups)),
        ("Resources", sorted(rule.resources)),
        ("NonResourceURLs", rule.paths),
        ("ResourceNames", sorted(rule.names)),
        ("Verbs", sorted(verbs)),
    ]
    told = [f"{name}:[{' '.join(map(quoted, values))}]" for name, values in parts if values]
    return "{" + ", ".join(told) + "}"


def _parts(rule: Rule) -> Iterator[Rule]:
    """Rules of one verb, one group, one resource and at most one name each, or of one verb and one path."""
    names = [frozenset((name,)) for name in sorted(rule.names)] or [frozenset[str]()]
    for verb in sorted(rule.verbs):
        for group, resource, name in product(sorted(rule.groups), sorted(rule.resources), names):
            yield Rule(frozenset((verb,)), frozenset((group,)), frozenset((resource,)), name)
        for path in rule.paths:
            yield Rule(frozenset((verb,)), paths=(path,))


def _covers(own: Rule, part: Rule) -> bool:
    return (
        _has_all(own.verbs, part.verbs)
        and _has_all(own.groups, part.groups)
        and all(_covers_resource(own.resources, resource) for resource in part.resources)
        and (not own.names or (bool(part.names) and part.names <= own.names))
        and all(any(path_covers(path, wanted) for path in own.paths) for wanted in part.paths)
    )


def _has_all(own: frozenset[str], wanted: frozenset[str]) -> bool:
    return ANY in own or wanted <= own


def _covers_resource(own: frozenset[str], resource: str) -> bool:
    _, slash, subresource = resource.partition("/")
    return resource in own or ANY in own or (bool(slash) and f"*/{subresource}" in own)
