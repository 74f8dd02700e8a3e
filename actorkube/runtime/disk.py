"""Disks: what is written is durable only when `sync` or `replace` has returned.

Reading and listing happen at start, so they may block; appending only hands bytes to the operating system; the calls
that wait for the medium are coroutines, run in a thread.
"""

from __future__ import annotations

import asyncio
import errno
import fcntl
import os
import time
from pathlib import Path
from typing import Protocol

QUICK_S = 0.005  # a sync that usually takes less is not worth a thread, which costs two switches and a wake-up
SLOW_S = 0.010
SMALL_BYTES = 1 << 20  # so many bytes at most are synced without a thread
LOCK = "lock"
STEP = 0.1  # by so much of itself what is usual follows each sync


class DiskFull(OSError):
    """No space left; nothing of the call's data may be relied on."""


class DiskInUse(OSError):
    """Another process, or another life of the actor, works with the directory."""


class Disk(Protocol):
    """A flat directory of files."""

    def lock(self) -> None:
        """From now on it is this actor's alone. Raises DiskInUse, or an OSError where it cannot be written."""

    def free_bytes(self) -> int:
        """How much can still be written, about."""

    def list(self) -> list[str]:
        """Names, sorted."""

    def read(self, name: str) -> bytes:
        """The whole file. FileNotFoundError if there is none."""

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        """A part of the file; less at its end. FileNotFoundError if there is none."""

    def append(self, name: str, data: bytes) -> None:
        """Write at the end, creating the file; may vanish or tear at a crash until `sync` returns."""

    def reserve(self, name: str, size: int) -> None:
        """Make the file that long at least, with zeros behind what was appended: appends go into them, and a sync of
        such an append need not wait for a new size of the file as well. Until then, and after a crash, the zeros are
        part of what is read. Raises DiskFull, and has changed nothing."""

    def truncate(self, name: str, size: int) -> None:
        """The next append goes to there. Nothing that was reserved is left."""

    def remove(self, name: str) -> None: ...

    async def sync(self, name: str) -> None:
        """Make all that was appended to the file (and its name) durable. An OSError means nothing is known."""

    async def replace(self, name: str, data: bytes) -> None:
        """Write beside, sync, rename over, sync the directory: after a crash it is the old file or the new one."""

    async def rename(self, name: str, new: str) -> None:
        """Give a file that is synced another name, durably: after a crash it has the one or the other."""


class OpenFile:
    __slots__ = ("end", "fd", "named", "size", "unsynced")

    def __init__(self, fd: int) -> None:
        self.fd = fd
        self.size = os.fstat(fd).st_size
        self.end = self.size  # where the next append goes: behind it, zeros are reserved
        self.unsynced = 0  # how many bytes
        self.named = False  # its directory entry is durable


