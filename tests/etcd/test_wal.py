"""The write-ahead log's format: everything comes back, a torn tail is cut off, and damage anywhere else is refused."""

from __future__ import annotations

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.etcd.raft.types import START, AppendJob, HardState, Mark
from actors.etcd.records import encode_record
from actors.etcd.wal import CorruptWal, Segment, encode_header, encode_jobs, recover, segment_name
from protocols.raft import Entry


def job(*entries: Entry, term: int = 1, vote: str = "etcd-0") -> AppendJob:
    last = entries[-1] if entries else Entry(0, 0, b"")
    return AppendJob(HardState(term, vote, 0), entries, (), last.index, last.term)


def segment(
    sequence: int, *records: bytes, member: str = "etcd-0", before: int = 0, term: int = 1, fresh: bool = False
) -> Segment:
    mark = Mark(before, term) if before else START
    header = encode_header(member, sequence, HardState(1, "etcd-0", 0), mark, fresh=fresh)
    return Segment(segment_name(sequence), header + b"".join(records))


def indexes(segments: list[Segment], snapshot: Mark = START) -> list[int]:
    return [entry.index for entry in recover(segments, "etcd-0", snapshot).entries]


def records(count: int, first: int = 1) -> list[bytes]:
    return [encode_jobs([job(Entry(1, index, b"data %d" % index))]) for index in range(first, first + count)]


def test_nothing_is_an_empty_log() -> None:
    assert recover([], "etcd-0") == (HardState(), [], 0, b"", {}, False)


def test_what_was_written_comes_back_across_segments() -> None:
    found = recover([segment(1, *records(3)), segment(2, *records(2, first=4), before=3)], "etcd-0")

    assert [entry.index for entry in found.entries] == [1, 2, 3, 4, 5]
    assert found.state == HardState(1, "etcd-0", 0)
    assert found.sequence == 2


def test_jobs_of_one_batch_are_one_record() -> None:
    batch = encode_jobs([job(Entry(1, 1, b"a"), term=1), job(Entry(1, 2, b"b"), term=2), job(term=3, vote="etcd-1")])

    found = recover([segment(1, batch)], "etcd-0")

    assert found.entries == [Entry(1, 1, b"a"), Entry(1, 2, b"b")]
    assert found.state == HardState(3, "etcd-1", 0)


def test_a_job_without_a_state_writes_nothing() -> None:
    assert encode_jobs([AppendJob(None, (), (), 5, 1)]) == b""


def test_an_entry_replaces_all_that_were_at_its_index_or_after() -> None:
    replacing = encode_jobs([job(Entry(2, 2, b"other"), term=2)])

    found = recover([segment(1, *records(4), replacing)], "etcd-0")

    assert [(entry.index, entry.term) for entry in found.entries] == [(1, 1), (2, 2)]


@given(cut=st.integers(1, 200), garbage=st.binary(max_size=64))
@settings(max_examples=150, deadline=None)
def test_a_torn_tail_costs_only_the_last_record(cut: int, garbage: bytes) -> None:
    whole = segment(1, *records(3))
    torn = records(1, first=4)[0][: cut % len(records(1, first=4)[0])]

    found = recover([Segment(whole.name, whole.data + torn + garbage)], "etcd-0")

    assert [entry.index for entry in found.entries] == [1, 2, 3]
    assert found.tail == whole.data


@pytest.mark.slow
@given(st.data())
@settings(max_examples=200, deadline=None)
def test_a_flipped_bit_is_noticed_wherever_it_is(data: st.DataObject) -> None:
    parts = records(4)
    whole = segment(1, *parts).data
    position = data.draw(st.integers(0, len(whole) - 1))
    flipped = bytearray(whole)
    flipped[position] ^= 1 << data.draw(st.integers(0, 7))
    last_starts = len(whole) - len(parts[-1])

    if position >= last_starts:
        assert len(recover([Segment(segment_name(1), bytes(flipped))], "etcd-0").entries) == 3
    else:
        with pytest.raises(CorruptWal, match=r"00000001\.wal: the record at byte \d+ is damaged"):
            recover([Segment(segment_name(1), bytes(flipped))], "etcd-0")


@given(st.lists(st.binary(max_size=3).map(lambda end: end + bytes(8)), max_size=3), st.integers(0, 3000))
@settings(max_examples=100, deadline=None)
def test_zeros_behind_the_last_record_say_nothing(datas: list[bytes], zeros: int) -> None:
    entries = [Entry(1, index, data) for index, data in enumerate(datas, 1)]
    first = segment(1, *[encode_jobs([job(entry)]) for entry in entries])
    after = segment(2, *records(1, first=len(datas) + 1), before=len(datas))
    reserved = [Segment(each.name, each.data + bytes(zeros)) for each in (first, after)]

    found = recover(reserved, "etcd-0")

    assert [entry.data for entry in found.entries[: len(datas)]] == datas
    assert (len(found.entries), found.tail) == (len(datas) + 1, after.data)


@given(st.sets(st.integers(0, 3)))
@settings(max_examples=20, deadline=None)
def test_an_append_of_which_any_sectors_reached_the_disk_is_a_torn_tail(lost: set[int]) -> None:
    whole = segment(1, *records(3))
    last = encode_jobs([job(Entry(1, 4, b"x" * 1800))])
    torn = b"".join([bytes(512) if at in lost else last[at * 512 : at * 512 + 512] for at in range(4)])

    found = recover([Segment(whole.name, whole.data + torn + bytes(700))], "etcd-0")

    assert [entry.index for entry in found.entries] == [1, 2, 3] + [4] * (not lost)


