"""The log on a disk: what `write` has returned from is there again, whatever the disk did in between."""

from __future__ import annotations

import asyncio
import errno
import os
import random
import shutil
import tempfile
from pathlib import Path

import pytest

from actorkube.runtime import DiskFull, FileDisk
from actorkube.runtime.disk import DiskInUse
from actors.etcd.raft.types import NO_SNAPSHOT, AppendJob, HardState, Mark
from actors.etcd.snapshot import CorruptSnapshot
from actors.etcd.storage import NoRoom, Storage
from actors.etcd.wal import CorruptWal, segment_name
from protocols.raft import Entry, InstallSnapshot


class CountingDisk(FileDisk):
    """A real directory that counts its syncs, and whose syncs fail on demand."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.syncs = 0
        self.fails = False

    async def sync(self, name: str) -> None:
        self.syncs += 1
        if self.fails:
            raise OSError("the medium is gone")
        await super().sync(name)


def jobs(first: int, last: int) -> list[AppendJob]:
    return [
        AppendJob(HardState(1, "etcd-0", 0), (Entry(1, index, b"data %d" % index),), (), index, 1)
        for index in range(first, last + 1)
    ]


async def reopened(path: Path) -> tuple[HardState, list[Entry]]:
    opened = await Storage(FileDisk(path), "etcd-0").open()
    return opened.state, opened.entries


async def test_what_was_written_is_there_again(tmp_path: Path) -> None:
    storage = Storage(FileDisk(tmp_path), "etcd-0")
    assert await storage.open() == (HardState(), NO_SNAPSHOT, None, [])

    await storage.write(jobs(1, 3))

    state, entries = await reopened(tmp_path)
    assert state == HardState(1, "etcd-0", 0)
    assert [entry.index for entry in entries] == [1, 2, 3]


async def test_all_jobs_that_wait_share_one_sync(tmp_path: Path) -> None:
    disk = CountingDisk(tmp_path)
    storage = Storage(disk, "etcd-0")
    await storage.open()

    await storage.write(jobs(1, 100))
    await storage.write([AppendJob(None, (), (), 100, 1)])

    assert disk.syncs == 1


async def test_after_a_torn_tail_the_log_goes_on_where_it_was_whole(tmp_path: Path) -> None:
    storage = Storage(FileDisk(tmp_path), "etcd-0")
    await storage.open()
    await storage.write(jobs(1, 3))
    with (tmp_path / segment_name(1)).open("ab") as file:
        file.write(b"\xc5AK\x02torn")

    storage = Storage(FileDisk(tmp_path), "etcd-0")
    await storage.open()
    await storage.write(jobs(4, 5))

    assert [entry.index for entry in (await reopened(tmp_path))[1]] == [1, 2, 3, 4, 5]


async def test_a_full_segment_is_followed_by_the_next(tmp_path: Path) -> None:
    storage = Storage(FileDisk(tmp_path), "etcd-0", segment_bytes_max=200)
    await storage.open()

    for index in range(1, 21):
        await storage.write(jobs(index, index))

    files = [tmp_path / name for name in FileDisk(tmp_path).list()]
    assert len(files) > 3
    assert all(file.stat().st_size <= 200 for file in files)
    assert len((await reopened(tmp_path))[1]) == 20


async def test_a_segment_that_never_got_its_header_is_begun_again(tmp_path: Path) -> None:
    storage = Storage(FileDisk(tmp_path), "etcd-0")
    await storage.open()
    await storage.write(jobs(1, 2))
    (tmp_path / segment_name(2)).write_bytes(b"\xc5AK\x01tor")

    storage = Storage(FileDisk(tmp_path), "etcd-0")
    await storage.open()
    await storage.write(jobs(3, 4))

    assert [entry.index for entry in (await reopened(tmp_path))[1]] == [1, 2, 3, 4]


async def test_a_write_that_fails_is_not_called_written(tmp_path: Path) -> None:
    disk = CountingDisk(tmp_path)
    storage = Storage(disk, "etcd-0")
    await storage.open()
    disk.fails = True

    with pytest.raises(OSError, match="the medium is gone"):
        await storage.write(jobs(1, 1))


async def test_what_was_read_at_the_start_is_durable_before_it_is_vouched_for(tmp_path: Path) -> None:
    """A sync that fails may leave pages that read back, but never reach the medium: they are written anew."""
    storage = Storage(FileDisk(tmp_path), "etcd-0")
    await storage.open()
    await storage.write(jobs(1, 1))
    before = (tmp_path / segment_name(1)).stat().st_ino

    await reopened(tmp_path)

    assert (tmp_path / segment_name(1)).stat().st_ino != before


async def test_damage_in_the_middle_is_refused_by_name(tmp_path: Path) -> None:
    storage = Storage(FileDisk(tmp_path), "etcd-0")
    await storage.open()
    for index in range(1, 4):
        await storage.write(jobs(index, index))
    damaged = bytearray((tmp_path / segment_name(1)).read_bytes().rstrip(b"\0"))
    damaged[len(damaged) // 2] ^= 1
    (tmp_path / segment_name(1)).write_bytes(damaged)

    with pytest.raises(CorruptWal, match=r"00000001\.wal: the record at byte \d+ is damaged"):
        await reopened(tmp_path)


async def test_writes_of_any_size_come_back_from_segments_of_any_size(tmp_path: Path) -> None:
    chance = random.Random(5)
    for run in range(6):
        path = tmp_path / str(run)
        storage = Storage(FileDisk(path), "etcd-0", segment_bytes_max=chance.choice([60, 300, 5_000]))
        await storage.open()
        index = 0
        for _ in range(10):
            count = chance.randint(1, 5)
            await storage.write(jobs(index + 1, index + count))
            index += count
            if chance.random() < 0.3:
                storage = Storage(FileDisk(path), "etcd-0", segment_bytes_max=300)
                await storage.open()

        assert len((await reopened(path))[1]) == index
        await asyncio.sleep(0)


class FullDisk(FileDisk):
    """A real directory on a disk that has room for so many bytes more; what does not fit is written in part."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.room = 1 << 30
        self.ahead = True  # there is room for zeros

    def reserve(self, name: str, size: int) -> None:
        if not self.ahead:
            raise DiskFull(errno.ENOSPC, "No space left on device")
        super().reserve(name, size)

    def append(self, name: str, data: bytes) -> None:
        fits = data[: self.room]
        self.room -= len(fits)
        super().append(name, fits)
        if len(fits) < len(data):
            raise DiskFull(errno.ENOSPC, "No space left on device")

    async def replace(self, name: str, data: bytes) -> None:
        if len(data) > self.room:
            raise DiskFull(errno.ENOSPC, "No space left on device")
        await super().replace(name, data)


