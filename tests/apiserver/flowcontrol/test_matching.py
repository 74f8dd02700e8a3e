"""Which flow schema a request belongs to."""

from __future__ import annotations

from typing import Any

import pytest

from actors.apiserver.access.attributes import Attributes
from actors.apiserver.callers import ADMIN, ANONYMOUS, AUTHENTICATED, NODES, Caller, service_account
from actors.apiserver.flowcontrol.defaults import LEVELS, SCHEMAS, default_objects
from actors.apiserver.flowcontrol.levels import Levels, seats_of_list

JANE = Caller("jane", ("team", AUTHENTICATED))
NODE = Caller("system:node:n1", (NODES, AUTHENTICATED))
MANAGER = Caller("system:kube-controller-manager", (AUTHENTICATED,))
PODS = Attributes("list", "", "pods", "", "default")
LEASE = Attributes("update", "coordination.k8s.io", "leases", "", "kube-system", "x")
NODE_STATUS = Attributes("patch", "", "nodes", "status", "", "n1")


def levels(*schemas: dict[str, Any]) -> Levels:
    found = Levels(0.0)
    defaults = [obj for where, obj in default_objects() if where == SCHEMAS]
    found.configure([*defaults, *schemas], [obj for where, obj in default_objects() if where == LEVELS], 0.0)
    return found


def schema(name: str, precedence: int, rule: dict[str, Any], level: str = "workload-low") -> dict[str, Any]:
    spec = {
        "priorityLevelConfiguration": {"name": level},
        "matchingPrecedence": precedence,
        "rules": [{"subjects": [{"kind": "User", "user": {"name": "jane"}}], **rule}],
    }
    return {"metadata": {"name": name, "uid": f"uid-{name}"}, "spec": spec}


def on(*resources: str, **rule: Any) -> dict[str, Any]:
    whole = {"verbs": ["*"], "apiGroups": [""], "resources": list(resources), "namespaces": ["*"], **rule}
    return {"resourceRules": [whole]}


@pytest.mark.parametrize(
    ("caller", "asked", "name", "distinguisher"),
    [
        (ADMIN, PODS, "exempt", ""),
        (JANE, PODS, "global-default", "jane"),
        (ANONYMOUS, PODS, "global-default", "system:anonymous"),
        (ANONYMOUS, Attributes("get", path="/readyz"), "probes", ""),
        (ANONYMOUS, Attributes("get", path="/livez/ping"), "probes", ""),
        (ANONYMOUS, Attributes("get", path="/livezping"), "global-default", "system:anonymous"),
        (NODE, LEASE, "system-node-high", "system:node:n1"),
        (NODE, NODE_STATUS, "system-node-high", "system:node:n1"),
        (NODE, PODS, "system-nodes", "system:node:n1"),
        (MANAGER, LEASE, "system-leader-election", "system:kube-controller-manager"),
        (MANAGER, PODS, "kube-controller-manager", "default"),
        (service_account("kube-system", "x"), PODS, "kube-system-service-accounts", "default"),
        (service_account("kube-system", "x"), LEASE, "system-leader-election", "system:serviceaccount:kube-system:x"),
        (service_account("default", "x"), PODS, "service-accounts", "system:serviceaccount:default:x"),
    ],
)
def test_requests_belong_where_they_do_in_kubernetes(
    caller: Caller, asked: Attributes, name: str, distinguisher: str
) -> None:
    flow = levels().flow_of(caller, asked)

    assert (flow.schema.name, flow.distinguisher) == (name, distinguisher)


@pytest.mark.parametrize(
    ("rule", "asked", "belongs"),
    [
        (on("pods"), PODS, True),
        (on("pods"), PODS._replace(subresource="status"), False),
        (on("pods/status"), PODS._replace(subresource="status"), True),
        (on("*"), PODS._replace(subresource="status"), True),
        (on("pods", verbs=["get"]), PODS, False),
        (on("pods", apiGroups=["apps"]), PODS, False),
        (on("pods", namespaces=["other"]), PODS, False),
        (on("pods"), PODS._replace(namespace=""), False),
        (on("pods", clusterScope=True), PODS._replace(namespace=""), True),
        (on("pods", namespaces=[], clusterScope=True), PODS, False),
        ({"nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/a/*"]}]}, Attributes("get", path="/a/b"), True),
        ({"nonResourceRules": [{"verbs": ["get"], "nonResourceURLs": ["/a"]}]}, Attributes("post", path="/a"), False),
        ({"nonResourceRules": [{"verbs": ["*"], "nonResourceURLs": ["*"]}]}, PODS, False),
    ],
)
def test_a_rule_is_about_what_it_says(rule: dict[str, Any], asked: Attributes, belongs: bool) -> None:
    flow = levels(schema("mine", 50, rule)).flow_of(JANE, asked)

    assert (flow.schema.name == "mine") == belongs


def test_the_lowest_precedence_counts_and_of_equals_the_name() -> None:
    found = levels(schema("b", 50, on("pods")), schema("c", 49, on("pods")), schema("a", 49, on("pods")))

    assert found.flow_of(JANE, PODS).schema.name == "a"


def test_a_schema_whose_level_is_not_there_counts_for_nothing() -> None:
    assert levels(schema("mine", 50, on("pods"), "missing")).flow_of(JANE, PODS).schema.name == "global-default"


def test_what_is_mandatory_is_there_where_nothing_is_stored() -> None:
    nothing = Levels(0.0)

    assert nothing.flow_of(ADMIN, PODS).schema.name == "exempt"
    assert nothing.flow_of(JANE, PODS).schema.name == "catch-all"


@pytest.mark.parametrize(
    ("stored", "limit", "selects", "seats"),
    [(0, 0, False, 1), (100, 0, False, 1), (101, 0, False, 2), (5000, 500, False, 5), (5000, 500, True, 8)],
)
def test_a_list_takes_seats_by_what_it_looks_at(stored: int, limit: int, selects: bool, seats: int) -> None:
    assert seats_of_list(stored, limit, selects, 8) == seats
