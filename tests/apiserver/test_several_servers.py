"""Two API servers before one store, of which one hears late of what the other has stored: it must not matter."""

from __future__ import annotations

import asyncio
import random
import socket
from collections.abc import AsyncIterator, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import aiohttp
import pytest

from actorkube.kube.servers import ApiServers
from actorkube.runtime import Ref
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.system import System
from actorkube.testing.linearizability import History, Read, Register, Write, check
from actors.apiserver.callers import AUTHENTICATED, MASTERS, Caller
from actors.apiserver.rest.config import RestConfig
from protocols import api
from protocols.api import Bind, Binding
from protocols.errors import AskError, Conflict, Forbidden, Invalid, NotFound, NotSent, ServiceUnavailable, decode_error
from protocols.objects import Object, decode_object
from tests.apiserver.admission.test_quota import quota
from tests.apiserver.custom.widgets import GROUP, definition
from tests.apiserver.lossy import Lossy
from tests.apiserver.world import World, config_map, namespace, pod, service

T = TypeVar("T")
TOKENS = {
    "jane": Caller("jane", (AUTHENTICATED,)),
    "root": Caller("root", (MASTERS, AUTHENTICATED)),
}
DEFINITIONS = "customresourcedefinitions.apiextensions.k8s.io"


class Two:
    """`first` and `late` are the same world, seen through either server; `late` hears of events when it is let."""

    def __init__(self, first: World, late: World, between: Lossy, rest: tuple[str, str]) -> None:
        self.first = first
        self.late = late
        self.between = between
        self.rest = rest  # the addresses of both, for HTTP

    async def after_a_refusal(self, attempt: Coroutine[Any, Any, T]) -> T:
        """The outcome at the late server, which hears of events once the store has answered its first transaction."""
        before = self.between.transactions
        task = asyncio.ensure_future(attempt)
        async with asyncio.timeout(20):
            while self.between.transactions == before and not task.done():
                await asyncio.sleep(0.001)
            self.between.events_pass.set()
            return await task


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[Two]:
    first = World(tmp_path)
    await first.system("test")
    listeners = [socket.create_server(("127.0.0.1", 0)) for _ in range(2)]
    configs = [RestConfig(listener=listener, tokens=TOKENS) for listener in listeners]
    try:
        store = await first.store()
        first.api = await first.api_server(store, rest=configs[0], alone=False)
        between = Lossy(store[0])
        await first.actor("between", "etcd", between)
        late = World(tmp_path)
        late.network, late.systems = first.network, first.systems
        late.api = await first.api_server(["between/etcd"], "apiserver-2", rest=configs[1], alone=False)
        addresses = [f"http://127.0.0.1:{config.address[1]}" for config in configs]
        yield Two(first, late, between, (addresses[0], addresses[1]))
    finally:
        await first.stop()
        for listener in listeners:
            listener.close()


async def test_a_quota_that_a_server_has_not_heard_of_yet_holds_there_too(two: Two) -> None:
    two.between.events_pass.clear()
    await two.first.create("resourcequotas", quota(count__configmaps="0"))

    with pytest.raises(Forbidden, match="exceeded quota: quota"):
        await two.after_a_refusal(two.late.create("configmaps", config_map("one-too-many")))


async def test_nothing_is_created_in_a_namespace_whose_end_a_server_has_not_heard_of(two: Two) -> None:
    await two.first.create("namespaces", namespace("ending"))
    await two.late.create("configmaps", config_map("before", "ending"))
    two.between.events_pass.clear()
    await two.first.delete("namespaces", "ending", "")

    with pytest.raises(Forbidden, match="because it is being terminated"):
        await two.after_a_refusal(two.late.create("configmaps", config_map("after", "ending")))


async def test_a_pod_that_was_bound_or_made_at_another_server_is_not_bound_by_what_this_one_remembers(two: Two) -> None:
    await two.late.create("pods", pod("web"))
    two.between.events_pass.clear()
    await two.first.ask(Bind((Binding("default", "web", "n1"),)))
    await two.first.create("pods", pod("new"))

    bindings = Bind((Binding("default", "web", "n2"), Binding("default", "new", "n2")))
    outcomes = await two.after_a_refusal(two.late.ask(bindings))

    assert isinstance(decode_error(outcomes.errors[0]), Conflict) and outcomes.errors[1] == b""
    nodes = {name: (await two.first.get("pods", name))["spec"]["nodeName"] for name in ("web", "new")}
    assert nodes == {"web": "n1", "new": "n2"}


