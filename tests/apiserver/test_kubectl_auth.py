"""Real kubectls, old and new, about who may do what: can-i, whoami, reconcile, tokens, acting as others."""

from __future__ import annotations

import json

import pytest

from tests.apiserver.rest_client import Rest
from tests.apiserver.test_kubectl import Kubectl, kubectl

pytestmark = pytest.mark.kubectl
__all__ = ["kubectl"]

RBAC = "rbac.authorization.k8s.io"


@pytest.mark.slow
async def test_roles_are_made_bound_and_asked_about(kubectl: Kubectl) -> None:
    made = [
        await kubectl("create", "role", "reader", "--verb=get,list", "--resource=pods,pods/log,deployments.apps"),
        await kubectl("create", "rolebinding", "readers", "--role=reader", "--user=jane"),
        await kubectl("create", "clusterrole", "scraper", "--verb=get", "--non-resource-url=/metrics"),
        await kubectl("create", "clusterrolebinding", "scrapers", "--clusterrole=scraper", "--group=team"),
    ]
    as_jane = ("--as=jane", "--as-group=team")

    may = [
        await kubectl("auth", "can-i", "list", "pods", *as_jane),
        await kubectl("auth", "can-i", "get", "/metrics", *as_jane),
    ]
    may_not = [
        await kubectl("auth", "can-i", "delete", "pods", *as_jane),
        await kubectl("auth", "can-i", "list", "pods", "-A", *as_jane),
    ]
    listed = await kubectl("auth", "can-i", "--list", *as_jane)
    refused = await kubectl("get", "secrets", *as_jane)
    empty = await kubectl("get", "pods", *as_jane)

    assert all(line.endswith("created") for line in made)
    assert may == ["yes", "yes"]
    assert [answer.split(": ")[0] for answer in may_not] == ["1", "1"] and all("no" in answer for answer in may_not)
    assert "deployments.apps" in listed and "[/metrics]" in listed and "pods/log" in listed
    assert (
        'secrets is forbidden: User "jane" cannot list resource "secrets" in API group "" in the namespace' in refused
    )
    assert empty == "No resources found in default namespace."
    assert "jane" in await kubectl("describe", "rolebinding", "readers")


@pytest.mark.slow
async def test_who_one_is(kubectl: Kubectl) -> None:
    own = await kubectl("auth", "whoami")
    if "API is not enabled in the cluster" in own:
        pytest.skip("kubectl 1.27 asks for the alpha and beta versions alone")
    other = await kubectl("auth", "whoami", "--as=jane", "--as-group=team")

    assert "kubernetes-admin" in own and "[system:masters system:authenticated]" in own
    assert "jane" in other and "[team system:authenticated]" in other


@pytest.mark.slow
async def test_roles_are_reconciled(kubectl: Kubectl) -> None:
    role = {
        "apiVersion": f"{RBAC}/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "mine"},
        "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["get"]}],
    }
    created = await kubectl("auth", "reconcile", "-f", "-", stdin=role)
    role["rules"] = [{"apiGroups": [""], "resources": ["nodes"], "verbs": ["get"]}]
    added = await kubectl("auth", "reconcile", "-f", "-", stdin=role)
    stored = json.loads(await kubectl("get", "clusterrole", "mine", "-o", "json"))

    assert f"clusterrole.{RBAC}/mine reconciled" in created and f"clusterrole.{RBAC}/mine reconciled" in added
    assert sorted(rule["resources"][0] for rule in stored["rules"]) == ["nodes", "pods"]


@pytest.mark.slow
async def test_a_token_is_made_and_used(kubectl: Kubectl) -> None:
    await kubectl("create", "serviceaccount", "robot")
    await kubectl(
        "create", "clusterrolebinding", "robots", "--clusterrole=cluster-admin", "--serviceaccount=default:robot"
    )

    token = await kubectl("create", "token", "robot", "--duration=20m")
    named = await with_token(kubectl.client, token, "/api/v1/namespaces/default/secrets")
    short = await kubectl("create", "token", "robot", "--duration=1m")
    lost = await kubectl("create", "token", "nobody")

    assert token.count(".") == 2 and named == 200
    assert "may not specify a duration less than 10 minutes" in short
    assert 'serviceaccounts "nobody" not found' in lost


async def with_token(client: Rest, token: str, path: str) -> int:
    return (await client.by(token, "GET", path)).code