def test_an_earlier_segment_that_is_all_zeros_or_empty_is_refused() -> None:
    for nothing in (b"", bytes(900)):
        with pytest.raises(CorruptWal, match="not the last one"):
            recover([segment(1, *records(1)), Segment(segment_name(2), nothing), segment(3, before=1)], "etcd-0")


def test_a_tear_in_an_earlier_segment_is_refused() -> None:
    whole = segment(1, *records(3))

    with pytest.raises(CorruptWal, match="not the last one"):
        recover([Segment(whole.name, whole.data[:-1]), segment(2)], "etcd-0")


def test_a_segment_that_was_torn_before_its_header_was_whole_was_never_begun() -> None:
    first, second = segment(1, *records(2)), segment(2)

    found = recover([first, Segment(second.name, second.data[:7])], "etcd-0")

    assert (found.sequence, len(found.entries), found.tail) == (1, 2, b"")


@pytest.mark.parametrize(
    ("segments", "says"),
    [
        ([segment(1, *records(2)), segment(3, *records(2, first=3), before=2)], "what is between them is missing"),
        ([segment(1, *records(2)), segment(2, *records(2, first=4), before=3)], "follows entry 3, not 2"),
        ([segment(2, *records(2, first=3), before=2)], "what is between them is missing"),
        ([segment(7, before=9, fresh=True)], "the log begins behind entry 9, and the newest snapshot is of entry 0"),
        ([segment(1)._replace(name=segment_name(2))], "says that it is 00000001.wal"),
        ([segment(1, member="etcd-1")], "belongs to the member etcd-1, not to etcd-0"),
        ([segment(1, *records(2, first=2))], "entry 2 follows entry 0: some are missing"),
        ([Segment(segment_name(1), records(1)[0])], "not a log of format 4"),
        ([segment(1, segment(1).data)], "unknown type"),
    ],
)
def test_a_chain_that_does_not_fit_together_is_refused(segments: list[Segment], says: str) -> None:
    with pytest.raises(CorruptWal, match=says):
        recover(segments, "etcd-0")


def test_a_snapshot_stands_for_the_entries_up_to_its_mark() -> None:
    chain = [segment(1, *records(3)), segment(2, *records(2, first=4), before=3)]

    assert indexes(chain, Mark(2, 1)) == [3, 4, 5]
    assert indexes(chain[1:], Mark(3, 1)) == [4, 5]
    assert indexes(chain[1:], Mark(5, 1)) == []


def test_removed_segments_that_come_back_do_not_count() -> None:
    chain = [segment(1, *records(3)), segment(3, *records(2, first=6), before=5)]

    assert indexes(chain, Mark(6, 1)) == [7]


@pytest.mark.parametrize("mark", [Mark(9, 1), Mark(2, 2)], ids=["behind the end", "of another term"])
def test_a_log_that_does_not_lead_up_to_the_snapshot_is_void(mark: Mark) -> None:
    found = recover([segment(1, *records(3))], "etcd-0", mark)

    assert (found.void, found.entries) == (True, [])


def test_a_fresh_segment_makes_void_what_was_before_it() -> None:
    stale = segment(1, *records(9))
    fresh = segment(2, *records(2, first=6), before=5, term=2, fresh=True)

    assert indexes([stale, fresh], Mark(5, 2)) == [6, 7]


def test_the_state_is_known_though_all_segments_with_batches_are_gone() -> None:
    assert recover([segment(4, before=3)], "etcd-0", Mark(3, 1)).state == HardState(1, "etcd-0", 0)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(1, 4), st.booleans()), min_size=1, max_size=12),
    st.integers(0, 40),
)
def test_segments_that_a_snapshot_stands_for_may_go_whatever_a_later_leader_replaced(
    writes: list[tuple[int, int, bool]], snapshot_at: int
) -> None:
    log: list[Entry] = []
    segments, records, begun, highest = [], [], START, [0]
    for term, (back, count, rotate) in enumerate(writes, 1):
        del log[max(0, len(log) - back) :]
        new = tuple(Entry(term, len(log) + 1 + n, b"") for n in range(count))
        log += new
        records.append(encode_jobs([job(*new)]))
        highest[-1] = max(highest[-1], log[-1].index)
        if rotate:
            segments.append(segment(len(segments) + 1, *records, before=begun.index, term=begun.term))
            records, begun = [], Mark(log[-1].index, log[-1].term)
            highest.append(begun.index)
    segments.append(segment(len(segments) + 1, *records, before=begun.index, term=begun.term))
    snapshot = Mark(log[snapshot_at % len(log)].index, log[snapshot_at % len(log)].term)

    gone = 0
    while gone < len(segments) - 1 and highest[gone] <= snapshot.index:
        gone += 1

    assert recover(segments[gone:], "etcd-0", snapshot).entries == log[snapshot.index :]


def test_what_a_snapshot_stands_for_is_not_replaced() -> None:
    with pytest.raises(CorruptWal, match="entry 9 follows entry 9"):
        recover([segment(2, *records(1, first=9), before=9, fresh=True)], "etcd-0", Mark(9, 1))


def test_a_log_of_format_1_is_still_read() -> None:
    header = encode_record(1, msgspec.msgpack.encode((1, "etcd-0", 1)))
    first, second = Segment(segment_name(1), header + b"".join(records(2))), segment(2, *records(1, first=3), before=2)

    assert indexes([first, second]) == [1, 2, 3]
    with pytest.raises(CorruptWal, match="those before it are missing"):
        recover([Segment(segment_name(2), encode_record(1, msgspec.msgpack.encode((1, "etcd-0", 2))))], "etcd-0")
