"""The door for etcd's clients: members, downgrades, and which cluster it is, in etcd's terms."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.etcd.actor import EtcdConfig
from actors.etcd.files import found_cluster, member_files
from actors.etcd.mvcc.store import Store
from protocols.etcd_members import member_id
from tests.etcd.grpc_client import CLUSTER_ID, MEMBER, Client, Failed, calling, housed, request

INVALID, PRECONDITION, UNIMPLEMENTED, NOT_FOUND, EXHAUSTED = 3, 9, 12, 5, 8
NOSPACE = 1
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


async def test_the_only_voter_cannot_be_removed(client: Client) -> None:
    [only] = (await client.call("Cluster/MemberList", request("MemberList"))).members

    refused = await refusal(client, "Cluster/MemberRemove", "MemberRemove", ID=only.ID)

    assert refused == (PRECONDITION, "etcdserver: re-configuration failed due to not enough started members")


async def test_a_member_stays_where_it_is(client: Client) -> None:
    listed = await client.call("Cluster/MemberList", request("MemberList"))
    own = {"ID": listed.members[0].ID, "peerURLs": listed.members[0].peerURLs}

    same = await client.call("Cluster/MemberUpdate", request("MemberUpdate", **own))
    elsewhere = await refusal(client, "Cluster/MemberUpdate", "MemberUpdate", **{**own, "peerURLs": [THREE]})
    unknown = await refusal(client, "Cluster/MemberUpdate", "MemberUpdate", **{**own, "ID": 4711})

    assert same.members == listed.members
    assert elsewhere[0] == UNIMPLEMENTED
    assert unknown == (NOT_FOUND, "etcdserver: member not found")


async def test_beyond_the_quota_puts_are_refused_in_etcds_words_and_deletions_are_not(tmp_path: Path) -> None:
    async with housed(tmp_path, EtcdConfig(quota_bytes=1_000)) as house, calling(house.port) as client:
        await client.call("KV/Put", request("Put", key=b"large", value=b"x" * 2_000))

        refused = await refusal(client, "KV/Put", "Put", key=b"a", value=b"1")
        lease = await refusal(client, "Lease/LeaseGrant", "LeaseGrant", TTL=60)
        while not (alarms := (await client.call("Maintenance/Alarm", request("Alarm"))).alarms):
            await asyncio.sleep(0.01)  # it is an entry of the log
        deleted = await client.call("KV/DeleteRange", request("DeleteRange", key=b"large"))

    assert refused == lease == (EXHAUSTED, "etcdserver: mvcc: database space exceeded")
    assert [alarm.alarm for alarm in alarms] == [NOSPACE]
    assert deleted.deleted == 1


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


async def test_each_part_of_a_transaction_says_the_revision_that_it_has_seen(client: Client) -> None:
    read, put = {"request_range": {"key": b"a"}}, {"request_put": {"key": b"a"}}
    nothing = {"request_delete_range": {"key": b"none"}}
    before = (await client.call("KV/Range", request("Range", key=b"a"))).header.revision

    inner = {"request_txn": {"success": [read, put]}}
    done = await client.call("KV/Txn", request("Txn", success=[read, nothing, inner, read]))
    idle = await client.call("KV/Txn", request("Txn", success=[read, nothing]))

    seen = [done.responses[0].response_range, done.responses[1].response_delete_range]
    seen += [done.responses[2].response_txn.responses[0].response_range]
    then = [done.responses[2].response_txn.responses[1].response_put, done.responses[3].response_range]
    then += [idle.responses[0].response_range, idle.responses[1].response_delete_range]
    assert [part.header.revision for part in seen] == [before] * 3
    assert [part.header.revision for part in then] == [before + 1] * 4 == [done.header.revision] * 4
    assert done.responses[2].response_txn.header.revision == 0


async def test_a_lease_that_names_no_number_has_one_that_nobody_guesses_and_time_for_an_election(
    client: Client,
) -> None:
    granted = [await client.call("Lease/LeaseGrant", request("LeaseGrant", TTL=1)) for _ in range(4)]

    assert len({lease.ID for lease in granted}) == 4
    assert all(lease.ID > 1 << 32 and lease.TTL == 2 for lease in granted)


async def test_a_revoked_lease_says_a_revision_at_which_its_keys_are_gone(client: Client) -> None:
    lease = (await client.call("Lease/LeaseGrant", request("LeaseGrant", TTL=60))).ID
    put = await client.call("KV/Put", request("Put", key=b"a", lease=lease))

    revoked = await client.call("Lease/LeaseRevoke", request("LeaseRevoke", ID=lease))

    assert revoked.header.revision == put.header.revision + 1


async def test_leases_are_listed_as_they_run_out(client: Client) -> None:
    for ttl, number in ((300, 1), (100, 2), (600, -3), (200, 4)):
        await client.call("Lease/LeaseGrant", request("LeaseGrant", TTL=ttl, ID=number))

    listed = await client.call("Lease/LeaseLeases", request("LeaseLeases"))

    assert [lease.ID for lease in listed.leases] == [2, 4, 1, -3]


async def test_alarms_are_listed_whoever_is_named_and_nobody_s_is_ended_for_somebody_who_is_not_there(
    tmp_path: Path,
) -> None:
    async with housed(tmp_path, EtcdConfig(housekeeping_s=3_600.0)) as house, calling(house.port) as client:
        raised = [{"memberID": member_id(MEMBER), "alarm": NOSPACE}]
        await client.call("Maintenance/Alarm", request("Alarm", action=1, **raised[0]))

        async def alarms(**asked: int) -> list[object]:
            said = await client.call("Maintenance/Alarm", request("Alarm", **asked))
            return [{"memberID": one.memberID, "alarm": one.alarm} for one in said.alarms]

        assert await alarms(memberID=9) == await alarms() == raised
        assert await alarms(action=2, memberID=9) == [] == await alarms(alarm=2)
        assert await alarms(action=2, memberID=member_id(MEMBER), alarm=NOSPACE) == raised
        assert await alarms() == []


async def test_a_status_says_what_a_newer_client_prints(client: Client) -> None:
    status = await client.call("Maintenance/Status", request("Status"))

    assert (status.storageVersion, status.dbSizeQuota) == (status.version, EtcdConfig().quota_bytes)
    assert status.HasField("downgradeInfo") and not status.downgradeInfo.enabled


async def test_who_belongs_to_it_is_told_without_a_revision(client: Client) -> None:
    await client.call("KV/Put", request("Put", key=b"a"))

    header = (await client.call("Cluster/MemberList", request("MemberList"))).header

    assert (header.cluster_id, header.revision) == (CLUSTER_ID, 0)
    assert header.member_id and header.raft_term


async def test_only_a_voter_can_be_told_to_lead(client: Client) -> None:
    added = await client.call("Cluster/MemberAdd", request("MemberAdd", peerURLs=[THREE], isLearner=True))

    for number in (4711, added.member.ID):
        refused = await refusal(client, "Maintenance/MoveLeader", "MoveLeader", targetID=number)
        assert refused == (PRECONDITION, "etcdserver: bad leader transferee")


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("KV/Nope", "unknown method Nope for service etcdserverpb.KV"),
        ("Nope/Put", "unknown service etcdserverpb.Nope"),
    ],
)
async def test_what_is_not_served_is_named(client: Client, path: str, text: str) -> None:
    assert await refusal(client, path, "Put", key=b"a") == (UNIMPLEMENTED, text)
