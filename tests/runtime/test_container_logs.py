"""Container logs: nothing is lost, torn or mixed up between what a container writes and what a reader gets."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.runtime.cri_log import LINE_BYTES_MAX, LogSelection, LogWriter, log_time, parse_line
from actors.runtime.log_file import LogFile

NOW = 1_767_225_600.25


def read_all(log: LogFile, position: int = 0, size: int = 64 * 1024) -> bytes:
    data = b""
    while (piece := log.read(position, size))[0]:
        data, position = data + piece[0], piece[1]
    return data


@settings(max_examples=60, deadline=None)
@given(pieces=st.lists(st.binary(max_size=50), max_size=20), cuts=st.integers(1, 40))
def test_what_is_written_in_any_pieces_is_read_back_in_any_pieces(pieces: list[bytes], cuts: int) -> None:
    written, writer = b"".join(pieces), LogWriter("stdout")
    log = b"".join([writer.feed(piece, NOW) for piece in pieces]) + writer.finish(NOW)

    selection = LogSelection(-1, False, -1)
    read = b"".join(selection.feed(log[i : i + cuts]) for i in range(0, len(log), cuts))

    assert read == written + (b"\n" if written and not written.endswith(b"\n") else b"")


def test_a_line_has_its_time_its_output_and_whether_it_is_whole() -> None:
    assert LogWriter("stderr").feed(b"oh no\n", NOW) == b"2026-01-01T00:00:00.250000000Z stderr F oh no\n"


def test_a_very_long_line_is_cut_into_pieces_that_read_as_one() -> None:
    line = b"x" * (2 * LINE_BYTES_MAX + 5)
    writer = LogWriter("stdout")
    log = b"".join(writer.feed(part, NOW) for part in (line[:1000], line[1000:], b"\n"))

    parsed = [parse_line(each) for each in log.splitlines()]

    assert [each.full for each in parsed if each] == [False, False, True]
    assert LogSelection(-1, False, -1).feed(log) == line + b"\n"


def test_a_reader_chooses_by_time_size_and_timestamps() -> None:
    writer = LogWriter("stdout")
    log = b"".join(writer.feed(b"%d\n" % second, NOW + second) for second in range(5))

    assert LogSelection(NOW + 3, False, -1).feed(log) == b"3\n4\n"
    assert LogSelection(-1, False, 5).feed(log) == b"0\n1\n2"
    assert LogSelection(NOW + 4, True, -1).feed(log) == log_time(NOW + 4).encode() + b" 4\n"


@settings(max_examples=40, deadline=None)
@given(lines=st.lists(st.text("ab\0", max_size=12).map(str.encode), max_size=40), data=st.data())
def test_tail_and_rotation_agree_with_a_list_of_lines(tmp_path_factory: pytest.TempPathFactory, lines, data) -> None:  # type: ignore[no-untyped-def]
    bytes_max = data.draw(st.sampled_from([40, 200, 10_000]))
    log = LogFile(tmp_path_factory.mktemp("log") / "container.log", bytes_max)
    for line in lines:
        log.append(line + b"\n")

    kept = read_all(log, size=data.draw(st.integers(1, 50))).splitlines(keepends=True)
    wanted = data.draw(st.integers(0, 50))

    assert kept == [line + b"\n" for line in lines][len(lines) - len(kept) :]
    assert sum(map(len, kept)) >= min(bytes_max // 2, sum(len(line) + 1 for line in lines)) - 13
    assert sum(map(len, kept)) <= bytes_max + 13
    assert read_all(log, log.tail(wanted)) == b"".join(kept[max(len(kept) - wanted, 0) :])
    log.finish()


def test_a_log_that_is_opened_again_goes_on_where_it_ended(tmp_path: Path) -> None:
    first = LogFile(tmp_path / "container.log")
    first.append(b"one\n")
    first.finish()

    second = LogFile(tmp_path / "container.log")
    second.append(b"two\n")
    second.finish()

    assert read_all(second) == b"one\ntwo\n"


async def test_a_follower_is_woken_by_each_append_and_by_the_end(tmp_path: Path) -> None:
    log, read = LogFile(tmp_path / "container.log", 40), b""

    async def follow() -> None:
        nonlocal read
        position = 0
        while True:
            data, position = log.read(position)
            read += data
            if not data:
                if log.ended:
                    return
                await log.changed()

    follower = asyncio.create_task(follow())
    for number in range(10):
        log.append(b"line %d\n" % number)
        await asyncio.sleep(0)
        await asyncio.sleep(0)
    log.finish()
    await follower

    assert read == b"".join(b"line %d\n" % number for number in range(10))
