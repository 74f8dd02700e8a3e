"""One replica with its door in this process, and a client of etcd's API that says exactly what it is told to say."""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

from actorkube.runtime import System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actors.etcd.actor import Etcd, EtcdConfig
from actors.etcd.grpc import http2
from actors.etcd.grpc.door import Door, DoorConfig, IsOpen, cluster_id
from actors.etcd.grpc.fields import write
from actors.etcd.grpc.framing import Unframer, framed
from actors.etcd.grpc.messages import message
from protocols.etcd import Status, StatusResponse

MEMBER = "etcd-0"
CLUSTER_ID = cluster_id([MEMBER])
ANSWER_BYTES_MAX = 64 << 20


class Failed(Exception):
    """A call's end, when it is not OK."""

    def __init__(self, code: int, text: str) -> None:
        super().__init__(code, text)
        self.code = code
        self.text = text


class Housed:
    def __init__(self, door: Door, port: int) -> None:
        self.door = door
        self.port = port


@contextlib.asynccontextmanager
async def housed(
    disk: Path, config: EtcdConfig | None = None, certificate: tuple[str, str] | None = None
) -> AsyncIterator[Housed]:
    """`door` is the actor itself, to be looked at; with a certificate it speaks TLS."""
    listener = socket.create_server(("127.0.0.1", 0))
    system = System(MEMBER, LocalNetwork().transport(), disk=disk, log=Quiet())
    await system.start()
    doors: list[Door] = []

    def door() -> Door:
        doors.append(Door(DoorConfig(MEMBER, f"{MEMBER}/etcd", CLUSTER_ID, listener, certificate=certificate)))
        return doors[-1]

    try:
        ref = system.spawn(lambda: Etcd(MEMBER, {MEMBER: f"{MEMBER}/etcd"}, config), "etcd")
        while not _has_begun(await system.ask(ref, Status())):
            await asyncio.sleep(0.01)
        await system.ask(system.spawn(door, "door"), IsOpen())
        yield Housed(doors[-1], listener.getsockname()[1])
    finally:
        await system.stop()
        listener.close()


def _has_begun(status: StatusResponse) -> bool:
    """It leads, and what opens its term is committed: before that it changes no members."""
    return bool(status.leader) and status.commit_index == status.last_index


class Stream:
    """A call under way. `end` is its code and text, once it has one."""

    def __init__(self, client: Client, number: int, response: Any) -> None:
        self.number = number
        self.came: asyncio.Queue[Any] = asyncio.Queue()
        self.end: asyncio.Future[tuple[int, str]] = asyncio.get_running_loop().create_future()
        self.unframer = Unframer(ANSWER_BYTES_MAX)
        self.response = response
        self._client = client

    def send(self, request: Any, *, last: bool = False) -> None:
        self._client.http.data(self.number, framed(request.SerializeToString()), end=last)
        self._client.flush()

    async def next(self) -> Any:
        return await asyncio.wait_for(self.came.get(), 20)

    def ended(self, fields: http2.Fields) -> None:
        if not self.end.done():
            self.end.set_result((int(fields[b"grpc-status"]), fields.get(b"grpc-message", b"").decode()))


class Client(asyncio.Protocol):
    def __init__(self) -> None:
        self.http = http2.Connection(client=True)
        self.streams: dict[int, Stream] = {}
        self.closed: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._transport: asyncio.Transport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self.flush()

    def connection_lost(self, exc: Exception | None) -> None:
        if not self.closed.done():
            self.closed.set_result("")

    def data_received(self, data: bytes) -> None:
        for event in self.http.receive(data, 0.0):
            if isinstance(event, http2.Ended):
                if not self.closed.done():
                    self.closed.set_result(event.why)
                continue
            stream = self.streams[event.stream]
            if isinstance(event, http2.Data):
                for body in stream.unframer.feed(event.data):
                    stream.came.put_nowait(stream.response.FromString(body))
            elif isinstance(event, http2.Headers) and b"grpc-status" in event.fields:
                stream.ended(event.fields)
            elif isinstance(event, http2.Reset) and not stream.end.done():
                stream.end.set_result((-1, f"reset {event.code}"))
        self.flush()

    def flush(self) -> None:
        self._transport.write(self.http.take_output())

    def close(self) -> None:
        self._transport.abort()

    def stream(self, path: str, response: str, **headers: str) -> Stream:
        """`path` as in KV/Put."""
        fields = [(b":method", b"POST"), (b":scheme", b"http"), (b":path", f"/etcdserverpb.{path}".encode())]
        fields += [(b"content-type", b"application/grpc"), (b"te", b"trailers")]
        fields += [(name.encode(), value.encode()) for name, value in headers.items()]
        number = self.http.open(write(fields))
        self.streams[number] = stream = Stream(self, number, message(f"etcdserverpb.{response}"))
        self.flush()
        return stream

    async def call(self, path: str, request: Any, token: str = "") -> Any:
        """Raises Failed."""
        headers = {"token": token} if token else {}
        stream = self.stream(path, request.DESCRIPTOR.name.removesuffix("Request") + "Response", **headers)
        stream.send(request, last=True)
        code, text = await asyncio.wait_for(asyncio.shield(stream.end), 20)
        if code:
            raise Failed(code, text)
        return stream.came.get_nowait()


@contextlib.asynccontextmanager
async def calling(port: int) -> AsyncIterator[Client]:
    _, client = await asyncio.get_running_loop().create_connection(Client, "127.0.0.1", port)
    try:
        yield client
    finally:
        client.close()


def request(name: str, /, **fields: Any) -> Any:
    """request("Put", key=b"a") is an etcdserverpb.PutRequest."""
    return message(f"etcdserverpb.{name}Request")(**fields)
