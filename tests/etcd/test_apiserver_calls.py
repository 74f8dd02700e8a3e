"""A kube-apiserver's calls of its etcd, in its order: what it sends, and what it looks at in the answers.

It never puts nor deletes ranges: everything is a transaction on a key's mod revision; it reads, watches, grants leases,
compacts, and asks for a member's status. It acts upon codes, and upon the words of some refusals.
"""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.etcd.grpc_client import CLUSTER_ID, Client, Failed, Stream, calling, housed, request

POD = b"/registry/pods/default/web"
PODS = b"/registry/pods/"
PODS_END = b"/registry/pods0"
COMPACTED = (11, "etcdserver: mvcc: required revision has been compacted")
FUTURE = (11, "etcdserver: mvcc: required revision is a future revision")
MOD, VERSION = 2, 0
ALL_WATCHES = -1


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Client]:
    async with housed(tmp_path) as house, calling(house.port) as client:
        yield client


def txn(key: bytes, mod_revision: int, value: bytes | None, *, lease: int = 0, look: bool = True) -> Any:
    """If nobody has changed it since: write (or delete, without a value); else, if asked for, say what is there."""
    asked = request("Txn")
    asked.compare.add(key=key, target=MOD, mod_revision=mod_revision)
    if value is None:
        asked.success.add(request_delete_range=request("DeleteRange", key=key))
    else:
        asked.success.add(request_put=request("Put", key=key, value=value, lease=lease))
    if look:
        asked.failure.add(request_range=request("Range", key=key))
    return asked


async def create(api: Client, key: bytes, value: bytes) -> int:
    answer = await api.call("KV/Txn", txn(key, 0, value, look=False))
    assert answer.succeeded
    revision: int = answer.header.revision
    return revision


async def watch(api: Client, start: int = 0, **fields: Any) -> Stream:
    stream = api.stream("Watch/Watch", "WatchResponse", hasleader="true")
    asked = request("Watch")
    keys = {"key": PODS, "range_end": PODS_END, "prev_kv": True, "progress_notify": True}
    asked.create_request.SetInParent()
    for name, value in {**keys, "start_revision": start, **fields}.items():
        setattr(asked.create_request, name, value)
    stream.send(asked)
    created = await stream.next()
    assert created.created and not created.canceled
    return stream


async def test_it_starts_by_asking_who_there_is_and_which_version(api: Client) -> None:
    status = await api.call("Maintenance/Status", request("Status"))
    members = await api.call("Cluster/MemberList", request("MemberList"))
    empty = await api.call("KV/Range", request("Range", key=b"/registry/health"))

    assert tuple(int(part) for part in status.version.split(".")) >= (3, 5, 13)  # else no progress is asked for
    assert status.leader == members.members[0].ID == status.header.member_id
    assert (empty.count, list(empty.kvs)) == (0, [])
    assert status.header.cluster_id == members.header.cluster_id == empty.header.cluster_id == CLUSTER_ID


async def test_what_exists_is_not_created_again_and_is_shown(api: Client) -> None:
    revision = await create(api, POD, b"one")

    again = await api.call("KV/Txn", txn(POD, 0, b"other"))

    assert not again.succeeded
    found = again.responses[0].response_range.kvs[0]
    assert (found.key, found.value, found.mod_revision, found.version) == (POD, b"one", revision, 1)
    assert again.header.revision == revision


async def test_it_updates_and_deletes_what_nobody_has_changed_since(api: Client) -> None:
    first = await create(api, POD, b"one")

    updated = await api.call("KV/Txn", txn(POD, first, b"two"))
    late = await api.call("KV/Txn", txn(POD, first, None))
    second = updated.header.revision
    deleted = await api.call("KV/Txn", txn(POD, second, None))
    gone = await api.call("KV/Range", request("Range", key=POD))

    assert updated.succeeded and second == first + 1
    assert not late.succeeded and late.responses[0].response_range.kvs[0].value == b"two"
    assert deleted.succeeded and deleted.responses[0].response_delete_range.deleted == 1
    assert deleted.header.revision == gone.header.revision == second + 1
    assert gone.count == 0


async def test_it_lists_in_pages_of_one_revision_with_the_whole_count(api: Client) -> None:
    for number in range(5):
        last = await create(api, PODS + b"default/%d" % number, b"x")
    first = await api.call("KV/Range", request("Range", key=PODS, range_end=PODS_END, limit=3))
    await create(api, PODS + b"default/9", b"x")

    after = first.kvs[-1].key + b"\0"
    paged = {"range_end": PODS_END, "limit": 3, "revision": last}
    second = await api.call("KV/Range", request("Range", key=after, **paged))
    counted = await api.call("KV/Range", request("Range", key=PODS, range_end=PODS_END, count_only=True))

    assert (first.count, first.more, len(first.kvs), first.header.revision) == (5, True, 3, last)
    assert (second.count, second.more, [kv.key[-1:] for kv in second.kvs]) == (2, False, [b"3", b"4"])
    assert second.header.revision == last + 1
    assert (counted.count, len(counted.kvs)) == (6, 0)


