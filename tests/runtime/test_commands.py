"""Commands that somebody watches, as real processes: input, terminal, back-pressure, and their end."""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actorkube.runtime import Stream, System
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from actors.runtime import procfs
from actors.runtime.output_queue import WAITING_BYTES_MAX
from actors.runtime.sessions import SESSIONS_MAX
from protocols.cri import ContainerRefused, StopContainer
from protocols.errors import TooManyRequests
from protocols.exec import (
    CHUNK_BYTES_MAX,
    STDERR,
    STDOUT,
    AttachToContainer,
    ConnectPort,
    ExecInContainer,
    ExecInput,
    ExecItem,
    ResizeTerminal,
)
from tests.runtime.test_process_backend import SLEEP, Node, ancestors, gone

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="pidfds and /proc are Linux's")


@pytest.fixture
async def node(tmp_path: Path) -> AsyncIterator[Node]:
    system = System("node-1-runtime", LocalNetwork().transport(), seed=1, log=Quiet())
    await system.start()
    yield Node(system, tmp_path)
    await system.stop()
    assert [pid for pid in procfs.marked_processes() if os.getpid() in ancestors(pid)] == []


class Session:
    """A command in a container that sleeps."""

    def __init__(self, node: Node, items: Stream[ExecItem], name: str) -> None:
        self.node, self.items, self.name = node, items, name

    @classmethod
    async def open(cls, node: Node, *cmd: str, window: int = 8, container: str = "", **options: bool) -> Session:
        id = container or (await node.run(*SLEEP)).id
        items = node.system.stream(node.shim, ExecInContainer(id, cmd, **options), window=window)
        return cls(node, items, (await anext(items)).session)

    async def type(self, data: bytes, last: bool = False) -> None:
        await self.node.ask(ExecInput(self.name, data, last))

    async def line(self) -> bytes:
        text = b""
        while not text.endswith(b"\n"):
            text += (await anext(self.items)).data
        return text

    async def rest(self) -> tuple[bytes, bytes, int]:
        seen = [item async for item in self.items]
        out, err = [b"".join(item.data for item in seen if item.channel == each) for each in (STDOUT, STDERR)]
        return out, err, seen[-1].exit_code


async def test_a_command_has_both_outputs_and_an_exit_code(node: Node) -> None:
    session = await Session.open(node, "sh", "-c", "echo out; echo err >&2; exit 5")

    assert await session.rest() == (b"out\n", b"err\n", 5)


async def test_input_is_read_to_its_end(node: Node) -> None:
    session = await Session.open(node, "cat", stdin=True)

    await session.type(b"one ")
    await session.type(b"two", last=True)

    assert await session.rest() == (b"one two", b"", 0)


async def test_input_that_nobody_reads_waits_until_the_command_ends(node: Node) -> None:
    container = await node.run(*SLEEP)
    session = await Session.open(node, "sleep", "1000", container=container.id, stdin=True)
    writing = [asyncio.ensure_future(session.type(bytes(CHUNK_BYTES_MAX))) for _ in range(2)]
    await asyncio.wait(writing, return_when=asyncio.FIRST_COMPLETED)  # the pipe is full now

    waited = not writing[1].done()
    await node.ask(StopContainer(container.id, 0))
    await asyncio.gather(*writing)

    assert waited and (await session.rest())[2] == 137


async def test_output_that_nobody_takes_stops_the_command(node: Node) -> None:
    mark = node.directory / "count"
    writer = f"i=0; while true; do head -c {CHUNK_BYTES_MAX} /dev/zero; i=$((i+1)); echo $i >{mark}; done"
    session = await Session.open(node, "sh", "-c", writer, window=2)
    bound = WAITING_BYTES_MAX // CHUNK_BYTES_MAX + 2 + 2 + 2  # waiting, under way, in the pipe, one being written

    last, same = "0", 0
    while same < 50 and int(last or 0) <= bound:
        await node.ask(ResizeTerminal(session.name, 1, 1))
        now = mark.read_text() if mark.exists() else ""
        last, same = now, same + 1 if now and now == last else 0
        await asyncio.sleep(0.005)

    assert int(last or 0) <= bound
    session.items.close()


async def test_a_terminal_has_a_size_and_hears_of_a_new_one(node: Node) -> None:
    session = await Session.open(
        node, "sh", "-c", "trap 'stty size; exit 0' WINCH; tty; while true; do read line; done", stdin=True, tty=True
    )
    name = await session.line()

    await node.ask(ResizeTerminal(session.name, 132, 43))

    out, _, code = await session.rest()
    assert re.match(rb"/dev/pts/\d+\r\n", name) and (out, code) == (b"43 132\r\n", 0)


async def test_the_end_of_a_terminals_input_is_a_control_d(node: Node) -> None:
    session = await Session.open(node, "cat", stdin=True, tty=True)

    await session.type(b"hello\n", last=True)

    assert await session.rest() == (b"hello\r\nhello\r\n", b"", 0)


async def test_closing_the_stream_ends_the_command(node: Node) -> None:
    session = await Session.open(node, "sh", "-c", "echo $$; exec sleep 1000")
    pid = int(await session.line())

    session.items.close()

    assert await gone(pid)


async def test_a_command_ends_with_its_container(node: Node) -> None:
    container = await node.run(*SLEEP)
    session = await Session.open(node, "sleep", "1000", container=container.id)

    await node.ask(StopContainer(container.id, 0))

    assert await session.rest() == (b"", b"", 137)


