"""Audit policies: which rule decides about a request, by table; and what is refused in a policy."""

from __future__ import annotations

from typing import Any

import pytest

from actors.apiserver.access.attributes import Attributes
from actors.apiserver.audit.config import parse_policy
from actors.apiserver.audit.policy import PolicyError, read_policy
from actors.apiserver.callers import Caller

JANE = Caller("jane", ("team", "system:authenticated"))
POD = Attributes("get", "", "pods", "", "default", "web")
LOG = Attributes("get", "", "pods", "log", "default", "web")
SCALE = Attributes("update", "apps", "deployments", "scale", "default", "web")
NODE = Attributes("list", "", "nodes")
HEALTH = Attributes("get", path="/healthz/etcd")


def policy(*rules: dict[str, Any], **fields: Any) -> Any:
    return read_policy({"apiVersion": "audit.k8s.io/v1", "kind": "Policy", "rules": [*rules], **fields})


def resources(group: str, *names: str, **more: Any) -> dict[str, Any]:
    return {"resources": [{"group": group, "resources": [*names], **more}]}


@pytest.mark.parametrize(
    ("rule", "asked", "is_about"),
    [
        ({}, POD, True),
        ({}, HEALTH, True),
        ({"users": ["jane"]}, POD, True),
        ({"users": ["bob"]}, POD, False),
        ({"userGroups": ["other", "team"]}, POD, True),
        ({"userGroups": ["other"]}, POD, False),
        ({"verbs": ["get", "list"]}, POD, True),
        ({"verbs": ["list"]}, POD, False),
        ({"namespaces": ["default"]}, POD, True),
        ({"namespaces": ["kube-system"]}, POD, False),
        ({"namespaces": [""]}, NODE, True),
        ({"namespaces": [""]}, POD, False),
        ({"namespaces": [""]}, HEALTH, False),
        (resources("", "pods"), POD, True),
        (resources("", "pods"), LOG, False),
        (resources("", "pods/log"), LOG, True),
        (resources("", "pods/log"), POD, False),
        (resources("", "pods/*"), LOG, True),
        (resources("", "pods/*"), POD, False),
        (resources("", "*"), LOG, True),
        (resources("apps", "*"), POD, False),
        (resources("apps", "*/scale"), SCALE, True),
        (resources("apps", "*/status"), SCALE, False),
        ({"resources": [{"group": "apps"}]}, SCALE, True),
        ({"resources": [{"group": ""}]}, SCALE, False),
        (resources("", "pods", resourceNames=["web"]), POD, True),
        (resources("", "pods", resourceNames=["db"]), POD, False),
        (resources("", "pods"), HEALTH, False),
        ({"nonResourceURLs": ["/healthz*"]}, HEALTH, True),
        ({"nonResourceURLs": ["/healthz"]}, HEALTH, False),
        ({"nonResourceURLs": ["*"]}, HEALTH, True),
        ({"nonResourceURLs": ["*"]}, POD, False),
    ],
)
def test_a_rule_is_about_what_it_names(rule: dict[str, Any], asked: Attributes, is_about: bool) -> None:
    assert policy({"level": "Request", **rule}).verdict(JANE, asked).level == ("Request" if is_about else "None")


def test_the_first_rule_that_is_about_a_request_decides() -> None:
    chosen = policy({"level": "None", "users": ["bob"]}, {"level": "Metadata"}, {"level": "RequestResponse"})

    assert chosen.verdict(JANE, POD).level == "Metadata"


def test_what_the_policy_leaves_out_and_what_the_rule_does_add_up() -> None:
    rule = {"level": "Metadata", "omitStages": ["Panic"], "omitManagedFields": False}
    chosen = policy(rule, {"level": "Request"}, omitStages=["RequestReceived"], omitManagedFields=True)

    verdict = chosen.verdict(JANE, POD)

    assert verdict.omit_stages == {"RequestReceived", "Panic"}
    assert not verdict.omit_managed_fields
    assert policy({"level": "Request"}, omitManagedFields=True).verdict(JANE, POD).omit_managed_fields


@pytest.mark.parametrize(
    ("document", "said"),
    [
        ([], "a policy is a YAML mapping"),
        ({"kind": "Policy", "rules": [{"level": "None"}]}, "it must be of kind Policy, apiVersion audit.k8s.io/v1"),
        ({"rules": []}, "rules: Required value"),
        ({"rules": [{"level": "All"}]}, r"rules\[0\].level: Unsupported value: 'All'"),
        ({"rules": [{"level": "None", "user": ["x"]}]}, r"rules\[0\].user: there is no such field"),
        ({"rules": [{"level": "None", "users": "x"}]}, r"rules\[0\].users: it must be a list of strings"),
        ({"rules": [{"level": "None", "omitStages": ["Never"]}]}, r"rules\[0\].omitStages: Unsupported value: 'Never'"),
        ({"rules": [{"level": "None", "nonResourceURLs": ["/a*b"]}]}, "a [*] stands at its end only"),
        ({"rules": [{"level": "None", "nonResourceURLs": ["/a"], "namespaces": ["b"]}]}, "not both"),
        ({"rules": [{"level": "None", "resources": [{"group": "apps/v1"}]}]}, "a group has no version"),
        ({"rules": [{"level": "None", "resources": [{"resourceNames": ["a"]}]}]}, "requires at least one resource"),
        ({"rules": ["x"]}, r"rules\[0\]: it must be a mapping"),
    ],
)
def test_a_policy_that_is_wrong_is_refused_with_the_place(document: Any, said: str) -> None:
    if isinstance(document, dict) and "kind" not in document:
        document = {"apiVersion": "audit.k8s.io/v1", "kind": "Policy", **document}

    with pytest.raises(PolicyError, match=said):
        read_policy(document)


def test_a_file_that_is_no_yaml_is_named() -> None:
    with pytest.raises(PolicyError, match=r"policy\.yaml: "):
        parse_policy("rules: [", "policy.yaml")
