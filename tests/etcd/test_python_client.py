"""A kept client of etcd's in Python (PyPI: aetcd, on grpcio) and `actorkube etcd serve`."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import io
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import aetcd
import grpc
import pytest

from tests.etcd.served import Served, certificate

pytestmark = pytest.mark.cluster


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    found = Served(tmp_path_factory.mktemp("store"))
    yield found
    found.stop()


@pytest.fixture
async def client(served: Served) -> AsyncIterator[aetcd.Client]:
    async with aetcd.Client(port=served.port, timeout=20) as found:
        yield found


async def test_what_is_put_is_there_with_its_revisions(client: aetcd.Client) -> None:
    await client.put(b"kept", b"1")
    before = await client.put(b"kept", b"2", prev_kv=True)

    found = await client.get(b"kept")

    assert before.prev_kv.value == b"1"
    assert (found.value, found.version) == (b"2", 2)
    assert found.mod_revision > found.create_revision
    assert await client.get(b"nothing") is None


async def test_a_prefix_is_read_in_order_and_deleted(client: aetcd.Client) -> None:
    for key in (b"p/b", b"p/a", b"p/c"):
        await client.put(key, key.upper())

    ascending = [found.key for found in await client.get_prefix(b"p/", sort_order="ascend")]
    descending = [found.key for found in await client.get_prefix(b"p/", sort_order="descend", keys_only=True)]
    deleted = await client.delete_prefix(b"p/", prev_kv=True)

    assert ascending == [b"p/a", b"p/b", b"p/c"] == descending[::-1]
    assert deleted.deleted == 3
    assert not list(await client.get_prefix(b"p/"))


async def test_a_transaction_takes_the_branch_that_its_comparisons_say(client: aetcd.Client) -> None:
    await client.put(b"txn", b"1")
    swap = ([client.transactions.put(b"txn", b"2")], [client.transactions.get(b"txn")])

    first = await client.transaction([client.transactions.value(b"txn") == b"1"], *swap)
    second = await client.transaction([client.transactions.value(b"txn") == b"1"], *swap)

    assert (first[0], second[0]) == (True, False)
    assert second[1][0][0][0] == b"2"
    assert await client.replace(b"txn", b"2", b"3") and not await client.replace(b"txn", b"2", b"4")


async def test_a_watch_sees_each_change_once_and_from_the_past(client: aetcd.Client) -> None:
    first = (await client.put(b"w/a", b"1")).header.revision
    await client.put(b"w/a", b"2")
    watch = await client.watch_prefix(b"w/", start_revision=first, prev_kv=True)
    await client.put(b"w/b", b"3")
    await client.delete(b"w/a")

    seen: list[tuple[str, bytes, bytes]] = []
    async for event in watch:
        seen.append((str(event.kind), event.kv.key, event.kv.value))
        if len(seen) == 4:
            break
    await watch.cancel()

    assert seen == [("PUT", b"w/a", b"1"), ("PUT", b"w/a", b"2"), ("PUT", b"w/b", b"3"), ("DELETE", b"w/a", b"")]


async def test_a_lease_is_kept_and_takes_its_keys_along(client: aetcd.Client) -> None:
    lease = await client.lease(60)
    await client.put(b"leased", b"1", lease=lease)
    kept = await client.refresh_lease(lease.id)
    info = await client.get_lease_info(lease.id)

    await lease.revoke()

    assert kept.TTL == info.grantedTTL == 60 and list(info.keys) == [b"leased"]
    assert await client.get(b"leased") is None


async def test_a_lock_is_one_holders_at_a_time(served: Served, client: aetcd.Client) -> None:
    async with aetcd.Client(port=served.port + 1, timeout=20) as other:
        mine, its = client.lock(b"mutex", ttl=60), other.lock(b"mutex", ttl=60)
        assert await mine.acquire(timeout=10)
        held = await mine.is_acquired(), await its.acquire(timeout=0.3)
        await mine.release()
        then = await its.acquire(timeout=10)
        await its.release()

    assert held == (True, False)
    assert then


async def test_what_is_compacted_ends_a_watch_with_the_revision(client: aetcd.Client) -> None:
    await client.put(b"old", b"1")
    newest = (await client.put(b"old", b"2")).header.revision
    await client.compact(newest)

    with pytest.raises(aetcd.exceptions.RevisionCompactedError) as told:
        while True:  # a member that is behind still shows what the others have forgotten
            watch = await client.watch(b"old", start_revision=1)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(2):
                    async for _ in watch:
                        pass
            await watch.cancel()

    assert told.value.compacted_revision == newest


async def test_members_and_status_are_told(client: aetcd.Client) -> None:
    members = [member.name async for member in client.members()]
    status = await client.status()

    assert members == ["etcd-0", "etcd-1", "etcd-2"]
    assert status.version.startswith("3.6") and status.leader.name in members


async def test_a_snapshot_is_received_whole(client: aetcd.Client) -> None:
    copy = io.BytesIO()

    await client.snapshot(copy)

    data = copy.getvalue()
    assert len(data) > 32 and hashlib.sha256(data[:-32]).digest() == data[-32:]


async def test_who_gives_a_name_and_a_password_is_told_that_auth_is_off(served: Served) -> None:
    client = aetcd.Client(port=served.port, username="root", password="secret", timeout=20)

    with pytest.raises((grpc.aio.AioRpcError, aetcd.exceptions.ClientError)) as told:
        await client.connect()
    await client.close()

    assert "authentication is not enabled" in str(told.value.__cause__ or told.value)


def credentials(cert: str, key: str) -> tuple[grpc.ChannelCredentials, grpc.ChannelCredentials]:
    """Of somebody with a certificate, and of somebody without."""
    authority, private = Path(cert).read_bytes(), Path(key).read_bytes()
    return grpc.ssl_channel_credentials(authority, private, authority), grpc.ssl_channel_credentials(authority)


async def test_grpcio_speaks_tls_with_it_and_shows_its_certificate(tmp_path: Path) -> None:
    cert, key = certificate(tmp_path)
    served = Served(
        tmp_path / "data", "--replicas", "1", "--cert-file", cert, "--key-file", key, "--trusted-ca-file", cert
    )
    known, nobody = credentials(cert, key)
    try:
        async with grpc.aio.secure_channel(f"127.0.0.1:{served.port}", known) as channel:
            store = aetcd.rpc.KVStub(channel)
            await store.Put(aetcd.rpc.PutRequest(key=b"secret", value=b"1"), timeout=20)
            found = await store.Range(aetcd.rpc.RangeRequest(key=b"secret"), timeout=20)
        async with grpc.aio.secure_channel(f"127.0.0.1:{served.port}", nobody) as channel:
            with pytest.raises(grpc.aio.AioRpcError) as refused:
                await aetcd.rpc.KVStub(channel).Range(aetcd.rpc.RangeRequest(key=b"secret"), timeout=2)
    finally:
        served.stop()

    assert found.kvs[0].value == b"1"
    assert refused.value.code() in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED)
