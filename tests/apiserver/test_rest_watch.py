"""Watches over HTTP: how they begin, what a line says, how they end."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from urllib.parse import urlsplit

import aiohttp
import orjson
import pytest

from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.world import config_map, pod

MAPS = "/api/v1/namespaces/default/configmaps"
PODS = "/api/v1/namespaces/default/pods"
TABLE = "application/json;as=Table;v=v1;g=meta.k8s.io,application/json"


@pytest.fixture
async def api(tmp_path: Path) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        yield client


@pytest.mark.slow
async def test_a_watch_after_a_list_sees_what_follows_it(api: Rest) -> None:
    await api.create(MAPS, config_map("a"))
    revision = (await api.get(MAPS)).json["metadata"]["resourceVersion"]

    async with api.watch(f"{MAPS}?watch=True&resourceVersion={revision}") as watch:
        created = await api.create(MAPS, config_map("b"))
        await api.send("DELETE", f"{MAPS}/a")
        first, second = await watch.event(), await watch.event()

    assert watch.response.headers["Content-Type"] == "application/json"
    assert first == {"type": "ADDED", "object": created}
    assert (second["type"], second["object"]["metadata"]["name"]) == ("DELETED", "a")
    assert int(second["object"]["metadata"]["resourceVersion"]) > int(created["metadata"]["resourceVersion"])


@pytest.mark.parametrize("revision", ["", "&resourceVersion=0"])
async def test_a_watch_from_nowhere_begins_with_what_exists(api: Rest, revision: str) -> None:
    for name in "ab":
        await api.create(MAPS, config_map(name))

    async with api.watch(f"{MAPS}?watch=1{revision}") as watch:
        await api.create(MAPS, config_map("c"))
        assert await watch.names(3) == [("ADDED", "a"), ("ADDED", "b"), ("ADDED", "c")]


async def test_who_speaks_http_1_0_is_told_without_chunks(api: Rest) -> None:
    """As a proxy does that has not been told otherwise; the connection ends with the watch."""
    await api.create(MAPS, config_map("a"))
    at = urlsplit(api.base)
    reader, writer = await asyncio.open_connection(at.hostname, at.port, ssl=api.context)
    writer.write(f"GET {MAPS}?watch=1&timeoutSeconds=1 HTTP/1.0\r\n\r\n".encode())

    async with asyncio.timeout(20):
        head, _, body = (await reader.read()).partition(b"\r\n\r\n")

    writer.close()
    assert (head.split()[1], b"chunked" in head.lower()) == (b"200", False)
    assert [(event["type"], event["object"]["metadata"]["name"]) for event in map(orjson.loads, body.splitlines())] == [
        ("ADDED", "a")
    ]


async def test_initial_events_end_with_the_bookmark_that_informers_wait_for(api: Rest) -> None:
    await api.create(MAPS, config_map("a"))
    query = "watch=1&sendInitialEvents=true&allowWatchBookmarks=true&resourceVersionMatch=NotOlderThan"

    async with api.watch(f"{MAPS}?{query}") as watch:
        added, bookmark = await watch.event(), await watch.event()
        await api.create(MAPS, config_map("b"))
        assert await watch.names(1) == [("ADDED", "b")]

    assert (added["type"], bookmark["type"]) == ("ADDED", "BOOKMARK")
    assert bookmark["object"]["kind"] == "ConfigMap" and "name" not in bookmark["object"]["metadata"]
    assert bookmark["object"]["metadata"]["annotations"] == {"k8s.io/initial-events-end": "true"}
    listed = (await api.get(f"{MAPS}?resourceVersion=0")).json["metadata"]["resourceVersion"]
    assert (
        int(added["object"]["metadata"]["resourceVersion"])
        <= int(bookmark["object"]["metadata"]["resourceVersion"])
        <= int(listed)
    )


async def test_without_initial_events_a_watch_begins_now(api: Rest) -> None:
    await api.create(MAPS, config_map("a"))

    async with api.watch(f"{MAPS}?watch=1&sendInitialEvents=false&resourceVersionMatch=NotOlderThan") as watch:
        await api.create(MAPS, config_map("b"))
        assert await watch.names(1) == [("ADDED", "b")]


async def test_a_watch_of_one_object_shows_only_that_one(api: Rest) -> None:
    for name in "ab":
        await api.create(MAPS, config_map(name))

    async with api.watch(f"{MAPS}?watch=true&fieldSelector=metadata.name%3Db") as watch:
        await api.send("DELETE", f"{MAPS}/a")
        await api.send("DELETE", f"{MAPS}/b")
        assert await watch.names(2) == [("ADDED", "b"), ("DELETED", "b")]


async def test_each_watch_is_told_in_its_own_version_what_others_are_told_in_theirs(api: Rest) -> None:
    event = {"metadata": {"name": "e"}, "involvedObject": {"namespace": "default"}, "message": "said", "reason": "r"}
    core, new = "/api/v1/namespaces/default/events", "/apis/events.k8s.io/v1/namespaces/default/events"

    async with (
        api.watch(f"{core}?watch=1") as one,
        api.watch(f"{new}?watch=1") as other,
        api.watch(core + "?watch=1") as third,
    ):
        await api.create(core, event)
        shown, renamed, again = [(await watch.event())["object"] for watch in (one, other, third)]

    assert shown == again and (shown["apiVersion"], shown["message"]) == ("v1", "said")
    assert (renamed["apiVersion"], renamed["note"]) == ("events.k8s.io/v1", "said")


async def test_a_watch_shows_rows_to_who_prints_tables(api: Rest) -> None:
    await api.create(PODS, pod("a"))

    async with api.watch(f"{PODS}?watch=1", Accept=TABLE) as watch:
        await api.create(PODS, pod("b"))
        first, second = await watch.event(), await watch.event()

    assert first["object"]["kind"] == second["object"]["kind"] == "Table"
    assert [event["object"]["rows"][0]["cells"][0] for event in (first, second)] == ["a", "b"]
    assert first["object"]["columnDefinitions"] and not second["object"]["columnDefinitions"]


async def test_a_row_says_how_old_an_object_is_when_it_is_shown_and_not_when_the_watch_began(api: Rest) -> None:
    async with api.watch(f"{MAPS}?watch=1", Accept=TABLE) as watch:
        for system in api.world.systems.values():
            system.set_clock(ahead_s=60.0)
        await api.create(MAPS, config_map("b"))
        shown = await watch.event()

    assert shown["object"]["rows"][0]["cells"][2] == "0s"


async def test_a_revision_that_is_too_old_is_an_error_event(api: Rest) -> None:
    old = (await api.create(MAPS, config_map("a")))["metadata"]["resourceVersion"]
    await api.create(MAPS, config_map("b"))
    await api.send("DELETE", f"{MAPS}/b")
    await api.restart()

    async with api.watch(f"{MAPS}?watch=1&resourceVersion={old}") as watch:
        error = await watch.event()
        rest_of_it = await watch.response.content.read()

    assert error["type"] == "ERROR"
    assert (error["object"]["code"], error["object"]["reason"]) == (410, "Expired")
    assert "too old resource version" in error["object"]["message"] and rest_of_it == b""


@pytest.mark.slow
async def test_a_watch_ends_when_its_time_is_up(api: Rest) -> None:
    async with api.watch(f"{MAPS}?watch=1&timeoutSeconds=1") as watch:
        assert await watch.response.content.read() == b""


async def test_the_port_stays_open_while_the_server_restarts(api: Rest) -> None:
    await api.create(MAPS, config_map("a"))

    for _ in range(3):
        await api.restart()
        assert (await api.get(f"{MAPS}/a")).code == 200


async def test_an_open_watch_does_not_hold_up_a_restart(api: Rest) -> None:
    async with api.watch(f"{MAPS}?watch=1") as watch:
        before = asyncio.get_running_loop().time()
        await api.restart()

        assert asyncio.get_running_loop().time() - before < 5
        with pytest.raises(aiohttp.ClientError):
            await watch.event()


async def test_a_list_of_a_revision_that_there_never_was_says_so(api: Rest) -> None:
    answer = await api.get(f"{MAPS}?resourceVersion=1000000&resourceVersionMatch=NotOlderThan")

    assert answer.json["message"].startswith("Timeout: Too large resource version: 1000000, current: ")
    assert (answer.code, answer.json["reason"], answer.headers["Retry-After"]) == (504, "Timeout", "1")
    assert answer.json["details"]["causes"][0]["reason"] == "ResourceVersionTooLarge"


@pytest.mark.parametrize(
    ("path", "seen"),
    [
        ("configmaps", [("ADDED", "a"), ("ADDED", "b")]),
        ("namespaces/default/configmaps", [("ADDED", "a"), ("ADDED", "b")]),
        ("namespaces/default/configmaps/b", [("ADDED", "b"), ("MODIFIED", "b")]),
    ],
)
async def test_what_stands_behind_watch_in_the_path_is_watched(
    api: Rest, path: str, seen: list[tuple[str, str]]
) -> None:
    for name in "ab":
        await api.create(MAPS, config_map(name))
    patch = {"data": {"x": "1"}}

    async with api.watch(f"/api/v1/watch/{path}?labelSelector=") as watch:
        await api.send("PATCH", f"{MAPS}/b", patch, content_type="application/merge-patch+json")
        mine = await watch.names(2)

    assert mine == seen


async def test_behind_watch_nothing_is_changed(api: Rest) -> None:
    await api.create(MAPS, config_map("a"))

    refused = await api.send("DELETE", "/api/v1/watch/namespaces/default/configmaps/a")
    unknown = await api.get("/api/v1/watch/gadgets")

    assert (refused.code, unknown.code) == (405, 404)
    assert (await api.get(f"{MAPS}/a")).code == 200
