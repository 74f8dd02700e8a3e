"""One member of our replica set, as a process: python -m bench.etcd.member NAME BOOK DIRECTORY [CLIENT-PORT].

With a client port, etcd's clients may call it there.
"""

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


async def main(member: str, book: dict[str, tuple[str, int]], path: Path, client_port: int = 0) -> None:
    gc.set_threshold(*GC_THRESHOLDS)
    listener = socket.create_server(tuple(book[member]))
    others = {name: (host, port) for name, (host, port) in book.items() if name != member}
    transport = TcpTransport(key=b"bench", book=others, listen=(listener,))
    system = System(member, transport, disk=path / member, log=Quiet())
    await system.start()
    system.spawn(lambda: Etcd(member, {name: f"{name}/etcd" for name in book}), "etcd")
    if client_port:
        from actors.etcd.grpc.door import Door, DoorConfig, cluster_id  # which takes as long to load as the store does

        listener = socket.create_server(("127.0.0.1", client_port))
        config = DoorConfig(member, f"{member}/etcd", cluster_id(book), listener)
        system.spawn(lambda: Door(config), "door")
    assert system.failed is not None
    sys.exit(await system.failed)


if __name__ == "__main__":
    uvloop.run(main(sys.argv[1], json.loads(sys.argv[2]), Path(sys.argv[3]), *map(int, sys.argv[4:])))
