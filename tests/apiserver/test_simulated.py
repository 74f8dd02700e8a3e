"""One API server or two before three replicas, in a world with faults: nothing is lost, nothing happens twice."""

from __future__ import annotations

import asyncio
from collections import Counter
from functools import partial
from typing import TypeVar

import pytest

from actorkube.runtime import System
from actorkube.sim import World
from actorkube.sim.nemesis import nemesis
from actors.apiserver.actor import ApiServer
from actors.etcd.actor import Etcd
from protocols import api
from protocols.errors import (
    AlreadyExists,
    Answer,
    AskError,
    Invalid,
    NotFound,
    ServiceUnavailable,
    StatusError,
    Unknown,
)
from protocols.objects import Object, decode_object, encode_object
from tests.apiserver.world import config_map, service

R = TypeVar("R")
MEMBERS = ("etcd-0", "etcd-1", "etcd-2")
ONE, TWO = ("apiserver",), ("apiserver", "apiserver-2")
STORE = [f"{member}/etcd" for member in MEMBERS]
CIDR = "127.66.0.0/28"


async def boot(world: World, servers: tuple[str, ...]) -> System:
    peers = {member: f"{member}/etcd" for member in MEMBERS}
    for member in MEMBERS:
        await world.boot(member, lambda system, member=member: system.spawn(lambda: Etcd(member, peers), "etcd"))
    sole = len(servers) == 1
    for server in servers:
        await world.boot(
            server,
            lambda system: system.spawn(lambda: ApiServer(STORE, service_cidr=CIDR, sole_writer=sole), "api"),
        )
    return await world.boot("user")


class Users:
    """They count, and create and delete Services, each through whichever API server answers; they remember outcomes."""

    def __init__(self, world: World, system: System, servers: tuple[str, ...]) -> None:
        self.system = system
        self.servers = servers
        self.chance = world.chance("users")
        self.counted, self.perhaps_counted = 0, 0
        self.services: dict[str, str] = {}  # name -> "there", "gone", or "?" when nobody can know
        self.outcomes: Counter[str] = Counter()
        self.over = False

    def server(self) -> str:
        return f"{self.chance.choice(self.servers)}/api"

    async def ask(self, request: api.Request, timeout_s: float = 3.0) -> Object:  # type: ignore[type-arg]
        stored = await self.system.ask(self.system.ref(self.server()), request, timeout_s)
        self.outcomes["ok"] += 1
        return decode_object(stored.body, stored.revision)

    async def count(self) -> None:
        while not self.over:
            await asyncio.sleep(self.chance.random() * 0.3)
            try:
                counter = await self.ask(api.Get("configmaps", "counter", "default"))
                counter["data"]["n"] = str(int(counter["data"]["n"]) + 1)
                revision = int(counter["metadata"]["resourceVersion"])
                body = encode_object(counter)
            except (Answer, AskError) as error:
                self.outcomes[f"get {type(error).__name__}"] += 1
                continue
            try:
                await self.ask(api.Update("configmaps", "counter", body, "default", revision))
                self.counted += 1
            except Unknown:
                self.outcomes["unknown"] += 1
                self.perhaps_counted += 1
            except (StatusError, AskError) as error:
                self.outcomes[type(error).__name__] += 1

    async def serve(self, who: str) -> None:
        """A name whose fate is not known is left alone: what was sent may still happen, at any time."""
        turn = 0
        while not self.over:
            await asyncio.sleep(self.chance.random() * 0.5)
            name = f"{who}-{turn}"
            wanted = "gone" if self.services.get(name) == "there" else "there"
            request: api.Create | api.Delete = api.Delete("services", name, "default")
            if wanted == "there":
                request = api.Create("services", encode_object(service(name)), "default")
            try:
                await self.ask(request)
                self.services[name] = wanted
            except Unknown:
                self.services[name] = "?"
                turn += 1
            except (Invalid, AlreadyExists, NotFound):
                raise  # nobody else creates or deletes it
            except (StatusError, AskError) as error:
                self.outcomes[type(error).__name__] += 1


