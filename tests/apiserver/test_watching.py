"""Watches through the actor door."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from actorkube.runtime import Stream
from protocols import api as door
from protocols.errors import BadRequest, Expired
from protocols.objects import decode_object
from tests.apiserver.world import World, config_map, pod

Seen = tuple[str, str]


async def take(watch: Stream[door.WatchEvent], count: int) -> list[Seen]:
    return [seen(await anext(watch)) for _ in range(count)]


def seen(event: door.WatchEvent) -> Seen:
    return event.type, decode_object(event.body)["metadata"]["name"] if event.body else ""


async def test_a_watch_begins_with_what_exists_then_a_bookmark_then_changes(api: World) -> None:
    for name in ("a", "b"):
        await api.create("configmaps", config_map(name))

    async with api.stream(door.Watch("configmaps", "default")) as watch:
        assert await take(watch, 3) == [("ADDED", "a"), ("ADDED", "b"), ("BOOKMARK", "")]
        await api.create("configmaps", config_map("c"))
        await api.patch("configmaps", "a", {"data": {"x": "y"}})
        await api.delete("configmaps", "b")

        assert await take(watch, 3) == [("ADDED", "c"), ("MODIFIED", "a"), ("DELETED", "b")]


async def test_who_writes_is_answered_before_those_who_watch_are_told(api: World) -> None:
    """They share a processor: what watchers do first, the answer waits for."""
    heard = []
    async with api.stream(door.Watch("configmaps", "default")) as watch:
        assert await take(watch, 1) == [("BOOKMARK", "")]

        async def look() -> None:
            heard.append((await anext(watch)).type)

        looking = asyncio.create_task(look())
        await api.create("configmaps", config_map("a"))
        heard.append("created")
        await looking

    assert heard == ["created", "ADDED"]


async def test_a_watch_from_a_revision_sees_exactly_what_came_after_it(api: World) -> None:
    first = await api.create("configmaps", config_map("a"))
    second = await api.create("configmaps", config_map("b"))
    await api.delete("configmaps", "a")

    async with api.stream(door.Watch("configmaps", revision=int(first["metadata"]["resourceVersion"]))) as watch:
        assert await take(watch, 2) == [("ADDED", "b"), ("DELETED", "a")]
    async with api.stream(door.Watch("configmaps", revision=int(second["metadata"]["resourceVersion"]))) as watch:
        event = await anext(watch)
        last = decode_object(event.body, event.revision)

    assert seen(event) == ("DELETED", "a") and last["data"] == first["data"]
    assert event.revision > int(second["metadata"]["resourceVersion"])


async def test_a_nodes_pods_come_and_go_in_its_watch(api: World) -> None:
    mine = door.Watch("pods", field_selector="spec.nodeName=n1")
    async with api.stream(mine) as watch, api.stream(door.Watch("pods", field_selector="spec.nodeName=")) as waiting:
        assert await take(watch, 1) == await take(waiting, 1) == [("BOOKMARK", "")]
        await api.create("pods", pod("a"))
        await api.create("pods", pod("other", node="n2"))
        target = {"kind": "Node", "name": "n1"}
        binding = {"metadata": {"name": "a", "namespace": "default"}, "target": target}
        await api.create("pods", binding, subresource="binding", name="a")
        await api.delete("pods", "a", grace_s=0)

        assert await take(watch, 2) == [("ADDED", "a"), ("DELETED", "a")]
        assert await take(waiting, 2) == [("ADDED", "a"), ("DELETED", "a")]


async def test_an_object_that_begins_or_ceases_to_match_comes_or_goes(api: World) -> None:
    async with api.stream(door.Watch("configmaps", label_selector="app=web")) as watch:
        assert await take(watch, 1) == [("BOOKMARK", "")]
        await api.create("configmaps", config_map("a"))
        await api.patch("configmaps", "a", {"metadata": {"labels": {"app": "web"}}})
        await api.patch("configmaps", "a", {"data": {"x": "y"}})
        await api.patch("configmaps", "a", {"metadata": {"labels": {"app": "db"}}})
        await api.delete("configmaps", "a")
        await api.create("configmaps", config_map("b", labels={"app": "web"}))

        assert await take(watch, 4) == [("ADDED", "a"), ("MODIFIED", "a"), ("DELETED", "a"), ("ADDED", "b")]


async def test_a_consumer_without_credit_gets_the_rest_when_it_reads_on(api: World) -> None:
    async with api.stream(door.Watch("configmaps", namespace="default"), window=2) as slow:
        for number in range(20):
            await api.create("configmaps", config_map(f"c{number:02}"))
        async with api.stream(door.Watch("configmaps", namespace="default"), window=64) as quick:
            assert (await take(quick, 21))[-1] == ("BOOKMARK", "")

        events = [event for event in await take(slow, 21) if event[0] == "ADDED"]
    assert events == [("ADDED", f"c{number:02}") for number in range(20)]


async def test_a_watch_from_too_long_ago_expires(api: World) -> None:
    first = await api.create("configmaps", config_map("a"))
    await api.create("configmaps", config_map("b"))
    await api.restart()  # the new one knows what is, not what was

    with pytest.raises(Expired, match="too old resource version"):
        async with api.stream(door.Watch("configmaps", revision=int(first["metadata"]["resourceVersion"]))) as watch:
            await anext(watch)


async def test_a_revision_that_another_api_server_gave_is_waited_for(tmp_path: Path, api: World) -> None:
    here, there = api.api, await api.api_server(["etcd-0/etcd"], "apiserver-2")
    async with api.stream(door.Watch("configmaps", namespace="default")) as watch:
        assert await take(watch, 1) == [("BOOKMARK", "")]
        for turn in range(20):
            api.api = there if turn % 2 else here
            created = await api.create("configmaps", config_map(f"c{turn:02}"))
            api.api = here if turn % 2 else there

            async with api.stream(
                door.Watch("configmaps", revision=int(created["metadata"]["resourceVersion"]))
            ) as new:
                await api.create("configmaps", config_map(f"d{turn:02}"))
                assert await take(new, 1) == [("ADDED", f"d{turn:02}")]


async def test_a_revision_that_there_never_was_is_refused_at_once(api: World) -> None:
    with pytest.raises(Expired, match="is not one of this store"):
        async with api.stream(door.Watch("configmaps", revision=1_000_000)) as watch:
            await anext(watch)


async def test_a_nodes_own_watch_shows_that_node_alone(api: World) -> None:
    async with api.stream(door.Watch("nodes", field_selector="metadata.name=n1")) as watch:
        assert await take(watch, 1) == [("BOOKMARK", "")]
        for name in ("n2", "n1", "n3"):
            await api.create("nodes", {"apiVersion": "v1", "kind": "Node", "metadata": {"name": name}})
        await api.delete("nodes", "n1", "")

        assert await take(watch, 2) == [("ADDED", "n1"), ("DELETED", "n1")]
    assert await api.names("nodes", "", fields="metadata.name=n3") == ["n3"]
    assert await api.names("nodes", "", fields="metadata.name!=n3") == ["n2"]


async def test_a_watch_that_cannot_be_is_refused(api: World) -> None:
    for request in (door.Watch("gadgets"), door.Watch("pods", field_selector="spec.color=red")):
        with pytest.raises(BadRequest):
            async with api.stream(request) as watch:
                await anext(watch)


async def test_watches_of_consumers_that_left_leave_nothing_behind(tmp_path: Path, api: World) -> None:
    for _ in range(5):
        async with api.stream(door.Watch("pods", field_selector="spec.nodeName=n1")) as watch:
            assert await take(watch, 1) == [("BOOKMARK", "")]
    await api.create("pods", pod("a", node="n1"))
    await api.delete("pods", "a", grace_s=0)

    async with api.stream(door.Watch("pods", field_selector="spec.nodeName=n1")) as watch:
        assert await take(watch, 1) == [("BOOKMARK", "")]
