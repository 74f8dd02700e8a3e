"""Acting as somebody else: only as whom, and with what, one may."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.apiserver.access.test_access_rest import binding, role
from tests.apiserver.rest_client import Rest, rest

WHOAMI = "/apis/authentication.k8s.io/v1/selfsubjectreviews"
RBAC = "/apis/rbac.authorization.k8s.io/v1"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


async def as_other(api: Rest, **headers: str) -> Any:
    answer = await api.send("POST", WHOAMI, {}, **headers)
    return answer.json["status"]["userInfo"] if answer.code == 201 else answer.json["message"]


async def test_an_administrator_is_whoever_it_wants(api: Rest) -> None:
    jane = await as_other(
        api,
        Impersonate_User="jane",
        Impersonate_Group="team",
        Impersonate_Uid="7",
        **{"Impersonate-Extra-Acme.com%2FProject": "x"},
    )
    robot = await as_other(api, Impersonate_User="system:serviceaccount:default:robot")

    extra = {"acme.com/project": ["x"]}
    assert jane == {"username": "jane", "uid": "7", "groups": ["team", "system:authenticated"], "extra": extra}
    assert robot["groups"] == ["system:serviceaccounts", "system:serviceaccounts:default", "system:authenticated"]


async def test_who_is_taken_for_another_may_no_more_than_that_one(api: Rest) -> None:
    refused = await api.send("GET", "/api/v1/nodes", Impersonate_User="jane")
    nobody = await api.send("GET", "/api", Impersonate_User="system:anonymous")

    assert refused.json["message"].startswith('nodes is forbidden: User "jane" cannot list resource "nodes"')
    assert nobody.code == 403


@pytest.mark.parametrize(
    ("headers", "complaint"),
    [
        (
            {"Impersonate_Group": "g"},
            'requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string{"g"}, Extra:map[string][]string(nil)} '
            "without impersonating a user name",
        ),
        (
            {"Impersonate_User": "", "Impersonate-Extra-a": "b"},
            'requested &user.DefaultInfo{Name:"", UID:"", Groups:[]string(nil), '
            'Extra:map[string][]string{"a":[]string{"b"}}} without impersonating a user name',
        ),
    ],
)
async def test_a_user_must_be_named(api: Rest, headers: dict[str, str], complaint: str) -> None:
    assert complaint in await as_other(api, **headers)


async def test_each_part_is_allowed_by_itself(api: Rest) -> None:
    rule = {"apiGroups": [""], "resources": ["users"], "resourceNames": ["eve"], "verbs": ["impersonate"]}
    await api.create(f"{RBAC}/clusterroles", role("actor", rule))
    await api.create(f"{RBAC}/clusterrolebindings", binding("actor", kind="ClusterRole"))

    async def by_jane(**headers: str) -> str:
        answer = await api.by("jane", "POST", WHOAMI, {}, **headers)
        return "" if answer.code == 201 else str(answer.json["message"])

    robot = "system:serviceaccount:default:robot"
    assert await by_jane(Impersonate_User="eve") == ""
    assert await by_jane(Impersonate_User="bob") == (
        'selfsubjectreviews.authentication.k8s.io is forbidden: User "jane" cannot impersonate-on:user-info:create '
        'resource "selfsubjectreviews" in API group "authentication.k8s.io" at the cluster scope'
    )
    assert await by_jane(Impersonate_User="eve", Impersonate_Group="system:masters") != ""
    assert await by_jane(Impersonate_User="eve", Impersonate_Uid="1") != ""
    assert await by_jane(Impersonate_User="eve", **{"Impersonate-Extra-a": "b"}) != ""
    assert await by_jane(Impersonate_User=robot) != ""
    assert await by_jane(Impersonate_User=robot, Impersonate_Group="g") == (
        'serviceaccounts "robot" is forbidden: User "jane" cannot impersonate resource "serviceaccounts" '
        'in API group "" in the namespace "default"'
    )


AUTHENTICATION = "authentication.k8s.io"
EVE = {"Impersonate_User": "eve"}
IDENTITY = 'is forbidden: User "jane" cannot impersonate:user-info resource'
PLACE = f'in API group "{AUTHENTICATION}" at the cluster scope'


@pytest.mark.parametrize(
    ("headers", "said"),
    [
        (EVE, ["system:authenticated"]),
        ({"Impersonate_User": "bob"}, f'users.{AUTHENTICATION} "bob" {IDENTITY} "users" {PLACE}'),
        ({**EVE, "Impersonate_Group": "g"}, ["g", "system:authenticated"]),
        ({**EVE, "Impersonate_Group": "h"}, f'groups.{AUTHENTICATION} "h" {IDENTITY} "groups" {PLACE}'),
        (
            {**EVE, "Impersonate_Group": "system:masters"},
            f'groups.{AUTHENTICATION} "system:masters" {IDENTITY} "groups" {PLACE}: '
            "impersonating the system:masters group is not allowed",
        ),
        ({**EVE, "Impersonate_Uid": "u"}, f'uids.{AUTHENTICATION} "u" {IDENTITY} "uids" {PLACE}'),
        (
            {**EVE, "Impersonate-Extra-acme.io%2Ffoo": "b"},
            f'userextras.{AUTHENTICATION} "b" {IDENTITY} "userextras/acme.io/foo" {PLACE}',
        ),
        (
            {**EVE, "Impersonate-Extra-a": "b"},
            f'userextras.{AUTHENTICATION} {IDENTITY} "userextras" {PLACE}: impersonating an invalid key in extra '
            'is not allowed: extra.key: Invalid value: "a": must be a domain-prefixed path (such as "acme.io/foo")',
        ),
        ({"Impersonate_User": "system:node:n1"}, ["system:nodes", "system:authenticated"]),
        (
            {"Impersonate_User": "system:serviceaccount:default:robot"},
            f"selfsubjectreviews.{AUTHENTICATION} is forbidden: "
            f'User "jane" cannot impersonate-on:serviceaccount:create resource "selfsubjectreviews" {PLACE}',
        ),
    ],
)
async def test_who_becomes_another_for_one_request(api: Rest, headers: dict[str, str], said: Any) -> None:
    groups = [AUTHENTICATION]
    rules = [
        {
            "apiGroups": groups,
            "resources": ["selfsubjectreviews"],
            "verbs": ["impersonate-on:user-info:create", "impersonate-on:arbitrary-node:create"],
        },
        {"apiGroups": groups, "resources": ["users"], "resourceNames": ["eve"], "verbs": ["impersonate:user-info"]},
        {
            "apiGroups": groups,
            "resources": ["groups"],
            "resourceNames": ["g", "system:masters"],
            "verbs": ["impersonate:user-info"],
        },
        {"apiGroups": groups, "resources": ["nodes"], "verbs": ["impersonate:arbitrary-node"]},
    ]
    await api.create(f"{RBAC}/clusterroles", role("actor", *rules))
    await api.create(f"{RBAC}/clusterrolebindings", binding("actor", kind="ClusterRole"))

    answer = await api.by("jane", "POST", WHOAMI, {}, **headers)

    found = answer.json["message"] if answer.code == 403 else answer.json["status"]["userInfo"]["groups"]
    assert found == said


async def test_who_may_for_one_kind_of_request_may_not_for_another(api: Rest) -> None:
    rules = [
        {"apiGroups": [""], "resources": ["pods"], "verbs": ["impersonate-on:user-info:list"]},
        {"apiGroups": [AUTHENTICATION], "resources": ["users"], "verbs": ["impersonate:user-info"]},
    ]
    await api.create(f"{RBAC}/clusterroles", role("actor", *rules))
    await api.create(f"{RBAC}/clusterrolebindings", binding("actor", kind="ClusterRole"))

    pods = await api.by("jane", "GET", "/api/v1/pods", **EVE)
    nodes = await api.by("jane", "GET", "/api/v1/nodes", **EVE)

    assert 'pods is forbidden: User "eve" cannot list' in pods.json["message"]
    assert 'nodes is forbidden: User "jane" cannot impersonate-on:user-info:list' in nodes.json["message"]
