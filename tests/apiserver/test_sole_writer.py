"""Where nobody else writes to the store, an API server knows without a question what is current."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from actorkube.runtime import Ref, System
from actorkube.sim import World
from actors.apiserver.actor import ApiServer
from actors.etcd.actor import Etcd
from protocols import api
from protocols.errors import Answer, AskError
from protocols.objects import Object, decode_object, encode_object
from tests.apiserver.lossy import Lossy
from tests.apiserver.world import config_map

HELD_S = 11.0  # a write is answered when its event has not come for 10 s


class Here:
    def __init__(self, world: World, user: System, between: Lossy, server: str = "apiserver/api") -> None:
        self.world = world
        self.between = between
        self._user = user
        self._api: Ref = user.ref(server)

    def beside(self, server: str) -> Here:
        return Here(self.world, self._user, self.between, server)

    async def create(self, name: str) -> Object:
        body = encode_object(config_map(name))
        return self._object(await self._user.ask(self._api, api.Create("configmaps", body, "default"), 30.0))

    async def get(self, name: str, within_s: float = 3.0) -> Object:
        return self._object(await self._user.ask(self._api, api.Get("configmaps", name, "default"), within_s))

    async def names(self) -> list[str]:
        listed = await self._user.ask(self._api, api.List("configmaps", "default"), 3.0)
        return [self._object(item)["metadata"]["name"] for item in listed.items]

    def _object(self, stored: api.Stored) -> Object:
        return decode_object(stored.body, stored.revision)


def simulated(story: Callable[[Here], Awaitable[None]], *, sole_writer: bool = True, alone: bool = True) -> None:
    async def scenario(world: World) -> None:
        between = Lossy("etcd-0/etcd")
        await world.boot(
            "etcd-0", lambda system: system.spawn(lambda: Etcd("etcd-0", {"etcd-0": "etcd-0/etcd"}), "etcd")
        )
        await world.boot("between", lambda system: system.spawn(lambda: between, "etcd"))
        await world.boot(
            "apiserver",
            lambda system: system.spawn(
                lambda: ApiServer(["between/etcd"], sole_writer=sole_writer, alone=alone), "api"
            ),
        )
        user = await world.boot("user")
        await user.ask(user.ref("apiserver/api"), api.Ready(), 10.0)
        await story(Here(world, user, between))

    World.run_sync(scenario, 1)


async def reads_without_a_store(here: Here) -> None:
    created = await here.create("settings")
    here.world.crash("etcd-0")
    assert await here.get("settings") == created
    assert await here.names() == ["settings"]


def test_reads_are_served_while_the_store_is_away() -> None:
    simulated(reads_without_a_store)


def test_not_where_others_may_have_written_meanwhile() -> None:
    with pytest.raises((Answer, AskError)):
        simulated(reads_without_a_store, sole_writer=False)


@pytest.mark.parametrize("sole_writer", [True, False])
def test_what_was_acknowledged_is_read_though_the_server_has_not_seen_it_happen(sole_writer: bool) -> None:
    async def story(here: Here) -> None:
        here.between.events_pass.clear()
        creating = asyncio.ensure_future(here.create("settings"))
        await here.world.sleep(HELD_S)
        created = await creating

        reading = asyncio.ensure_future(here.get("settings", within_s=30.0))
        await here.world.sleep(1.0)
        assert not reading.done()
        here.between.events_pass.set()
        assert await reading == created

    simulated(story, sole_writer=sole_writer)


def test_what_the_store_refused_to_write_was_there_before_and_is_read() -> None:
    """Another's write, of which the server hears first by a refusal."""

    async def story(here: Here) -> None:
        here.between.events_pass.clear()
        first = asyncio.ensure_future(here.create("settings"))
        await here.world.sleep(1.0)
        second = asyncio.ensure_future(here.create("settings"))
        await here.world.sleep(1.0)
        reading = asyncio.ensure_future(here.get("settings", within_s=30.0))
        await here.world.sleep(1.0)
        assert not (first.done() or second.done() or reading.done())

        here.between.events_pass.set()
        assert await reading == await first
        with pytest.raises(Answer, match='configmaps "settings" already exists'):
            await second

    simulated(story)


def test_another_server_beside_it_has_to_ask() -> None:
    async def story(here: Here) -> None:
        await here.world.boot(
            "apiserver-2",
            lambda system: system.spawn(lambda: ApiServer(["etcd-0/etcd"], alone=False, sole_writer=True), "api"),
        )
        beside = here.beside("apiserver-2/api")
        await beside.names()
        await here.world.sleep(5.0)
        here.between.events_pass.clear()
        created = await beside.create("settings")
        reading = asyncio.ensure_future(here.get("settings", within_s=30.0))
        await here.world.sleep(1.0)
        here.between.events_pass.set()
        assert await reading == created

    simulated(story, alone=False)
