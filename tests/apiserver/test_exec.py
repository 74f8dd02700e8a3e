"""kubectl exec at the API server: one WebSocket, one session of the kubelet; what is refused; what bad clients get."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncGenerator, AsyncIterator
from pathlib import Path

import aiohttp
import orjson
import pytest

from actorkube.runtime import Actor
from protocols.errors import NotFound
from protocols.exec import STDERR, STDOUT, AttachToPod, ExecInPod, ExecInput, ExecItem, ResizeTerminal
from protocols.message import Done, Message
from tests.apiserver.rest_client import Rest, rest
from tests.apiserver.spdy import client as spdy
from tests.apiserver.world import pod

PODS = "/api/v1/namespaces/default/pods"
EXEC = f"{PODS}/web/exec?stdin=true&stdout=true&stderr=true"


class Kubelet(Actor):
    """Repeats what it is sent, on both outputs, until the end of it; `flood` prints for ever."""

    concurrency = 8

    async def on_start(self) -> None:
        self.input: asyncio.Queue[bytes] = asyncio.Queue()
        self.sizes: list[tuple[int, int]] = []
        self.attached: list[tuple[str, bool]] = []
        self.printed = 0
        self.over = asyncio.Event()

    def receive(self, message: Message) -> object:
        match message:
            case ExecInPod(cmd=("missing",)):
                raise NotFound('container not found ("main")')
            case ExecInPod(cmd=("flood",)):
                return self._flood()
            case AttachToPod():
                self.attached.append((message.container, message.stdin))
                return self._repeat()
            case ExecInPod():
                return self._repeat()
            case ExecInput(_, data, last):
                if data:
                    self.input.put_nowait(data)
                if last:
                    self.input.put_nowait(b"")
            case ResizeTerminal(_, width, height):
                self.sizes.append((width, height))
        return Done()

    async def _repeat(self) -> AsyncGenerator[ExecItem, None]:
        try:
            yield ExecItem(session="s")
            while data := await self.input.get():
                yield ExecItem(channel=STDOUT, data=data)
                yield ExecItem(channel=STDERR, data=data.upper())
            yield ExecItem(ended=True, exit_code=3)
        finally:
            self.over.set()

    async def _flood(self) -> AsyncGenerator[ExecItem, None]:
        yield ExecItem(session="s")
        while True:
            self.printed += 1
            yield ExecItem(channel=STDOUT, data=bytes(65_536))


@pytest.fixture
def kubelet() -> Kubelet:
    return Kubelet()


@pytest.fixture
async def api(tmp_path: Path, kubelet: Kubelet) -> AsyncIterator[Rest]:
    async with rest(tmp_path) as client:
        await client.world.actor("n1-kubelet", "kubelet", kubelet)
        await client.create(PODS, pod("web", node="n1"))
        yield client


def session(
    api: Rest, command: str = "repeat", protocol: str = "v5.channel.k8s.io"
) -> aiohttp.client._WSRequestContextManager:
    return api.admin.ws_connect(f"{api.base}{EXEC}&command={command}", protocols=[protocol])


async def test_both_outputs_and_the_exit_code_have_channels_of_their_own(api: Rest, kubelet: Kubelet) -> None:
    async with session(api) as socket:
        await socket.send_bytes(b'\x04{"Width": 80, "Height": 24}')
        await socket.send_bytes(b"\x00hello")
        await socket.send_bytes(b"\xff\x00")
        messages = [message.data async for message in socket]

    assert messages[:3] == [b"\x01", b"\x01hello", b"\x02HELLO"]
    assert orjson.loads(messages[3][1:])["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]
    assert messages[3][0] == 3 and len(messages) == 4 and kubelet.sizes == [(80, 24)]


@pytest.mark.parametrize("bad", [b"", b"\x04nonsense", b"\x04[]", b'\x04{"Width": "x", "Height": 1}'])
async def test_a_message_without_meaning_ends_its_own_session_only(api: Rest, kubelet: Kubelet, bad: bytes) -> None:
    async with session(api) as socket:
        await socket.send_bytes(bad)
        messages = [message.data async for message in socket]
        await kubelet.over.wait()

    assert messages == [b"\x01"]
    assert (await api.get(f"{PODS}/web")).code == 200


async def test_the_command_ends_when_its_client_leaves(api: Rest, kubelet: Kubelet) -> None:
    async with session(api, protocol="v4.channel.k8s.io") as socket:
        await socket.receive()

    async with asyncio.timeout(30):
        assert await kubelet.over.wait()


async def test_a_client_that_does_not_read_stops_the_output_and_nothing_else(api: Rest, kubelet: Kubelet) -> None:
    async with session(api, "flood"):
        before = -1
        while before != kubelet.printed:
            before = kubelet.printed
            for _ in range(20):
                assert (await api.get(f"{PODS}/web")).code == 200

        assert 0 < kubelet.printed < 1000  # 64 MB; what the two sockets hold is a tenth of that


async def test_sessions_that_there_cannot_be_are_refused_before_they_begin(api: Rest) -> None:
    await api.create(PODS, pod("waiting"))
    upgrade = {"Upgrade": "websocket", "Connection": "Upgrade"}
    spdy = {"Upgrade": "SPDY/3.1", "Connection": "Upgrade"}
    paths = {
        "web/exec?stdout=1&command=missing": upgrade,
        "web/exec?stdout=1&command=x&container=other": upgrade,
        "web/exec?command=x": upgrade,
        "web/exec?stdout=1": upgrade,
        "waiting/exec?stdout=1&command=x": upgrade,
        "nobody/exec?stdout=1&command=x": upgrade,
        "web/exec?stdout=1&command=y": {},
        "web/exec?stdout=1&command=z": spdy,
    }

    answers = [await api.get(f"{PODS}/{path}", **headers) for path, headers in paths.items()]

    assert [(answer.code, answer.json["message"]) for answer in answers] == [
        (404, 'container not found ("main")'),
        (400, "container other is not valid for pod web"),
        (400, "you must specify at least 1 of stdin, stdout, stderr"),
        (400, "you must specify at least one command for the container"),
        (400, "pod waiting does not have a host assigned"),
        (404, 'pods "nobody" not found'),
        (400, "Upgrade request required"),
        (400, "X-Stream-Protocol-Version is required"),
    ]


# -- over SPDY ---------------------------------------------------------------------------------------------------------


async def spdy_session(api: Rest, command: str = "repeat", *protocols: str) -> tuple[int, spdy.Connection]:
    names = protocols or ("v4.channel.k8s.io", "v3.channel.k8s.io", "channel.k8s.io")
    return await spdy.upgrade(api.base, f"{EXEC}&command={command}", api.context, *names)


def opening(connection: spdy.Connection) -> list[bytes]:
    kinds = {1: "error", 3: "stdin", 5: "stdout", 7: "stderr"}
    return [connection.talk.syn(stream, streamtype=kind) for stream, kind in kinds.items()]


@pytest.mark.slow
async def test_over_spdy_each_channel_is_a_stream(api: Rest) -> None:
    code, connection = await spdy_session(api)

    connection.send(*opening(connection), spdy.data(3, b"hello"), spdy.data(3, b"", fin=True))
    heard = await connection.rest()
    await connection.close()

    assert (code, heard.replies, heard.ended, heard.goaway) == (101, [1, 3, 5, 7], [1, 3, 5, 7], 0)
    assert (heard.data[5], heard.data[7]) == (b"hello", b"HELLO")
    assert orjson.loads(heard.data[1])["details"]["causes"] == [{"reason": "ExitCode", "message": "3"}]


async def test_a_spdy_client_that_leaves_ends_its_command(api: Rest, kubelet: Kubelet) -> None:
    _, connection = await spdy_session(api)
    connection.send(*opening(connection), spdy.data(3, b"hello"))
    await connection.until(b"HELLO")

    await connection.close()

    async with asyncio.timeout(30):
        assert await kubelet.over.wait()


async def test_a_spdy_client_that_does_not_read_stops_the_output(api: Rest, kubelet: Kubelet) -> None:
    _, connection = await spdy_session(api, "flood")
    connection.send(*opening(connection))
    before = -1
    while before != kubelet.printed:
        before = kubelet.printed
        for _ in range(20):
            assert (await api.get(f"{PODS}/web")).code == 200

    assert 0 < kubelet.printed < 1000
    connection.writer.transport.abort()


@pytest.mark.slow
@pytest.mark.parametrize("noise", [b"\x80\x02nonsense", b"GET / HTTP/1.1\r\n\r\n", bytes(100), b"\xff" * 100])
async def test_a_spdy_client_that_speaks_no_spdy_is_left_alone(api: Rest, noise: bytes) -> None:
    _, connection = await spdy_session(api)
    connection.send(noise)
    connection.writer.transport.abort()

    assert (await api.get(f"{PODS}/web")).code == 200


async def test_a_protocol_that_is_not_served_is_refused(api: Rest) -> None:
    code, connection = await spdy_session(api, "repeat", "v9.channel.k8s.io")
    await connection.close()

    assert code == 403


async def test_attach_is_a_session_without_a_command(api: Rest, kubelet: Kubelet) -> None:
    url = f"{api.base}{PODS}/web/attach?stdin=true&stdout=true"
    async with api.admin.ws_connect(url, protocols=["v5.channel.k8s.io"]) as socket:
        await socket.send_bytes(b"\x00hello")
        await socket.send_bytes(b"\xff\x00")
        messages = [message.data async for message in socket]

    assert messages[:2] == [b"\x01", b"\x01hello"] and len(messages) == 3
    assert kubelet.attached == [("main", True)]


async def test_who_is_not_authenticated_runs_nothing(api: Rest) -> None:
    answer = await api.send("GET", f"{EXEC}&command=x", session=api.anonymous)

    assert answer.code in (401, 403)
