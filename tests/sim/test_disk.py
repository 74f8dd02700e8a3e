"""What a crash may do to a disk, and what it may not."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine

import pytest
from hypothesis import event, given, settings
from hypothesis import strategies as st

from actorkube.runtime import DiskFull
from actorkube.sim import DiskConditions
from actorkube.sim.disk import SECTOR, Drive, SimDisk
from actorkube.sim.loop import SimLoop

Body = Callable[[SimDisk, Drive], Coroutine[None, None, None]]


def on_disk(body: Body, seed: int = 0, conditions: DiskConditions | None = None) -> None:
    loop = SimLoop()
    drive = Drive(random.Random(seed), conditions or DiskConditions())
    try:
        loop.run_until_complete(body(drive.disk("actor"), drive))
    finally:
        loop.close()


steps = st.one_of(
    st.tuples(st.just("append"), st.integers(0, 3), st.binary(min_size=1, max_size=40)),
    st.tuples(st.just("append"), st.integers(0, 1), st.integers(500, 1500).map(bytes)),
    st.tuples(st.just("truncate"), st.integers(0, 3), st.integers(0, 60)),
    st.tuples(st.just("sync"), st.integers(0, 3), st.none()),
    st.tuples(st.just("replace"), st.integers(0, 3), st.binary(max_size=40)),
    st.tuples(st.just("remove"), st.integers(0, 3), st.none()),
)


class Model:
    """Every content that a file may have after a crash: slow, and obviously right. None: there is no such file."""

    def __init__(self) -> None:
        self.now: dict[str, bytes] = {}
        self.possible: dict[str, list[bytes | None]] = {}
        self.named: set[str] = set()
        self.gone: set[str] = set()  # removed, and durably named still

    def do(self, step: str, name: str, argument: object) -> None:
        possible = self.possible.setdefault(name, [None])
        now = self.now.get(name, b"")
        if step == "remove":
            if self.now.pop(name, None) is not None and name in self.named:
                self.named.discard(name)
                self.gone.add(name)
            if name in self.gone:
                possible.append(None)
            else:
                self.possible[name] = [None]
            return
        if step == "append":
            assert isinstance(argument, bytes)
            self.now[name] = now + argument
        elif step == "truncate":
            assert isinstance(argument, int)
            self.now[name] = now[:argument] + bytes(max(0, argument - len(now)))
        elif step == "replace":
            assert isinstance(argument, bytes)
            self.now[name] = argument
        possible.append(self.now.setdefault(name, now))
        if step == "replace" or step == "sync":
            self.possible[name] = [self.now[name]]
            if step == "replace" or name not in self.named:
                self.sync_names()

    def sync_names(self) -> None:
        for name, possible in self.possible.items():
            if name not in self.now:
                self.possible[name] = [None]
            else:
                self.possible[name] = [p for p in possible if p is not None] or [self.now[name]]
        self.named, self.gone = set(self.now), set()

    def allows(self, name: str, found: bytes | None) -> bool:
        """One of the possible contents, or on the way to one: cut short in an append, with a hole in its last part."""
        possible = self.possible.get(name, [None])
        if found in possible or (found == b"" and name in self.now):
            return True
        if found is None:
            return False
        for content in possible:
            if content is not None and len(found) <= len(content):
                differs = [i for i, (a, b) in enumerate(zip(found, content, strict=False)) if a != b]
                if not differs or (differs[-1] - differs[0] < SECTOR and all(found[i] == 0 for i in differs)):
                    return True
        return False


@pytest.mark.slow
@settings(max_examples=150, deadline=None)
@given(script=st.lists(steps, max_size=12), seed=st.integers(0, 1000))
def test_after_a_crash_each_file_is_one_that_it_could_be(script: list[tuple[str, int, object]], seed: int) -> None:
    async def body(disk: SimDisk, drive: Drive) -> None:
        model = Model()
        for step, number, argument in script:
            await perform(disk, step, f"f{number}", argument)
            model.do(step, f"f{number}", argument)
        assert {name: disk.read(name) for name in disk.list()} == model.now

        drive.crash()

        for name in ("f0", "f1", "f2", "f3"):
            found = disk.read(name) if name in disk.list() else None
            if found != model.now.get(name):
                event("something was lost")
            assert model.allows(name, found), f"{name}: {found!r} is none of {model.possible.get(name)}"
        assert drive.used_bytes == sum(len(disk.read(name)) for name in disk.list())

    on_disk(body, seed)


async def perform(disk: SimDisk, step: str, name: str, argument: object) -> None:
    if step == "append":
        assert isinstance(argument, bytes)
        disk.append(name, argument)
    elif step == "truncate":
        assert isinstance(argument, int)
        disk.truncate(name, argument)
    elif step == "sync":
        await disk.sync(name)
    elif step == "replace":
        assert isinstance(argument, bytes)
        await disk.replace(name, argument)
    else:
        disk.remove(name)


def outcomes(prepare: Body, seeds: int = 200) -> set[bytes | None]:
    """What a crash after `prepare` leaves of the file "f", over many seeds."""
    found: set[bytes | None] = set()

    async def body(disk: SimDisk, drive: Drive) -> None:
        await prepare(disk, drive)
        drive.crash()
        found.add(disk.read("f") if "f" in disk.list() else None)

    for seed in range(seeds):
        on_disk(body, seed)
    return found


def test_what_is_synced_survives_and_what_is_not_may_vanish_or_tear() -> None:
    async def prepare(disk: SimDisk, drive: Drive) -> None:
        disk.append("f", b"synced.")
        await disk.sync("f")
        disk.append("f", b"lost")

    found = outcomes(prepare)

    assert {b"synced.", b"synced.lost", b"synced.lo"} <= found
    assert all(content is not None and content.startswith(b"synced.") for content in found)
    assert any(content is not None and b"\0" in content for content in found)


def test_of_an_append_into_reserved_room_any_sectors_may_be_lost() -> None:
    async def prepare(disk: SimDisk, drive: Drive) -> None:
        disk.append("f", b"s" * SECTOR)
        disk.reserve("f", 5 * SECTOR)
        await disk.sync("f")
        disk.append("f", b"x" * 3 * SECTOR)
        assert disk.read("f") == b"s" * SECTOR + b"x" * 3 * SECTOR + bytes(SECTOR)

    found = outcomes(prepare)

    ends = {bytes([content[n * SECTOR] for n in range(5)]) for content in found if content is not None}
    assert all(content is not None and len(content) == 5 * SECTOR for content in found)
    assert len(found) == len(ends), "sectors are whole"
    assert {b"sxxx\0", b"s\0\0\0\0", b"s\0x\0\0", b"sx\0x\0"} <= ends and all(end[:1] == b"s" for end in ends)


def test_what_was_reserved_takes_room_until_it_is_cut_off() -> None:
    async def body(disk: SimDisk, drive: Drive) -> None:
        disk.append("f", b"12")
        with pytest.raises(DiskFull):
            disk.reserve("f", 11)
        disk.reserve("f", 10)
        disk.append("f", b"34")
        assert drive.used_bytes == 10
        with pytest.raises(DiskFull):
            disk.append("g", b"5")
        disk.truncate("f", 3)
        assert (drive.used_bytes, disk.read("f")) == (3, b"123")

    on_disk(body, conditions=DiskConditions(capacity_bytes=10))


def test_what_is_appended_while_a_sync_runs_is_not_covered_by_it() -> None:
    async def prepare(disk: SimDisk, drive: Drive) -> None:
        disk.append("f", b"one.")
        syncing = asyncio.ensure_future(disk.sync("f"))
        await asyncio.sleep(0)
        disk.append("f", b"two.")
        await syncing

    assert {b"one.", b"one.two."} <= outcomes(prepare)


def test_a_new_file_may_vanish_with_its_name_until_it_is_synced() -> None:
    async def prepare(disk: SimDisk, drive: Drive) -> None:
        disk.append("f", b"x")

    assert {None, b"", b"x"} <= outcomes(prepare)


def test_a_removed_file_may_come_back_until_the_directory_is_synced() -> None:
    async def removed(disk: SimDisk, drive: Drive) -> None:
        await disk.replace("f", b"x")
        disk.remove("f")

    async def then_synced(disk: SimDisk, drive: Drive) -> None:
        await removed(disk, drive)
        await disk.replace("other", b"y")

    assert outcomes(removed) == {None, b"x"}
    assert outcomes(then_synced) == {None}


def test_replace_leaves_the_old_file_or_the_new_one() -> None:
    async def prepare(disk: SimDisk, drive: Drive) -> None:
        await disk.replace("f", b"old")
        replacing = asyncio.ensure_future(disk.replace("f", b"new"))
        await asyncio.sleep(0.0001)
        assert disk.read("f") == b"old"
        replacing.cancel()

    assert outcomes(prepare) == {b"old", b"new"}


@pytest.mark.slow
def test_a_file_that_is_renamed_has_the_one_name_or_the_other_after_a_crash() -> None:
    async def prepare(disk: SimDisk, drive: Drive) -> None:
        disk.append("part", b"whole")
        await disk.sync("part")
        renaming = asyncio.ensure_future(disk.rename("part", "f"))
        await asyncio.sleep(0.0001)
        renaming.cancel()

    async def finish(disk: SimDisk, drive: Drive) -> None:
        await prepare(disk, drive)
        await asyncio.sleep(1)
        assert disk.list() == ["f"]

    assert outcomes(prepare) == {None, b"whole"}
    assert outcomes(finish) == {b"whole"}


def test_a_part_of_a_file_is_read_alone() -> None:
    async def body(disk: SimDisk, drive: Drive) -> None:
        disk.append("log", b"0123456789")

        assert [disk.read_at("log", start, 3) for start in (2, 8, 20)] == [b"234", b"89", b""]

    on_disk(body)


def test_a_sync_takes_virtual_time() -> None:
    async def body(disk: SimDisk, drive: Drive) -> None:
        loop = asyncio.get_running_loop()
        disk.append("f", b"x")
        before = loop.time()
        await disk.sync("f")
        assert 0.0005 <= loop.time() - before <= 0.002

    on_disk(body)


def test_a_full_disk_takes_part_of_an_append_and_says_so() -> None:
    async def body(disk: SimDisk, drive: Drive) -> None:
        disk.append("f", b"12345678")
        with pytest.raises(DiskFull):
            disk.append("f", b"abcdefgh")
        assert b"12345678abcdefgh".startswith(disk.read("f"))
        with pytest.raises(DiskFull):
            await disk.replace("f", b"0123456789")
        disk.truncate("f", 4)
        disk.append("f", b"efgh")
        assert disk.read("f") == b"1234efgh"

    on_disk(body, conditions=DiskConditions(capacity_bytes=10))


def test_after_a_failed_sync_nothing_is_known() -> None:
    found = set()

    async def body(disk: SimDisk, drive: Drive) -> None:
        disk.append("f", b"x")
        with pytest.raises(OSError, match="Input/output"):
            await disk.sync("f")
        drive.crash()
        found.add(disk.read("f") if "f" in disk.list() else None)

    for seed in range(50):
        on_disk(body, seed, DiskConditions(sync_error=1.0))
    assert {None, b"x"} <= found


def test_rot_changes_one_bit_of_what_was_durable() -> None:
    async def body(disk: SimDisk, drive: Drive) -> None:
        await disk.replace("f", bytes(50) + b"\x55" * 50 + bytes(100))
        disk.rot("f")
        rotten = disk.read("f")
        changed = [byte ^ (0x55 if 50 <= place < 100 else 0) for place, byte in enumerate(rotten)]
        assert sum(each.bit_count() for each in changed) == 1
        assert not any(changed[100:]), "nobody reads the zeros behind what was written"

    on_disk(body)


def test_a_slow_disk_takes_longer_for_each_sync_until_it_is_healed() -> None:
    async def body(disk: SimDisk, drive: Drive) -> None:
        loop = asyncio.get_running_loop()
        drive.slow_s = 2.0
        disk.append("f", b"x")
        await disk.sync("f")
        slow = loop.time()
        drive.heal()
        await disk.sync("f")

        assert slow > 2.0
        assert loop.time() - slow < 0.01

    on_disk(body)


def test_an_unreadable_disk_says_so_and_still_takes_what_is_written() -> None:
    async def body(disk: SimDisk, drive: Drive) -> None:
        await disk.replace("f", b"x")
        drive.is_unreadable = True
        disk.append("f", b"y")
        with pytest.raises(OSError, match="Input/output"):
            disk.read("f")
        drive.heal()

        assert disk.read("f") == b"xy"

    on_disk(body)


def test_rot_chooses_among_all_that_is_durable_and_survives_a_crash() -> None:
    async def body(disk: SimDisk, drive: Drive) -> None:
        assert drive.rot() == ""
        disk.append("new", b"not yet durable")
        await drive.disk("other").replace("f", b"\xff" * 100)
        assert drive.rot() == "other/f"
        drive.crash()

        assert sum(byte.bit_count() for byte in drive.disk("other").read("f")) == 799

    on_disk(body)
