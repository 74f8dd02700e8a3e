"""How the tables of roles are read.

A line that starts with "=" opens a role: its name (namespace/name for a Role), the role that it is a part of
(`part-of=edit`), or those whose parts it gathers (`gathers=view`). Every other line is a rule: verbs, API groups ("-"
is the core group), resources, and resource names, if it is about some only. `url` in the place of groups: paths.
"+" goes on with the last list of the rule before.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, NamedTuple

from protocols.objects import Object

AUTO_UPDATE = "rbac.authorization.kubernetes.io/autoupdate"
AGGREGATE_TO = "rbac.authorization.k8s.io/aggregate-to-"
_API_VERSION = "rbac.authorization.k8s.io/v1"
_GROUP = "rbac.authorization.k8s.io"
_LABELS = {"kubernetes.io/bootstrapping": "rbac-defaults"}

READ = "get,list,watch"
WRITE = "create,delete,deletecollection,patch,update"
_SHORT = {"READ": READ, "WRITE": WRITE, "ALL": f"{READ},{WRITE}", "WATCH": "list,watch", "UPDATE": "patch,update"}
_EVENTS = {"apiGroups": ["", "events.k8s.io"], "resources": ["events"], "verbs": ["create", "patch", "update"]}


class Role(NamedTuple):
    kind: str
    name: str


def role_objects(text: str) -> Iterator[Object]:
    role: Object = {}
    for line in text.splitlines():
        cells = line.split()
        if not cells or cells[0].startswith("#"):
            continue
        if cells[0] == "=":
            if role:
                yield role
            role = _opened(cells[1], dict(cell.split("=") for cell in cells[2:]))
        elif cells[0] == "+":
            _extend(role["rules"][-1], cells[1].split(","))
        else:
            role["rules"].append(_rule(cells))
    yield role


def binding(role: Role, name: str, subjects: Sequence[str], namespace: str = "") -> Object:
    """`subjects`: "user:NAME", "group:NAME", "account:NAMESPACE/NAME"."""
    metadata = _metadata(name, namespace)
    kind = "RoleBinding" if namespace else "ClusterRoleBinding"
    reference = {"apiGroup": _GROUP, "kind": role.kind, "name": role.name}
    head = {"apiVersion": _API_VERSION, "kind": kind, "metadata": metadata, "roleRef": reference}
    return {**head, "subjects": [_subject(each) for each in subjects]} if subjects else head


def _opened(name: str, options: dict[str, str]) -> Object:
    namespace, slash, rest = name.partition("/")
    metadata = _metadata(rest, namespace) if slash else _metadata(name)
    if part_of := options.get("part-of"):
        metadata["labels"] = {**metadata["labels"], f"{AGGREGATE_TO}{part_of}": "true"}
    role: Object = {"apiVersion": _API_VERSION, "kind": "Role" if slash else "ClusterRole", "metadata": metadata}
    if gathers := options.get("gathers"):
        role["aggregationRule"] = {"clusterRoleSelectors": [{"matchLabels": {f"{AGGREGATE_TO}{gathers}": "true"}}]}
    return {**role, "rules": []}


def _metadata(name: str, namespace: str = "") -> dict[str, Any]:
    where = {"namespace": namespace} if namespace else {}
    return {"name": name, **where, "labels": _LABELS, "annotations": {AUTO_UPDATE: "true"}}


def _rule(cells: list[str]) -> dict[str, Any]:
    if cells == ["EVENTS"]:
        return _EVENTS
    verbs = sorted(verb for word in cells[0].split(",") for verb in _SHORT.get(word, word).split(","))
    if cells[1] == "url":
        return {"nonResourceURLs": cells[2].split(","), "verbs": verbs}
    groups = sorted("" if group == "-" else group for group in cells[1].split(","))
    rule = {"apiGroups": groups, "resources": sorted(cells[2].split(",")), "verbs": verbs}
    return {**rule, "resourceNames": cells[3].split(",")} if len(cells) > 3 else rule


def _extend(rule: dict[str, Any], more: list[str]) -> None:
    last = next(key for key in ("resourceNames", "nonResourceURLs", "resources") if key in rule)
    rule[last] = sorted([*rule[last], *more])


def _subject(text: str) -> dict[str, str]:
    kind, _, name = text.partition(":")
    if kind == "account":
        namespace, _, name = name.partition("/")
        return {"kind": "ServiceAccount", "name": name, "namespace": namespace}
    return {"apiGroup": _GROUP, "kind": kind.capitalize(), "name": name}
