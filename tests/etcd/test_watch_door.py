"""Watches through the door for etcd's clients: what is refused, in which words and order, and what half a call is."""

from __future__ import annotations

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.etcd.grpc_client import Client, Stream, calling, housed, request

EMPTY = "mvcc: watcher range is empty"
TWICE = "mvcc: duplicate watch ID provided on the WatchStream"
COMPACTED = "etcdserver: mvcc: required revision has been compacted"


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[Client]:
    async with housed(tmp_path) as house, calling(house.port) as client:
        yield client


def watching(client: Client, *creations: dict[str, Any]) -> Stream:
    stream = client.stream("Watch/Watch", "WatchResponse")
    for creation in creations:
        stream.send(request("Watch", create_request=creation))
    return stream


@pytest.mark.parametrize(
    ("creation", "reason"),
    [
        ({"key": b"b", "range_end": b"a"}, EMPTY),
        ({"key": b"b", "range_end": b"b"}, EMPTY),
        ({"key": b"b", "start_revision": -1}, COMPACTED),
        ({"key": b"b", "watch_id": -1}, TWICE),
    ],
)
async def test_a_watch_that_cannot_be_is_refused_in_etcds_words(
    client: Client, creation: dict[str, Any], reason: str
) -> None:
    refused = await watching(client, creation).next()

    assert (refused.watch_id, refused.created, refused.canceled, refused.cancel_reason) == (-1, True, True, reason)


async def test_what_is_refused_takes_no_number(client: Client) -> None:
    stream = watching(client, {"key": b"b", "range_end": b"a"}, {"key": b"b", "start_revision": -1}, {"key": b"b"})

    came = [await stream.next() for _ in range(3)]

    assert [one.watch_id for one in came] == [-1, -1, 0]


async def test_a_watch_of_the_past_is_told_the_present_revision_and_one_of_now_where_it_begins(client: Client) -> None:
    for _ in range(3):
        await client.call("KV/Put", request("Put", key=b"a"))

    stream = watching(client, {"key": b"b", "start_revision": 2}, {"key": b"b", "start_revision": 99}, {"key": b"b"})

    assert [(await stream.next()).header.revision for _ in range(3)] == [4, 4, 4]


async def test_a_refusal_comes_after_what_was_asked_for_before(client: Client) -> None:
    stream = watching(client, {"key": b"a", "watch_id": 7}, {"key": b"b", "watch_id": 7}, {"key": b"c"})

    came = [await stream.next() for _ in range(3)]

    assert [(one.watch_id, one.created, one.cancel_reason) for one in came] == [
        (7, True, ""),
        (-1, True, TWICE),
        (0, True, ""),
    ]


async def test_a_watch_that_is_canceled_at_once_is_created_first(client: Client) -> None:
    stream = watching(client, {"key": b"a", "watch_id": 7})
    stream.send(request("Watch", cancel_request={"watch_id": 7}))

    came = [await stream.next() for _ in range(2)]

    assert [(one.watch_id, one.created, one.canceled) for one in came] == [(7, True, False), (7, False, True)]


async def test_who_has_no_more_to_ask_still_hears_of_what_comes(client: Client) -> None:
    stream = client.stream("Watch/Watch", "WatchResponse")
    stream.send(request("Watch", create_request={"key": b"a"}), last=True)
    await stream.next()

    await client.call("KV/Put", request("Put", key=b"a", value=b"1"))

    assert [event.kv.value for event in (await stream.next()).events] == [b"1"]
    assert not stream.end.done()
