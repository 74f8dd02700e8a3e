"""Our replica set, a process a member, over its MessagePack protocol."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from pathlib import Path

from actorkube.runtime import Ref, Stream, System
from actorkube.runtime.log import Quiet
from actorkube.runtime.tcp import TcpTransport
from bench.etcd.subject import MEMBERS, Subject, Watching, free_ports, log_file
from protocols.errors import Answer, AskError
from protocols.etcd import Compare, Op, Range, Status, Txn, WatchKeys, WatchResponse

KEY = b"bench"


class ActorKube(Subject):
    name = "ActorKube"

    def __init__(self, path: Path) -> None:
        self._path = path
        self._book = {member: ("127.0.0.1", port) for member, port in zip(MEMBERS, free_ports(3), strict=True)}
        self._systems: list[System] = []
        self._leader: Ref
        self._asker: System | None = None
        self.processes = {}
        for member in MEMBERS:
            self.start_member(member)

    def start_member(self, member: str) -> None:
        command = [sys.executable, "-m", "bench.etcd.member", member, json.dumps(self._book), str(self._path)]
        with log_file(self._path, member).open("ab") as log:
            self.processes[member] = subprocess.Popen(command, stdout=log, stderr=log)

    async def connect(self, connections: int) -> None:
        leader = await self.leader()
        for system in self._systems:
            await system.stop()
        self._systems = [await self._client(f"client-{number}") for number in range(connections)]
        self._leader = self._systems[0].ref(f"{leader}/etcd")
        for system in self._systems:
            await system.ask(self._leader, Status())

    async def close(self) -> None:
        for system in [*self._systems, *([self._asker] if self._asker else [])]:
            await system.stop()
        self._systems, self._asker = [], None

    async def leader(self) -> str:
        while True:
            said = [await self._ask(member, Status()) for member in self.processes]
            names = {status.leader for status in said if status is not None}
            if len(names) == 1 and (name := names.pop()):
                return name.partition("/")[0]
            await asyncio.sleep(0.02)

    async def put(self, client: int, key: bytes, value: bytes) -> None:
        await self._system(client).ask(self._leader, Txn((), (Op("put", key, value),)))

    async def put_many(self, pairs: list[tuple[bytes, bytes]]) -> None:
        await self._system(0).ask(self._leader, Txn((), tuple([Op("put", key, value) for key, value in pairs])))

    async def create(self, client: int, key: bytes, value: bytes) -> None:
        txn = Txn((Compare(key, "mod", "=", 0),), (Op("put", key, value),), (Op("range", key),))
        await self._system(client).ask(self._leader, txn)

    async def get(self, client: int, key: bytes, *, serializable: bool) -> None:
        await self._system(client).ask(self._leader, Range(key, serializable=serializable))

    async def page(self, client: int, low: bytes, high: bytes, limit: int) -> None:
        await self._system(client).ask(self._leader, Range(low, high, limit=limit))

    async def watch(self, client: int, low: bytes, high: bytes) -> Watching:
        stream = self._system(client).stream(self._leader, WatchKeys(low, high))
        await anext(stream)
        return Watch(stream)

    async def revision(self) -> int:
        """The newest that is committed."""
        answer = await self._system(0).ask(self._leader, Range(b"none", count_only=True))
        return answer.revision

    async def put_anywhere(self, members: tuple[str, ...], timeout_s: float) -> bool:
        asked = [self._ask(member, Txn((), (Op("put", b"k", b"v"),)), timeout_s) for member in members]
        return any(answer is not None for answer in await asyncio.gather(*asked))

    async def count_at(self, member: str, low: bytes, high: bytes) -> int:
        answer = await self._ask(member, Range(low, high, serializable=True, count_only=True), 5.0)
        return -1 if answer is None else answer.count

    def _system(self, client: int) -> System:
        return self._systems[client % len(self._systems)]

    async def _client(self, name: str) -> System:
        system = System(name, TcpTransport(key=KEY, book=self._book), log=Quiet())
        await system.start()
        return system

    async def _ask(self, member: str, request: object, timeout_s: float = 1.0):  # type: ignore[no-untyped-def]
        if self._asker is None:
            self._asker = await self._client("asker")
        try:
            ref = self._asker.ref(f"{member}/etcd")
            return await self._asker.ask(ref, request, timeout_s=timeout_s)  # type: ignore[arg-type]
        except (AskError, Answer):
            return None


class Watch(Watching):
    def __init__(self, stream: Stream[WatchResponse]) -> None:
        self._stream = stream
        self._reader = asyncio.ensure_future(self._read())

    async def _read(self) -> None:
        async for response in self._stream:
            self.events += len(response.events)

    def close(self) -> None:
        self._reader.cancel()
        self._stream.close()