async def test_a_command_that_is_not_there_is_refused(node: Node) -> None:
    with pytest.raises(ContainerRefused, match=r'exec: "nothing": executable file not found in \$PATH'):
        await Session.open(node, "nothing")


async def test_a_node_has_so_many_sessions_and_no_more(node: Node) -> None:
    container = await node.run(*SLEEP)
    for _ in range(SESSIONS_MAX):
        await Session.open(node, "sleep", "1000", container=container.id)

    with pytest.raises(TooManyRequests):
        await Session.open(node, "true", container=container.id)


SHOUT = """
import os, socket
server = socket.create_server((os.environ["POD_IP"], 0))
print(server.getsockname()[1], flush=True)
while True:
    one, _ = server.accept()
    while data := one.recv(4096):
        one.sendall(data.upper())
    one.close()
"""


async def connected(node: Node, sandbox: str, port: int) -> Session:
    items = node.system.stream(node.shim, ConnectPort(sandbox, port))
    return Session(node, items, (await anext(items)).session)


async def test_a_connection_to_a_port_carries_bytes_both_ways_and_the_end_of_them(node: Node) -> None:
    container = await node.run(sys.executable, "-c", SHOUT)
    port = int((await node.first_line(container.id)).split()[-1])

    session = await connected(node, container.pod_sandbox_id, port)
    await session.type(b"hello", last=True)

    assert await session.rest() == (b"HELLO", b"", 0)


async def test_a_port_that_nobody_listens_on_says_so(node: Node) -> None:
    container = await node.run(*SLEEP)

    session = await connected(node, container.pod_sandbox_id, 1)
    last = [item async for item in session.items][-1]

    assert last.ended and "Connect call failed" in last.error


# -- attach -----------------------------------------------------------------------------------------------------------


async def attached(node: Node, container: str, window: int = 8, stdin: bool = True) -> Session:
    items = node.system.stream(node.shim, AttachToContainer(container, stdin), window=window)
    return Session(node, items, (await anext(items)).session)


async def test_all_who_are_attached_see_what_the_container_prints_and_share_its_input(node: Node) -> None:
    container = await node.run("sh", "-c", "read a; echo $a; read b; echo $b >&2; exit 7", stdin=True)
    writer, watcher = await attached(node, container.id), await attached(node, container.id, stdin=False)

    await watcher.type(b"not mine to write\n")
    await writer.type(b"one\n")
    await watcher.line()
    await writer.type(b"two\n")

    assert await writer.rest() == (b"one\n", b"two\n", 0)
    assert await watcher.rest() == (b"", b"two\n", 0)


async def test_the_container_goes_on_when_who_is_attached_leaves(node: Node) -> None:
    container = await node.run("sh", "-c", "read a; echo first $a; read b; echo then $b", stdin=True)
    first = await attached(node, container.id)
    await first.type(b"x\n", last=True)
    await first.line()
    first.items.close()

    second = await attached(node, container.id)
    await second.type(b"y\n")

    assert await second.rest() == (b"then y\n", b"", 0)


async def test_input_that_is_wanted_once_ends_with_the_first_writer(node: Node) -> None:
    container = await node.run("cat", stdin=True, stdin_once=True)
    session = await attached(node, container.id)

    await session.type(b"all of it", last=True)

    assert await session.rest() == (b"all of it", b"", 0)


async def test_a_container_without_input_reads_nothing(node: Node) -> None:
    mark = node.directory / "go"
    container = await node.run("sh", "-c", f"until [ -e {mark} ]; do sleep 0.01; done; cat; echo end")
    session = await attached(node, container.id)

    await session.type(b"dropped")
    mark.touch()

    assert await session.rest() == (b"end\n", b"", 0)


async def test_a_container_may_have_a_terminal(node: Node) -> None:
    container = await node.run("sh", "-c", "read a; stty size; echo $a", stdin=True, tty=True)
    session = await attached(node, container.id)

    await node.ask(ResizeTerminal(session.name, 100, 30))
    await session.type(b"hi\n")

    assert await session.rest() == (b"hi\r\n30 100\r\nhi\r\n", b"", 0)


async def test_who_does_not_read_stops_the_containers_output_until_it_leaves(node: Node) -> None:
    mark = node.directory / "count"
    writer = (
        f"read x; i=0; while [ $i -lt 40 ]; do head -c {CHUNK_BYTES_MAX} /dev/zero; i=$((i+1)); echo $i >{mark}; done"
    )
    container = await node.run("sh", "-c", writer, stdin=True)
    reader, sleeper = await attached(node, container.id), await attached(node, container.id, window=2)
    await reader.type(b"go\n")
    reading = asyncio.ensure_future(reader.rest())
    bound = WAITING_BYTES_MAX // CHUNK_BYTES_MAX + 2 + 2 + 2

    last, same = "0", 0
    while same < 50:
        await node.ask(ResizeTerminal(reader.name, 1, 1))
        now = mark.read_text() if mark.exists() else ""
        last, same = now, same + 1 if now and now == last else 0
        await asyncio.sleep(0.005)
    sleeper.items.close()
    out, _, _ = await asyncio.wait_for(reading, 20)

    assert int(last) <= bound and len(out) == 40 * CHUNK_BYTES_MAX
