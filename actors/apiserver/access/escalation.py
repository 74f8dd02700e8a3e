"""Nobody grants what they do not have: checked on every write of a role or a binding, whatever else allows it.

Who may `escalate` a role, or `bind` one, is exempt, and so are members of system:masters.
Source: "Privilege escalation prevention and bootstrapping" of Kubernetes' RBAC documentation.
"""

from __future__ import annotations

from typing import Any

from actors.apiserver.access.attributes import Attributes, quoted
from actors.apiserver.access.authorizer import Authorizer
from actors.apiserver.access.rbac import GROUP
from actors.apiserver.access.rules import Rule, described, missing, rule_of
from actors.apiserver.answers import forbidden, not_found
from actors.apiserver.callers import MASTERS
from actors.apiserver.calls import Call
from protocols.objects import Object, meta

_EVERYTHING = (
    Rule(frozenset("*"), frozenset("*"), frozenset("*")),
    Rule(frozenset("*"), paths=("*",)),
)
_GARBAGE = ("ownerReferences", "finalizers")


def check_escalation(authorizer: Authorizer, call: Call, new: Object, old: Object | None) -> None:
    """For any resource: raises Forbidden, or NotFound when a binding's role is not there to be compared."""
    if call.resource.group != GROUP or MASTERS in call.caller.groups or _only_garbage(new, old):
        return
    if call.resource.plural in ("roles", "clusterroles"):
        _check_role(authorizer, call, new, old)
    else:
        _check_binding(authorizer, call, new)


def _check_role(authorizer: Authorizer, call: Call, role: Object, old: Object | None) -> None:
    named = "" if old is None else call.name  # in the request: a role that is created is not
    if authorizer.decide(call.caller, _about(call, "escalate", call.resource.plural, named)).allowed:
        return
    _check_held(authorizer, call, [rule_of(rule) for rule in role.get("rules") or ()])
    if role.get("aggregationRule") or (old or {}).get("aggregationRule"):
        owned, _ = authorizer.rules_for(call.caller, call.namespace)
        if missing(owned, _EVERYTHING):
            raise forbidden(call.resource, call.name, "must have cluster-admin privileges to use the aggregationRule")


def _check_binding(authorizer: Authorizer, call: Call, binding: Object) -> None:
    reference: dict[str, Any] = binding.get("roleRef") or {}
    kind, name = str(reference.get("kind")), str(reference.get("name"))
    plural = "clusterroles" if kind == "ClusterRole" else "roles"
    if authorizer.decide(call.caller, _about(call, "bind", plural, name)).allowed:
        return
    rules = authorizer.rbac.rules_of(kind, f"{call.namespace}/{name}" if kind == "Role" else name)
    if rules is None:
        raise not_found(call.resource, name)  # as Kubernetes says it: of the binding's kind, under the role's name
    _check_held(authorizer, call, rules)


def _check_held(authorizer: Authorizer, call: Call, granted: list[Rule]) -> None:
    owned, error = authorizer.rules_for(call.caller, call.namespace)
    lacking = missing(owned, granted)
    if lacking:
        unresolved = f"; resolution errors: [{error}]" if error else ""
        told = "\n".join(described(lacking))
        who = f"user {quoted(call.caller.user)} (groups=[{' '.join(map(quoted, call.caller.groups))}])"
        message = f"{who} is attempting to grant RBAC permissions not currently held:\n{told}{unresolved}"
        raise forbidden(call.resource, call.name, message)


def _about(call: Call, verb: str, plural: str, name: str) -> Attributes:
    return Attributes(verb, GROUP, plural, "", call.namespace, name)


def _only_garbage(new: Object, old: Object | None) -> bool:
    """Whether nothing changes but what the garbage collector needs to let it go."""
    if old is None:
        return False
    return _without_garbage(new) == _without_garbage(old)


def _without_garbage(obj: Object) -> Object:
    ignored = (*_GARBAGE, "resourceVersion", "managedFields")
    return {**obj, "metadata": {key: value for key, value in meta(obj).items() if key not in ignored}}
