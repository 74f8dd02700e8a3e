"""The simulated disk of one host: what was not synced may vanish or tear at a crash, syncs take time, space ends.

A file is its durable bytes and the operations since; a crash keeps a prefix of the operations, by chance, and may tear
the last append: cut it short, or leave zeros where a sector was not written (where the room was reserved, wherever one
was not). What was reserved is found as zeros. Names are durable apart from contents, as
on a real file system: a new file may vanish, and a removed one come back, until the directory is synced, which
`replace` and the first `sync` of a new file do. Operations take effect in the order in which FileDisk would make them.
"""

from __future__ import annotations

import asyncio
import contextvars
import errno
import random
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass

from actorkube.runtime.disk import DiskFull
from actorkube.sim.loop import SimLoop

SECTOR = 512


@dataclass(frozen=True, slots=True)
class DiskConditions:
    sync_s: tuple[float, float] = (0.0005, 0.002)
    stall: float = 0.0  # chance of a sync to take up to `stall_s` longer
    stall_s: float = 1.0
    sync_error: float = 0.0  # chance of a sync or replace to fail: then nothing is known of it
    capacity_bytes: int = 1 << 30


class Drive:
    """All directories of one host. It outlives the host's crashes."""

    def __init__(self, chance: random.Random, conditions: DiskConditions) -> None:
        self.chance = chance
        self.conditions = conditions
        self.is_full = False  # a fault: no byte more, whatever the capacity
        self.slow_s = 0.0  # a fault: each sync takes so much longer
        self.is_unreadable = False  # a fault: reads fail
        self.used_bytes = 0
        self._directories: dict[str, SimDisk] = {}

    def disk(self, actor: str) -> SimDisk:
        directory = self._directories.get(actor)
        if directory is None:
            directory = self._directories[actor] = SimDisk(self)
        return directory

    def crash(self) -> None:
        for directory in self._directories.values():
            directory.crash()

    def heal(self) -> None:
        """End all faults. What is rotten stays so."""
        self.is_full = self.is_unreadable = False
        self.slow_s = 0.0
        self.conditions = DiskConditions()

    def rot(self, file: str = "") -> str:
        """One bit is no longer what was written, in that file (`actor/name`) or in one by chance: its name, if any."""
        names = [
            f"{actor}/{name}"
            for actor, directory in self._directories.items()
            for name in directory.list()
            if directory._files[name].is_durable and file in ("", f"{actor}/{name}")
        ]
        if not names:
            return ""
        actor, _, name = self.chance.choice(names).partition("/")
        self._directories[actor].rot(name)
        return f"{actor}/{name}"

    def room(self) -> int:
        return 0 if self.is_full else max(0, self.conditions.capacity_bytes - self.used_bytes)

    async def work(self, effect: Callable[[], None]) -> None:
        """Do it when the medium is done, even if the caller has been cancelled by then."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, SimLoop)
        done: asyncio.Future[None] = loop.create_future()
        conditions = self.conditions
        delay = self.chance.uniform(*conditions.sync_s) + self.slow_s
        if conditions.stall and self.chance.random() < conditions.stall:
            delay += self.chance.random() * conditions.stall_s
        fails = conditions.sync_error > 0 and self.chance.random() < conditions.sync_error
        loop.later(delay, self._worked, done, effect, fails, context=contextvars.copy_context())
        await done

    def _worked(self, done: asyncio.Future[None], effect: Callable[[], None], fails: bool) -> None:
        if not fails or self.chance.random() < 0.5:
            effect()
        if done.done():
            return
        if fails:
            done.set_exception(OSError(errno.EIO, "Input/output error"))
        else:
            done.set_result(None)


@dataclass(frozen=True, slots=True)
class Append:
    data: bytes


@dataclass(frozen=True, slots=True)
class Truncate:
    size: int


@dataclass(frozen=True, slots=True)
class Reserve:
    size: int


Operation = Append | Truncate | Reserve


class File:
    def __init__(self, durable: bytes = b"", *, named: bool = False) -> None:
        self.data = bytearray(durable)  # what was written, without the zeros behind it
        self.reserved = 0  # the file is that long at least
        self.named = named  # its directory entry is durable
        self.done = 0  # operations that are durable, counted from the beginning
        self._durable = bytearray(durable)
        self._durably_reserved = 0
        self._pending: deque[Operation] = deque()

    @property
    def size(self) -> int:
        return max(len(self.data), self.reserved)

    @property
    def content(self) -> bytes:
        """As a reader sees it now."""
        return bytes(self.data) + bytes(self.size - len(self.data))

    @property
    def is_durable(self) -> bool:
        return bool(self._durable)

    @property
    def issued(self) -> int:
        return self.done + len(self._pending)

    def do(self, operation: Operation) -> None:
        self.reserved = _applied(self.data, self.reserved, operation)
        self._pending.append(operation)

    def harden(self, upto: int) -> None:
        """Make the operations before number `upto` durable."""
        while self.done < upto:
            self._durably_reserved = _applied(self._durable, self._durably_reserved, self._pending.popleft())
            self.done += 1

    def crash(self, chance: random.Random) -> None:
        self.harden(self.done + chance.choice((0, len(self._pending), chance.randint(0, len(self._pending)))))
        if self._pending and chance.random() < 0.5:
            operation = self._pending[0]
            if isinstance(operation, Append):
                self._durable += self._torn(operation.data, chance)
        self._pending.clear()
        self._durable += bytes(max(0, self._durably_reserved - len(self._durable)))
        self.data = bytearray(self._durable)
        self.reserved = self._durably_reserved = 0

    def _torn(self, data: bytes, chance: random.Random) -> bytes:
        offset = len(self._durable)
        in_place = offset + len(data) <= self._durably_reserved
        return _patchy(data, offset, chance) if in_place else _torn(data, offset, chance)

    def rot(self, chance: random.Random) -> None:
        """Not in zeros behind all that was written, which nobody reads."""
        if written := len(self._durable.rstrip(b"\0")):
            place, bit = chance.randrange(written), 1 << chance.randrange(8)
            self._durable[place] ^= bit
            if place < len(self.data):
                self.data[place] ^= bit


class SimDisk:
    """One actor's directory (actorkube.runtime.disk.Disk)."""

    def __init__(self, drive: Drive) -> None:
        self._drive = drive
        self._files: dict[str, File] = {}
        self._removed: dict[str, File] = {}  # the directory still names them durably
        self._replacing: dict[str, bytes] = {}
        self._renaming: dict[str, str] = {}

    def lock(self) -> None:
        pass  # a host has one life at a time

    def free_bytes(self) -> int:
        return self._drive.room()

    def list(self) -> list[str]:
        return sorted(self._files)

    def read(self, name: str) -> bytes:
        if self._drive.is_unreadable:
            raise OSError(errno.EIO, "Input/output error", name)
        if name not in self._files:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", name)
        return self._files[name].content

    def read_at(self, name: str, offset: int, size: int) -> bytes:
        return self.read(name)[offset : offset + size]

    def append(self, name: str, data: bytes) -> None:
        file = self._open(name)
        room = self._drive.room() + file.size - len(file.data)
        fits = len(data) <= room
        self._do(file, Append(bytes(data) if fits else bytes(data[: self._drive.chance.randint(0, room)])))
        if not fits:
            raise DiskFull(errno.ENOSPC, "No space left on device")

    def reserve(self, name: str, size: int) -> None:
        file = self._open(name)
        if size - file.size > self._drive.room():
            raise DiskFull(errno.ENOSPC, "No space left on device")
        self._do(file, Reserve(size))

    def truncate(self, name: str, size: int) -> None:
        self._do(self._open(name), Truncate(size))

    def _do(self, file: File, operation: Operation) -> None:
        before = file.size
        file.do(operation)
        self._drive.used_bytes += file.size - before

    def remove(self, name: str) -> None:
        file = self._files.pop(name, None)
        if file is not None:
            self._drive.used_bytes -= file.size
            if file.named:
                self._removed[name] = file

    async def sync(self, name: str) -> None:
        file = self._open(name)
        upto = file.issued
        await self._drive.work(lambda: self._synced(file, upto))

    async def replace(self, name: str, data: bytes) -> None:
        if len(data) > self._drive.room():
            raise DiskFull(errno.ENOSPC, "No space left on device")
        data = bytes(data)
        self._replacing[name] = data
        await self._drive.work(lambda: self._replaced(name, data))

    async def rename(self, name: str, new: str) -> None:
        if name not in self._files:
            raise FileNotFoundError(errno.ENOENT, "No such file or directory", name)
        self._renaming[name] = new
        await self._drive.work(lambda: self._renamed(name, new))

    def crash(self) -> None:
        """Power is gone; what is found afterwards."""
        chance = self._drive.chance
        for name, new in self._renaming.items():
            if name in self._files and chance.random() < 0.5:
                self._files[new] = self._files.pop(name)
        self._renaming.clear()
        for name, data in self._replacing.items():
            if chance.random() < 0.5:
                self._put(name, data)
        self._replacing.clear()
        for name, file in list(self._files.items()):
            file.crash(chance)
            if not file.named and chance.random() < 0.5:
                del self._files[name]
            file.named = True
        for name, file in self._removed.items():
            file.crash(chance)
            if name not in self._files and chance.random() < 0.5:
                self._files[name] = file
        self._removed.clear()
        self._drive.used_bytes = sum(len(f.data) for d in self._drive._directories.values() for f in d._files.values())

    def rot(self, name: str) -> None:
        """A fault of the medium: one durable byte of the file is not what was written. Found by whoever reads."""
        self._files[name].rot(self._drive.chance)

    def _open(self, name: str) -> File:
        file = self._files.get(name)
        if file is None:
            file = self._files[name] = File()
        return file

    def _synced(self, file: File, upto: int) -> None:
        file.harden(upto)
        if not file.named:
            self._directory_synced()

    def _replaced(self, name: str, data: bytes) -> None:
        self._replacing.pop(name, None)
        self._put(name, data)
        self._directory_synced()

    def _renamed(self, name: str, new: str) -> None:
        self._renaming.pop(name, None)
        if name not in self._files:
            return  # removed meanwhile, by a later life of whoever asked
        over = self._files.get(new)
        self._drive.used_bytes -= over.size if over is not None else 0
        self._files[new] = self._files.pop(name)
        self._directory_synced()

    def _put(self, name: str, data: bytes) -> None:
        old = self._files.get(name)
        self._drive.used_bytes += len(data) - (old.size if old is not None else 0)
        self._files[name] = File(data, named=True)

    def _directory_synced(self) -> None:
        self._removed.clear()
        for file in self._files.values():
            file.named = True