class View:
    """What a watch says there is, opened again whenever it ends."""

    def __init__(self, system: System) -> None:
        self.system = system
        self.revisions: dict[str, int] = {}
        self.newest = 0

    async def follow(self) -> None:
        while True:
            listed: dict[str, int] | None = {}
            try:
                async with self.system.stream(self.system.ref("apiserver/api"), api.Watch("services")) as watch:
                    async for event in watch:
                        if event.type == "BOOKMARK":
                            self.revisions, listed = listed or {}, None
                            assert event.revision >= self.newest, "a relist went back in time"
                        else:
                            self.note(event, self.revisions if listed is None else listed, live=listed is None)
                        self.newest = max(self.newest, event.revision)
            except (Answer, AskError):
                pass
            await asyncio.sleep(0.1)

    def note(self, event: api.WatchEvent, revisions: dict[str, int], *, live: bool) -> None:
        name = decode_object(event.body)["metadata"]["name"]
        assert not live or event.revision > self.newest, "events come in order"
        if event.type == "DELETED":
            assert revisions.pop(name)
        else:
            assert (name in revisions) == (event.type == "MODIFIED")
            revisions[name] = event.revision


async def scenario(world: World, servers: tuple[str, ...]) -> None:
    system = await boot(world, servers)
    users, view = Users(world, system, servers), View(system)
    counter_of_users = {**config_map("counter"), "data": {"n": "0"}}
    await eventually(system, api.Create("configmaps", encode_object(counter_of_users), "default"))
    tasks = [asyncio.ensure_future(coroutine) for coroutine in (users.count(), users.count(), view.follow())]
    tasks += [asyncio.ensure_future(users.serve(name)) for name in ("a", "b", "c")]

    await nemesis(world, [*MEMBERS, *servers], for_s=15)
    users.over = True
    await world.recover()
    await asyncio.gather(*tasks[:2], *tasks[3:])
    await world.sleep(12)  # requests that nobody waits for any more come to their end, too

    stored = await eventually(system, api.Get("configmaps", "counter", "default"))
    counter = decode_object(stored.body, stored.revision)
    assert users.counted <= int(counter["data"]["n"]) <= users.counted + users.perhaps_counted, users.outcomes
    listed = await eventually(system, api.List("services", "default"))
    there = {name: obj for name, obj in named(listed).items() if name != "kubernetes"}
    for name, outcome in users.services.items():
        assert outcome == "?" or (name in there) == (outcome == "there"), (name, outcome)
    ips = [obj["spec"]["clusterIP"] for obj in there.values()]
    assert len(set(ips)) == len(ips)
    await world.converges(lambda: sorted(view.revisions) == sorted(named(listed)), 60, stays_s=1)
    await nothing_leaked(system, len(there))
    for task in tasks:
        task.cancel()


async def eventually(system: System, request: api.Request[R]) -> R:
    """Ask until there is an answer."""
    while True:
        try:
            return await system.ask(system.ref("apiserver/api"), request, 2.0)
        except (ServiceUnavailable, AskError):
            await asyncio.sleep(0.1)


async def nothing_leaked(system: System, count: int) -> None:
    """Of the 13 addresses that there are to give, all that no Service holds can still be had, and no more."""
    for number in range(13 - count):
        await eventually(system, api.Create("services", encode_object(service(f"new-{number}")), "default"))
    with pytest.raises(StatusError, match="range is full"):
        await eventually(system, api.Create("services", encode_object(service("last")), "default"))


def named(listed: api.StoredList) -> dict[str, Object]:
    objects = (decode_object(stored.body, stored.revision) for stored in listed.items)
    return {obj["metadata"]["name"]: obj for obj in objects}


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("servers", [ONE, TWO], ids=len)
def test_what_was_acknowledged_is_there_once_whatever_failed(servers: tuple[str, ...], seed: int) -> None:
    World.run_sync(partial(scenario, servers=servers), seed)


@pytest.mark.slow
def test_a_seed_runs_the_same_way_twice() -> None:
    World.check(partial(scenario, servers=TWO), 4)
