"""The policy that every cluster begins with: it is stored, it is repaired, and it says what Kubernetes' does."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from actors.apiserver.access.attributes import Attributes
from actors.apiserver.access.policy import AUTO_UPDATE, default_policy
from actors.apiserver.access.rbac import CLUSTER_BINDINGS, CLUSTER_ROLES, Rbac
from actors.apiserver.access.reconcile import NEW, reconciled
from actors.apiserver.access.rules import missing, rule_of
from actors.apiserver.callers import ANONYMOUS, Caller, of_system, service_account
from actors.apiserver.rules.validate import validate
from actors.apiserver.schema.resources import find
from protocols.objects import Object, key_of, name_of
from tests.apiserver.world import world

POLICY = {(group_resource, key_of(obj)): obj for group_resource, obj in default_policy()}


@pytest.fixture(scope="module")
def rbac() -> Rbac:
    value = Rbac()
    for group_resource, obj in default_policy():
        value.put(group_resource, obj)
    return value


def test_every_object_is_valid_named_once_and_bound_to_a_role_that_exists() -> None:
    assert len(POLICY) == len(default_policy())
    for group_resource, obj in default_policy():
        resource = find(group_resource)
        assert resource is not None
        assert validate(resource, obj) == []
        if reference := obj.get("roleRef"):
            where = f"{obj['metadata'].get('namespace')}/" if reference["kind"] == "Role" else ""
            kind = "roles" if reference["kind"] == "Role" else "clusterroles"
            assert (f"{kind}.rbac.authorization.k8s.io", where + reference["name"]) in POLICY


@pytest.mark.parametrize(
    ("caller", "asked", "allowed"),
    [
        (ANONYMOUS, Attributes("get", path="/healthz"), True),
        (ANONYMOUS, Attributes("get", path="/version/"), True),
        (ANONYMOUS, Attributes("get", path="/livez/ping"), False),
        (ANONYMOUS, Attributes("get", path="/api"), False),
        (ANONYMOUS, Attributes("create", "authorization.k8s.io", "selfsubjectaccessreviews"), False),
        (Caller("jane", ("system:authenticated",)), Attributes("get", path="/apis/apps/v1"), True),
        (Caller("jane", ("system:authenticated",)), Attributes("get", path="/metrics"), False),
        (
            Caller("jane", ("system:authenticated",)),
            Attributes("create", "authentication.k8s.io", "selfsubjectreviews"),
            True,
        ),
        (Caller("jane", ("system:authenticated",)), Attributes("list", "", "pods", "", "default"), False),
        (Caller("m", ("system:monitoring",)), Attributes("get", path="/readyz/etcd"), True),
        (Caller("m", ("system:monitoring",)), Attributes("get", path="/statusz"), True),
        (Caller("m", ("system:monitoring",)), Attributes("get", path="/flagz"), True),
        (Caller("jane", ("system:authenticated",)), Attributes("get", path="/flagz"), False),
        (Caller("m", ("system:monitoring",)), Attributes("get", "", "nodes", "metrics", "", "n"), True),
        (of_system("scheduler", {}), Attributes("create", "", "pods", "binding", "default", "p"), True),
        (
            of_system("scheduler", {}),
            Attributes("patch", "resource.k8s.io", "resourceclaims", "binding", "a", "b"),
            True,
        ),
        (
            of_system("scheduler", {}),
            Attributes("create", "coordination.k8s.io", "leasecandidates", "", "a", "b"),
            True,
        ),
        (
            service_account("kube-system", "horizontal-pod-autoscaler"),
            Attributes("get", "external.metrics.k8s.io", "m", "", "default"),
            True,
        ),
        (
            service_account("kube-system", "service-cidrs-controller"),
            Attributes("update", "networking.k8s.io", "servicecidrs", "status", "", "a"),
            True,
        ),
        (of_system("node-1-proxy", {}), Attributes("list", "networking.k8s.io", "servicecidrs"), True),
        (of_system("scheduler", {}), Attributes("update", "coordination.k8s.io", "leases", "", "a", "other"), False),
        (of_system("scheduler", {}), Attributes("get", "", "secrets", "", "default", "s"), False),
        (of_system("controller-manager", {}), Attributes("delete", "example.com", "widgets", "", "default", "w"), True),
        (of_system("controller-manager", {}), Attributes("create", "", "nodes"), False),
        (of_system("node-1-kubelet", {}), Attributes("update", "", "pods", "status", "default", "p"), False),
        (of_system("node-1-proxy", {}), Attributes("watch", "", "services"), True),
        (of_system("node-1-proxy", {}), Attributes("get", "", "secrets", "", "default", "s"), False),
        (of_system("dns", {}), Attributes("list", "discovery.k8s.io", "endpointslices"), True),
    ],
)
def test_it_says_who_may_what(rbac: Rbac, caller: Caller, asked: Attributes, allowed: bool) -> None:
    assert rbac.decide(caller, asked).allowed is allowed


def test_view_shows_no_secrets_and_edit_gives_no_roles(rbac: Rbac) -> None:
    def may(role: str, verb: str, resource: str, group: str = "") -> bool:
        rules = rbac.rules_of("ClusterRole", f"system:aggregate-to-{role}") or []
        return any(rule.allows(Attributes(verb, group, resource)) for rule in rules)

    assert may("view", "list", "pods") and may("view", "get", "deployments", "apps")
    assert not may("view", "get", "secrets") and not may("view", "create", "pods")
    assert may("edit", "get", "secrets") and may("edit", "deletecollection", "pods")
    assert not may("edit", "create", "roles", "rbac.authorization.k8s.io")
    assert may("admin", "create", "rolebindings", "rbac.authorization.k8s.io")
    assert may("view", "list", "events") and may("view", "list", "events", "events.k8s.io")


# -- reconciling ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", sorted(POLICY))
def test_nothing_is_done_to_what_is_as_it_should_be(key: tuple[str, str]) -> None:
    assert reconciled(POLICY[key], POLICY[key]) is None


@given(st.sampled_from(sorted(POLICY)), st.data())
def test_what_was_taken_away_comes_back_and_what_was_added_stays(key: tuple[str, str], data: st.DataObject) -> None:
    wanted = POLICY[key]
    stored: dict[str, Any] = {**wanted}
    for part in ("rules", "subjects"):
        if wanted.get(part):
            stored[part] = data.draw(st.lists(st.sampled_from(wanted[part]), max_size=3, unique_by=str))
    extra = {"kind": "User", "name": "eve", "apiGroup": "rbac.authorization.k8s.io"}
    if "subjects" in stored:
        stored["subjects"] = [extra, *stored["subjects"]]
    labels = data.draw(st.sampled_from(({}, {"mine": "yes"}, {**wanted["metadata"]["labels"], "mine": "yes"})))
    stored["metadata"] = {**wanted["metadata"], "labels": labels}

    amended = reconciled(stored, wanted)

    assert amended is not NEW
    result = stored if amended is None else amended
    assert isinstance(result, dict) and reconciled(result, wanted) is None
    own, needed = ([rule_of(rule) for rule in obj.get("rules") or ()] for obj in (result, wanted))
    assert missing(own, needed) == []
    subjects = result.get("subjects") or []
    assert all(subject in subjects for subject in wanted.get("subjects") or ())
    assert extra in subjects or "subjects" not in stored
    assert {**labels, **wanted["metadata"]["labels"]} == result["metadata"]["labels"]


def test_who_says_no_is_left_alone_and_a_binding_to_another_role_is_made_anew() -> None:
    wanted = POLICY[(CLUSTER_BINDINGS, "system:discovery")]
    emptied = {**wanted, "subjects": []}
    annotations = {AUTO_UPDATE: "false"}

    left = reconciled({**emptied, "metadata": {**wanted["metadata"], "annotations": annotations}}, wanted)
    other = reconciled({**wanted, "roleRef": {**wanted["roleRef"], "name": "cluster-admin"}}, wanted)

    assert left is None
    assert other is NEW


async def test_a_start_repairs_the_policy(tmp_path: Path) -> None:
    def without_rules(role: Object) -> Object:
        return {**role, "rules": []}

    async with world(tmp_path) as here:
        names = await here.names(CLUSTER_ROLES, "")
        await here.delete(CLUSTER_ROLES, "view", "")
        await here.update(CLUSTER_ROLES, without_rules(await here.get(CLUSTER_ROLES, "system:basic-user", "")))
        binding = await here.get(CLUSTER_BINDINGS, "system:discovery", "")
        await here.delete(CLUSTER_BINDINGS, "system:discovery", "")
        changed = {"roleRef": {**binding["roleRef"], "name": "cluster-admin"}, "metadata": {"name": "system:discovery"}}
        await here.create(CLUSTER_BINDINGS, changed)
        await here.restart()
        repaired = await here.names(CLUSTER_ROLES, "")
        basic = await here.get(CLUSTER_ROLES, "system:basic-user", "")
        discovery = await here.get(CLUSTER_BINDINGS, "system:discovery", "")

    assert "view" in names and repaired == names
    assert len(basic["rules"]) == 3  # taken apart, as what is missing is added
    assert discovery["roleRef"]["name"] == "system:discovery"
    assert {name_of(obj) for group_resource, obj in default_policy() if group_resource == CLUSTER_ROLES} == set(names)
