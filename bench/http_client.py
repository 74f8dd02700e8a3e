"""An HTTP client that costs next to nothing, so that what is measured is the server: it reads answers and does not
look at them, beyond their status and where they end. One request at a time on one connection.
"""

from __future__ import annotations

import asyncio
import re
from typing import cast

import orjson

_LENGTH = re.compile(rb"\r\ncontent-length: *(\d+)", re.IGNORECASE)
_CHUNKED = re.compile(rb"\r\ntransfer-encoding: *chunked", re.IGNORECASE)
_LAST_CHUNK = b"\r\n0\r\n\r\n"


class Refused(RuntimeError):
    """The server answered, but not with success."""


class Connection(asyncio.Protocol):
    """To `host`, as HTTP names it; each request carries these headers."""

    def __init__(self, host: str, headers: dict[str, str]) -> None:
        lines = {"Host": host, "Accept": "application/json", "User-Agent": "bench", **headers}
        self._headers = "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._pieces: list[bytes] = []
        self._answered: asyncio.Future[int] | None = None
        self._missing: int | None = None  # bytes of the body; None: not known, or chunked
        self._chunked = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = cast(asyncio.Transport, transport)

    def close(self) -> None:
        self._transport.close()

    async def send(self, method: str, path: str, body: object = None, content_type: str = "application/json") -> int:
        """The bytes of the answer's body as they came. Raises Refused."""
        encoded = b"" if body is None else orjson.dumps(body)
        described = f"Content-Type: {content_type}\r\nContent-Length: {len(encoded)}\r\n" if encoded else ""
        self._answered = asyncio.get_running_loop().create_future()
        self._pieces, self._missing, self._chunked = [], None, False
        self._transport.write(f"{method} {path} HTTP/1.1\r\n{self._headers}{described}\r\n".encode() + encoded)
        size = await self._answered
        if self._pieces[0][9:10] != b"2":
            raise Refused(f"{method} {path}: {b''.join(self._pieces)[:600]!r}")
        return size

    def data_received(self, data: bytes) -> None:
        self._pieces.append(data)
        if self._missing is not None:
            self._missing -= len(data)
        elif not self._chunked:
            self._read_head()
        if self._missing == 0 or (self._chunked and self._tail() == _LAST_CHUNK):
            assert self._answered is not None
            self._answered.set_result(sum(map(len, self._pieces)))

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(exc or ConnectionResetError("the server closed the connection"))

    def _read_head(self) -> None:
        head, end, rest = b"".join(self._pieces).partition(b"\r\n\r\n")
        if not end:
            return
        if length := _LENGTH.search(head):
            self._missing = int(length[1]) - len(rest)
        else:
            self._chunked = _CHUNKED.search(head) is not None
            self._missing = None if self._chunked else 0

    def _tail(self) -> bytes:
        last = self._pieces[-1][-len(_LAST_CHUNK) :]
        if len(last) < len(_LAST_CHUNK):
            last = b"".join(self._pieces[-8:])[-len(_LAST_CHUNK) :]
        return last