@pytest.mark.parametrize("room", [0, 7, 50])
async def test_a_full_disk_leaves_no_trace_and_the_log_goes_on_when_there_is_room(tmp_path: Path, room: int) -> None:
    disk = FullDisk(tmp_path)
    storage = Storage(disk, "etcd-0")
    await storage.open()
    await storage.write(jobs(1, 1))
    disk.room = room

    with pytest.raises(NoRoom):
        await storage.write(jobs(2, 9))
    alone = await reopened_copy(tmp_path)
    disk.room = 1 << 30
    await storage.write(jobs(2, 9))

    assert [entry.index for entry in alone] == [1]
    assert [entry.index for entry in (await reopened(tmp_path))[1]] == list(range(1, 10))


async def test_the_log_is_written_into_zeros_that_are_there_already(tmp_path: Path) -> None:
    disk = FileDisk(tmp_path)
    storage = Storage(disk, "etcd-0", segment_bytes_max=4_000)
    await storage.open()
    sizes = set()

    for index in range(1, 201):
        await storage.write(jobs(index, index))
        sizes.add((tmp_path / disk.list()[-1]).stat().st_size)

    names = disk.list()
    assert sizes == {4_000} and len(names) > 1  # each as long as it will ever be, from its first record on
    assert not disk.read(names[0]).endswith(bytes(64))  # what is full keeps none
    assert disk.read(names[-1]).endswith(bytes(64))
    again = Storage(FileDisk(tmp_path), "etcd-0")
    assert len((await again.open()).entries) == 200


