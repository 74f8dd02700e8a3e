"""Who may do what over REST: roles hold at once, nobody grants what they lack, reviews tell the truth."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from protocols.objects import Object
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.world import config_map, deployment, pod

RBAC = "/apis/rbac.authorization.k8s.io/v1"
ROLES = f"{RBAC}/namespaces/default/roles"
BINDINGS = f"{RBAC}/namespaces/default/rolebindings"
MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
ACCESS = "/apis/authorization.k8s.io/v1"
READ_PODS = {"apiGroups": [""], "resources": ["pods"], "verbs": ["get", "list"]}
WRITE_ROLES = {
    "apiGroups": ["rbac.authorization.k8s.io"],
    "resources": ["roles", "rolebindings", "clusterroles"],
    "verbs": ["create", "update", "patch", "get"],
}


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


def role(name: str, *rules: Object, **more: Any) -> Object:
    return {"metadata": {"name": name}, "rules": list(rules), **more}


def binding(role_name: str, user: str = "jane", kind: str = "Role") -> Object:
    reference = {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": role_name}
    return {"metadata": {"name": role_name}, "roleRef": reference, "subjects": [{"kind": "User", "name": user}]}


async def grant(api: Rest, name: str, *rules: Object) -> None:
    await api.create(ROLES, role(name, *rules))
    await api.create(BINDINGS, binding(name))


@pytest.mark.slow
async def test_a_role_is_believed_as_soon_as_it_is_bound_and_no_longer(api: Rest) -> None:
    codes = [(await api.by("jane", "GET", PODS)).code]
    await grant(api, "reader", READ_PODS)
    codes.append((await api.by("jane", "GET", PODS)).code)
    codes.append((await api.by("jane", "GET", f"{PODS}/none")).code)
    codes.append((await api.by("good", "GET", PODS)).code)
    codes.append((await api.by("jane", "GET", "/api/v1/pods")).code)
    await api.send("DELETE", f"{BINDINGS}/reader")
    codes.append((await api.by("jane", "GET", PODS)).code)

    assert codes == [403, 200, 404, 403, 403, 403]


async def test_what_holds_everywhere_ends_when_it_is_taken_away(api: Rest) -> None:
    await api.create(f"{RBAC}/clusterroles", role("reader", READ_PODS))
    await api.create(f"{RBAC}/clusterrolebindings", binding("reader", kind="ClusterRole"))

    codes = [(await api.by("jane", "GET", PODS)).code for _ in range(2)]
    await api.send("PUT", f"{RBAC}/clusterroles/reader", role("reader"))
    codes.append((await api.by("jane", "GET", PODS)).code)

    assert codes == [200, 200, 403]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", PODS),
        ("GET", f"{PODS}/none"),
        ("GET", "/api/v1/namespaces/none/pods"),
        ("GET", "/apis/example.com/v1/gadgets"),
        ("POST", "/api/v1/nodes/n/status"),
        ("OPTIONS", PODS),
        ("PUT", PODS),
        ("GET", "/nothing/here"),
        ("POST", "/observe"),
        ("GET", "/metrics"),
        ("GET", "/"),
    ],
)
async def test_who_may_not_is_told_nothing_else(api: Rest, method: str, path: str) -> None:
    for token in ("jane", ""):
        refused = await api.by(token, method, path, b"{" if method in ("POST", "PUT") else None)

        assert (refused.code, refused.json["reason"]) == (403, "Forbidden")
        assert "forbidden: User" in refused.json["message"]


async def test_nobody_reads_discovery_without_a_name(api: Rest) -> None:
    public = [(await api.by("", "GET", path)).code for path in ("/healthz", "/livez", "/readyz", "/version")]
    closed = [(await api.by("", "GET", path)).code for path in ("/api", "/apis", "/openapi/v3", "/livez/ping")]
    known = [(await api.by("jane", "GET", path)).code for path in ("/api", "/apis", "/openapi/v3", "/apis/apps/v1")]

    assert (public, closed, known) == ([200] * 4, [403] * 4, [200] * 4)


async def test_one_name_is_enough_to_list_and_watch_by_it(api: Rest) -> None:
    rule = {"apiGroups": [""], "resources": ["configmaps"], "resourceNames": ["a"], "verbs": ["list", "get"]}
    await grant(api, "one", rule)

    named = await api.by("jane", "GET", f"{MAPS}?fieldSelector=metadata.name%3Da")
    codes = [(await api.by("jane", "GET", path)).code for path in (MAPS, f"{MAPS}/b", f"{MAPS}/a")]

    assert (named.code, codes) == (200, [403, 403, 404])


async def test_applying_what_does_not_exist_needs_create(api: Rest) -> None:
    await grant(api, "patcher", {"apiGroups": [""], "resources": ["configmaps"], "verbs": ["patch"]})
    apply = {"content_type": "application/apply-patch+yaml"}
    await api.create(MAPS, config_map("there"))

    changed = await api.by("jane", "PATCH", f"{MAPS}/there?fieldManager=j&force=true", config_map("there"), **apply)
    created = await api.by("jane", "PATCH", f"{MAPS}/new?fieldManager=j", config_map("new"), **apply)

    assert (changed.code, created.code) == (200, 403)
    assert 'cannot create resource "configmaps"' in created.json["message"]


# -- escalation -------------------------------------------------------------------------------------------------------


async def test_a_role_is_granted_only_by_who_has_it(api: Rest) -> None:
    await grant(api, "roles", WRITE_ROLES, READ_PODS)

    held = await api.by("jane", "POST", ROLES, role("held", {**READ_PODS, "verbs": ["get"]}))
    more = await api.by("jane", "POST", ROLES, role("more", {**READ_PODS, "verbs": ["get", "delete", "create"]}))
    grown = await api.by("jane", "PUT", f"{ROLES}/held", role("held", {**READ_PODS, "resources": ["secrets"]}))
    admin = await api.by("jane", "POST", BINDINGS, binding("cluster-admin", kind="ClusterRole"))
    own = await api.by("jane", "POST", BINDINGS, binding("held", "eve"))
    lost = await api.by("jane", "POST", BINDINGS, binding("gone"))

    assert [answer.code for answer in (held, more, grown, admin, own, lost)] == [201, 403, 403, 403, 201, 404]
    assert more.json["message"] == (
        'roles.rbac.authorization.k8s.io "more" is forbidden: user "jane" (groups=["team" "system:authenticated"]) is '
        "attempting to grant RBAC permissions not currently held:\n"
        '{APIGroups:[""], Resources:["pods"], Verbs:["create" "delete"]}'
    )
    assert lost.json["message"] == 'rolebindings.rbac.authorization.k8s.io "gone" not found'


@pytest.mark.slow
async def test_who_may_escalate_or_bind_is_not_held_back(api: Rest) -> None:
    group = ["rbac.authorization.k8s.io"]
    await grant(
        api,
        "free",
        WRITE_ROLES,
        {"apiGroups": group, "resources": ["roles"], "verbs": ["escalate"]},
        {"apiGroups": group, "resources": ["clusterroles"], "resourceNames": ["view"], "verbs": ["bind"]},
    )

    escalated = await api.by("jane", "POST", ROLES, role("more", READ_PODS))
    bound = await api.by("jane", "POST", BINDINGS, binding("view", kind="ClusterRole"))
    other = await api.by("jane", "POST", BINDINGS, binding("cluster-admin", kind="ClusterRole"))

    assert [answer.code for answer in (escalated, bound, other)] == [201, 201, 403]


async def test_a_gathering_role_is_for_those_who_have_everything(api: Rest) -> None:
    await api.create(f"{RBAC}/clusterroles", role("roles", WRITE_ROLES))
    await api.create(f"{RBAC}/clusterrolebindings", binding("roles", kind="ClusterRole"))
    gathering = role("all", aggregationRule={"clusterRoleSelectors": [{}]})

    refused = await api.by("jane", "POST", f"{RBAC}/clusterroles", gathering)
    by_admin = await api.send("POST", f"{RBAC}/clusterroles", gathering)

    assert (refused.code, by_admin.code) == (403, 201)
    assert "must have cluster-admin privileges to use the aggregationRule" in refused.json["message"]


async def test_a_binding_keeps_its_role(api: Rest) -> None:
    await grant(api, "reader", READ_PODS)
    stored = (await api.get(f"{BINDINGS}/reader")).json
    stored["roleRef"]["name"] = "other"

    refused = await api.send("PUT", f"{BINDINGS}/reader", stored)

    assert (refused.code, "cannot change roleRef" in refused.json["message"]) == (422, True)


# -- reviews ----------------------------------------------------------------------------------------------------------


def may(verb: str, resource: str, namespace: str = "default", **more: str) -> Object:
    return {"resourceAttributes": {"verb": verb, "resource": resource, "namespace": namespace, **more}}


async def status(api: Rest, token: str, path: str, spec: Object) -> Object:
    answer = await (api.by(token, "POST", path, {"spec": spec}) if token else api.send("POST", path, {"spec": spec}))
    assert answer.code == 201, answer.body
    found: Object = answer.json["status"]
    return found


async def test_access_reviews_tell_what_would_happen_and_why(api: Rest) -> None:
    await grant(api, "reader", {**READ_PODS, "resourceNames": ["a"]})
    path, other = f"{ACCESS}/selfsubjectaccessreviews", f"{ACCESS}/subjectaccessreviews"
    local = f"{ACCESS}/namespaces/default/localsubjectaccessreviews"

    named = await status(api, "jane", path, may("get", "pods", name="a"))
    unnamed = await status(api, "jane", path, may("get", "pods"))
    verb = await status(api, "jane", path, may("delete", "pods", name="a"))
    url = await status(api, "jane", path, {"nonResourceAttributes": {"verb": "get", "path": "/version"}})
    admin = await status(api, "", path, may("delete", "anything"))
    of_jane = await status(api, "", other, {**may("get", "pods", name="a"), "user": "jane"})
    of_eve = await status(api, "", local, {**may("get", "pods", name="a"), "user": "eve"})
    grouped = await status(api, "", other, {**may("get", "secrets"), "groups": ["system:masters"]})

    reason = 'RBAC: allowed by RoleBinding "reader/default" of Role "reader" to User "jane"'
    assert named == of_jane == {"allowed": True, "reason": reason}
    assert unnamed == verb == of_eve == {"allowed": False}
    assert url["allowed"] and admin == grouped == {"allowed": True}


@pytest.mark.parametrize(
    ("kind", "spec", "complaint"),
    [
        ("selfsubjectaccessreviews", {}, "exactly one of nonResourceAttributes or resourceAttributes"),
        ("subjectaccessreviews", may("get", "pods"), "at least one of user or group must be specified"),
        (
            "namespaces/default/localsubjectaccessreviews",
            {**may("get", "pods", "x"), "user": "u"},
            "must match metadata",
        ),
    ],
)
async def test_bad_reviews_are_refused(api: Rest, kind: str, spec: Object, complaint: str) -> None:
    refused = await api.send("POST", f"{ACCESS}/{kind}", {"spec": spec})

    assert refused.code == 422 and complaint in refused.json["message"]


async def test_rules_reviews_list_what_holds_in_a_namespace(api: Rest) -> None:
    await grant(api, "reader", READ_PODS)
    path = f"{ACCESS}/selfsubjectrulesreviews"

    here = await status(api, "jane", path, {"namespace": "default"})
    there = await status(api, "jane", path, {"namespace": "kube-system"})
    nowhere = await api.by("jane", "POST", path, {"spec": {}})

    assert READ_PODS in here["resourceRules"] and READ_PODS not in there["resourceRules"]
    assert any("/healthz" in rule["nonResourceURLs"] for rule in there["nonResourceRules"])
    assert here["incomplete"] is False
    assert nowhere.code == 400


async def test_a_role_that_is_gone_is_named_in_reviews(api: Rest) -> None:
    await grant(api, "reader", READ_PODS)
    await api.send("DELETE", f"{ROLES}/reader")

    refused = await api.by("jane", "GET", PODS)
    review = await status(api, "jane", f"{ACCESS}/selfsubjectaccessreviews", may("get", "pods"))

    assert refused.json["message"].endswith(': RBAC: role.rbac.authorization.k8s.io "reader" not found')
    assert review == {"allowed": False, "reason": 'RBAC: role.rbac.authorization.k8s.io "reader" not found'}


async def test_commands_need_create_whatever_the_handshake_looks_like(api: Rest) -> None:
    await grant(api, "getter", {"apiGroups": [""], "resources": ["pods/exec"], "verbs": ["get"]})
    await api.create(PODS, pod("p"))

    refused = await api.by("jane", "GET", f"{PODS}/p/exec?command=ls&stdout=true")

    assert refused.code == 403
    assert 'cannot create resource "pods/exec"' in refused.json["message"]


async def test_a_subresource_is_another_resource(api: Rest) -> None:
    await grant(api, "scaler", {"apiGroups": ["apps"], "resources": ["*/scale"], "verbs": ["get"]})
    await api.create("/apis/apps/v1/namespaces/default/deployments", deployment("web"))
    path = "/apis/apps/v1/namespaces/default/deployments/web"

    codes = [(await api.by("jane", "GET", where)).code for where in (path, f"{path}/scale", f"{path}/status")]

    assert codes == [403, 200, 403]
