"""A private socket through which the user of a running cluster controls its clock and its hosts.

One request a connection, one JSON object a line: `{"do": "advance", "seconds": 300}` is answered by `{"ok": LINE}` or
`{"error": SENTENCE}`. The socket is a file that only its owner may open.
"""

from __future__ import annotations

import asyncio
import contextlib
import datetime
import json
import os
import socket
import sys
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any

from actorkube.runtime.clock_loop import ClockLoop, Passed
from actorkube.runtime.duration import format_duration, in_seconds
from actorkube.runtime.hosts import LocalHosts
from actorkube.runtime.settled import NotSettled, settled

REQUEST_BYTES_MAX = 4096
REQUEST_WITHIN_S = 5.0
OWNERS_NAMED = 3
SOCKET_PATH_MAX = 100  # of some 107 bytes that an address of a socket may have


class ControlError(Exception):
    """The other side refused, or there is nobody; the message is a sentence for people."""


# -- the side of the cluster ------------------------------------------------------------------------------------------


class Control:
    """Answers requests about the loop that it runs on; `after` is called after each."""

    def __init__(self, loop: ClockLoop, hosts: LocalHosts, after: Callable[[], None] = lambda: None) -> None:
        self._loop = loop
        self._hosts = hosts
        self._after = after

    async def answer(self, request: dict[str, Any]) -> str:
        """One line for people. Raises KeyError, TypeError, ValueError for nonsense, and NotSettled."""
        try:
            return await self._answer(request)
        finally:
            self._after()

    async def _answer(self, request: dict[str, Any]) -> str:
        loop, hosts = self._loop, self._hosts
        match request.get("do"):
            case "show":
                return self._now()
            case "pause":
                loop.pause()
                return self._now()
            case "run":
                loop.run_at(float(request["rate"]))
                return self._now()
            case "step":
                return await self._moved(loop.step())
            case "advance":
                return await self._moved(loop.advance(in_seconds(float(request["seconds"]))))
            case "settle":
                await settled(lambda: hosts.systems)
                return f"{self._now()}; settled"
            case "kill":
                names = hosts.named(str(request["name"]))
                await hosts.kill(*names)
                return f"{stamp(loop.wall)}  killed {', '.join(names)}"
            case "start":
                names = hosts.named(str(request["name"]))
                hosts.start(*names)
                return f"{stamp(loop.wall)}  starts {', '.join(names)}"
            case "hosts":
                return "  ".join(name if hosts.is_up(name) else f"{name} (down)" for name in hosts.names)
        raise ValueError(f"nobody knows how to {request.get('do')!r}")

    def _now(self) -> str:
        loop = self._loop
        state = "paused" if loop.clock.paused else f"runs at x{loop.clock.rate:g}"
        due = loop.next_due()
        coming = f"next in {format_duration(due[0])}: {due[1]}" if due else "no timer is set"
        return f"{stamp(loop.wall)}  {state}  {coming}"

    async def _moved(self, move: Awaitable[Passed]) -> str:
        began = time.monotonic()
        passed = await move
        took = format_duration(time.monotonic() - began)
        state = "paused" if self._loop.clock.paused else f"runs at x{self._loop.clock.rate:g}"
        return f"{stamp(self._loop.wall)}  {state}  +{format_duration(passed.seconds)} in {took}  due: {_due(passed)}"


def _due(passed: Passed) -> str:
    """The busiest first."""
    if not passed.fired:
        return "nothing"
    owners = [f"{owner} {count} times" if count > 1 else owner for owner, count in passed.fired.items()]
    more = len(owners) - OWNERS_NAMED
    return ", ".join(owners[:OWNERS_NAMED]) + (f" and {more} more" if more > 0 else "")


def stamp(wall: float) -> str:
    """As objects of the API carry it, with milliseconds: 2026-11-28T10:12:00.083Z."""
    return datetime.datetime.fromtimestamp(wall, datetime.UTC).isoformat(timespec="milliseconds")[:-6] + "Z"


@contextlib.asynccontextmanager
async def serve_control(control: Control, path: Path) -> AsyncIterator[None]:
    """Listen there until the block ends. A file that an earlier life left behind is replaced."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            writer.write(json.dumps(await _reply(control, reader)).encode() + b"\n")
            await writer.drain()
        writer.close()

    server = await asyncio.start_unix_server(connected, sock=_listen(path), limit=REQUEST_BYTES_MAX)
    try:
        yield
    finally:
        server.close()
        _unlink(path)


def _listen(path: Path) -> socket.socket:
    _unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    with _short(path) as address:
        listener.bind(address)
        os.chmod(address, 0o600)
    return listener


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _reply(control: Control, reader: asyncio.StreamReader) -> dict[str, str]:
    try:
        request = json.loads(await reader.readline())
        if not isinstance(request, dict):
            raise TypeError("a request is a JSON object")
        return {"ok": await control.answer(request)}
    except KeyError as error:
        return {"error": str(error.args[0])}
    except (ValueError, TypeError, NotSettled) as error:  # of JSON and of a line too long, too
        return {"error": str(error)}


# -- the side of the user ---------------------------------------------------------------------------------------------


def ask_control(path: Path, request: dict[str, Any]) -> str:
    """The answer, however long it takes (an advance of days takes its time). Raises ControlError."""
    try:
        with _short(path) as address, socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(REQUEST_WITHIN_S)
            connection.connect(address)
            connection.sendall(json.dumps(request).encode() + b"\n")
            connection.settimeout(None)
            with connection.makefile("rb") as lines:
                reply = json.loads(lines.readline() or b'{"error": "the cluster ended meanwhile"}')
    except (FileNotFoundError, ConnectionRefusedError):
        raise ControlError("no cluster with a clock of its own runs there") from None
    except (OSError, ValueError) as error:
        raise ControlError(f"the cluster does not answer: {error}") from None
    if "error" in reply:
        raise ControlError(str(reply["error"]))
    return str(reply["ok"])


@contextlib.contextmanager
def _short(path: Path) -> Iterator[str]:
    """A name of the file that fits into a socket's address, while the block lasts."""
    if len(os.fsencode(path)) <= SOCKET_PATH_MAX or sys.platform != "linux":
        yield str(path)
        return
    directory = os.open(path.parent, os.O_PATH | os.O_DIRECTORY)
    try:
        yield f"/proc/self/fd/{directory}/{path.name}"
    finally:
        os.close(directory)
