"""The CRI log format: `2026-01-01T00:00:00.000000000Z stdout F text`, where P in place of F means "no newline yet".

Every byte a container writes ends up in exactly one line; a line longer than 16 KiB is cut into P pieces.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from typing import Literal, NamedTuple

LINE_BYTES_MAX = 16 * 1024

OutputName = Literal["stdout", "stderr"]


class LogWriter:
    """One output of one container: bytes in, CRI lines out; the rest of an unfinished line is kept."""

    __slots__ = ("_name", "_rest")

    def __init__(self, name: OutputName) -> None:
        self._name = name
        self._rest = b""

    def feed(self, data: bytes, now: float) -> bytes:
        *lines, self._rest = (self._rest + data).split(b"\n")
        full, partial = self._prefixes(now)
        pieces: list[bytes] = []
        for line in lines:
            while len(line) > LINE_BYTES_MAX:
                pieces += (partial, line[:LINE_BYTES_MAX], b"\n")
                line = line[LINE_BYTES_MAX:]
            pieces += (full, line, b"\n")
        while len(self._rest) > LINE_BYTES_MAX:
            pieces += (partial, self._rest[:LINE_BYTES_MAX], b"\n")
            self._rest = self._rest[LINE_BYTES_MAX:]
        return b"".join(pieces)

    def finish(self, now: float) -> bytes:
        """The output has ended: what was not ended by a newline is a line all the same."""
        rest, self._rest = self._rest, b""
        return self._prefixes(now)[0] + rest + b"\n" if rest else b""

    def _prefixes(self, now: float) -> tuple[bytes, bytes]:
        start = f"{log_time(now)} {self._name} "
        return f"{start}F ".encode(), f"{start}P ".encode()


class LogLine(NamedTuple):
    time: str
    output: str
    full: bool
    text: bytes

    def render(self, timestamps: bool) -> bytes:
        text = self.text + b"\n" if self.full else self.text
        return self.time.encode() + b" " + text if timestamps else text


def parse_line(line: bytes) -> LogLine | None:
    """None for what is no CRI line: a torn one at the start of a file that was cut."""
    parts = line.split(b" ", 3)
    if len(parts) != 4 or parts[2] not in (b"F", b"P"):
        return None
    return LogLine(parts[0].decode("ascii", "replace"), parts[1].decode("ascii", "replace"), parts[2] == b"F", parts[3])


class LogSelection:
    """What a reader asked for, applied to CRI lines as they come: since, timestamps, at most so many bytes."""

    def __init__(self, since: float, timestamps: bool, limit_bytes: int) -> None:
        self._since = log_time(since) if since >= 0 else ""
        self._timestamps = timestamps
        self._left = limit_bytes if limit_bytes >= 0 else -1
        self._torn = b""

    @property
    def exhausted(self) -> bool:
        return self._left == 0

    def feed(self, data: bytes) -> bytes:
        *lines, self._torn = (self._torn + data).split(b"\n")
        rendered = b"".join(self._render(lines))
        if self._left >= 0:
            rendered = rendered[: self._left]
            self._left -= len(rendered)
        return rendered

    def _render(self, lines: list[bytes]) -> Iterator[bytes]:
        for line in lines:
            parsed = parse_line(line)
            if parsed is not None and parsed.time >= self._since:
                yield parsed.render(self._timestamps)


def log_time(now: float) -> str:
    """RFC 3339 with nine digits; so all times have one length, and compare as text."""
    moment = datetime.datetime.fromtimestamp(now, datetime.UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.%f") + "000Z"
