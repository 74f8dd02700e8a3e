"""Real processes and real answers under a virtual clock: minutes pass, but not before what they wait for has come."""

from __future__ import annotations

import asyncio
import os
import signal
import socket
import threading
import time
from collections.abc import Callable, Coroutine, Iterator
from pathlib import Path
from typing import Any

import pytest

from actorkube.runtime.clock_loop import ClockLoop
from actorkube.runtime.real_time import real_time
from actors.runtime.launch import Launch
from actors.runtime.net_probe import probe_network
from actors.runtime.orphans import live_containers
from actors.runtime.processes import Processes
from protocols.cri import ContainerRefused, ProbeNetwork

THINKS_S = 0.1  # of real time; a jump of the clock takes a thousandth of it


def on_clock(main: Callable[[ClockLoop], Coroutine[Any, Any, None]]) -> None:
    loop = ClockLoop()
    loop.pause()
    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(main(loop))


@pytest.fixture
def slow_server() -> Iterator[int]:
    """The port of somebody who thinks before he answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def serve() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.recv(1000)
                time.sleep(THINKS_S)
                connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")

        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_a_probe_is_answered_before_its_timeout_passes(slow_server: int) -> None:
    async def main(loop: ClockLoop) -> None:
        probing = asyncio.create_task(probe_network(ProbeNetwork("c", "http", slow_server, 1.0), "127.0.0.1"))
        await loop.advance(60)

        assert probing.result().success, probing.result().output

    on_clock(main)


def launch(directory: Path, script: str) -> Launch:
    environment = {"PATH": os.environ["PATH"]}
    return Launch(("sh", "-c", script), str(directory), environment, (), "", 0, 0)


def test_a_process_ends_before_the_time_that_it_is_given_to_end(tmp_path: Path) -> None:
    async def main(loop: ClockLoop) -> None:
        processes, ends = Processes(), list[tuple[int, float]]()
        said: list[bytes] = []
        script = f"trap 'sleep {THINKS_S}; exit 3' TERM; echo up; while :; do sleep 0.01; done"
        processes.start(
            "c", launch(tmp_path, script), said.append, said.append, lambda code, _: ends.append((code, loop.time()))
        )
        while not said:
            await loop.run_in_executor(None, time.sleep, 0.01)
        processes.signal("c", signal.SIGTERM)
        loop.call_later(30, lambda: "c" in processes and processes.kill("c"))
        await loop.advance(60)

        assert ends == [(3, 0.0)]
        await processes.close()

    on_clock(main)


def test_a_command_in_a_container_may_take_real_time(tmp_path: Path) -> None:
    async def main(loop: ClockLoop) -> None:
        processes = Processes()
        processes.start("c", launch(tmp_path, "sleep 60"), lambda _: None, lambda _: None, lambda *_: None)
        running = asyncio.create_task(processes.exec("c", ("sh", "-c", f"sleep {THINKS_S}; echo done"), 1.0))
        await loop.advance(60)

        assert running.result().stdout == b"done\n"
        await processes.close()

    on_clock(main)


def test_what_cannot_be_started_is_not_taken_for_alive(tmp_path: Path) -> None:
    async def main(loop: ClockLoop) -> None:
        processes = Processes()
        nothing = launch(tmp_path, "")._replace(argv=("no-such-command",))

        with pytest.raises(ContainerRefused):
            processes.start("never", nothing, lambda _: None, lambda _: None, lambda *_: None)

        assert "never" not in processes
        assert "never" not in live_containers

    on_clock(main)


async def test_elsewhere_nothing_is_held() -> None:
    with real_time("a process", 1.0):
        await asyncio.sleep(0)
