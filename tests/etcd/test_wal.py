"""The write-ahead log's format: everything comes back, a torn tail is cut off, and damage anywhere else is refused."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from actors.etcd.raft.types import AppendJob, HardState
from actors.etcd.wal import CorruptWal, Segment, encode_header, encode_jobs, recover, segment_name
from protocols.raft import Entry


def job(*entries: Entry, term: int = 1, vote: str = "etcd-0") -> AppendJob:
    last = entries[-1] if entries else Entry(0, 0, b"")
    return AppendJob(HardState(term, vote, 0), entries, (), last.index, last.term)


def segment(sequence: int, *records: bytes, member: str = "etcd-0") -> Segment:
    return Segment(segment_name(sequence), encode_header(member, sequence) + b"".join(records))


def records(count: int, first: int = 1) -> list[bytes]:
    return [encode_jobs([job(Entry(1, index, b"data %d" % index))]) for index in range(first, first + count)]


def test_nothing_is_an_empty_log() -> None:
    assert recover([], "etcd-0") == (HardState(), [], 0, b"")


def test_what_was_written_comes_back_across_segments() -> None:
    found = recover([segment(1, *records(3)), segment(2, *records(2, first=4))], "etcd-0")

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
        ([segment(1, *records(2)), segment(3, *records(2, first=3))], "a segment between them is missing"),
        ([segment(2, *records(2))], "follows segment 0"),
        ([segment(1, member="etcd-1")], "belongs to the member etcd-1, not to etcd-0"),
        ([segment(1, *records(2, first=2))], "entry 2 follows entry 0: some are missing"),
        ([Segment(segment_name(1), records(1)[0])], "not a log of format 1"),
        ([segment(1, encode_header("etcd-0", 1))], "unknown type"),
    ],
)
def test_a_chain_that_does_not_fit_together_is_refused(segments: list[Segment], says: str) -> None:
    with pytest.raises(CorruptWal, match=says):
        recover(segments, "etcd-0")
