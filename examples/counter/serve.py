"""Serves the counter on a TCP port: python serve.py PORT DIRECTORY"""

import asyncio
import socket
import sys
from pathlib import Path

from counter import Counter

from actorkube.runtime import Supervision, System
from actorkube.runtime.log import configure
from actorkube.runtime.tcp import TcpTransport


async def main(port: int, directory: Path) -> None:
    configure("info", json=True)
    transport = TcpTransport(key=b"a secret of both", listen=(socket.create_server(("127.0.0.1", port)),))
    system = System("server", transport, disk=directory)
    await system.start()
    system.spawn(Counter, "counter", Supervision(intensity=5, period_s=60))
    print(f"counting on port {port}", flush=True)
    sys.exit(await system.failed)  # when the counter has crashed more than five times in a minute


asyncio.run(main(int(sys.argv[1]), Path(sys.argv[2])))
