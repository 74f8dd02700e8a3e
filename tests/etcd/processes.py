"""A replica set on real files, each member a process that can be killed: what simulation cannot show of a kernel.

Processes are forked from one that has imported everything, so that one is back some 20 ms after it was killed.
"""

from __future__ import annotations

import gc
import multiprocessing
import resource
import socket
import sys
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import NamedTuple

import uvloop

from actorkube.runtime import System
from actorkube.runtime.log import Quiet
from actorkube.runtime.tcp import TcpTransport
from actors.etcd.actor import Etcd, EtcdConfig
from tests.etcd.cluster import MEMBERS

KEY = b"processes"
# Small bounds, so that segments roll over, snapshots are written and sent; elections quick, but not for a busy machine.
CONFIG = EtcdConfig(
    heartbeat_s=0.05,
    election_s=(0.4, 0.8),
    housekeeping_s=0.1,
    revisions_kept=1_000_000,
    segment_bytes_max=20_000,
    snapshot_log_bytes=100_000,
    entries_kept=50,
)

Book = dict[str, tuple[str, int]]
context = multiprocessing.get_context("forkserver")
context.set_forkserver_preload([__name__])


class Place(NamedTuple):
    """Where a member is to run. `file_bytes_max`: no file of its process may grow beyond (0: any may)."""

    member: str
    book: Book
    path: Path
    file_bytes_max: int = 0


class Processes:
    """`async with`: all members run at the beginning, and none in the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.book: Book = {member: ("127.0.0.1", _free_port()) for member in MEMBERS}
        self.running: dict[str, ForkServerProcess] = {}
        self.kills = 0
        self.client: System

    async def __aenter__(self) -> Processes:
        for member in MEMBERS:
            self.start(member)
        self.client = System("client", TcpTransport(key=KEY, book=self.book), log=Quiet())
        await self.client.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.client.stop()
        for member in list(self.running):
            self.kill(member)

    def start(self, member: str, file_bytes_max: int = 0) -> None:
        place = Place(member, self.book, self.path, file_bytes_max)
        process = context.Process(target=run_member, args=(place,), daemon=True)
        process.start()
        self.running[member] = process

    def kill(self, member: str) -> None:
        """SIGKILL. Nothing is flushed, nobody is told."""
        process = self.running.pop(member)
        process.kill()
        process.join()
        self.kills += 1


def run_member(place: Place) -> None:
    gc.freeze()
    if place.file_bytes_max:
        resource.setrlimit(resource.RLIMIT_FSIZE, (place.file_bytes_max, place.file_bytes_max))
    try:
        uvloop.run(_run_member(place))
    except OSError as error:
        sys.exit(f"{place.member}: {error}")


async def _run_member(place: Place) -> None:
    listener = socket.create_server(place.book[place.member])
    others = {name: address for name, address in place.book.items() if name != place.member}
    transport = TcpTransport(key=KEY, book=others, listen=(listener,))
    system = System(place.member, transport, disk=place.path / place.member, log=Quiet())
    await system.start()
    peers = {name: f"{name}/etcd" for name in place.book}
    system.spawn(lambda: Etcd(place.member, peers, CONFIG), "etcd")
    assert system.failed is not None
    reason = await system.failed
    await system.abort()
    sys.exit(f"{place.member}: {reason}")


def _free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as found:
        port: int = found.getsockname()[1]
        return port