class FileDisk:
    """A directory of the real file system."""

    def __init__(self, root: Path) -> None:
        self._root = root
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._lock = -1
        self._files: dict[str, OpenFile] = {}
        self._usual_s = SLOW_S  # what the sync of a small append takes: not known yet

    def list(self) -> list[str]:
        names = [p.name for p in self._root.iterdir() if p.is_file() and not p.name.endswith(".tmp")]
        return sorted([name for name in names if name != LOCK])

    def lock(self) -> None:
        path = self._root / LOCK
        try:
            fd = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise OSError(error.errno, f"the directory {self._root} cannot be written: {error.strerror}") from error
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            owner = os.pread(fd, 32, 0).decode(errors="replace").strip() or "unknown"
            os.close(fd)
            raise DiskInUse(errno.EBUSY, f"the directory {self._root} is in use by process {owner}") from None
        self._lock = fd
        try:
            os.ftruncate(fd, 0)
            os.pwrite(fd, f"{os.getpid()}\n".encode(), 0)
        except OSError:
            pass  # the disk is full: it is locked all the same, and only the number is missing

    def free_bytes(self) -> int:
        found = os.statvfs(self._root)
        return found.f_bavail * found.f_frsize

    def read(self, name: str) -> bytes:
        return (self._root / name).read_bytes()

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        with open(self._root / name, "rb") as file:
            file.seek(offset)
            return file.read(size)

    def append(self, name: str, data: bytes) -> None:
        file = self._open(name)
        file.end = self._write(file, data, file.end)

    def reserve(self, name: str, size: int) -> None:
        file = self._open(name)
        before = file.size
        if size > before:
            try:
                self._write(file, bytes(size - before), before)
            except DiskFull:
                os.ftruncate(file.fd, before)
                file.size = before
                raise

    def truncate(self, name: str, size: int) -> None:
        file = self._open(name)
        os.ftruncate(file.fd, size)
        file.end = file.size = size

    def remove(self, name: str) -> None:
        self._close(name)
        (self._root / name).unlink(missing_ok=True)

    async def sync(self, name: str) -> None:
        file = self._open(name)
        size, file.unsynced = file.unsynced, 0
        if self._usual_s < QUICK_S and size <= SMALL_BYTES:
            self._sync(file, size)
        else:
            await asyncio.get_running_loop().run_in_executor(None, self._sync, file, size)

    async def replace(self, name: str, data: bytes) -> None:
        self._close(name)
        await asyncio.get_running_loop().run_in_executor(None, self._replace, name, data)

    async def rename(self, name: str, new: str) -> None:
        self._close(name)
        self._close(new)
        await asyncio.get_running_loop().run_in_executor(None, self._rename, name, new)

    def close(self) -> None:
        for name in list(self._files):
            self._close(name)
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _open(self, name: str) -> OpenFile:
        file = self._files.get(name)
        if file is None:
            fd = os.open(self._root / name, os.O_CREAT | os.O_WRONLY | os.O_CLOEXEC, 0o600)
            file = self._files[name] = OpenFile(fd)
        return file

    def _close(self, name: str) -> None:
        file = self._files.pop(name, None)
        if file is not None:
            os.close(file.fd)

    def _write(self, file: OpenFile, data: bytes, offset: int) -> int:
        """Returns where it ends."""
        file.unsynced += len(data)
        view = memoryview(data)
        while view:
            try:
                count = os.pwrite(file.fd, view, offset)
            except OSError as error:
                raise _named(error) from error
            view = view[count:]
            offset += count
            file.size = max(file.size, offset)
        return offset

    def _sync(self, file: OpenFile, size: int) -> None:
        began = time.monotonic()
        try:
            os.fdatasync(file.fd) if hasattr(os, "fdatasync") else os.fsync(file.fd)
        except OSError as error:
            raise _named(error) from error
        if size <= SMALL_BYTES:
            # About the median: one sync that waited for another, or for a processor, says little about the disk.
            self._usual_s *= 1 + STEP if time.monotonic() - began > self._usual_s else 1 - STEP
        if not file.named:
            self._sync_directory()
            file.named = True

    def _replace(self, name: str, data: bytes) -> None:
        write_whole(self._root / name, data)

    def _rename(self, name: str, new: str) -> None:
        (self._root / name).rename(self._root / new)
        self._sync_directory()

    def _sync_directory(self) -> None:
        sync_directory(self._root)


def write_whole(path: Path, data: bytes) -> None:
    """Beside, synced and renamed, and so is the name: it is there whole, or not at all. Raises OSError, DiskFull."""
    beside = path.with_name(f"{path.name}.tmp")
    try:
        fd = os.open(beside, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "wb") as file:
            file.write(data)
            file.flush()
            os.fsync(fd)
    except OSError as error:
        beside.unlink(missing_ok=True)
        raise _named(error) from error
    beside.rename(path)
    sync_directory(path.parent)


def sync_directory(path: Path) -> None:
    """The names in it are durable."""
    fd = os.open(path, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


class FileDisks:
    """The disks of a system's actors, each a directory below one."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._disks: dict[str, FileDisk] = {}

    def __call__(self, actor: str) -> FileDisk:
        """For a new life of the actor: what the one before had open is closed."""
        if actor in self._disks:
            self._disks[actor].close()
        disk = self._disks[actor] = FileDisk(self._root / actor)
        return disk

    def close(self) -> None:
        for disk in self._disks.values():
            disk.close()


def _named(error: OSError) -> OSError:
    return DiskFull(error.errno, error.strerror) if error.errno == errno.ENOSPC else error
