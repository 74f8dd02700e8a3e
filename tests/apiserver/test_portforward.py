"""Port-forward: channels, a pair for each port; SPDY, a pair of streams for each connection, bare or in a WebSocket."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import aiohttp
import pytest

from actorkube.runtime import Actor
from actors.apiserver.connect_options import ports_of
from actors.apiserver.rest.portforward_channels import check_ports
from actors.apiserver.rest.portforward_streams import FORWARDS_MAX
from protocols.errors import BadRequest
from protocols.exec import STDOUT, ExecInput, ExecItem, ForwardPort
from protocols.message import Done, Message
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.spdy import client as spdy
from tests.apiserver.world import pod

PODS = "/api/v1/namespaces/default/pods"


class Kubelet(Actor):
    """Answers each piece of input with the port's number before it; port 9 refuses connections."""

    concurrency = 8

    async def on_start(self) -> None:
        self.inputs: dict[str, asyncio.Queue[bytes]] = {}
        self.takes = asyncio.Event()
        self.takes.set()

    def receive(self, message: Message) -> object:
        match message:
            case ForwardPort():
                return self._forward(message.port)
            case ExecInput(session, data):
                return self._take(session, data)
        return Done()

    async def _take(self, session: str, data: bytes) -> Done:
        await self.takes.wait()
        if session in self.inputs:
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
    for bad in ([""], ["0"], ["65536"], ["http"], ["80,"], ["\u0663"]):
        with pytest.raises(BadRequest):
            ports_of(bad)
    for count in (0, 33):
        with pytest.raises(BadRequest):
            check_ports([80] * count)


# -- over SPDY ---------------------------------------------------------------------------------------------------------

FORWARD = f"{PODS}/web/portforward"


def pair(talk: spdy.Talk, stream: int, port: str, id: str) -> bytes:
    """The stream for errors, and after it that for data, which is two numbers higher."""
    errors = talk.syn(stream, fin=True, streamtype="error", port=port, requestid=id)
    return errors + talk.syn(stream + 2, streamtype="data", port=port, requestid=id)


async def upgrade(api: Rest) -> spdy.Connection:
    code, connection = await spdy.upgrade(api.base, FORWARD, api.context, "portforward.k8s.io")
    assert code == 101
    return connection


async def test_each_pair_of_streams_is_a_connection_of_its_own(api: Rest) -> None:
    connection = await upgrade(api)

    connection.send(pair(connection.talk, 1, "80", "0"), spdy.data(3, b"one"))
    await connection.until(b"80 one")
    connection.send(pair(connection.talk, 5, "81", "1"), spdy.data(7, b"two"))
    await connection.until(b"81 two")
    connection.send(spdy.data(3, b"bye"), spdy.data(7, b"bye"), spdy.goaway())
    heard = await connection.rest()
    await connection.close()

    assert heard.resets == []


async def test_a_port_that_refuses_says_so_on_its_stream_for_errors_and_others_go_on(api: Rest) -> None:
    connection = await upgrade(api)

    connection.send(pair(connection.talk, 1, "9", "0"))
    refusal = await connection.until(b"refused")
    connection.send(pair(connection.talk, 5, "80", "1"), spdy.data(7, b"still"))
    await connection.until(b"80 still")
    await connection.close()

    assert b"error forwarding port 9 to pod web" in refusal


@pytest.mark.slow
@pytest.mark.parametrize(
    "headers",
    [
        {"streamtype": "data", "requestid": "1"},
        {"streamtype": "data", "port": "0", "requestid": "1"},
        {"streamtype": "data", "port": "65536", "requestid": "1"},
        {"streamtype": "stdin", "port": "80", "requestid": "1"},
        {},
    ],
)
async def test_a_stream_that_belongs_to_no_connection_is_reset(api: Rest, headers: dict[str, str]) -> None:
    connection = await upgrade(api)

    connection.send(connection.talk.syn(1, **headers), spdy.goaway())
    heard = await connection.rest()
    await connection.close()

    assert (heard.resets, heard.replies) == ([1], [])


async def test_a_client_that_resets_its_stream_ends_the_connection_to_the_pod(api: Rest, kubelet: Kubelet) -> None:
    connection = await upgrade(api)
    connection.send(pair(connection.talk, 1, "80", "0"), spdy.data(3, b"one"))
    await connection.until(b"80 one")

    connection.send(spdy.reset(3))

    async with asyncio.timeout(30):
        while kubelet.inputs:
            assert (await api.get(f"{PODS}/web")).code == 200
    await connection.close()


async def test_pairs_that_never_become_whole_are_forgotten(api: Rest) -> None:
    """More of them than there may be at a time: the last one still finds room."""
    connection = await upgrade(api)
    talk = connection.talk
    for index in range(2 * FORWARDS_MAX + 5):
        stream = 2 * index + 1
        kind = "data" if index % 2 else "error"
        connection.send(talk.syn(stream, streamtype=kind, port="80", requestid=f"{index}"), spdy.reset(stream))

    connection.send(pair(talk, 4 * FORWARDS_MAX + 101, "80", "last"), spdy.data(4 * FORWARDS_MAX + 103, b"here"))
    async with asyncio.timeout(30):
        await connection.until(b"80 here")
    await connection.close()


@pytest.mark.slow
async def test_input_that_the_pod_does_not_take_holds_up_its_client_alone(api: Rest, kubelet: Kubelet) -> None:
    kubelet.takes.clear()
    connection = await upgrade(api)
    connection.send(pair(connection.talk, 1, "80", "0"))
    piece = spdy.data(3, bytes(60_000))
    sent = 0
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(30):
            while sent < 1000:
                connection.send(piece)
                async with asyncio.timeout(0.5):
                    await connection.writer.drain()
                sent += 1

    assert 4 < sent < 500 and (await api.get(f"{PODS}/web")).code == 200
    kubelet.takes.set()
    connection.writer.transport.abort()


async def test_spdy_goes_through_a_websocket_too(api: Rest) -> None:
    """As kubectl does it from 1.31 on: messages are pieces of the connection, cut anywhere."""
    talk = spdy.Talk()
    said = pair(talk, 1, "80", "0") + spdy.data(3, b"hello")
    name = "SPDY/3.1+portforward.k8s.io"
    async with api.admin.ws_connect(api.base + FORWARD, protocols=[name, "v2.portforward.k8s.io"]) as socket:
        for byte in said:
            await socket.send_bytes(bytes((byte,)))
        seen = b""
        while b"80 hello" not in seen:
            seen += (await socket.receive()).data

    assert socket.protocol == name
