"""etcd's own replica set (Debian: etcd-server), at its default settings, over its gRPC API."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from pathlib import Path

from bench.etcd.http2 import Failed, Http2
from bench.etcd.subject import MEMBERS, Subject, Watching, free_ports, log_file

KV, WATCH, MAINTENANCE = "/etcdserverpb.KV/", "/etcdserverpb.Watch/", "/etcdserverpb.Maintenance/"
PUT, RANGE, TXN = f"{KV}Put", f"{KV}Range", f"{KV}Txn"


def installed() -> bool:
    return shutil.which("etcd") is not None


def version() -> str:
    return subprocess.run(["etcd", "--version"], capture_output=True, text=True, check=True).stdout.split()[2]


class Etcd(Subject):
    name = "etcd"

    def __init__(self, path: Path) -> None:
        self._path = path
        ports = free_ports(6)
        self._clients = dict(zip(MEMBERS, ports[:3], strict=True))
        self._peers = dict(zip(MEMBERS, ports[3:], strict=True))
        self._connections: list[Http2] = []
        self.processes = {}
        for member in MEMBERS:
            self.start_member(member)

    def start_member(self, member: str) -> None:
        client, peer = self._clients[member], self._peers[member]
        command = [
            *("etcd", "--name", member, "--data-dir", str(self._path / member), "--log-level", "error"),
            *("--listen-client-urls", f"http://127.0.0.1:{client}"),
            *("--advertise-client-urls", f"http://127.0.0.1:{client}"),
            *("--listen-peer-urls", f"http://127.0.0.1:{peer}"),
            *("--initial-advertise-peer-urls", f"http://127.0.0.1:{peer}"),
            *("--initial-cluster", ",".join(f"{m}=http://127.0.0.1:{p}" for m, p in self._peers.items())),
        ]
        with log_file(self._path, member).open("ab") as log:
            self.processes[member] = subprocess.Popen(command, stdout=log, stderr=log)

    async def connect(self, connections: int) -> None:
        port = self._clients[await self.leader()]
        await self.close()
        self._connections = [await Http2.connect("127.0.0.1", port) for _ in range(connections)]

    async def close(self) -> None:
        for connection in self._connections:
            connection.close()
        self._connections = []

    async def leader(self) -> str:
        while True:
            ids: dict[int, str] = {}
            leaders = set()
            for member in self.processes:
                answer = await self._ask(member, f"{MAINTENANCE}Status", b"", 1.0)
                if answer is not None:
                    found = fields(answer)
                    ids[int(fields(found[1])[2])] = member  # type: ignore[arg-type]
                    leaders.add(int(found.get(4, 0)))  # type: ignore[arg-type]
            if len(leaders) == 1 and (member_id := leaders.pop()) in ids:
                return ids[member_id]
            await asyncio.sleep(0.02)

    async def put(self, client: int, key: bytes, value: bytes) -> None:
        await self._connection(client).call(PUT, field(1, key) + field(2, value))

    async def put_many(self, pairs: list[tuple[bytes, bytes]]) -> None:
        await self._connection(0).call(TXN, b"".join([field(2, put_op(key, value)) for key, value in pairs]))

    async def create(self, client: int, key: bytes, value: bytes) -> None:
        compare = number(2, 2) + field(3, key) + number(6, 0)  # mod revision = 0
        otherwise = field(1, field(1, key))
        request = field(1, compare) + field(2, put_op(key, value)) + field(3, otherwise)
        await self._connection(client).call(TXN, request)

    async def get(self, client: int, key: bytes, *, serializable: bool) -> None:
        request = field(1, key) + (number(7, 1) if serializable else b"")
        await self._connection(client).call(RANGE, request)

    async def page(self, client: int, low: bytes, high: bytes, limit: int) -> None:
        await self._connection(client).call(RANGE, field(1, low) + field(2, high) + number(3, limit))

    async def watch(self, client: int, low: bytes, high: bytes) -> Watching:
        watching = Watch(self._connection(client), low, high)
        await watching.created
        return watching

    async def put_anywhere(self, members: tuple[str, ...], timeout_s: float) -> bool:
        asked = [self._ask(member, PUT, field(1, b"k") + field(2, b"v"), timeout_s) for member in members]
        return any(answer is not None for answer in await asyncio.gather(*asked))

    async def count_at(self, member: str, low: bytes, high: bytes) -> int:
        request = field(1, low) + field(2, high) + number(7, 1) + number(9, 1)
        answer = await self._ask(member, RANGE, request, 5.0)
        return -1 if answer is None else int(fields(answer).get(4, 0))  # type: ignore[arg-type]

    def _connection(self, client: int) -> Http2:
        return self._connections[client % len(self._connections)]

    async def _ask(self, member: str, path: str, request: bytes, timeout_s: float) -> bytes | None:
        """Over a connection of its own; None: no answer, or an error."""
        try:
            connection = await Http2.connect("127.0.0.1", self._clients[member])
        except OSError:
            return None
        try:
            return await asyncio.wait_for(connection.call(path, request), timeout_s)
        except (Failed, TimeoutError):
            return None
        finally:
            connection.close()


class Watch(Watching):
    def __init__(self, connection: Http2, low: bytes, high: bytes) -> None:
        self.created: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._call = connection.call(f"{WATCH}Watch", field(1, field(1, low) + field(2, high)), self._on_message)
        self._call.add_done_callback(lambda call: call.cancelled() or call.exception())

    def _on_message(self, message: bytes) -> None:
        if not self.created.done():
            self.created.set_result(None)
        self.events += count(message, 11)

    def close(self) -> None:
        self._call.cancel()


# -- protobuf, as far as these messages need it -----------------------------------------------------------------------


def varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)


def field(tag: int, value: bytes) -> bytes:
    return bytes([tag << 3 | 2]) + varint(len(value)) + value


def number(tag: int, value: int) -> bytes:
    return bytes([tag << 3]) + varint(value)


def put_op(key: bytes, value: bytes) -> bytes:
    return field(2, field(1, key) + field(2, value))


def read_varint(data: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 0x7F) << shift
        at, shift = at + 1, shift + 7
        if byte < 0x80:
            return value, at


def fields(data: bytes | int) -> dict[int, bytes | int]:
    """The last value of each field."""
    assert isinstance(data, bytes)
    found: dict[int, bytes | int] = {}
    at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        value, at = read_varint(data, at)
        if tag & 7 == 2:
            found[tag >> 3] = data[at : at + value]
            at += value
        else:
            found[tag >> 3] = value
    return found


def count(data: bytes, wanted: int) -> int:
    """How often a field stands in a message."""
    total = at = 0
    while at < len(data):
        tag, at = read_varint(data, at)
        value, at = read_varint(data, at)
        total += tag >> 3 == wanted
        at += value if tag & 7 == 2 else 0
    return total
