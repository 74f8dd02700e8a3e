"""Between API server and store answers get lost, streams end, leaders change: nothing happens twice or is forgotten."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actors.apiserver.keys import store_key
from actors.apiserver.values import value_of
from actors.etcd.actor import EtcdConfig
from actors.etcd.external.actor import ExternalEtcd
from actors.etcd.external.address import parse
from actors.etcd.grpc.door import Door, DoorConfig, IsOpen, cluster_id
from protocols import api as door
from protocols.errors import Conflict, Expired, InternalError, NotFound, ServiceUnavailable, StatusError, Unknown
from protocols.etcd import Compacted, NoSpace, Op, Status, Txn
from protocols.objects import decode_object, encode_object
from tests.apiserver.lossy import Lossy
from tests.apiserver.world import World, config_map, namespace, service
from tests.etcd.real_etcd import needs_etcd, real_etcd

QUICK = EtcdConfig(heartbeat_s=0.02, election_s=(0.1, 0.2))


STORES = ["replicas", "etcd's API of ours", pytest.param("a real etcd", marks=[pytest.mark.cluster, needs_etcd])]


@pytest.fixture(params=STORES)
async def api(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[World]:
    """An API server that reaches its store through a Lossy, which tests find as `api.lossy`; behind it is a replica,
    or an actor that calls one as it would call a real etcd, or calls a real one. `etcd-0/etcd` is the store itself."""
    here = World(tmp_path)
    await here.system("test")
    with contextlib.ExitStack() as stack:
        try:
            store = "etcd-0/etcd"
            if request.param == "a real etcd":
                url = stack.enter_context(real_etcd(tmp_path / "real")).url
                await here.actor("etcd-0", "etcd", ExternalEtcd(parse(url)))
            else:
                await here.store()
            if request.param == "etcd's API of ours":
                store = await external(here, stack)
            here.lossy = Lossy(store)
            await here.actor("between", "etcd", here.lossy)
            here.api = await here.api_server(["between/etcd"])
            yield here
        finally:
            await here.stop()


async def external(here: World, stack: contextlib.ExitStack) -> str:
    """The address of an actor that calls the gRPC door of etcd-0."""
    listener = stack.enter_context(socket.create_server(("127.0.0.1", 0)))
    config = DoorConfig("etcd-0", "etcd-0/etcd", cluster_id(["etcd-0"]), listener)
    opened = await here.actor("etcd-0", "door", Door(config))
    await here.systems["test"].ask(opened, IsOpen())
    address = parse("etcd://{}:{}".format(*listener.getsockname()))
    return str((await here.actor("external", "etcd", ExternalEtcd(address))).address)


async def test_a_create_whose_answer_is_lost_happens_once_and_succeeds(api: World) -> None:
    before, api.lossy.lose_answers = api.lossy.transactions, 2

    created = await api.create("configmaps", config_map("settings"))

    assert api.lossy.transactions == before + 3
    assert created == await api.get("configmaps", "settings")


async def test_a_service_whose_answer_is_lost_holds_one_address(api: World) -> None:
    api.lossy.lose_answers = 1

    created = await api.create("services", service("web", "NodePort"))

    assert created == await api.get("services", "web")
    ip, node_port = created["spec"]["clusterIP"], created["spec"]["ports"][0]["nodePort"]
    await api.delete("services", "web")
    again = service("again", "NodePort", clusterIP=ip, ports=[{"port": 80, "nodePort": node_port}])
    assert (await api.create("services", again))["spec"]["clusterIP"] == ip


async def test_a_patch_whose_answer_is_lost_happens_once(api: World) -> None:
    created = await api.create("configmaps", config_map("settings", finalizers=["example.com/a"]))
    append = [{"op": "add", "path": "/metadata/finalizers/-", "value": "example.com/b"}]
    api.lossy.lose_answers = 1

    patched = await api.patch("configmaps", "settings", append, type="json")

    assert patched["metadata"]["finalizers"] == ["example.com/a", "example.com/b"]
    assert int(patched["metadata"]["resourceVersion"]) == int(created["metadata"]["resourceVersion"]) + 1


async def test_a_delete_whose_answer_is_lost_succeeds(api: World) -> None:
    await api.create("configmaps", config_map("settings"))
    api.lossy.lose_answers = 1

    await api.delete("configmaps", "settings")

    assert await api.names("configmaps") == []


async def test_a_delete_whose_answer_is_lost_leaves_a_successor_alone(api: World) -> None:
    await api.create("configmaps", config_map("settings"))
    successor = value_of(encode_object(config_map("settings", uid="of-the-successor")), b"anothers")

    async def recreate() -> None:
        await api.systems["test"].ask(
            api.systems["test"].ref("etcd-0/etcd"),
            Txn((), (Op("put", store_key("configmaps", "default/settings"), successor),)),
        )

    api.lossy.lose_answers, api.lossy.after_loss = 1, recreate
    with pytest.raises(Unknown):
        await api.delete("configmaps", "settings")

    assert (await api.get("configmaps", "settings"))["metadata"]["uid"] == "of-the-successor"


async def test_a_write_that_others_changed_before_it_could_be_checked_is_reported_as_unknown(api: World) -> None:
    created = await api.create("configmaps", config_map("settings"))

    async def change_again() -> None:
        changed = value_of(encode_object({**created, "data": {"a": "of another"}}), b"anothers")
        await api.systems["test"].ask(
            api.systems["test"].ref("etcd-0/etcd"),
            Txn((), (Op("put", store_key("configmaps", "default/settings"), changed),)),
        )

    api.lossy.lose_answers, api.lossy.after_loss = 1, change_again
    with pytest.raises(Unknown):
        await api.patch("configmaps", "settings", {"data": {"a": "mine"}})

    assert (await api.get("configmaps", "settings"))["data"] == {"a": "of another"}


@pytest.mark.slow
async def test_an_equal_write_of_another_is_not_taken_for_ones_own(api: World) -> None:
    created = await api.create("configmaps", config_map("settings"))
    mine = {**created, "data": {"a": "2"}}

    async def quicker() -> None:
        api.lossy.before = None
        await api.systems["test"].ask(ahead, door.Update("configmaps", "settings", encode_object(mine), "default"))

    ahead = await api.api_server(["etcd-0/etcd"], "apiserver-2")
    api.lossy.before, api.lossy.lose_answers = quicker, 1
    with pytest.raises((Conflict, Unknown)):
        await api.update("configmaps", mine)


@pytest.mark.slow
async def test_nothing_is_created_in_a_namespace_that_ends_in_that_moment(api: World) -> None:
    await api.create("namespaces", namespace("team"))

    async def end_namespace() -> None:
        api.lossy.before = None
        ending = Txn((), (Op("delete", store_key("namespaces", "team")),))
        await api.systems["test"].ask(api.systems["test"].ref("etcd-0/etcd"), ending)

    api.lossy.before = end_namespace
    with pytest.raises(NotFound, match='namespaces "team" not found'):
        await api.create("configmaps", config_map("late", "team"))

    assert await api.names("configmaps", "team") == []


async def test_a_write_that_is_never_answered_is_reported_as_unknown_and_not_as_failed(api: World) -> None:
    api.lossy.lose_answers = 1_000_000

    with pytest.raises(Unknown):
        await api.ask(door.Create("configmaps", encode_object(config_map("settings")), "default"), timeout_s=0.3)
    api.lossy.lose_answers = 0

    assert await api.names("configmaps") == ["settings"]


async def test_nobody_is_refused_because_the_cache_is_behind(api: World) -> None:
    behind = api.api
    ahead = await api.api_server(["etcd-0/etcd"], "apiserver-2")
    api.lossy.events_pass.clear()
    api.api = ahead
    created = await api.create("configmaps", config_map("settings"))
    held = await api.create("configmaps", config_map("held", finalizers=["example.com/a"]))
    await api.create("namespaces", namespace("team"))

    api.api = behind
    changes = [
        asyncio.ensure_future(api.update("configmaps", {**created, "data": {"a": "2"}})),
        asyncio.ensure_future(api.create("configmaps", config_map("settings", "team"))),
        asyncio.ensure_future(api.delete("configmaps", "held", uid=held["metadata"]["uid"])),
    ]
    for _ in range(200):
        await asyncio.sleep(0)
    api.lossy.events_pass.set()

    updated, elsewhere, deleted = await asyncio.gather(*changes)
    assert updated["data"] == {"a": "2"} and elsewhere["metadata"]["namespace"] == "team"
    assert deleted["metadata"]["deletionTimestamp"]


async def test_events_go_on_where_a_broken_stream_ended(api: World) -> None:
    async with api.stream(door.Watch("configmaps", "default")) as watch:
        assert (await anext(watch)).type == "BOOKMARK"

        for name in ("a", "b", "c"):
            api.lossy.cut_streams()
            await api.create("configmaps", config_map(name))

        seen = [decode_object((await anext(watch)).body)["metadata"]["name"] for _ in range(3)]
    assert seen == ["a", "b", "c"]


async def test_after_a_compaction_everything_is_read_anew_and_watchers_are_told(api: World) -> None:
    await api.create("configmaps", config_map("a"))
    async with api.stream(door.Watch("configmaps", "default")) as watch:
        assert [(await anext(watch)).type for _ in range(2)] == ["ADDED", "BOOKMARK"]

        api.lossy.refuse_streams = [Compacted("too old", {"compact_revision": 100})]
        api.lossy.cut_streams()
        await api.create("configmaps", config_map("b"))

        with pytest.raises(Expired):
            while True:
                await anext(watch)
    assert await api.names("configmaps") == ["a", "b"]


@pytest.mark.slow
async def test_writes_go_on_when_the_stores_leader_dies(tmp_path: Path) -> None:
    here = World(tmp_path)
    await here.system("test")
    try:
        members = ["etcd-0", "etcd-1", "etcd-2"]
        here.api = await here.api_server(await here.store(members, QUICK))
        await here.create("configmaps", config_map("before"))
        status = await here.systems["test"].ask(here.systems["test"].ref("etcd-0/etcd"), Status())

        leader = status.leader.partition("/")[0]
        await here.stop_system(leader)
        created = await here.create("configmaps", config_map("after"))

        assert await here.names("configmaps") == ["after", "before"]
        assert created == await here.get("configmaps", "after")
        survivor = next(member for member in members if member != leader)
        await here.stop_system(survivor)  # no majority any more
        with pytest.raises((Unknown, StatusError)):
            await here.ask(door.List("configmaps", "default"), timeout_s=0.5)
    finally:
        await here.stop()


@pytest.mark.slow
async def test_a_store_that_is_not_there_is_named_as_the_reason(tmp_path: Path) -> None:
    here = World(tmp_path)
    await here.system("test")
    try:
        here.api = await here.api_server(await here.store())
        await here.stop_system("etcd-0")

        with pytest.raises(ServiceUnavailable, match="the store is not available"):
            await here.ask(door.Create("configmaps", encode_object(config_map("a")), "default"), timeout_s=1.5)
    finally:
        await here.stop()


async def test_a_store_without_room_is_named_in_etcds_words(api: World) -> None:
    api.lossy.before = no_room

    with pytest.raises(InternalError, match="etcdserver: mvcc: database space exceeded"):
        await api.create("configmaps", config_map("settings"))

    with pytest.raises(NotFound):
        await api.get("configmaps", "settings")


async def test_a_write_whose_answer_is_lost_before_the_store_has_no_room_is_reported_as_unknown(api: World) -> None:
    async def fill() -> None:
        api.lossy.before = no_room

    api.lossy.lose_answers, api.lossy.after_loss = 1, fill

    with pytest.raises(Unknown, match="may have happened"):
        await api.create("configmaps", config_map("settings"))

    assert (await api.get("configmaps", "settings"))["metadata"]["name"] == "settings"


async def no_room() -> None:
    raise NoSpace("the disk is full")


async def test_two_api_servers_before_one_store_show_each_others_writes_at_once(tmp_path: Path) -> None:
    here = World(tmp_path)
    test = await here.system("test")
    try:
        store = await here.store()
        servers = [await here.api_server(store), await here.api_server(store, "apiserver-2")]
        here.api = servers[0]
        await here.create("configmaps", config_map("settings"))

        for turn in range(40):
            here.api = servers[turn % 2]
            await here.patch("configmaps", "settings", {"data": {"turn": str(turn)}})
            here.api = servers[(turn + 1) % 2]
            assert (await here.get("configmaps", "settings"))["data"]["turn"] == str(turn)

        wanted = [
            door.Create("services", encode_object(service(f"s{i}", clusterIP="127.66.5.5")), "default")
            for i in range(6)
        ]
        outcomes = await asyncio.gather(
            *(test.ask(servers[i % 2], request) for i, request in enumerate(wanted)), return_exceptions=True
        )
        assert sum(isinstance(outcome, door.Stored) for outcome in outcomes) == 1
    finally:
        await here.stop()
