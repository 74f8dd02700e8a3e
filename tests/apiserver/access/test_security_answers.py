"""Words and codes of a kube-apiserver 1.36.2 about who may what, and whose a token is; ours are the same."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.access.test_access_rest import binding, role
from tests.apiserver.rest_client import Rest, rest

pytestmark = pytest.mark.slow  # a server for each answer

ACCOUNTS = "/api/v1/namespaces/default/serviceaccounts"
AUTHENTICATION = "/apis/authentication.k8s.io/v1"
MERGE = "application/merge-patch+json"
RBAC = "/apis/rbac.authorization.k8s.io/v1"
REVIEWS = "/apis/authorization.k8s.io/v1"
NODE = {"Impersonate_User": "system:node:n1"}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


# -- becoming the node that one is on ---------------------------------------------------------------------------------


async def token_of(api: Rest, *, node: str = "") -> str:
    """Of an account that is on a node, or on none."""
    bound = {"boundObjectRef": {"kind": "Node", "apiVersion": "v1", "name": node}} if node else {}
    answer = await api.create(f"{ACCOUNTS}/agent/token", {"spec": bound})
    token: str = answer["status"]["token"]
    return token


async def allow(api: Rest, name: str, *rules: Any) -> None:
    await api.create(f"{RBAC}/clusterroles", role(name, *rules))
    subject = {"kind": "ServiceAccount", "name": "agent", "namespace": "default"}
    bound = {**binding(name, kind="ClusterRole"), "subjects": [subject]}
    await api.create(f"{RBAC}/clusterrolebindings", {**bound, "metadata": {"name": name}})


async def test_an_account_may_become_the_node_that_it_is_on_and_no_other(api: Rest) -> None:
    await api.create(ACCOUNTS, {"metadata": {"name": "agent"}})
    for name in ("n1", "n2"):
        await api.create("/api/v1/nodes", {"metadata": {"name": name}})
    on_it, unbound = await token_of(api, node="n1"), await token_of(api)

    async def said(token: str = on_it, user: str = "system:node:n1") -> Any:
        answer = await api.by(token, "GET", "/api/v1/nodes/n1", Impersonate_User=user)
        return answer.json["message"] if answer.code == 403 else answer.code

    who = 'User "system:serviceaccount:default:agent" cannot'
    nobody = (
        f'nodes "n1" is forbidden: {who} impersonate-on:{{}}:get resource "nodes" in API group "" at the cluster scope'
    )
    assert await said() == nobody.format("associated-node")
    assert await said(unbound) == await said(user="system:node:n2") == nobody.format("arbitrary-node")

    await allow(api, "on", {"apiGroups": [""], "resources": ["nodes"], "verbs": ["impersonate-on:associated-node:get"]})
    asked = '"nodes" in API group "authentication.k8s.io" at the cluster scope'
    assert await said() == (
        f'nodes.authentication.k8s.io "*" is forbidden: {who} impersonate:associated-node resource {asked}'
    )

    verbs = ["impersonate:associated-node"]
    await allow(api, "whom", {"apiGroups": ["authentication.k8s.io"], "resources": ["nodes"], "verbs": verbs})
    assert await said() == 200
    assert await said(unbound) == await said(user="system:node:n2") == nobody.format("arbitrary-node")


# -- reviews ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("selector", "problem"),
    [
        ({}, "requirements: Required value: when {} is specified, requirements or rawSelector is required"),
        (
            {"rawSelector": "a=b", "requirements": [{"key": "a", "operator": "In", "values": ["b"]}]},
            'rawSelector: Invalid value: "a=b": may not specified at the same time as requirements',
        ),
        (
            {"requirements": [{"key": "a", "operator": "In"}]},
            "requirements[0].values: Required value: must be specified when `operator` is 'In' or 'NotIn'",
        ),
        (
            {"requirements": [{"key": "a", "operator": "Exists", "values": ["b"]}]},
            "requirements[0].values: Forbidden: may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
        ),
    ],
)
@pytest.mark.parametrize("kind", ["fieldSelector", "labelSelector"])
async def test_selectors_of_a_review_that_say_nothing_clear(api: Rest, kind: str, selector: Any, problem: str) -> None:
    about = {"verb": "list", "resource": "pods", kind: selector}

    answer = await api.send(
        "POST", f"{REVIEWS}/subjectaccessreviews", {"spec": {"user": "a", "resourceAttributes": about}}
    )

    field = f"spec.resourceAttributes.{kind}"
    said = f'.authorization.k8s.io "" is invalid: {field}.{problem.format(field)}'
    assert (answer.code, answer.json["message"]) == (422, said)


async def test_a_field_of_no_name_is_none(api: Rest) -> None:
    selector = {"requirements": [{"key": "", "operator": "In", "values": ["a"]}]}
    about = {"verb": "list", "resource": "pods", "fieldSelector": selector}

    answer = await api.send(
        "POST", f"{REVIEWS}/subjectaccessreviews", {"spec": {"user": "a", "resourceAttributes": about}}
    )

    field = "spec.resourceAttributes.fieldSelector.requirements[0].key"
    assert answer.json["message"] == f'.authorization.k8s.io "" is invalid: {field}: Required value: must be specified'


@pytest.mark.parametrize(
    ("kind", "selector", "ignored"),
    [
        ("fieldSelector", {"rawSelector": "!!!"}, True),
        ("labelSelector", {"rawSelector": "!!!"}, True),
        ("labelSelector", {"rawSelector": "a=b"}, False),
        ("fieldSelector", {"requirements": [{"key": "a", "operator": "Nope", "values": ["a"]}]}, True),
        ("fieldSelector", {"requirements": [{"key": "a", "operator": "NotIn", "values": ["x", "y"]}]}, True),
        ("labelSelector", {"requirements": [{"key": "a", "operator": "NotIn", "values": ["x", "y"]}]}, False),
    ],
)
async def test_what_an_authorizer_cannot_make_anything_of_is_said(
    api: Rest, kind: str, selector: Any, ignored: bool
) -> None:
    about = {"verb": "list", "resource": "pods", kind: selector}

    answer = await api.create(f"{REVIEWS}/selfsubjectaccessreviews", {"spec": {"resourceAttributes": about}})

    said = f"spec.resourceAttributes.{kind} ignored due to parse error" if ignored else None
    assert answer["status"].get("evaluationError") == said


async def test_a_local_review_of_nothing_has_one_problem(api: Rest) -> None:
    path = f"{REVIEWS}/namespaces/default/localsubjectaccessreviews"

    answer = await api.send("POST", path, {"spec": {"user": "a"}})

    why = "exactly one of nonResourceAttributes or resourceAttributes must be specified"
    assert [cause["message"] for cause in answer.json["details"]["causes"]] == [f"Invalid value: null: {why}"]


async def test_who_asks_who_it_is_need_not_say_more(api: Rest) -> None:
    answer = await api.create(f"{AUTHENTICATION}/selfsubjectreviews", {"metadata": {"name": "x", "labels": {"a": "b"}}})

    assert list(answer["metadata"]) == ["creationTimestamp"]


async def test_why_a_token_is_not_taken(api: Rest) -> None:
    await api.create(ACCOUNTS, {"metadata": {"name": "agent"}})
    pod = {
        "metadata": {"name": "p"},
        "spec": {"serviceAccountName": "agent", "containers": [{"name": "c", "image": "i"}]},
    }
    await api.create("/api/v1/namespaces/default/pods", pod)
    reference = {"kind": "Pod", "apiVersion": "v1", "name": "p"}
    bound = (await api.create(f"{ACCOUNTS}/agent/token", {"spec": {"boundObjectRef": reference}}))["status"]["token"]
    plain = await token_of(api)

    async def error(token: str, *audiences: str) -> str:
        asked = {"spec": {"token": token, "audiences": list(audiences)}}
        found: str = (await api.create(f"{AUTHENTICATION}/tokenreviews", asked))["status"]["error"]
        return found

    ours = "https://kubernetes.default.svc.cluster.local"
    assert await error("zz") == await error("good", "x") == "invalid bearer token"
    assert await error(plain, "a", "b") == (
        f'[invalid bearer token, token audiences ["{ours}"] is invalid for the target audiences ["a" "b"]]'
    )
    await api.send("DELETE", "/api/v1/namespaces/default/pods/p")
    assert await error(bound) == "[invalid bearer token, service account token has been invalidated]"
    before = (await api.send("DELETE", f"{ACCOUNTS}/agent")).json["metadata"]["uid"]
    assert await error(plain) == '[invalid bearer token, serviceaccounts "agent" not found]'
    now = (await api.create(ACCOUNTS, {"metadata": {"name": "agent"}}))["metadata"]["uid"]
    uids = f"service account UID ({now}) does not match claim ({before})"
    assert await error(plain) == f"[invalid bearer token, {uids}]"


# -- granting ---------------------------------------------------------------------------------------------------------


async def make_roles(api: Rest) -> None:
    """Jane writes roles and bindings, and has no other rights."""
    everything = ["clusterroles", "roles", "clusterrolebindings", "rolebindings"]
    verbs = ["get", "create", "update", "patch"]
    rule = {"apiGroups": ["rbac.authorization.k8s.io"], "resources": everything, "verbs": verbs}
    await api.create(f"{RBAC}/clusterroles", role("author", rule))
    await api.create(f"{RBAC}/clusterrolebindings", binding("author", kind="ClusterRole"))


async def test_urls_that_nobody_may_grant_are_listed_by_verb(api: Rest) -> None:
    await make_roles(api)
    rule = {"nonResourceURLs": ["/metrics", "/x/*"], "verbs": ["get", "post"]}

    answer = await api.by("jane", "POST", f"{RBAC}/clusterroles", role("more", rule))

    lacking = [
        f'{{NonResourceURLs:["{url}"], Verbs:["{verb}"]}}' for url in ("/metrics", "/x/*") for verb in ("get", "post")
    ]
    assert answer.json["message"].partition("not currently held:\n")[2] == "\n".join(lacking)


@pytest.mark.parametrize("patch", [{"metadata": {"labels": {"x": "y"}}}, {"aggregationRule": None}])
async def test_only_an_administrator_touches_what_aggregates(api: Rest, patch: Any) -> None:
    await make_roles(api)
    rule = {"clusterRoleSelectors": [{"matchLabels": {"a": "b"}}]}
    await api.create(f"{RBAC}/clusterroles", {**role("whole"), "aggregationRule": rule})

    answer = await api.by("jane", "PATCH", f"{RBAC}/clusterroles/whole", patch, content_type=MERGE)

    why = "must have cluster-admin privileges to use the aggregationRule"
    assert answer.json["message"] == f'clusterroles.rbac.authorization.k8s.io "whole" is forbidden: {why}'


async def test_a_role_that_is_not_there_is_not_found_as_a_binding(api: Rest) -> None:
    await make_roles(api)
    bound = {**binding("nope", kind="ClusterRole"), "metadata": {"name": "x"}}

    answer = await api.by("jane", "POST", f"{RBAC}/clusterrolebindings", bound)

    said = 'clusterrolebindings.rbac.authorization.k8s.io "nope" not found'
    assert (answer.code, answer.json["message"], answer.json["details"]["kind"]) == (404, said, "clusterrolebindings")


async def test_the_role_of_a_binding_is_shown_as_go_has_it(api: Rest) -> None:
    await api.create(f"{RBAC}/clusterrolebindings", binding("view", kind="ClusterRole"))

    patch = {"roleRef": {"name": "edit"}}
    answer = await api.send("PATCH", f"{RBAC}/clusterrolebindings/view", patch, content_type=MERGE)

    shown = '{"APIGroup":"rbac.authorization.k8s.io","Kind":"ClusterRole","Name":"edit"}'
    assert answer.json["message"].endswith(f"roleRef: Invalid value: {shown}: cannot change roleRef")


# -- where a refused request belonged ---------------------------------------------------------------------------------


async def test_who_is_refused_sees_to_which_flow_that_belonged(api: Rest) -> None:
    schemas = (await api.get("/apis/flowcontrol.apiserver.k8s.io/v1/flowschemas")).json["items"]
    names = {each["metadata"]["uid"]: each["metadata"]["name"] for each in schemas}

    answers = [
        await api.by("jane", "GET", "/api/v1/nodes"),
        await api.send("GET", "/api/v1/nodes", Impersonate_User="system:serviceaccount:default:a"),
        await api.by("", "GET", "/metrics"),
    ]

    flows = [names[answer.headers["X-Kubernetes-PF-FlowSchema-UID"]] for answer in answers]
    assert [answer.code for answer in answers] == [403, 403, 403]
    assert flows == ["global-default", "service-accounts", "global-default"]
    assert "X-Kubernetes-PF-FlowSchema-UID" not in (await api.by("wrong", "GET", "/api/v1/nodes")).headers


# -- what a node may not ----------------------------------------------------------------------------------------------

ITSELF = {"Impersonate_User": "system:node:n1", "Impersonate_Group": "system:nodes"}
OWNED = {"metadata": {"ownerReferences": [{"apiVersion": "v1", "kind": "Pod", "name": "a", "uid": "b"}]}}


async def test_a_node_belongs_to_nobody_of_its_own_accord(api: Rest) -> None:
    await api.create("/api/v1/nodes", {"metadata": {"name": "n1"}})

    answer = await api.send("PATCH", "/api/v1/nodes/n1", OWNED, content_type=MERGE, **ITSELF)

    said = 'nodes "n1" is forbidden: node "n1" is not allowed to modify ownerReferences'
    assert (answer.code, answer.json["message"]) == (403, said)


@pytest.mark.parametrize(("node", "code"), [("n1", 201), ("n2", 403)])
async def test_a_node_offers_devices_of_its_own_alone(api: Rest, node: str, code: int) -> None:
    pool = {"name": "p", "generation": 1, "resourceSliceCount": 1}
    offer = {"metadata": {"name": "s"}, "spec": {"driver": "a.b", "nodeName": node, "pool": pool}}

    answer = await api.send("POST", "/apis/resource.k8s.io/v1/resourceslices", offer, **ITSELF)

    said = "can only create ResourceSlice with the same NodeName as the requesting node"
    assert answer.code == code
    assert code == 201 or answer.json["message"] == f'resourceslices.resource.k8s.io "s" is forbidden: {said}'


async def test_a_node_reads_the_accounts_of_its_pods_and_gets_tokens_for_no_others(api: Rest) -> None:
    for name in ("mine", "other"):
        await api.create(ACCOUNTS, {"metadata": {"name": name}})
    containers = [{"name": "c", "image": "i"}]
    spec = {"nodeName": "n1", "serviceAccountName": "mine", "containers": containers}
    await api.create("/api/v1/namespaces/default/pods", {"metadata": {"name": "p"}, "spec": spec})

    codes = [(await api.get(f"{ACCOUNTS}/{name}", **ITSELF)).code for name in ("mine", "other")]
    bound = {"boundObjectRef": {"kind": "Pod", "apiVersion": "v1", "name": "gone", "uid": "u"}}
    refused = await api.send("POST", f"{ACCOUNTS}/mine/token", {"spec": bound}, **ITSELF)

    assert codes == [200, 403]
    assert (refused.code, refused.json["message"]) == (404, 'pod "gone" not found')
