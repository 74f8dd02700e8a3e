"""Port-forward in channels: a pair for each port, which is a connection of its own."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from actorkube.runtime import Actor
from actors.apiserver.rest.portforward import ports_of
from protocols.errors import BadRequest
from protocols.exec import STDOUT, ExecInput, ExecItem, ForwardPort
from protocols.message import Done, Message
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.world import pod

PODS = "/api/v1/namespaces/default/pods"


class Kubelet(Actor):
    """Answers each piece of input with the port's number before it; port 9 refuses connections."""

    concurrency = 8

    async def on_start(self) -> None:
        self.inputs: dict[str, asyncio.Queue[bytes]] = {}

    def receive(self, message: Message) -> object:
        match message:
            case ForwardPort():
                return self._forward(message.port)
            case ExecInput(session, data):
                self.inputs[session].put_nowait(data)
        return Done()

    async def _forward(self, port: int) -> AsyncGenerator[ExecItem, None]:
        name = f"s{port}"
        self.inputs[name] = asyncio.Queue()
        try:
            yield ExecItem(session=name)
            if port == 9:
                yield ExecItem(ended=True, error="refused")
                return
            while (data := await self.inputs[name].get()) != b"bye":
                yield ExecItem(channel=STDOUT, data=f"{port} ".encode() + data)
            yield ExecItem(ended=True)
        finally:
            del self.inputs[name]


@pytest.fixture
def kubelet() -> Kubelet:
    return Kubelet()


@pytest.fixture
async def api(tmp_path: Path, kubelet: Kubelet) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        await client.world.actor("n1-kubelet", "kubelet", kubelet)
        await client.create(PODS, pod("web", node="n1"))
        yield client


async def messages(api: Rest, ports: str, *sent: bytes) -> list[bytes]:
    url = f"{api.base}{PODS}/web/portforward?{ports}"
    async with api.admin.ws_connect(url, protocols=["v4.channel.k8s.io"]) as socket:
        for data in sent:
            await socket.send_bytes(data)
        return [message.data async for message in socket if message.type is aiohttp.WSMsgType.BINARY]


async def test_each_port_has_a_pair_of_channels(api: Rest) -> None:
    sent = b"\x02two", b"\x00one", b"\x00bye", b"\x02bye"

    seen = await messages(api, "ports=80,8080", *sent)

    assert seen[:4] == [b"\x00P\x00", b"\x01P\x00", b"\x02\x90\x1f", b"\x03\x90\x1f"]
    assert sorted(seen[4:]) == [b"\x0080 one", b"\x028080 two"]


async def test_a_port_that_refuses_says_so_on_its_error_channel(api: Rest) -> None:
    seen = await messages(api, "ports=9")

    assert seen[2:] == [b"\x01error forwarding port 9: refused"]


@pytest.mark.parametrize("bad", [b"", b"\x01error", b"\x07x", b"\xff"])
async def test_a_message_without_meaning_ends_its_own_session_only(api: Rest, kubelet: Kubelet, bad: bytes) -> None:
    seen = await messages(api, "ports=80", bad)

    assert len(seen) == 2 and (await api.get(f"{PODS}/web")).code == 200


def test_ports_are_read_in_both_notations() -> None:
    assert ports_of(["80,81"]) == ports_of(["80", "81"]) == [80, 81]
    for bad in ([], [""], ["0"], ["65536"], ["http"], ["80,"], ["\u0663"], ["1"] * 33):
        with pytest.raises(BadRequest):
            ports_of(bad)
