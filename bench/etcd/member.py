"""One member of our replica set, as a process: python -m bench.etcd.member NAME BOOK DIRECTORY."""

from __future__ import annotations

import gc
import json
import socket
import sys
from pathlib import Path

import uvloop

from actorkube.runtime import System
from actorkube.runtime.host import GC_THRESHOLDS
from actorkube.runtime.log import Quiet
from actorkube.runtime.tcp import TcpTransport
from actors.etcd.actor import Etcd


async def main(member: str, book: dict[str, tuple[str, int]], path: Path) -> None:
    gc.set_threshold(*GC_THRESHOLDS)
    listener = socket.create_server(tuple(book[member]))
    others = {name: (host, port) for name, (host, port) in book.items() if name != member}
    transport = TcpTransport(key=b"bench", book=others, listen=(listener,))
    system = System(member, transport, disk=path / member, log=Quiet())
    await system.start()
    system.spawn(lambda: Etcd(member, {name: f"{name}/etcd" for name in book}), "etcd")
    assert system.failed is not None
    sys.exit(await system.failed)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3])))
