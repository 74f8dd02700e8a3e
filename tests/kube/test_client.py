"""The client: repeats what did not happen, hands up what may have, and pages through lists."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from actorkube.kube import Client
from actorkube.kube.bindings import TOGETHER_MAX
from actorkube.runtime import LATER, Actor, System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actorkube.runtime.tracing import because
from protocols import api
from protocols.errors import Answer, AskError, Conflict, NotFound, NotSent, Overloaded, TooManyRequests, Unknown
from protocols.message import Message
from protocols.objects import Object, uid_of
from protocols.trace import TraceContext
from tests.kube.memory_store import MemoryStore
from tests.scheduler.binding_api import BindingApi


class Someone(Actor):
    async def on_start(self) -> None:
        self.client = Client(self.ctx, timeout_s=0.2)


class Pair:
    def __init__(self) -> None:
        self.network = LocalNetwork()
        self.store = MemoryStore()
        self.systems = [System(n, self.network.transport(), seed=1, log=Quiet()) for n in ("apiserver", "node")]

    async def start(self, *, server: bool = True) -> Client:
        for system in self.systems[not server :]:
            await system.start()
        if server:
            self.systems[0].spawn(lambda: BindingApi(self.store), "api")
        self.systems[1].spawn(Someone, "someone")
        someone = self.systems[1].actor("someone")
        assert isinstance(someone, Someone)
        await someone.on_start()
        return someone.client

    @property
    def api(self) -> BindingApi:
        actor = self.systems[0].actor("api")
        assert isinstance(actor, BindingApi)
        return actor


@pytest.fixture
async def pair() -> AsyncIterator[Pair]:
    pair = Pair()
    yield pair
    for system in reversed(pair.systems):
        if hasattr(system, "loop"):
            await system.stop()


def pod(name: str) -> Object:
    return {"metadata": {"name": name, "namespace": "default"}, "spec": {}}


async def test_objects_go_in_and_come_out(pair: Pair) -> None:
    client = await pair.start()
    created = await client.create("pods", pod("a"))
    assert created["metadata"]["resourceVersion"] == "2"
    updated = await client.update("pods", {**created, "spec": {"nodeName": "n"}})
    assert (await client.get("pods", "a", "default")) == updated
    with pytest.raises(Conflict):
        await client.update("pods", created)
    patched = await client.patch("pods", "a", {"status": {"phase": "Running"}}, "default", subresource="status")
    assert patched["status"] == {"phase": "Running"}
    await client.delete("pods", "a", "default", uid=created["metadata"]["uid"])
    with pytest.raises(NotFound):
        await client.get("pods", "a", "default")


async def test_lists_are_read_in_pages(pair: Pair) -> None:
    client = await pair.start()
    for number in range(1203):
        pair.store.create("pods", pod(f"p{number:04}"))

    listed = await client.list("pods", "default")

    assert [p["metadata"]["name"] for p in listed] == [f"p{number:04}" for number in range(1203)]
    assert sum(isinstance(m, api.List) for m in pair.api.asked) == 3


@pytest.mark.parametrize("error", [Overloaded("full"), TooManyRequests("wait", {"retryAfterSeconds": 0.01})])
async def test_what_did_not_happen_is_repeated(pair: Pair, error: Answer | AskError) -> None:
    client = await pair.start()
    receive, refusals = pair.api.receive, iter(range(3))

    def refuse_at_first(message: Message) -> object:
        if next(refusals, None) is None:
            return receive(message)
        pair.api.ctx.reply_handle().fail(error)
        return LATER

    pair.api.receive = refuse_at_first  # type: ignore[method-assign]
    await client.create("pods", pod("a"))

    assert pair.store.find("pods", "default", "a")


async def test_nobody_there_is_said_when_the_time_is_up(pair: Pair) -> None:
    client = await pair.start(server=False)

    with pytest.raises(NotSent):
        await client.create("pods", pod("a"))


async def test_a_lost_answer_is_handed_up_and_the_request_is_not_repeated(pair: Pair) -> None:
    client = await pair.start()
    pair.api.lose = lambda request: True

    with pytest.raises(Unknown):
        await client.create("pods", pod("a"))

    assert len([m for m in pair.api.asked if isinstance(m, api.Create)]) == 1


async def test_bindings_of_one_turn_are_one_message_and_each_hears_of_its_own(pair: Pair) -> None:
    client = await pair.start()
    pods = {name: await client.create("pods", pod(name)) for name in ("a", "b")}

    found = await asyncio.gather(
        client.bind("default", "a", "n1", uid=uid_of(pods["a"])),
        client.bind("default", "a", "n2"),
        client.bind("default", "nobody", "n1"),
        client.bind("default", "b", "n2"),
        return_exceptions=True,
    )

    assert [type(each) for each in found] == [type(None), Conflict, NotFound, type(None)]
    assert pair.api.bound == [(uid_of(pods["a"]), "n1"), (uid_of(pods["b"]), "n2")]
    assert [len(m.bindings) for m in pair.api.together] == [4]


async def test_more_bindings_than_one_message_takes_are_several(pair: Pair) -> None:
    client = await pair.start()
    names = [f"p{n}" for n in range(TOGETHER_MAX + 1)]
    for name in names:
        await client.create("pods", pod(name))

    await asyncio.gather(*(client.bind("default", name, "n1") for name in names))

    assert len(pair.api.bound) == len(names)
    assert [len(m.bindings) for m in pair.api.together] == [TOGETHER_MAX, 1]


async def test_when_nobody_answers_all_bindings_of_the_message_hear_so(pair: Pair) -> None:
    client = await pair.start()
    for name in "ab":
        await client.create("pods", pod(name))
    pair.api.lose = lambda request: isinstance(request, api.Bind)

    found = await asyncio.gather(*(client.bind("default", name, "n1") for name in "ab"), return_exceptions=True)

    assert all(isinstance(each, Unknown) for each in found)


async def test_a_binding_that_is_followed_has_a_message_of_its_own(pair: Pair) -> None:
    client = await pair.start()
    await client.create("pods", pod("a"))
    pair.systems[1].follow(1.0)

    with because(TraceContext(b"why".ljust(16), 1)):
        await client.bind("default", "a", "n1")

    assert not pair.api.together and len(pair.api.bound) == 1