def _applied(content: bytearray, reserved: int, operation: Operation) -> int:
    """Returns how much is reserved then."""
    if isinstance(operation, Append):
        content += operation.data
        return reserved
    if isinstance(operation, Reserve):
        return max(reserved, operation.size)
    if operation.size < len(content):
        del content[operation.size :]
    else:
        content += bytes(operation.size - len(content))
    return 0


def _patchy(data: bytes, offset: int, chance: random.Random) -> bytes:
    """What a crash leaves of an append into reserved room: of each sector, what was written or the zeros before."""
    left = bytearray(data)
    for start in range(-(offset % SECTOR), len(data), SECTOR):
        if chance.random() < 0.5:
            begin, end = max(0, start), min(len(data), start + SECTOR)
            left[begin:end] = bytes(end - begin)
    return bytes(left)


def _torn(data: bytes, offset: int, chance: random.Random) -> bytes:
    """What a crash leaves of an append at `offset`: it is cut short, and perhaps lacks a sector in between."""
    left = bytearray(data[: chance.randint(0, len(data))])
    if left and chance.random() < 0.5:
        hole = chance.randrange(len(left))
        start = max(0, hole - (offset + hole) % SECTOR)
        end = min(len(left), hole - (offset + hole) % SECTOR + SECTOR)
        left[start:end] = bytes(end - start)
    return bytes(left)
