"""The flow schemas and priority levels that every cluster begins with: Kubernetes' mandatory and suggested ones.

Source: "API Priority and Fairness: Defaults", with the numbers that a Kubernetes 1.36 cluster shows.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from typing import Any

from protocols.objects import Object

GROUP = "flowcontrol.apiserver.k8s.io"
API_VERSION = f"{GROUP}/v1"
SCHEMAS = f"flowschemas.{GROUP}"
LEVELS = f"prioritylevelconfigurations.{GROUP}"
EXEMPT, CATCH_ALL = "exempt", "catch-all"
MANDATORY = (EXEMPT, CATCH_ALL)  # of schemas and levels alike
AUTO_UPDATE = "apf.kubernetes.io/autoupdate-spec"

# NAME SHARES LENDABLE% QUEUES HAND LENGTH
_LEVELS = """
system           30  33   64  6  50
node-high        40  25   64  6  50
leader-election  10   0   16  4  50
workload-high    40  50  128  6  50
workload-low    100  90  128  6  50
global-default   20  50  128  6  50
"""

_EVERYBODY = ("group system:unauthenticated", "group system:authenticated")
_ACCOUNTS = "account kube-system *"
_MANAGER, _SCHEDULER = "user system:kube-controller-manager", "user system:kube-scheduler"
_EVERYTHING: Object = {
    "resourceRules": [
        {"verbs": ["*"], "apiGroups": ["*"], "resources": ["*"], "namespaces": ["*"], "clusterScope": True}
    ],
    "nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}],
}
_PROBES: Object = {"nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/healthz", "/readyz", "/livez"]}]}


@cache
def default_objects() -> tuple[tuple[str, Object], ...]:
    """(group resource, object), levels before what refers to them. Not to be changed: all callers get the same."""
    return tuple(_objects())


@cache
def mandatory(group_resource: str, name: str) -> Object:
    return next(obj for where, obj in _objects() if (where, obj["metadata"]["name"]) == (group_resource, name))


def _objects() -> Iterator[tuple[str, Object]]:
    yield LEVELS, _level(EXEMPT, {"type": "Exempt", "exempt": {"nominalConcurrencyShares": 0, "lendablePercent": 0}})
    yield LEVELS, _limited(CATCH_ALL, 5, 0, {"type": "Reject"})
    for line in _LEVELS.split("\n"):
        if line:
            name, *numbers = line.split()
            shares, lendable, queues, hand, length = map(int, numbers)
            queuing = {"queues": queues, "handSize": hand, "queueLengthLimit": length}
            yield LEVELS, _limited(name, shares, lendable, {"type": "Queue", "queuing": queuing})
    yield SCHEMAS, _schema(EXEMPT, EXEMPT, 1, "", ("group system:masters",), _EVERYTHING)
    yield SCHEMAS, _schema("probes", EXEMPT, 2, "", _EVERYBODY, _PROBES)
    electing = (_MANAGER, _SCHEDULER, _ACCOUNTS)
    leases = _on("coordination.k8s.io", "leases", verbs=("get", "create", "update"))
    yield SCHEMAS, _schema("system-leader-election", "leader-election", 100, "ByUser", electing, _rules(leases))
    nodes = ("group system:nodes",)
    beating = _rules(_on("", "nodes", "nodes/status", cluster=True), _on("coordination.k8s.io", "leases"))
    yield SCHEMAS, _schema("system-node-high", "node-high", 400, "ByUser", nodes, beating)
    yield SCHEMAS, _schema("system-nodes", "system", 500, "ByUser", nodes, _EVERYTHING)
    for component in (_MANAGER, _SCHEDULER):
        name = component.removeprefix("user system:")
        yield SCHEMAS, _schema(name, "workload-high", 800, "ByNamespace", (component,), _EVERYTHING)
    own = "kube-system-service-accounts"
    yield SCHEMAS, _schema(own, "workload-high", 900, "ByNamespace", (_ACCOUNTS,), _EVERYTHING)
    accounts = ("group system:serviceaccounts",)
    yield SCHEMAS, _schema("service-accounts", "workload-low", 9000, "ByUser", accounts, _EVERYTHING)
    yield SCHEMAS, _schema("global-default", "global-default", 9900, "ByUser", _EVERYBODY, _EVERYTHING)
    yield SCHEMAS, _schema(CATCH_ALL, CATCH_ALL, 10000, "ByUser", _EVERYBODY, _EVERYTHING)


def _limited(name: str, shares: int, lendable: int, response: dict[str, Any]) -> Object:
    limited = {"nominalConcurrencyShares": shares, "lendablePercent": lendable, "limitResponse": response}
    return _level(name, {"type": "Limited", "limited": limited})


def _level(name: str, spec: dict[str, Any]) -> Object:
    return {"apiVersion": API_VERSION, "kind": "PriorityLevelConfiguration", "metadata": _metadata(name), "spec": spec}


def _schema(
    name: str, level: str, precedence: int, distinguisher: str, subjects: tuple[str, ...], rules: dict[str, Any]
) -> Object:
    spec: Object = {"priorityLevelConfiguration": {"name": level}, "matchingPrecedence": precedence}
    if distinguisher:
        spec["distinguisherMethod"] = {"type": distinguisher}
    spec["rules"] = [{"subjects": [_subject(subject) for subject in subjects], **rules}]
    return {"apiVersion": API_VERSION, "kind": "FlowSchema", "metadata": _metadata(name), "spec": spec}


def _metadata(name: str) -> Object:
    return {"name": name, "annotations": {AUTO_UPDATE: "true"}}


def _rules(*rules: dict[str, Any]) -> dict[str, Any]:
    return {"resourceRules": list(rules)}


def _on(group: str, *resources: str, verbs: tuple[str, ...] = ("*",), cluster: bool = False) -> dict[str, Any]:
    rule: Object = {"verbs": list(verbs), "apiGroups": [group], "resources": list(resources), "namespaces": ["*"]}
    return {**rule, "clusterScope": True} if cluster else rule


def _subject(text: str) -> dict[str, Any]:
    kind, *words = text.split()
    match kind:
        case "account":
            return {"kind": "ServiceAccount", "serviceAccount": {"namespace": words[0], "name": words[1]}}
        case "user":
            return {"kind": "User", "user": {"name": words[0]}}
    return {"kind": "Group", "group": {"name": words[0]}}
