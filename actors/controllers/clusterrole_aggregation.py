"""ClusterRole aggregation: a role with an aggregationRule has the rules of all roles that its selectors match.

So who defines a resource can let `admin`, `edit` and `view` of every namespace have it, by labelling a role of its own.
A change costs a look at the roles that gather, which are few, and at those that carry the labels they ask for.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from actorkube.kube import Controller, View, Views, Watches
from actorkube.kube.writes import Update, Write
from actors.controllers.indexes import BY_LABEL, by_label, labelled
from protocols.objects import Object, key_of, labels_of, name_of
from protocols.rules.selectors import InvalidSelector, selector_matches

RESOURCE = "clusterroles.rbac.authorization.k8s.io"
_GATHERS = "gathers"


def controller() -> Controller:
    watches = Watches(RESOURCE, concerned, indexes={_GATHERS: gathers, BY_LABEL: by_label})
    return Controller("clusterrole-aggregation-controller", (watches,), reconcile)


def gathers(role: Object) -> tuple[str, ...]:
    """The index of the roles that gather others."""
    return ("yes",) if role.get("aggregationRule") else ()


def concerned(role: Object, views: Views) -> Iterator[str]:
    """The role itself, and all that gather: any of them may match what has changed."""
    yield key_of(role)
    yield from list(views[RESOURCE].keys(_GATHERS, "yes"))


def reconcile(key: str, views: Views, now: float) -> list[Write]:
    role = views[RESOURCE].get(key)
    if role is None or not role.get("aggregationRule"):
        return []
    rules = gathered(role, views[RESOURCE])
    return [] if rules == (role.get("rules") or []) else [Update(RESOURCE, {**role, "rules": rules})]


def gathered(role: Object, view: View) -> list[dict[str, Any]]:
    """The rules of the matching roles, in the order of their names, each once."""
    rules: list[dict[str, Any]] = []
    for selector in role["aggregationRule"].get("clusterRoleSelectors") or ():
        for name in sorted(_candidates(selector, view)):
            other = view.get(name)
            if other is not None and name != name_of(role) and _matches(selector, other):
                rules += [rule for rule in other.get("rules") or () if rule not in rules]
    return rules


def _candidates(selector: Mapping[str, Any], view: View) -> Iterable[str]:
    """Where only expressions select, every role is looked at."""
    pairs = selector.get("matchLabels")
    return list(labelled("", pairs, view) if pairs else view)


def _matches(selector: Mapping[str, Any], role: Object) -> bool:
    """One that cannot be read selects nothing; an empty one selects every role."""
    try:
        return selector_matches(selector, labels_of(role))
    except InvalidSelector:
        return False