async def test_it_watches_from_its_list_and_is_told_what_was_there_before(api: Client) -> None:
    listed = await create(api, POD, b"one")
    stream = await watch(api, listed + 1)

    await api.call("KV/Txn", txn(POD, listed, b"two"))
    await api.call("KV/Txn", txn(POD, listed + 1, None))
    events = [event for _ in range(2) for event in (await stream.next()).events]

    assert [(event.type, event.kv.mod_revision, event.prev_kv.value) for event in events] == [
        (0, listed + 1, b"one"),
        (1, listed + 2, b"two"),
    ]


async def test_progress_that_it_asks_for_is_behind_all_events_before_it(api: Client) -> None:
    stream = await watch(api)
    last = await create(api, POD, b"one")
    await create(api, b"/registry/nodes/n", b"of another watch")

    asked = request("Watch")
    asked.progress_request.SetInParent()
    stream.send(asked)
    event, progress = await stream.next(), await stream.next()

    assert event.events[0].kv.mod_revision == last
    assert (progress.watch_id, list(progress.events)) == (ALL_WATCHES, [])
    assert progress.header.revision == last + 1


async def test_a_revision_that_is_large_comes_to_a_watch_in_fragments(api: Client) -> None:
    asked = request("Txn")
    for number in range(3):
        asked.success.add(request_put=request("Put", key=PODS + b"%d" % number, value=bytes(500_000)))
    await api.call("KV/Txn", asked)
    stream = await watch(api, fragment=True)
    answer = await api.call("KV/Txn", asked)

    parts = [await stream.next()]
    while parts[-1].fragment:
        parts.append(await stream.next())

    assert len(parts) > 1
    assert [event.kv.key[-1:] for part in parts for event in part.events] == [b"0", b"1", b"2"]
    assert {event.kv.mod_revision for part in parts for event in part.events} == {answer.header.revision}


async def test_events_get_a_lease_that_a_transaction_names(api: Client) -> None:
    lease = await api.call("Lease/LeaseGrant", request("LeaseGrant", TTL=3660))

    written = await api.call("KV/Txn", txn(b"/registry/events/e", 0, b"x", lease=lease.ID, look=False))
    with pytest.raises(Failed) as unknown:
        await api.call("KV/Txn", txn(b"/registry/events/f", 0, b"x", lease=4711, look=False))

    assert lease.TTL == 3660 and lease.ID
    assert written.succeeded
    assert (unknown.value.code, unknown.value.text) == (5, "etcdserver: requested lease not found")


async def test_one_of_several_compacts_and_the_others_are_told_when_it_was(api: Client) -> None:
    """Each compares the version of one key with how often it has seen it; who is right writes the revision there."""

    def turn(seen: int, revision: int) -> Any:
        asked = request("Txn")
        asked.compare.add(key=b"compact_rev_key", target=VERSION, version=seen)
        asked.success.add(request_put=request("Put", key=b"compact_rev_key", value=b"%d" % revision))
        asked.failure.add(request_range=request("Range", key=b"compact_rev_key"))
        return asked

    first = await api.call("KV/Txn", turn(0, 0))
    second = await api.call("KV/Txn", turn(0, 0))
    revision = second.header.revision
    third = await api.call("KV/Txn", turn(1, revision))
    await api.call("KV/Compact", request("Compaction", revision=revision))

    assert first.succeeded and third.succeeded and not second.succeeded
    told = second.responses[0].response_range.kvs[0]
    assert (told.version, told.value) == (1, b"0")


@pytest.mark.slow
async def test_what_is_compacted_or_yet_to_come_is_refused_in_the_words_it_looks_for(api: Client) -> None:
    for number in range(4):
        last = await create(api, PODS + b"%d" % number, b"x")
    await api.call("KV/Compact", request("Compaction", revision=last))

    refusals = []
    listing = {"key": PODS, "range_end": PODS_END, "limit": 500}
    for path, asked in (
        ("KV/Range", request("Range", **listing, revision=last - 1)),
        ("KV/Compact", request("Compaction", revision=last)),
        ("KV/Range", request("Range", **listing, revision=last + 1)),
    ):
        with pytest.raises(Failed) as refused:
            await api.call(path, asked)
        refusals.append((refused.value.code, refused.value.text))

    assert refusals == [COMPACTED, COMPACTED, FUTURE]


async def test_a_watch_of_what_is_compacted_ends_and_says_from_where_to_list_again(api: Client) -> None:
    for number in range(4):
        last = await create(api, PODS + b"%d" % number, b"x")
    await api.call("KV/Compact", request("Compaction", revision=last))

    stream = await watch(api, last - 2)
    ended = await stream.next()

    assert ended.canceled and ended.compact_revision == last and not ended.header.revision
    assert ended.cancel_reason == "etcdserver: mvcc: required revision has been compacted"


async def test_a_request_that_is_too_large_is_refused_in_the_words_it_looks_for(api: Client) -> None:
    with pytest.raises(Failed) as refused:
        await api.call("KV/Txn", txn(POD, 0, bytes((3 << 19) + 1)))

    assert (refused.value.code, refused.value.text) == (3, "etcdserver: request is too large")


async def test_what_a_newer_etcd_has_is_unimplemented_so_that_it_falls_back(api: Client) -> None:
    with pytest.raises(Failed) as refused:
        await api.call("KV/RangeStream", request("Range", key=PODS, range_end=PODS_END))

    assert refused.value.code == 12