async def test_of_two_definitions_at_two_servers_one_gets_the_names_that_both_want(two: Two) -> None:
    two.between.events_pass.clear()
    await two.first.create(DEFINITIONS, definition())

    other = definition(plural="others", kind="Widget")
    stored = await two.after_a_refusal(two.late.create(DEFINITIONS, other))

    assert accepted(stored) == "False"
    assert accepted(await two.first.get(DEFINITIONS, f"widgets.{GROUP}", "")) == "True"


async def test_an_address_that_was_taken_at_another_server_is_not_given_again(two: Two) -> None:
    two.between.events_pass.clear()
    taken = await two.first.create("services", service("a"))
    ip = taken["spec"]["clusterIP"]

    with pytest.raises(Invalid, match="provided IP is already allocated"):
        await two.after_a_refusal(two.late.create("services", service("b", clusterIP=ip)))


async def test_quotas_are_exact_when_two_servers_write_at_once(two: Two) -> None:
    await two.first.create("resourcequotas", quota(count__configmaps="10"))
    servers = (two.first, two.late)

    outcomes = await asyncio.gather(
        *(servers[n % 2].create("configmaps", config_map(f"c{n}")) for n in range(24)), return_exceptions=True
    )

    created = [outcome for outcome in outcomes if isinstance(outcome, dict)]
    assert len(created) == 10, [outcome for outcome in outcomes if not isinstance(outcome, dict | Forbidden)]
    assert len(await two.late.names("configmaps")) == 10
    assert (await two.first.get("resourcequotas", "quota"))["status"]["used"] == {"count/configmaps": "10"}


@pytest.mark.slow
async def test_a_read_shows_what_was_acknowledged_by_the_other_server(two: Two) -> None:
    for number in range(20):
        await two.first.create("configmaps", config_map(f"c{number}"))
        assert (await two.late.get("configmaps", f"c{number}"))["data"] == {"a": "1"}


async def test_a_watch_goes_on_at_the_other_server_where_it_was(two: Two) -> None:
    start = await two.first.create("configmaps", config_map("c0"))
    revision = int(start["metadata"]["resourceVersion"])
    two.between.events_pass.clear()
    for number in range(1, 6):
        await two.first.create("configmaps", config_map(f"c{number}"))
    seen: list[tuple[str, int]] = []
    async with two.first.stream(api.Watch("configmaps", "default", revision=revision)) as stream:
        async for event in stream:
            seen.append((name(event), event.revision))
            if len(seen) == 3:
                break

    two.between.events_pass.set()
    async with asyncio.timeout(20), two.late.stream(api.Watch("configmaps", "default", revision=seen[-1][1])) as stream:
        async for event in stream:
            seen.append((name(event), event.revision))
            if len(seen) == 5:
                break

    assert [who for who, _ in seen] == [f"c{number}" for number in range(1, 6)]
    assert sorted(revision for _, revision in seen) == [revision for _, revision in seen]


async def test_a_role_that_was_granted_at_one_server_counts_at_the_other(two: Two) -> None:
    two.between.events_pass.clear()
    await two.first.create("clusterrolebindings.rbac.authorization.k8s.io", binding("jane", "system:aggregate-to-view"))

    async with aiohttp.ClientSession(headers={"Authorization": "Bearer jane"}) as session:
        asked = asyncio.ensure_future(code_of(session, f"{two.rest[1]}/api/v1/namespaces/default/pods"))
        await asyncio.wait([asked], timeout=0.2)
        two.between.events_pass.set()
        assert await asked == 200


async def test_a_kind_that_was_defined_at_one_server_is_served_by_the_other(two: Two) -> None:
    two.between.events_pass.clear()
    await two.first.create(DEFINITIONS, definition())

    async with aiohttp.ClientSession(headers={"Authorization": "Bearer root"}) as session:
        asked = asyncio.ensure_future(code_of(session, f"{two.rest[1]}/apis/{GROUP}/v1/widgets"))
        await asyncio.wait([asked], timeout=0.2)
        two.between.events_pass.set()
        assert await asked == 200


