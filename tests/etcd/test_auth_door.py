"""Users, roles and tokens at the door, as etcd's clients meet them: over gRPC in this process, and with etcdctl."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest

from actors.etcd.grpc.messages import message
from tests.etcd.grpc_client import Client, Failed, Housed, calling, housed, request
from tests.etcd.served import Served, certificate, needs_etcdctl

INVALID, DENIED, PRECONDITION, UNIMPLEMENTED, UNAUTHENTICATED = 3, 7, 9, 12, 16
IS_EMPTY = (INVALID, "etcdserver: user name is empty")
IS_DENIED = (DENIED, "etcdserver: permission denied")
BAD_TOKEN = (UNAUTHENTICATED, "etcdserver: invalid auth token")


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[Housed]:
    async with housed(tmp_path) as house:
        yield house


@pytest.fixture
async def client(house: Housed) -> AsyncIterator[Client]:
    async with calling(house.port) as client:
        yield client


async def said(client: Client, path: str, asked: Any, token: str = "") -> Any:
    """The answer, or the code and text of the refusal."""
    name = asked.DESCRIPTOR.name.removesuffix("Request") + "Response"
    stream = client.stream(path, name, **({"token": token} if token else {}))
    stream.send(asked, last=True)
    code, text = await stream.end
    return (code, text) if code else stream.came.get_nowait()


async def auth(client: Client, name: str, token: str = "", /, **fields: Any) -> Any:
    stem = name if name.startswith("Auth") else f"Auth{name}"
    return await said(client, f"Auth/{name}", request(stem, **fields), token)


async def enabled(client: Client) -> dict[str, str]:
    """root and bob, who may read and write what begins with b: their tokens."""
    permission = message("authpb.Permission")(permType=2, key=b"b", range_end=b"c")
    for name in ("root", "bob"):
        await auth(client, "UserAdd", name=name, password=name * 2)
        await auth(client, "RoleAdd", name=name)
        await auth(client, "UserGrantRole", user=name, role=name)
    await auth(client, "RoleGrantPermission", name="bob", perm=permission)
    await auth(client, "AuthEnable")
    return {name: (await auth(client, "Authenticate", name=name, password=name * 2)).token for name in ("root", "bob")}


async def test_auth_is_off_until_it_is_enabled_and_root_must_be_there_first(client: Client) -> None:
    status = await auth(client, "AuthStatus")

    assert (status.enabled, status.authRevision) == (False, 1)
    assert list((await auth(client, "UserList")).users) == list((await auth(client, "RoleList")).roles) == []
    assert await auth(client, "AuthEnable") == (PRECONDITION, "etcdserver: root user does not exist")
    await auth(client, "UserAdd", name="root", password="pw")
    assert await auth(client, "AuthEnable") == (PRECONDITION, "etcdserver: root user does not have root role")
    off = (PRECONDITION, "etcdserver: authentication is not enabled")
    assert await auth(client, "Authenticate", name="root", password="pw") == off
    assert await auth(client, "UserGet", name="eve") == (PRECONDITION, "etcdserver: user name not found")
    assert await auth(client, "RoleGet", role="eve") == (PRECONDITION, "etcdserver: role name not found")
    assert await auth(client, "RoleGrantPermission", name="eve") == (INVALID, "etcdserver: permission not given")
    assert (await auth(client, "UserAdd", name="eve", hashedPassword="h"))[0] == UNIMPLEMENTED


@pytest.mark.slow
async def test_who_says_the_password_is_given_a_token_and_nobody_else(client: Client) -> None:
    tokens = await enabled(client)
    failed = (INVALID, "etcdserver: authentication failed, invalid user ID or password")

    assert tokens["bob"] and tokens["bob"] != tokens["root"]
    assert await auth(client, "Authenticate", name="bob", password="wrong") == failed
    assert await auth(client, "Authenticate", name="eve", password="") == failed
    await auth(client, "UserAdd", tokens["root"], name="card", options={"no_password": True})
    assert await auth(client, "Authenticate", name="card", password="") == failed


CALLS = {
    "KV/Range": request("Range", key=b"a"),
    "KV/Put": request("Put", key=b"a"),
    "KV/DeleteRange": request("DeleteRange", key=b"a"),
    "KV/Txn": request("Txn", compare=[{"key": b"a", "version": 0}]),
    "Lease/LeaseRevoke": request("LeaseRevoke", ID=7),
    "Lease/LeaseTimeToLive": request("LeaseTimeToLive", ID=7, keys=True),
    "Cluster/MemberAdd": request("MemberAdd", peerURLs=["actorkube://etcd-3/etcd"], isLearner=True),
    "Cluster/MemberRemove": request("MemberRemove", ID=4711),
    "Cluster/MemberPromote": request("MemberPromote", ID=4711),
    "Cluster/MemberUpdate": request("MemberUpdate", ID=4711),
    "Maintenance/Alarm": request("Alarm", action=2),
    "Maintenance/Defragment": request("Defragment"),
    "Maintenance/Hash": request("Hash"),
    "Maintenance/HashKV": request("HashKV"),
    "Maintenance/MoveLeader": request("MoveLeader"),
    "Maintenance/Downgrade": request("Downgrade"),
    "Maintenance/Snapshot": request("Snapshot"),
    "Auth/AuthStatus": request("AuthStatus"),
    "Auth/AuthDisable": request("AuthDisable"),
    "Auth/UserAdd": request("AuthUserAdd", name="eve"),
    "Auth/UserGet": request("AuthUserGet", name="root"),
    "Auth/UserList": request("AuthUserList"),
    "Auth/UserDelete": request("AuthUserDelete", name="root"),
    "Auth/UserChangePassword": request("AuthUserChangePassword", name="root"),
    "Auth/UserGrantRole": request("AuthUserGrantRole", user="bob", role="root"),
    "Auth/UserRevokeRole": request("AuthUserRevokeRole", name="bob", role="bob"),
    "Auth/RoleAdd": request("AuthRoleAdd", name="eve"),
    "Auth/RoleGet": request("AuthRoleGet", role="root"),
    "Auth/RoleList": request("AuthRoleList"),
    "Auth/RoleDelete": request("AuthRoleDelete", role="bob"),
    "Auth/RoleGrantPermission": request("AuthRoleGrantPermission", name="bob", perm={"key": b"a"}),
    "Auth/RoleRevokePermission": request("AuthRoleRevokePermission", role="bob", key=b"a"),
}
FOR_ANYBODY = {
    "KV/Compact": request("Compaction", revision=1),
    "Lease/LeaseGrant": request("LeaseGrant", TTL=60),
    "Lease/LeaseLeases": request("LeaseLeases"),
    "Cluster/MemberList": request("MemberList"),
    "Maintenance/Alarm": request("Alarm"),
}


@pytest.mark.slow
async def test_each_call_is_for_those_who_may_and_says_to_all_others_why_not(client: Client) -> None:
    tokens = await enabled(client)
    await said(client, "Lease/LeaseGrant", request("LeaseGrant", TTL=60, ID=7), tokens["root"])
    await said(client, "KV/Put", request("Put", key=b"a", lease=7), tokens["root"])

    for path, asked in [*CALLS.items(), *FOR_ANYBODY.items()]:
        assert await said(client, path, asked) == IS_EMPTY, path
        assert await said(client, path, asked, "made up") == BAD_TOKEN, path
    for name in ("KV/Range", "KV/Put", "KV/DeleteRange"):
        assert await said(client, name, request(name.removeprefix("KV/"))) == (3, "etcdserver: key is not provided")
    for path, asked in CALLS.items():
        assert await said(client, path, asked, tokens["bob"]) == IS_DENIED, path
    for path, asked in FOR_ANYBODY.items():
        assert await said(client, path, asked, tokens["bob"]) != IS_DENIED, path


@pytest.mark.slow
async def test_a_user_reads_and_writes_its_own_keys_and_hears_of_no_others(client: Client) -> None:
    tokens = await enabled(client)
    watch = client.stream("Watch/Watch", "WatchResponse", token=tokens["bob"])
    watch.send(request("Watch", create_request={"key": b"a"}))
    refused = await watch.next()
    watch.send(request("Watch", create_request={"key": b"b", "range_end": b"c"}))
    await watch.next()

    put = await said(client, "KV/Put", request("Put", key=b"b1", value=b"1"), tokens["bob"])
    found = await said(client, "KV/Range", request("Range", key=b"b", range_end=b"c"), tokens["bob"])
    here = await said(client, "KV/Range", request("Range", key=b"a", serializable=True), tokens["bob"])

    assert (refused.watch_id, refused.created, refused.canceled) == (-1, True, True)
    assert refused.cancel_reason == f"rpc error: code = PermissionDenied desc = {IS_DENIED[1]}"
    assert [kv.key for kv in found.kvs] == [event.kv.key for event in (await watch.next()).events] == [b"b1"]
    assert found.header.revision == put.header.revision
    assert here == IS_DENIED
    assert list((await auth(client, "UserGet", tokens["bob"], name="bob")).roles) == ["bob"]
    assert [one.key for one in (await auth(client, "RoleGet", tokens["bob"], role="bob")).perm] == [b"b"]


@pytest.mark.slow
async def test_what_is_taken_from_a_user_is_gone_with_the_next_call(client: Client) -> None:
    tokens = await enabled(client)
    put = request("Put", key=b"b")
    before = await said(client, "KV/Put", put, tokens["bob"])

    await auth(client, "UserRevokeRole", tokens["root"], name="bob", role="bob")
    without_role = await said(client, "KV/Put", put, tokens["bob"])
    await auth(client, "UserChangePassword", tokens["root"], name="bob", password="new")
    old_token = await said(client, "KV/Put", put, tokens["bob"])
    await auth(client, "UserDelete", tokens["root"], name="bob")
    gone = await auth(client, "Authenticate", name="bob", password="new")

    assert before.header.revision > 1
    assert (without_role, old_token) == (IS_DENIED, BAD_TOKEN)
    assert gone == (INVALID, "etcdserver: authentication failed, invalid user ID or password")


@pytest.mark.slow
async def test_a_door_that_has_not_heard_of_it_lets_nobody_through(house: Housed, client: Client) -> None:
    tokens = await enabled(client)
    knows = house.door._access.auth
    knows.enabled = False  # as on a member that lags

    asked = await said(client, "KV/Range", request("Range", key=b"a"))
    watch = client.stream("Watch/Watch", "WatchResponse", token=tokens["bob"])
    watch.send(request("Watch", create_request={"key": b"a"}))
    refused = await watch.next()

    assert asked[1] == "etcdserver: authentication was enabled a moment ago"
    assert refused.created and refused.canceled


@pytest.mark.slow
async def test_a_watch_by_a_token_that_is_over_is_refused_in_the_words_that_make_etcds_client_ask_for_another(
    client: Client,
) -> None:
    await enabled(client)
    watch = client.stream("Watch/Watch", "WatchResponse", token="made.up.token")
    watch.send(request("Watch", create_request={"key": b"b"}))

    refused = await watch.next()

    assert (refused.watch_id, refused.created, refused.canceled) == (-1, True, True)
    assert refused.cancel_reason == "rpc error: code = Unauthenticated desc = etcdserver: invalid auth token"
    assert not watch.end.done()


@pytest.mark.slow
async def test_a_token_may_stand_where_http_has_it(client: Client) -> None:
    tokens = await enabled(client)
    stream = client.stream("KV/Range", "RangeResponse", authorization=tokens["bob"])
    stream.send(request("Range", key=b"b"), last=True)

    assert (await stream.next()).header.revision > 0


@pytest.mark.slow
async def test_users_outlive_their_process(tmp_path: Path) -> None:
    async with housed(tmp_path) as house, calling(house.port) as client:
        tokens = await enabled(client)
    async with housed(tmp_path) as house, calling(house.port) as client:
        nobody = await said(client, "KV/Range", request("Range", key=b"b"))
        bob = await said(client, "KV/Range", request("Range", key=b"b"), tokens["bob"])

    assert nobody == IS_EMPTY
    assert bob.count == 0


@pytest.mark.slow
async def test_when_it_is_disabled_everybody_may_again(client: Client) -> None:
    tokens = await enabled(client)

    await auth(client, "AuthDisable", tokens["root"])

    assert (await said(client, "KV/Range", request("Range", key=b"a"))).count == 0
    with pytest.raises(Failed, match="authentication is not enabled"):
        await client.call("Auth/Authenticate", request("Authenticate", name="bob", password="bobbob"))


# -- etcdctl ----------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    served = Served(tmp_path_factory.mktemp("served") / "data")
    yield served
    served.stop()


@pytest.mark.slow
@needs_etcdctl
def test_etcdctl_makes_users_and_roles_that_hold_on_all_members_whoever_dies(served: Served) -> None:
    root = ("--user", "root:secret")
    served.ctl("user", "add", "root:secret")
    served.ctl("user", "grant-role", "root", "root")
    served.ctl("role", "add", "reader")
    served.ctl("role", "grant-permission", "reader", "read", "--prefix", "read/", member=1)
    served.ctl("role", "grant-permission", "reader", "readwrite", "own", member=2)
    served.ctl("user", "add", "bob:bob")
    served.ctl("user", "grant-role", "bob", "reader")
    assert "Authentication Enabled" in served.ctl("auth", "enable")
    served.ctl(*root, "put", "read/1", "one")
    served.kill(served_leader(served, root))

    bob = ("--user", "bob:bob")
    for member in range(3):
        assert served.ctl(*bob, "get", "--prefix", "read/", member=member) == "read/1\none\n"
        assert "permission denied" in served.ctl(*bob, "put", "read/1", "two", member=member, check=False)
        assert "permission denied" in served.ctl(*bob, "get", "", "--prefix", member=member, check=False)
        assert "user name is empty" in served.ctl("get", "own", member=member, check=False)
        assert "invalid user ID or password" in served.ctl("--user", "bob:b", "get", "own", member=member, check=False)
    served.ctl(*bob, "put", "own", "1", member=1)
    assert served.ctl(*root, "user", "list") == "bob\nroot\n"
    assert "Roles: reader" in served.ctl(*bob, "user", "get", "bob")
    assert "permission denied" in served.ctl(*bob, "role", "list", check=False)
    served.ctl(*root, "role", "revoke-permission", "reader", "own")
    assert "permission denied" in served.ctl(*bob, "get", "own", member=2, check=False)
    served.ctl(*root, "user", "passwd", "bob", "--interactive=false", stdin="new\n")
    assert served.ctl("--user", "bob:new", "get", "read/1") == "read/1\none\n"
    served.ctl(*root, "user", "revoke-role", "bob", "reader")
    served.ctl(*root, "role", "delete", "reader")
    served.ctl(*root, "user", "delete", "bob")
    assert "invalid auth management" in served.ctl(*root, "user", "delete", "root", check=False)
    assert "Authentication Disabled" in served.ctl(*root, "auth", "disable")
    assert served.ctl("get", "own") == "own\n1\n"


def served_leader(served: Served, root: tuple[str, str]) -> int:
    done = served.ctl(*root, "endpoint", "status", "-w", "fields", member=0)
    leader, own = (next(line for line in done.splitlines() if f'"{name}"' in line) for name in ("Leader", "MemberID"))
    return 0 if leader.split()[-1] == own.split()[-1] else 1


@pytest.mark.slow
@needs_etcdctl
def test_the_name_in_a_clients_certificate_is_the_users(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)  # for CN=store
    served = Served(tmp_path / "data", "--cert-file", cert, "--key-file", key, "--trusted-ca-file", cert)
    by_name = ("--cacert", cert, "--cert", cert, "--key", key)

    try:
        served.ctl(*by_name, "user", "add", "root:secret")
        served.ctl(*by_name, "user", "grant-role", "root", "root")
        served.ctl(*by_name, "role", "add", "own")
        served.ctl(*by_name, "role", "grant-permission", "own", "readwrite", "own")
        served.ctl(*by_name, "user", "add", "store", "--no-password")
        served.ctl(*by_name, "user", "grant-role", "store", "own")
        served.ctl(*by_name, "auth", "enable")
        served.ctl(*by_name, "put", "own", "1")
        denied = served.ctl(*by_name, "put", "other", "1", check=False)
        root = served.ctl(*by_name, "--user", "root:secret", "put", "other", "1")
    finally:
        served.stop()

    assert "permission denied" in denied
    assert root == "OK\n"
