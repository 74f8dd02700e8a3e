"""The judge of watches is judged: each of etcd's nine properties, broken once, is noticed."""

from __future__ import annotations

import pytest

from protocols.etcd import Event, KeyValue, WatchResponse
from tests.etcd.watching import Told


def put(key: bytes, revision: int, previous: KeyValue | None = None) -> Event:
    created = previous.create_revision if previous else revision
    version = previous.version + 1 if previous else 1
    return Event("put", KeyValue(key, b"v%d" % revision, created, revision, version), previous)


ONE = put(b"a", 2)
OTHER = put(b"b", 2)
TWO = put(b"a", 3, ONE.kv)
GONE = Event("delete", KeyValue(b"a", b"", 0, 4, 0), TWO.kv)
STRANGER = put(b"z", 5)
TRUTH = [ONE, OTHER, TWO, GONE, STRANGER]


def told(*items: WatchResponse, start: int = 1) -> Told:
    return Told(b"a", b"c", start, prev_kv=True, items=list(items))


def item(revision: int, *events: Event) -> WatchResponse:
    return WatchResponse(revision, events)


@pytest.mark.parametrize(
    "right",
    [
        told(),
        told(item(1), item(2, ONE, OTHER), item(3, TWO), item(4, GONE), item(5)),
        told(item(4, ONE, OTHER, TWO, GONE)),
        told(item(3, TWO), start=3),
    ],
)
def test_what_is_right_is_not_objected_to(right: Told) -> None:
    right.check(TRUTH)


@pytest.mark.parametrize(
    ("wrong", "objection"),
    [
        (told(item(5, ONE, OTHER, TWO, GONE, STRANGER)), "filter"),
        (told(item(3, TWO, ONE, OTHER)), "ordered"),
        (told(item(2, ONE, ONE, OTHER)), "unique"),
        (told(item(2, ONE), item(2, OTHER)), "atomic"),
        (told(item(2), item(2, ONE, OTHER)), "bookmarkable"),
        (told(item(2, ONE, OTHER), item(4, GONE)), "reliable"),
        (told(item(3, ONE, OTHER, Event("put", TWO.kv, None))), "previous value"),
        (told(item(4)), "reliable"),
        (told(item(2, Event("put", KeyValue(b"a", b"lie", 2, 2, 1)), OTHER)), "not what happened"),
    ],
)
def test_what_is_wrong_is_named(wrong: Told, objection: str) -> None:
    with pytest.raises(AssertionError, match=objection):
        wrong.check(TRUTH)