async def test_reads_and_writes_over_both_servers_are_linearizable(two: Two) -> None:
    loop, chance = asyncio.get_running_loop(), random.Random(7)
    history, over = History(loop.time), asyncio.Event()
    path = "/api/v1/namespaces/default/configmaps/register"
    await two.first.create("configmaps", config_map("register"))

    async def client(session: aiohttp.ClientSession, who: int) -> None:
        for number in range(12):
            url, value = chance.choice(two.rest) + path, f"{who}-{number}"
            if chance.random() < 0.5:
                begun = history.begin("register", Write(value))
                async with session.patch(
                    url, json={"data": {"a": value}}, headers={"Content-Type": "application/merge-patch+json"}
                ) as response:
                    assert response.status in (200, 409), await response.text()
                    # Who is late loses against who is quick, and hears of it after some attempts.
                    begun.returned(None) if response.status == 200 else begun.refused()
            else:
                begun = history.begin("register", Read())
                async with session.get(url) as response:
                    begun.returned((await response.json())["data"]["a"])

    async def hold_events() -> None:
        while not over.is_set():
            two.between.events_pass.clear()
            await asyncio.sleep(chance.random() * 0.02)
            two.between.events_pass.set()
            await asyncio.sleep(chance.random() * 0.01)

    holding = asyncio.ensure_future(hold_events())
    async with aiohttp.ClientSession(headers={"Authorization": "Bearer root"}) as session:
        await asyncio.gather(*(client(session, who) for who in range(4)))
    over.set()
    await holding

    check(history.operations, Register("1"))


async def test_the_service_leads_to_the_servers_that_live(two: Two) -> None:
    ports = {int(address.rpartition(":")[2]) for address in two.rest}
    async with asyncio.timeout(30), two.first.stream(api.Watch("endpoints", "default")) as stream:
        async for event in stream:
            subsets = decode_object(event.body)["subsets"] if event.body else ()
            if {subset["ports"][0]["port"] for subset in subsets} == ports:
                break

    slices = await two.first.names("endpointslices.discovery.k8s.io")

    assert "kubernetes" in slices


# -- who asks whom ----------------------------------------------------------------------------------------------------


def servers_at(*names: str) -> ApiServers:
    return ApiServers([reference(name) for name in names])


def reference(name: str) -> Ref:
    return System("test", LocalNetwork().transport()).ref(name)


@pytest.mark.parametrize(
    ("error", "moves"),
    [(NotSent("x"), True), (ServiceUnavailable("x"), True), (NotFound("x"), False), (Forbidden("x"), False)],
    ids=repr,
)
def test_a_client_goes_over_to_the_next_server_when_one_is_of_no_use(error: AskError, moves: bool) -> None:
    servers = servers_at("apiserver/api", "apiserver-2/api")
    first = servers.ref

    assert servers.failed(first, error) is moves
    assert (servers.ref != first) is moves


def test_what_was_heard_of_a_server_twice_counts_once() -> None:
    servers = servers_at("apiserver/api", "apiserver-2/api", "apiserver-3/api")
    first = servers.ref

    servers.failed(first, NotSent("x"))
    servers.failed(first, NotSent("x"))

    assert str(servers.ref.address) == "apiserver-2/api"


def binding(user: str, role: str) -> Object:
    head = {"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": user}}
    group = "rbac.authorization.k8s.io"
    return {
        **head,
        "roleRef": {"apiGroup": group, "kind": "ClusterRole", "name": role},
        "subjects": [{"apiGroup": group, "kind": "User", "name": user}],
    }


async def code_of(session: aiohttp.ClientSession, url: str) -> int:
    async with session.get(url) as response:
        return response.status


def accepted(stored: Object) -> str:
    found = [each["status"] for each in stored["status"]["conditions"] if each["type"] == "NamesAccepted"]
    return str(found[0])


def name(event: api.WatchEvent) -> str:
    return str(decode_object(event.body)["metadata"]["name"])


@pytest.mark.slow
async def test_no_patch_is_refused_because_others_patch_at_the_other_server(two: Two) -> None:
    await two.first.create("configmaps", config_map("shared"))

    async def writer(server: World, name: str) -> None:
        for number in range(10):
            await server.patch("configmaps", "shared", {"data": {f"{name}-{number}": "x"}})

    await asyncio.gather(*(writer(server, f"{n}") for n, server in enumerate((two.first, two.first, two.late) * 4)))

    assert len((await two.late.get("configmaps", "shared"))["data"]) == 1 + 120
