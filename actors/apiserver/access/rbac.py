"""Role-based access control, as a value: roles and bindings in, decisions out.

Bindings are indexed by their subjects, those of namespaces also by the namespace. A decision costs the rules that the
caller's own bindings lead to, in that namespace and cluster-wide, however many bindings others have.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

from actors.apiserver.access.attributes import Attributes, Decision, quoted
from actors.apiserver.access.rules import ANY, Rule, rule_of
from actors.apiserver.callers import Caller
from protocols.objects import Object, key_of, name_of, namespace_of

GROUP = "rbac.authorization.k8s.io"
CLUSTER_ROLES = f"clusterroles.{GROUP}"
ROLES = f"roles.{GROUP}"
CLUSTER_BINDINGS = f"clusterrolebindings.{GROUP}"
BINDINGS = f"rolebindings.{GROUP}"
RESOURCES = (CLUSTER_ROLES, ROLES, CLUSTER_BINDINGS, BINDINGS)

_USER, _GROUP, _ACCOUNT = "User", "Group", "ServiceAccount"
# (namespace, kind, name): whom a binding is for, and where ("" everywhere); kind is User or Group.
_Subject = tuple[str, str, str]


class Role(NamedTuple):
    """Its rules as they are stored, compiled when first looked at: most of a cluster's roles never are."""

    stored: tuple[dict[str, Any], ...]
    rules: list[Rule]  # empty until then
    by_group: dict[str, list[Rule]]  # those that name no objects, by the API groups that they are about

    def compile(self) -> None:
        self.rules[:] = map(rule_of, self.stored)
        for rule in self.rules:
            if not rule.names:
                for group in sorted(rule.groups):
                    self.by_group.setdefault(group, []).append(rule)

    def allows_any_name(self, asked: Attributes) -> bool:
        if asked.path:
            return any(rule.allows(asked) for rule in self.rules)
        by_group = self.by_group
        return any(rule.allows(asked) for group in (asked.group, ANY) for rule in by_group.get(group, ()))


class Grant(NamedTuple):
    """One binding, as one of its subjects has it."""

    role_kind: str
    role: str  # the key: with its namespace for a Role
    source: str  # how reasons name it


class Rbac:
    """`put` and `remove` objects by their group resource; then ask. Unknown subjects simply have no rights."""

    def __init__(self) -> None:
        self._roles: dict[str, dict[str, Role]] = {ROLES: {}, CLUSTER_ROLES: {}}
        self._subjects: dict[tuple[str, str], tuple[_Subject, ...]] = {}  # binding -> where it is indexed
        self._grants: dict[_Subject, dict[tuple[str, str], Grant]] = {}

    def put(self, group_resource: str, obj: Object) -> None:
        key = key_of(obj)
        if group_resource in self._roles:
            self._roles[group_resource][key] = Role(tuple(obj.get("rules") or ()), [], {})
            return
        self.remove(group_resource, key)
        binding = (group_resource, key)
        grants = dict(_grants(obj))
        self._subjects[binding] = tuple(grants)
        for subject, grant in grants.items():
            self._grants.setdefault(subject, {})[binding] = grant

    def remove(self, group_resource: str, key: str) -> None:
        if group_resource in self._roles:
            self._roles[group_resource].pop(key, None)
            return
        binding = (group_resource, key)
        for subject in self._subjects.pop(binding, ()):
            held = self._grants[subject]
            del held[binding]
            if not held:
                del self._grants[subject]

    def decide(self, caller: Caller, asked: Attributes) -> Decision:
        unknown = []
        for grant in self._held(caller, asked.namespace):
            rules = self.rules_of(grant.role_kind, grant.role)
            if rules is None:
                unknown.append(_unknown(grant))
            elif any(rule.allows(asked) for rule in rules):
                return Decision(True, f"RBAC: allowed by {grant.source}")
        return Decision(False, f"RBAC: {_aggregate(unknown)}" if unknown else "")

    def allowed_anywhere(self, caller: Caller, asked: Attributes) -> bool:
        """Whether it is allowed in every namespace and under every name. Says no more of what it does not know."""
        for grant in self._held(caller, ""):
            role = self._role(grant.role_kind, grant.role)
            if role is not None and role.allows_any_name(asked):
                return True
        return False

    def rules_for(self, caller: Caller, namespace: str) -> tuple[list[Rule], str]:
        """All that the caller may do in a namespace ("": cluster-wide), and which of its roles are not there."""
        rules: list[Rule] = []
        unknown = []
        for grant in self._held(caller, namespace):
            found = self.rules_of(grant.role_kind, grant.role)
            if found is None:
                unknown.append(_unknown(grant))
            else:
                rules += found
        return rules, _aggregate(unknown) if unknown else ""

    def rules_of(self, kind: str, key: str) -> list[Rule] | None:
        """A role's; None when there is no such role."""
        role = self._role(kind, key)
        return None if role is None else role.rules

    def _role(self, kind: str, key: str) -> Role | None:
        role = self._roles[CLUSTER_ROLES if kind == "ClusterRole" else ROLES].get(key)
        if role is not None and len(role.rules) != len(role.stored):
            role.compile()
        return role

    def check(self) -> None:
        """The index holds exactly what the bindings say."""
        indexed = {(subject, binding) for subject, held in self._grants.items() for binding in held}
        assert indexed == {(subject, binding) for binding, all in self._subjects.items() for subject in all}
        assert all(self._grants.values())

    def _held(self, caller: Caller, namespace: str) -> Iterator[Grant]:
        for where in ("", namespace) if namespace else ("",):
            yield from self._grants.get((where, _USER, caller.user), _NONE).values()
            for group in caller.groups:
                yield from self._grants.get((where, _GROUP, group), _NONE).values()


_NONE: dict[tuple[str, str], Grant] = {}


def _grants(binding: Object) -> Iterator[tuple[_Subject, Grant]]:
    namespace, reference = namespace_of(binding), binding.get("roleRef") or {}
    kind, name = str(reference.get("kind")), str(reference.get("name"))
    key = f"{namespace}/{name}" if kind == "Role" else name
    named = f"{name_of(binding)}/{namespace}" if namespace else name_of(binding)
    bound = f"{'RoleBinding' if namespace else 'ClusterRoleBinding'} {quoted(named)} of {kind} {quoted(name)} to"
    for subject in binding.get("subjects") or ():
        who, told = _subject(subject, namespace)
        yield (namespace, *who), Grant(kind, key, f"{bound} {told}")


def _subject(subject: dict[str, Any], namespace: str) -> tuple[tuple[str, str], str]:
    kind, name = str(subject.get("kind")), str(subject.get("name"))
    if kind != _ACCOUNT:
        return (kind, name), f"{kind} {quoted(name)}"
    where = subject.get("namespace") or namespace
    return (_USER, f"system:serviceaccount:{where}:{name}"), f"{kind} {quoted(f'{name}/{where}')}"


def _unknown(grant: Grant) -> str:
    return f"{grant.role_kind.lower()}.{GROUP} {quoted(grant.role.rpartition('/')[2])} not found"


def _aggregate(errors: list[str]) -> str:
    """As Go's aggregate of errors prints: each once, several in brackets."""
    distinct = list(dict.fromkeys(errors))
    return distinct[0] if len(distinct) == 1 else f"[{', '.join(distinct)}]"
