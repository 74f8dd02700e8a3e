"""A directory of the real file system: parts of files, and names that change."""

from __future__ import annotations

from pathlib import Path

import pytest

from actorkube.runtime import FileDisk


async def test_a_part_of_a_file_is_read_alone(tmp_path: Path) -> None:
    disk = FileDisk(tmp_path)
    disk.append("log", b"0123456789")

    parts = (disk.read_at("log", 2, 3), disk.read_at("log", 8, 5), disk.read_at("log", 20, 5))

    assert parts == (b"234", b"89", b"")
    disk.close()


async def test_a_renamed_file_takes_the_place_of_the_one_of_that_name(tmp_path: Path) -> None:
    disk = FileDisk(tmp_path)
    disk.append("final", b"old")
    disk.append("part", b"new")
    await disk.sync("part")

    await disk.rename("part", "final")
    disk.append("final", b"er")

    assert (disk.list(), disk.read("final")) == (["final"], b"newer")
    disk.close()


async def test_a_file_that_is_not_there_is_not_renamed(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        await FileDisk(tmp_path).rename("part", "final")


async def test_a_disk_that_is_usually_quick_is_synced_without_a_thread(tmp_path: Path) -> None:
    disk = FileDisk(tmp_path)
    disk.append("log", b"one")
    disk._usual_s = 0.0

    with pytest.raises(StopIteration):
        disk.sync("log").send(None)  # it ended without waiting for anything

    disk.append("log", b"two")
    disk._usual_s = 1.0
    await disk.sync("log")
    assert disk.read("log") == b"onetwo"
    disk.close()


async def test_appends_go_into_what_was_reserved(tmp_path: Path) -> None:
    disk = FileDisk(tmp_path)
    disk.append("log", b"one")

    disk.reserve("log", 10)
    disk.append("log", b"two")
    within = disk.read("log")
    disk.append("log", b"three")
    disk.reserve("log", 5)
    await disk.sync("log")

    assert (within, disk.read("log")) == (b"onetwo" + bytes(4), b"onetwothree")
    disk.reserve("log", 20)
    disk.truncate("log", 3)
    disk.append("log", b"!")
    assert disk.read("log") == b"one!"
    disk.close()
    disk.append("log", b"?")  # opened again, it goes on behind all that is there
    assert disk.read("log") == b"one!?"
    disk.close()
