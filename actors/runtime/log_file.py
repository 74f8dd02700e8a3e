"""A container's log on disk: two files of bounded size, read by position while it is being written.

A position counts bytes since the log began, so a follower needs no file handle and no rotation can confuse it; what was
rotated away is skipped.
"""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

BYTES_MAX = 10 * 1024 * 1024
_BLOCK = 64 * 1024


class LogFile:
    """`append` rotates at half of `bytes_max`: the newest half at least is always kept."""

    def __init__(self, path: Path, bytes_max: int = BYTES_MAX) -> None:
        self.path = path
        self.ended = False
        self._old = path.with_suffix(".log.1")
        self._half = bytes_max // 2
        self._old_size = _size(self._old)
        self._size = _size(path)
        self._rotated = 0  # bytes in files that are gone
        self._fd: int | None = None
        self._changed: asyncio.Future[None] | None = None

    @property
    def end(self) -> int:
        return self._rotated + self._old_size + self._size

    def append(self, data: bytes) -> None:
        if not data:
            return
        if self._size and self._size + len(data) > self._half:
            self._rotate()
        if self._fd is None:
            self._fd = os.open(self.path, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        view = memoryview(data)
        while view:
            view = view[os.write(self._fd, view) :]
        self._size += len(data)
        self._wake()

    def finish(self) -> None:
        """Nothing will be appended any more: followers reach the end."""
        self.ended = True
        self._close()
        self._wake()

    async def changed(self) -> None:
        """Return at the next append, or when the log is finished."""
        if self.ended:
            return
        if self._changed is None:
            self._changed = asyncio.get_running_loop().create_future()
        await asyncio.shield(self._changed)

    def read(self, position: int, size_max: int = _BLOCK) -> tuple[bytes, int]:
        """Bytes at `position` or at the oldest that is kept, and the position after them."""
        position = max(position, self._rotated)
        start, path = self._rotated, self._old
        if position >= self._rotated + self._old_size:
            start, path = self._rotated + self._old_size, self.path
        data = _read(path, position - start, size_max)
        return data, position + len(data)

    def tail(self, lines: int) -> int:
        """The position at which the last `lines` lines begin."""
        position, wanted = self.end, lines + 1  # the newline before the first of them
        while position > self._rotated and lines > 0:
            start = max(position - _BLOCK, self._rotated, 0)
            boundary = self._rotated + self._old_size
            if start < boundary < position:
                start = boundary
            block, _ = self.read(start, position - start)
            wanted -= block.count(b"\n")
            if wanted <= 0:
                return start + _after_newline(block, -wanted)
            position = start
        return position if lines > 0 else self.end

    def _rotate(self) -> None:
        self._close()
        self.path.replace(self._old)
        self._rotated += self._old_size
        self._old_size, self._size = self._size, 0

    def _close(self) -> None:
        if self._fd is not None:
            os.close(self._fd)
            self._fd = None

    def _wake(self) -> None:
        changed, self._changed = self._changed, None
        if changed is not None and not changed.done():
            changed.set_result(None)


def _after_newline(block: bytes, skip: int) -> int:
    """The offset after newline number `skip` (from 0)."""
    offset = block.index(b"\n") + 1
    for _ in range(skip):
        offset = block.index(b"\n", offset) + 1
    return offset


def _size(path: Path) -> int:
    try:
        return path.stat().st_size
    except FileNotFoundError:
        return 0


def _read(path: Path, offset: int, size: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(offset)
            return file.read(size)
    except FileNotFoundError:
        return b""
