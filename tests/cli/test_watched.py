"""`top` and `trace` of systems of one's own: no cluster, no kubeconfig, a key and the place of one of them."""

from __future__ import annotations

import asyncio
import contextlib
import json
import socket
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from actorkube.cli import main
from actorkube.runtime import Actor, System
from actorkube.runtime.log import Quiet
from actorkube.runtime.tcp import Endpoint, TcpTransport
from protocols.message import Done, Message, Request

KEY = "a secret of both"


class GreetWatched(Request[Done]):
    pass


class Back(Actor):
    def receive(self, message: Message) -> object:
        return Done() if isinstance(message, GreetWatched) else super().receive(message)


class Front(Actor):
    async def receive(self, message: Message) -> object:
        assert isinstance(message, GreetWatched)
        return await self.ctx.ask(self.ctx.ref("back/back"), message)


def listen(place: str, path: Path) -> socket.socket:
    if place == "tcp":
        return socket.create_server(("127.0.0.1", 0))
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path / "front.sock"))
    listener.listen()
    return listener


@contextlib.asynccontextmanager
async def two_systems(listener: socket.socket) -> AsyncIterator[System]:
    """The front is visited; it knows the back."""
    behind = socket.create_server(("127.0.0.1", 0))
    book: dict[str, Endpoint] = {"back": behind.getsockname()}
    front = System("front", TcpTransport(key=KEY.encode(), listen=(listener,), book=book), metrics=True, log=Quiet())
    back = System("back", TcpTransport(key=KEY.encode(), listen=(behind,)), log=Quiet())
    for system in (back, front):
        await system.start()
    back.spawn(Back, "back")
    front.spawn(Front, "front")
    yield front
    for system in (front, back):
        await system.stop()


def where(listener: socket.socket) -> str:
    name = listener.getsockname()
    return f"front@{name}" if isinstance(name, str) else f"front@{name[0]}:{name[1]}"


@pytest.mark.parametrize("place", ["tcp", "unix"])
async def test_actors_of_systems_without_a_cluster_are_shown(
    place: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    listener = listen(place, tmp_path)
    (tmp_path / "key").write_text(KEY + "\n")
    async with two_systems(listener) as front:
        await front.ask(front.ref("front/front"), GreetWatched())
        look = ["top", "--once", "--interval", "50ms", "--system", where(listener), "--key-file", str(tmp_path / "key")]

        assert await asyncio.to_thread(main, look) == 0

    said = capsys.readouterr().out
    assert "2 systems in 1 process, 2 actors" in said
    assert {line.split()[0] for line in said.splitlines() if "/" in line.split(" ")[0]} == {"front/front", "back/back"}


async def test_what_a_request_leads_to_in_them_is_followed(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    listener = listen("tcp", tmp_path)
    monkeypatch.setenv("ACTORKUBE_KEY", KEY)

    async def trace(*words: str) -> str:
        assert await asyncio.to_thread(main, ["trace", *words, "--system", where(listener)]) == 0
        return capsys.readouterr().out

    async with two_systems(listener) as front:
        await front.ask(front.ref("front/front"), GreetWatched())  # so they are linked
        assert await asyncio.to_thread(main, ["trace", "list", "--system", where(listener)]) == 1
        assert "nothing was followed" in capsys.readouterr().err
        assert "2 systems begin a trace" in await trace("on")
        await front.ask(front.ref("front/front"), GreetWatched())

        listed = (await trace("list")).splitlines()
        shown = (await trace("show", listed[0].split()[0])).splitlines()
        await trace("export", str(tmp_path / "spans.json"))

    assert [line.split()[4] for line in shown] == ["front/front", "back/back"]
    assert "GreetWatched" in shown[1]
    assert json.loads((tmp_path / "spans.json").read_text())["resourceSpans"]


@pytest.mark.parametrize(
    ("arguments", "key", "told"),
    [
        (["--system", "front@127.0.0.1:1"], "", "visited with their key; say it in ACTORKUBE_KEY"),
        (["--system", "front@127.0.0.1:1", "--key-file", "/nowhere"], "", "cannot read /nowhere"),
        (["--system", "front@127.0.0.1:1"], KEY, "the link to front ended: cannot connect to"),
        (["--system", "front@HERE"], "other", "does not know the cluster's key"),
        (["--system", "other@HERE"], KEY, "front answers where other was expected"),
    ],
)
async def test_whoever_visits_in_vain_is_told_why(
    arguments: list[str],
    key: str,
    told: str,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    listener = listen("tcp", tmp_path)
    monkeypatch.setenv("ACTORKUBE_KEY", key)
    async with two_systems(listener):
        here = where(listener).partition("@")[2]

        assert await asyncio.to_thread(main, ["top", *(word.replace("HERE", here) for word in arguments)]) == 1

    error = capsys.readouterr().err
    assert told in error
    assert error.count("\n") == 1


@pytest.mark.parametrize("place", ["front", "front@", "@h:1", "front@host", "front@h:123456"])
def test_what_is_no_place_is_a_wrong_command_line(place: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["top", "--system", place])

    assert "is not NAME@HOST:PORT" in capsys.readouterr().err


def test_what_needs_an_api_server_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["trace", "why", "pod/web", "--system", "front@127.0.0.1:1"]) == 1

    assert "trace why asks an API server" in capsys.readouterr().err