async def test_where_there_is_no_room_ahead_the_log_goes_on_without(tmp_path: Path) -> None:
    disk = FullDisk(tmp_path)
    disk.ahead = False
    storage = Storage(disk, "etcd-0")
    await storage.open()

    await storage.write(jobs(1, 9))

    assert [entry.index for entry in (await reopened(tmp_path))[1]] == list(range(1, 10))


async def test_after_a_full_disk_room_is_reserved_again(tmp_path: Path) -> None:
    disk = FullDisk(tmp_path)
    storage = Storage(disk, "etcd-0", segment_bytes_max=4_000)
    await storage.open()
    await storage.write(jobs(1, 1))
    disk.room = 9
    with pytest.raises(NoRoom):
        await storage.write(jobs(2, 2))
    disk.room = 1 << 30

    await storage.write(jobs(2, 2))

    assert (tmp_path / disk.list()[-1]).stat().st_size == 4_000


async def test_of_a_snapshot_that_does_not_fit_nothing_is_kept(tmp_path: Path) -> None:
    disk = FullDisk(tmp_path)
    storage = Storage(disk, "etcd-0")
    await storage.open()
    before = disk.list()

    def piece(offset: int) -> InstallSnapshot:
        return InstallSnapshot(1, "etcd-1", 9, 1, 40, offset, b"x" * 10)

    storage.receive(piece(0))
    disk.room = 5
    storage.receive(piece(10))
    disk.room = 1 << 30
    storage.receive(piece(20))

    assert disk.list() == before
    with pytest.raises(CorruptSnapshot, match="no room"):
        storage.load_received(Mark(9, 1))
    storage.receive(piece(0))
    assert disk.list() != before  # sent again from the beginning, it is taken


async def test_a_segment_is_begun_when_there_is_room_for_it(tmp_path: Path) -> None:
    disk = FullDisk(tmp_path)
    storage = Storage(disk, "etcd-0", segment_bytes_max=120)
    await storage.open()
    await storage.write(jobs(1, 1))
    disk.room = 0

    with pytest.raises(NoRoom):
        await storage.write(jobs(2, 4))
    disk.room = 1 << 30
    await storage.write(jobs(2, 4))

    assert [entry.index for entry in (await reopened(tmp_path))[1]] == [1, 2, 3, 4]


async def reopened_copy(path: Path) -> list[Entry]:
    """What a member would find that started now."""
    with tempfile.TemporaryDirectory() as copy:
        shutil.copytree(path, Path(copy) / "data")
        return (await reopened(Path(copy) / "data"))[1]


async def test_damage_to_the_last_record_is_refused_once_it_was_marked_as_durable(tmp_path: Path) -> None:
    storage = Storage(FileDisk(tmp_path), "etcd-0")
    await storage.open()
    await storage.write(jobs(1, 2))
    whole = (tmp_path / segment_name(1)).read_bytes().rstrip(b"\0")

    await storage.mark()
    await storage.mark()
    marked = (tmp_path / segment_name(1)).read_bytes().rstrip(b"\0")
    damaged = bytearray(marked)
    damaged[len(whole) - 3] ^= 1
    (tmp_path / segment_name(1)).write_bytes(damaged)

    assert len(marked) - len(whole) < 20
    with pytest.raises(CorruptWal, match="is damaged"):
        await reopened(tmp_path)


async def test_the_log_goes_on_behind_a_mark(tmp_path: Path) -> None:
    storage = Storage(FileDisk(tmp_path), "etcd-0", segment_bytes_max=300)
    await storage.open()

    for index in range(1, 20):
        await storage.write(jobs(index, index))
        await storage.mark()

    assert [entry.index for entry in (await reopened(tmp_path))[1]] == list(range(1, 20))


async def test_a_directory_is_one_members_alone(tmp_path: Path) -> None:
    first, second = FileDisk(tmp_path), FileDisk(tmp_path)
    first.lock()

    with pytest.raises(DiskInUse, match=f"is in use by process {os.getpid()}"):
        second.lock()
    first.close()
    second.lock()

    assert "lock" not in second.list()
    second.close()


def test_a_directory_that_cannot_be_written_is_refused_by_name(tmp_path: Path) -> None:
    disk = FileDisk(tmp_path / "data")
    (tmp_path / "data" / "lock").mkdir()

    with pytest.raises(OSError, match=r"the directory .*data cannot be written: Is a directory"):
        disk.lock()
