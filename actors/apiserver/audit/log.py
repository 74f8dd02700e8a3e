"""The file of the audit log: one JSON object a line, written by a thread, replaced when it has grown to its bound.

What waits to be written is bounded: when the disk is too slow, events are dropped, counted, and that is logged;
requests never wait for it (kube-apiserver's `--audit-log-mode=batch`).
"""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from typing import NamedTuple

import orjson

from actorkube.runtime import Context
from protocols.objects import Object

WAITING_MAX = 10_000
_PER_WRITE = 500


class LogFile(NamedTuple):
    """`bytes_max` of one file, and how many older ones are kept beside it (0: all of them)."""

    path: Path
    bytes_max: int = 100 * 1024 * 1024
    backups: int = 10


class AuditLog:
    def __init__(self, ctx: Context, file: LogFile) -> None:
        self.dropped = 0
        self._ctx = ctx
        self._file = file
        self._waiting: list[Object] = []
        self._news = asyncio.Event()

    def write(self, event: Object) -> None:
        if len(self._waiting) >= WAITING_MAX:
            if not self.dropped:
                self._ctx.log.warning("audit events are dropped: the disk does not keep up", path=str(self._file.path))
            self.dropped += 1
            return
        self._waiting.append(event)
        self._news.set()

    async def run(self) -> None:
        """Until it is cancelled; what waits then is written all the same."""
        try:
            while True:
                await self._news.wait()
                self._news.clear()
                while self._waiting:
                    some, self._waiting = self._waiting[:_PER_WRITE], self._waiting[_PER_WRITE:]
                    await self._write(some)
        finally:
            if self._waiting:
                append(self._file, self._waiting, self._ctx.now)

    async def _write(self, events: Sequence[Object]) -> None:
        loop, now = asyncio.get_running_loop(), self._ctx.now
        try:
            await asyncio.shield(loop.run_in_executor(None, append, self._file, events, now))
        except OSError as error:
            self.dropped += len(events)
            self._ctx.log.error("audit events cannot be written", path=str(self._file.path), error=str(error))


def append(file: LogFile, events: Sequence[Object], now: float) -> None:
    """Raises OSError. A file never grows beyond its bound, unless one event alone is larger."""
    size = file.path.stat().st_size if file.path.exists() else 0
    batch: list[bytes] = []
    for line in (orjson.dumps(event, option=orjson.OPT_APPEND_NEWLINE) for event in events):
        if size and size + len(line) > file.bytes_max:
            _append_bytes(file.path, b"".join(batch))
            _rotate(file, now)
            batch, size = [], 0
        batch.append(line)
        size += len(line)
    _append_bytes(file.path, b"".join(batch))


def _append_bytes(path: Path, data: bytes) -> None:
    descriptor = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_APPEND, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(data)


def _rotate(file: LogFile, now: float) -> None:
    """audit.log becomes audit-2026-11-28T19-20-52.423418-0000.log; the oldest beyond what is kept go."""
    stamp = datetime.fromtimestamp(now, UTC).strftime("%Y-%m-%dT%H-%M-%S.%f")
    path = file.path
    names = (path.parent / f"{path.stem}-{stamp}-{number:04}{path.suffix}" for number in count())
    path.rename(next(name for name in names if not name.exists()))
    if file.backups:
        older = sorted(path.parent.glob(f"{path.stem}-*{path.suffix}"))
        for each in older[: -file.backups]:
            each.unlink()
