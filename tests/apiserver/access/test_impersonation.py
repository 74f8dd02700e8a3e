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
        ({"Impersonate_Group": "system:masters"}, "without impersonating a user"),
        ({"Impersonate_User": ""}, "without impersonating a user"),
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

    assert await by_jane(Impersonate_User="eve") == ""
    assert await by_jane(Impersonate_User="bob") == (
        'users "bob" is forbidden: User "jane" cannot impersonate resource "users" in API group "" at the cluster scope'
    )
    assert 'groups "system:masters" is forbidden' in await by_jane(
        Impersonate_User="eve", Impersonate_Group="system:masters"
    )
    assert 'uids.authentication.k8s.io "1" is forbidden' in await by_jane(Impersonate_User="eve", Impersonate_Uid="1")
    assert 'cannot impersonate resource "userextras/a"' in await by_jane(
        Impersonate_User="eve", **{"Impersonate-Extra-a": "b"}
    )
    assert 'serviceaccounts "robot" is forbidden' in await by_jane(
        Impersonate_User="system:serviceaccount:default:robot"
    )
