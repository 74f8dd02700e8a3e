"""The door for etcd's clients: members, auth, downgrades, and which cluster it is, in etcd's terms."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.etcd.files import found_cluster, member_files
from actors.etcd.mvcc.store import Store
from tests.etcd.grpc_client import CLUSTER_ID, Client, Failed, calling, housed, request

INVALID, PRECONDITION, UNIMPLEMENTED, NOT_FOUND = 3, 9, 12, 5
THREE = "actorkube://etcd-3/etcd"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with housed(tmp_path) as house, calling(house.port) as client:
        yield client


async def refusal(client: Client, path: str, name: str, **fields: object) -> tuple[int, str]:
    with pytest.raises(Failed) as failed:
        await client.call(path, request(name, **fields))
    return failed.value.code, failed.value.text


async def test_a_member_is_added_by_the_url_of_its_actor_and_removed_by_its_number(client: Client) -> None:
    added = await client.call("Cluster/MemberAdd", request("MemberAdd", peerURLs=[THREE], isLearner=True))
    listed = await client.call("Cluster/MemberList", request("MemberList"))
    removed = await client.call("Cluster/MemberRemove", request("MemberRemove", ID=added.member.ID))

    assert (added.member.name, list(added.member.peerURLs), added.member.isLearner) == ("etcd-3", [THREE], True)
    assert listed.members == added.members
    assert [member.name for member in removed.members] == ["etcd-0"]


async def test_a_url_as_etcdctl_lets_it_pass_names_the_same_actor(client: Client) -> None:
    added = await client.call(
        "Cluster/MemberAdd", request("MemberAdd", peerURLs=["http://etcd-3:2380"], isLearner=True)
    )

    assert list(added.member.peerURLs) == [THREE]


@pytest.mark.parametrize(
    "urls",
    [[], [THREE, THREE], ["http://127.0.0.1:2380"], ["http://etcd-3"], ["actorkube://etcd-3"], ["actorkube://../etcd"]],
)
async def test_a_member_whose_url_names_no_actor_is_refused(client: Client, urls: list[str]) -> None:
    refused = await refusal(client, "Cluster/MemberAdd", "MemberAdd", peerURLs=urls)

    assert refused == (INVALID, "etcdserver: given member URLs are invalid")


async def test_a_member_stays_where_it_is(client: Client) -> None:
    listed = await client.call("Cluster/MemberList", request("MemberList"))
    own = {"ID": listed.members[0].ID, "peerURLs": listed.members[0].peerURLs}

    same = await client.call("Cluster/MemberUpdate", request("MemberUpdate", **own))
    elsewhere = await refusal(client, "Cluster/MemberUpdate", "MemberUpdate", **{**own, "peerURLs": [THREE]})
    unknown = await refusal(client, "Cluster/MemberUpdate", "MemberUpdate", **{**own, "ID": 4711})

    assert same.members == listed.members
    assert elsewhere[0] == UNIMPLEMENTED
    assert unknown == (NOT_FOUND, "etcdserver: member not found")


async def test_auth_is_off_and_nobody_is_known(client: Client) -> None:
    status = await client.call("Auth/AuthStatus", request("AuthStatus"))
    users = await client.call("Auth/UserList", request("AuthUserList"))
    refusals = [
        await refusal(client, f"Auth/{name}", "AuthStatus")
        for name in ("AuthEnable", "Authenticate", "UserGet", "RoleGet")
    ]

    assert (status.enabled, list(users.users)) == (False, [])
    assert refusals == [
        (PRECONDITION, "etcdserver: root user does not exist"),
        (PRECONDITION, "etcdserver: authentication is not enabled"),
        (PRECONDITION, "etcdserver: user name not found"),
        (PRECONDITION, "etcdserver: role name not found"),
    ]
    assert (await refusal(client, "Auth/UserAdd", "AuthStatus"))[0] == UNIMPLEMENTED


async def test_there_is_no_older_version_to_go_back_to(client: Client) -> None:
    validated = await refusal(client, "Maintenance/Downgrade", "Downgrade", action=0, version="3.5.0")
    cancelled = await refusal(client, "Maintenance/Downgrade", "Downgrade", action=2)

    assert validated == (INVALID, "etcdserver: invalid downgrade target version")
    assert cancelled == (PRECONDITION, "etcdserver: no inflight downgrade job")


async def test_a_restored_store_is_another_cluster_to_its_clients_from_the_first_answer_on(tmp_path: Path) -> None:
    store = Store()
    found_cluster(store, 0)
    directory = tmp_path / "etcd"
    directory.mkdir()
    for name, data in member_files(store, "etcd-0"):
        (directory / name).write_bytes(data)

    async with housed(tmp_path) as house, calling(house.port) as client:
        answer = await client.call("KV/Put", request("Put", key=b"a", value=b"1"))

    assert answer.header.cluster_id == store.cluster != CLUSTER_ID
