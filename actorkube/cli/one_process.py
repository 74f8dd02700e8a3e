"""All hosts of a cluster in one process and one event loop, joined by local links."""

from __future__ import annotations

import asyncio
import gc
import signal
import socket
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

from actorkube.runtime.host import GC_THRESHOLDS, Host, serve
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.system import System


def run_hosts(
    hosts: Sequence[Host],
    key: bytes,
    data: Path,
    listeners: Mapping[str, socket.socket],
    ready: Callable[[str, str], None],
) -> None:
    """Serve until SIGINT or SIGTERM; the last host started stops first."""
    import uvloop

    async def main() -> None:
        network = LocalNetwork()
        loop = asyncio.get_running_loop()
        stop = asyncio.Event()
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(number, stop.set)
        async with asyncio.TaskGroup() as group:
            for host in hosts:
                system = System(host.name, network.transport(), disk=data / host.name)
                group.create_task(
                    serve(host, system, stop, lambda event, note, name=host.name: ready(name, note)), name=host.name
                )

    gc.set_threshold(*GC_THRESHOLDS)
    uvloop.run(main())
