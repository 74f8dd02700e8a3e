"""The log of one member, with the four marks that move along it.

    applied <= committed <= last      persisted <= saved <= last

`saved` is what has been handed out to be written, `persisted` what is durable here. They say nothing about
`committed`: an entry is committed by what a majority has persisted, and that majority may not include this member.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from protocols.raft import Entry

SLICE_ENTRIES_MAX = 256


class Log:
    """All entries since the beginning, kept in memory: entry `i` is at position `i - 1`."""

    def __init__(self, entries: list[Entry], committed: int) -> None:
        self._entries = entries
        self.saved = self.persisted = len(entries)
        self.committed = min(committed, len(entries))
        self.applied = 0

    @property
    def last_index(self) -> int:
        return len(self._entries)

    @property
    def last_term(self) -> int:
        return self._entries[-1].term if self._entries else 0

    def term_at(self, index: int) -> int | None:
        """The term of the entry at `index`; 0 before the first entry, None past the last."""
        if index == 0:
            return 0
        return self._entries[index - 1].term if index <= len(self._entries) else None

    def up_to_date(self, index: int, term: int) -> bool:
        """Whether a log that ends so is at least as complete as this one (Raft 5.4.1)."""
        return (term, index) >= (self.last_term, self.last_index)

    def append(self, term: int, data: bytes) -> int:
        """The leader's way to add an entry. Returns its index."""
        index = len(self._entries) + 1
        self._entries.append(Entry(term, index, data))
        return index

    def merge(self, previous_index: int, previous_term: int, entries: Sequence[Entry]) -> int | None:
        """The follower's way: returns the last index now known to match the leader's log, None if nothing fits.

        Entries that are here already are left alone: a delayed message must not cut off what came after it
        (Raft 5.3). A conflicting entry goes, with all that follow it.
        """
        if self.term_at(previous_index) != previous_term:
            return None
        for position, entry in enumerate(entries):
            if self.term_at(entry.index) != entry.term:
                self._cut(entry.index - 1)
                self._entries.extend(entries[position:])
                break
        return previous_index + len(entries)

    def _cut(self, last: int) -> None:
        if last >= len(self._entries):
            return
        assert last >= self.committed, f"entry {last + 1} is committed ({self.committed}) and would be replaced"
        del self._entries[last:]
        self.saved = min(self.saved, last)
        self.persisted = min(self.persisted, last)

    def hint(self, index: int, term: int) -> tuple[int, int]:
        """(index, term) of the last entry at or before `index` whose term is at most `term`.

        What lies between cannot match a log that has `term` at `index`: a leader and a follower that disagree find
        the point of agreement in one step per term, not one per entry (Raft 5.3, end).
        """
        end = min(index, len(self._entries))
        index = bisect_right(self._entries, term, 0, end, key=_term_of)
        return index, self.term_at(index) or 0

    def slice(self, first: int, bytes_max: int) -> tuple[Entry, ...]:
        """Entries from `first` on, at least one if there is one, and not more than `bytes_max` otherwise."""
        entries = self._entries[first - 1 : first - 1 + SLICE_ENTRIES_MAX]
        size = 0
        for position, entry in enumerate(entries):
            size += len(entry.data)
            if size > bytes_max and position:
                return tuple(entries[:position])
        return tuple(entries)

    def between(self, before: int, last: int) -> list[Entry]:
        """The entries after `before`, up to `last`."""
        return self._entries[before:last]

    def commit(self, index: int) -> None:
        """Commit indexes only grow; what is not here yet is committed when it comes."""
        self.committed = max(self.committed, min(index, len(self._entries)))

    def persist(self, index: int, term: int) -> None:
        """A write that ended at (index, term) is durable. If that was replaced meanwhile, it proves nothing."""
        if self.term_at(index) == term and index > self.persisted:
            self.persisted = index

    def take_unsaved(self) -> tuple[Entry, ...]:
        entries = tuple(self._entries[self.saved :])
        self.saved = len(self._entries)
        return entries

    def take_committed(self, bytes_max: int) -> list[Entry]:
        """The next entries to apply, in order, each handed out once."""
        if self.applied == self.committed:
            return []
        entries = list(self.slice(self.applied + 1, bytes_max))[: self.committed - self.applied]
        self.applied += len(entries)
        return entries

    def check(self) -> None:
        assert self.applied <= self.committed <= self.last_index, (self.applied, self.committed, self.last_index)
        assert self.persisted <= self.saved <= self.last_index, (self.persisted, self.saved, self.last_index)
        assert [entry.index for entry in self._entries] == list(range(1, self.last_index + 1))
        terms = [entry.term for entry in self._entries]
        assert terms == sorted(terms), f"terms go back: {terms}"


def _term_of(entry: Entry) -> int:
    return entry.term
