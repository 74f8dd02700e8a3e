"""What the questions ask of a replica set, whoever it belongs to. Members are processes; clients share connections."""

from __future__ import annotations

import abc
import socket
import subprocess
from pathlib import Path

import psutil

MEMBERS = ("etcd-0", "etcd-1", "etcd-2")


class Subject(abc.ABC):
    name: str
    processes: dict[str, subprocess.Popen[bytes]]

    @abc.abstractmethod
    def start_member(self, member: str) -> None: ...

    @abc.abstractmethod
    async def connect(self, connections: int) -> None:
        """So many connections to the leader; those there were are closed."""

    @abc.abstractmethod
    async def leader(self) -> str:
        """The member that leads. Waits until there is one."""

    @abc.abstractmethod
    async def put(self, client: int, key: bytes, value: bytes) -> None: ...

    @abc.abstractmethod
    async def put_many(self, pairs: list[tuple[bytes, bytes]]) -> None:
        """In one transaction."""

    @abc.abstractmethod
    async def create(self, client: int, key: bytes, value: bytes) -> None:
        """As the API server creates an object: a transaction that puts the key if it is not there."""

    @abc.abstractmethod
    async def get(self, client: int, key: bytes, *, serializable: bool) -> None: ...

    @abc.abstractmethod
    async def page(self, client: int, low: bytes, high: bytes, limit: int) -> None: ...

    @abc.abstractmethod
    async def watch(self, client: int, low: bytes, high: bytes) -> Watching: ...

    @abc.abstractmethod
    async def put_anywhere(self, members: tuple[str, ...], timeout_s: float) -> bool:
        """Whether one of the members takes a write now."""

    @abc.abstractmethod
    async def count_at(self, member: str, low: bytes, high: bytes) -> int:
        """How many keys this member knows, without asking others; -1 when it does not answer yet."""

    @abc.abstractmethod
    async def close(self) -> None: ...

    def kill(self, member: str) -> None:
        process = self.processes.pop(member)
        process.kill()
        process.wait()

    def cpu_s(self) -> float:
        """Of all members."""
        return sum(sum(psutil.Process(process.pid).cpu_times()[:2]) for process in self.processes.values())

    def memory_bytes(self) -> int:
        """Of the largest member."""
        return max(psutil.Process(process.pid).memory_info().rss for process in self.processes.values())

    async def stop(self) -> None:
        await self.close()
        for member in list(self.processes):
            self.kill(member)


class Watching(abc.ABC):
    """A watch of one client."""

    events: int = 0

    @abc.abstractmethod
    def close(self) -> None: ...


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


def log_file(path: Path, member: str) -> Path:
    path.mkdir(parents=True, exist_ok=True)
    return path / f"{member}.log"
