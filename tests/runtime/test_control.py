"""The control socket: one line a request, one line an answer, nonsense refused, nobody else let in."""

from __future__ import annotations

import asyncio
import json
import re
import socket
import stat
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from actorkube.runtime import Actor, System
from actorkube.runtime.clock_loop import ClockLoop
from actorkube.runtime.control import Control, stamp
from actorkube.runtime.control_socket import REQUEST_BYTES_MAX, ControlError, ask_control, serve_control
from actorkube.runtime.host import Host
from actorkube.runtime.hosts import LocalHosts
from actorkube.runtime.local import LocalNetwork
from actorkube.runtime.log import Quiet
from protocols.message import Message

EPOCH = 1_764_300_000.0  # 2025-11-28T03:20:00Z


class ChimeDue(Message):
    pass


class Bell(Actor):
    async def on_start(self) -> None:
        self.ctx.every(60.0, ChimeDue())

    def receive(self, message: Message) -> None:
        return


async def boot(system: System) -> str:
    system.spawn(Bell, "bell")
    return ""


def controlled(path: Path, talk: Callable[[Path], list[str]]) -> list[str]:
    """What the user hears who talks to two towers, from a thread, as another process would."""
    network = LocalNetwork()
    hosts = LocalHosts(
        [Host("tower-1", "", boot), Host("tower-2", "", boot)],
        lambda host: System(host.name, network.transport(), log=Quiet()),
        network=network,
    )
    loop = ClockLoop(EPOCH)
    loop.pause()

    async def main() -> list[str]:
        hosts.start()
        await hosts.ready()
        async with serve_control(Control(loop, hosts), path):
            with ThreadPoolExecutor(1) as thread:  # not one of the loop's: such a job holds the clock
                heard = await asyncio.wrap_future(thread.submit(talk, path))
        await hosts.stop()
        return heard

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        return runner.run(main())


def all_of(*requests: dict[str, Any]) -> Callable[[Path], list[str]]:
    return lambda path: [ask_control(path, request) for request in requests]


def test_every_request_is_answered_with_the_new_time_and_what_was_due(tmp_path: Path) -> None:
    heard = controlled(
        tmp_path / "control.sock",
        all_of(
            {"do": "show"},
            {"do": "step"},
            {"do": "advance", "seconds": 300},
            {"do": "settle"},
            {"do": "run", "rate": 10},
            {"do": "pause"},
        ),
    )

    took = re.compile(r" in [\d.]+m?s ")
    assert [took.sub(" in # ", line) for line in heard[:4]] == [
        "2025-11-28T03:20:00.000Z  paused  next in 1m0s: tower-1/bell ChimeDue",
        "2025-11-28T03:21:00.000Z  paused  +1m0s in #  due: tower-1/bell ChimeDue, tower-2/bell ChimeDue",
        "2025-11-28T03:26:00.000Z  paused  +5m0s in #  due: "
        "tower-1/bell ChimeDue 5 times, tower-2/bell ChimeDue 5 times",
        "2025-11-28T03:26:00.000Z  paused  next in 1m0s: tower-1/bell ChimeDue; settled",
    ]
    assert "  runs at x10  " in heard[4]
    assert "  paused  " in heard[5]


def test_hosts_are_listed_killed_and_started(tmp_path: Path) -> None:
    listed = {"do": "hosts"}
    heard = controlled(
        tmp_path / "control.sock",
        all_of({"do": "kill", "name": "tower-2"}, listed, {"do": "start", "name": "tower"}, listed),
    )

    assert heard == [
        "2025-11-28T03:20:00.000Z  killed tower-2",
        "tower-1  tower-2 (down)",
        "2025-11-28T03:20:00.000Z  starts tower-1, tower-2",
        "tower-1  tower-2",
    ]


def test_hosts_are_cut_off_and_their_clocks_set_until_that_is_healed(tmp_path: Path) -> None:
    heard = controlled(
        tmp_path / "control.sock",
        all_of(
            {"do": "partition", "one": "tower-1", "other": "tower-2", "both_ways": False},
            {"do": "partition", "one": "tower-2", "other": "", "both_ways": True},
            {"do": "skew", "name": "tower", "seconds": -90},
            {"do": "heal"},
        ),
    )

    assert [line.partition("  ")[2] for line in heard] == [
        "tower-1 is not heard by tower-2",
        "tower-2 is cut off from everybody else",
        "the clock of tower is 1m30s behind",
        "healed",
    ]


@pytest.mark.parametrize(
    ("request_", "refusal"),
    [
        ({"do": "make tea"}, "nobody knows how to 'make tea'"),
        ({}, "nobody knows how to None"),
        ({"do": "advance", "seconds": -1}, "not a number of seconds"),
        ({"do": "advance", "seconds": "soon"}, "could not convert"),
        ({"do": "advance"}, "seconds"),
        ({"do": "run", "rate": 1e9}, "times real time"),
        ({"do": "kill", "name": "bridge"}, "there is no host bridge; there are tower-1, tower-2"),
        ({"do": "partition", "one": "bridge", "other": "", "both_ways": True}, "there is no host bridge"),
        ({"do": "skew", "name": "tower-1", "seconds": "soon"}, "could not convert"),
        ({"do": "partition", "one": "tower-1"}, "other"),
    ],
)
def test_what_makes_no_sense_is_refused_in_a_sentence(tmp_path: Path, request_: dict[str, Any], refusal: str) -> None:
    def talk(path: Path) -> list[str]:
        with pytest.raises(ControlError, match=refusal):
            ask_control(path, request_)
        return [ask_control(path, {"do": "show"})]

    assert "2025-11-28T03:20:00.000Z" in controlled(tmp_path / "control.sock", talk)[0]


@pytest.mark.parametrize("raw", [b"\n", b"[]\n", b"{\n", b"\xff\xfe\n", b"x" * (2 * REQUEST_BYTES_MAX) + b"\n", b""])
def test_garbage_harms_nobody(tmp_path: Path, raw: bytes) -> None:
    def talk(path: Path) -> list[str]:
        with socket.socket(socket.AF_UNIX) as stranger:
            stranger.connect(str(path))
            stranger.sendall(raw)
            stranger.shutdown(socket.SHUT_WR)
            with stranger.makefile("rb") as lines:
                assert "error" in json.loads(lines.readline())
        return [ask_control(path, {"do": "show"})]

    assert controlled(tmp_path / "control.sock", talk)


def test_only_its_owner_may_open_it_and_it_is_gone_at_the_end(tmp_path: Path) -> None:
    path = tmp_path / "control.sock"
    path.write_text("left behind")

    modes = controlled(path, lambda path: [oct(stat.S_IMODE(path.stat().st_mode))])

    assert modes == ["0o600"]
    with pytest.raises(ControlError, match="no cluster with a clock of its own runs there"):
        ask_control(path, {"do": "show"})


def test_a_data_directory_may_be_deep(tmp_path: Path) -> None:
    deep = tmp_path / ("deep" * 30) / ("down" * 30)
    deep.mkdir(parents=True)

    assert controlled(deep / "control.sock", all_of({"do": "hosts"})) == ["tower-1  tower-2"]


def test_a_time_is_written_as_objects_carry_it() -> None:
    assert stamp(EPOCH + 0.0834) == "2025-11-28T03:20:00.083Z"
