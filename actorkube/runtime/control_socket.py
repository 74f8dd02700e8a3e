"""A private socket through which the user of a running cluster controls it: who listens, and who asks.

One request a connection, one JSON object a line: `{"do": "advance", "seconds": 300}` is answered by `{"ok": LINE}` or
`{"error": SENTENCE}`. The socket is a file that only its owner may open.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import socket
import sys
from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any, Protocol

from actorkube.runtime.settled import NotSettled

REQUEST_BYTES_MAX = 4096
REQUEST_WITHIN_S = 5.0
SOCKET_PATH_MAX = 100  # of some 107 bytes that an address of a socket may have


class ControlError(Exception):
    """The other side refused, or there is nobody; the message is a sentence for people."""


class NoReply(ControlError):
    """It was told, but has not answered in time: it may be stopped."""


# -- the side of the cluster ------------------------------------------------------------------------------------------


class Answers(Protocol):
    async def answer(self, request: dict[str, Any]) -> str:
        """One line for people. Raises KeyError, TypeError, ValueError for nonsense, and NotSettled."""


@contextlib.asynccontextmanager
async def serve_control(control: Answers, path: Path) -> AsyncIterator[None]:
    """Listen there until the block ends. A file that an earlier life left behind is replaced."""
    async with serve_on(control, _listen(path)):
        try:
            yield
        finally:
            _unlink(path)


@contextlib.asynccontextmanager
async def serve_on(control: Answers, listener: socket.socket) -> AsyncIterator[None]:
    """Answer who calls there, until the block ends. Its file stays: it belongs to whoever made it."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.CancelledError):
            writer.write(json.dumps(await _reply(control, reader)).encode() + b"\n")
            await writer.drain()
        writer.close()

    keep: dict[str, Any] = {"cleanup_socket": False} if sys.version_info >= (3, 13) else {}
    server = await asyncio.start_unix_server(connected, sock=listener, limit=REQUEST_BYTES_MAX, **keep)
    try:
        yield
    finally:
        server.close()


def _listen(path: Path) -> socket.socket:
    _unlink(path)
    listener = socket.socket(socket.AF_UNIX)
    with _short(path) as address:
        listener.bind(address)
        os.chmod(address, 0o600)
    return listener


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


async def _reply(control: Answers, reader: asyncio.StreamReader) -> dict[str, str]:
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


def ask_control(path: Path, request: dict[str, Any], within_s: float | None = None) -> str:
    """The answer, however long it takes (an advance of days takes its time), or within so many seconds.

    Raises ControlError; NoReply when the time is up.
    """
    try:
        with _short(path) as address, socket.socket(socket.AF_UNIX) as connection:
            connection.settimeout(REQUEST_WITHIN_S)
            connection.connect(address)
            connection.sendall(json.dumps(request).encode() + b"\n")
            connection.settimeout(within_s)
            with connection.makefile("rb") as lines:
                reply = json.loads(lines.readline() or b'{"error": "the cluster ended meanwhile"}')
    except TimeoutError:
        raise NoReply("no answer came in time") from None
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
