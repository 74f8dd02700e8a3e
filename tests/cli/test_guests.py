"""`actorkube guests` against data of a cluster whose API server's links are served by the test."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
import time
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest

from actorkube.cli import main
from actorkube.cli.data import LINKS, REVOKED
from actorkube.cli.guests import write_joins
from actorkube.cli.join import Join
from actorkube.cli.sockets import Sockets
from actorkube.runtime import Actor, System
from actorkube.runtime.faulty import faulty
from actorkube.runtime.identity import Identity, LinkAuthority
from actorkube.runtime.log import Quiet
from actorkube.runtime.tcp import TcpTransport
from protocols.errors import AskError, NotSent
from protocols.message import Done, Message, Request


class CallIn(Request[Done]):
    pass


class Porter(Actor):
    def receive(self, message: Message) -> object:
        return Done()


class Site:
    """What `actorkube cluster` keeps, and an API server that listens; a new life for each start."""

    def __init__(self, data: Path) -> None:
        self.data = data
        self.sockets = Sockets(data)
        self._control = self.sockets.listen("apiserver.control")
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.authority = LinkAuthority(data / LINKS, "c", time.time())
        self.authority.guests()
        write_joins(data, {"apiserver": self._listener.getsockname()}, 1, "c")
        self.systems: list[System] = []
        self._serving = contextlib.AsyncExitStack()

    async def start(self) -> System:
        own = self.authority.identity("apiserver")
        identity = Identity("c", own.ca_file, own.cert_file, own.key_file, revoked_file=self.data / REVOKED)
        transport = TcpTransport(key=b"k", listen=(self._listener.dup(),), identity=identity)
        system = await self._system("apiserver", transport)
        system.spawn(Porter, "porter")
        await self._serving.enter_async_context(faulty(system, self.data / "faults.json", self._control.dup()))
        return system

    async def join(self, file: Path, name: str, directory: Path) -> System:
        join = Join.read(file)
        identity = join.identity(directory / name, name)
        return await self._system(name, TcpTransport(key=b"", book={"apiserver": join.apiserver}, identity=identity))

    async def _system(self, name: str, transport: TcpTransport) -> System:
        system = System(name, transport, log=Quiet())
        await system.start()
        self.systems.append(system)
        return system

    async def stop(self) -> None:
        await self._serving.aclose()
        for system in reversed(self.systems):
            await system.stop()
        self.systems.clear()

    def close(self) -> None:
        self._control.close()
        self._listener.close()
        self.sockets.close()


async def guests(data: Path, *words: str) -> int:
    return await asyncio.to_thread(main, ["guests", *words, "--data", str(data)])


async def call(system: System) -> None:
    await system.ask(system.ref("apiserver/porter"), CallIn(), timeout_s=10)


async def is_cut_off(system: System) -> bool:
    """A call that was under way when the link ended has an end of its own: then another one says it."""
    for _ in range(100):
        try:
            await call(system)
        except NotSent:
            return True
        except AskError:
            continue
        return False
    return False


def refused(system: System) -> dict[str, int]:
    assert isinstance(system.transport, TcpTransport)
    return {reason.value: count for reason, count in system.transport.refused.items()}


def test_a_guest_that_is_revoked_is_cut_off_and_others_are_not(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario(site: Site) -> None:
        data = site.data
        api = await site.start()
        for name in ("one", "other"):
            assert await guests(data, "add", name) == 0
        one = await site.join(data / "join-one.json", "one-kubelet", tmp_path)
        other = await site.join(data / "join-other.json", "other-kubelet", tmp_path)
        kept = (data / "join-one.json").read_bytes()
        await call(one)
        await call(other)
        capsys.readouterr()
        await guests(data, "list")
        assert [line.split()[:3] for line in capsys.readouterr().out.splitlines()[1:]] == [
            ["shared", "-", "-"],
            ["one", "one-kubelet", "-"],
            ["other", "other-kubelet", "-"],
        ]

        assert await guests(data, "revoke", "one") == 0

        assert capsys.readouterr().out == "one is revoked; links ended: one-kubelet\n"
        assert await is_cut_off(one)
        await call(other)
        assert refused(api)["revoked"] >= 2
        assert not (data / "join-one.json").exists()
        await site.stop()

        again = await site.start()
        (tmp_path / "kept.json").write_bytes(kept)
        back = await site.join(tmp_path / "kept.json", "another-name", tmp_path / "again")
        assert await is_cut_off(back)
        assert refused(again)["revoked"] >= 1
        await call(await site.join(data / "join-other.json", "other-kubelet", tmp_path / "again"))
        apiservers = {"apiserver": ("127.0.0.1", 7), "apiserver-2": ("127.0.0.1", 8)}
        write_joins(data, apiservers, 1, "c", kubernetes_version="1.33")
        assert sorted(file.name for file in data.glob("join*")) == ["join-other.json", "join.json"]
        told = Join.read(data / "join-other.json")
        assert (told.book, told.kubernetes_version) == (apiservers, "1.33")

    run(tmp_path, scenario)


def test_a_system_of_the_shared_join_file_is_revoked_by_its_name(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    async def scenario(site: Site) -> None:
        await site.start()
        joined = [
            await site.join(site.data / "join.json", name, tmp_path) for name in ("node-4-kubelet", "node-40-kubelet")
        ]
        for system in joined:
            await call(system)

        assert await guests(site.data, "revoke", "node-4") == 0

        first, second = capsys.readouterr().out.splitlines()
        assert first == "node-4 is revoked; links ended: node-4-kubelet"
        assert "can come back under another name" in second
        assert await is_cut_off(joined[0])
        await call(joined[1])
        assert await guests(site.data, "revoke", "shared") == 0
        assert await is_cut_off(joined[1])

    run(tmp_path, scenario)


def test_a_guest_speaks_for_itself_alone(tmp_path: Path) -> None:
    async def scenario(site: Site) -> None:
        api = await site.start()
        for name in ("one", "other"):
            await guests(site.data, "add", name)
        fields = json.loads((site.data / "join-one.json").read_text())
        (tmp_path / "forged.json").write_text(json.dumps({**fields, "guest": "other"}))

        forged = await site.join(tmp_path / "forged.json", "other-kubelet", tmp_path)

        assert await is_cut_off(forged)
        assert refused(api) == {"name": 1}

    run(tmp_path, scenario)


def test_what_is_wrong_is_said_in_one_line(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def said(*words: str) -> str:
        assert main(["guests", *words, "--data", str(tmp_path / "data")]) == 1
        return capsys.readouterr().err.splitlines()[-1]

    async def scenario(site: Site) -> None:
        assert await guests(site.data, "add", "one") == 0

    assert "nobody can join the cluster" in said("list")
    run(tmp_path, scenario)
    capsys.readouterr()
    assert "is no name for a guest" in said("add", "Node_4")
    assert "is no name for a guest" in said("add", "shared")
    assert "one is a guest already" in said("add", "one")
    assert "there is no guest two" in said("revoke", "two")
    assert "revoke whom?" in said("revoke")
    assert main(["guests", "revoke", "one", "--data", str(tmp_path / "data")]) == 0
    assert "does not run" in capsys.readouterr().out
    assert "one was revoked" in said("add", "one")
    (tmp_path / "data" / REVOKED).write_text("[")
    assert "does not say who is revoked" in said("list")


def run(tmp_path: Path, scenario: Callable[[Site], Coroutine[Any, Any, None]]) -> None:
    data = tmp_path / "data"
    data.mkdir()
    site = Site(data)

    async def main() -> None:
        try:
            await scenario(site)
        finally:
            await site.stop()

    try:
        asyncio.run(main())
    finally:
        site.close()
