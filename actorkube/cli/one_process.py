"""All hosts of a cluster in one process and one event loop, joined by local links; also those whose time is virtual."""

from __future__ import annotations

import asyncio
import gc
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from actorkube.cli.data import CLOCK
from actorkube.runtime.host import GC_THRESHOLDS, Host
from actorkube.runtime.hosts import LocalHosts, Report
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.system import System


def run_hosts(
    hosts: Sequence[Host], data: Path, ready: Report, control: Path | None = None, follow: float = 0.0
) -> None:
    """Serve until SIGINT or SIGTERM; the last host started stops first.

    With `control`, time is virtual, and that is the socket through which it is controlled. `follow`: the share of what
    happens that is traced.
    """
    gc.set_threshold(*GC_THRESHOLDS)
    if control is None:
        import uvloop

        uvloop.run(_serve(_local(hosts, data, ready, follow)))
    else:
        _run_on_a_clock(_local(hosts, data, ready, follow), control, data / CLOCK)


def _local(hosts: Sequence[Host], data: Path, ready: Report, follow: float) -> LocalHosts:
    network = LocalNetwork()

    def make(host: Host) -> System:
        system = System(host.name, network.transport(), disk=data / host.name, metrics=True)
        system.follow(follow)
        return system

    return LocalHosts(hosts, make, ready, network)


async def _serve(hosts: LocalHosts) -> None:
    hosts.start()
    await _told_to_stop()
    await hosts.stop()


async def _told_to_stop() -> None:
    stop = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    await stop.wait()


def _run_on_a_clock(hosts: LocalHosts, control: Path, ahead: Path) -> None:
    """`ahead` keeps how far the clock is ahead of real time: in the next life of the cluster time does not go back."""
    from actorkube.runtime.clock_loop import ClockLoop
    from actorkube.runtime.control import Control
    from actorkube.runtime.control_socket import serve_control

    loop = ClockLoop(epoch=time.time() + (float(ahead.read_text()) if ahead.exists() else 0.0))

    def keep() -> None:
        ahead.write_text(f"{max(0.0, loop.wall - time.time())}\n")

    async def main() -> None:
        async with serve_control(Control(loop, hosts, keep), control):
            hosts.start()
            await _told_to_stop()
        keep()
        loop.run_at(1.0)  # saying goodbye may take time
        await hosts.stop()

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main())
