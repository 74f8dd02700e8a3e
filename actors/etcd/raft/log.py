"""The log of one member, with the marks that move along it.

    base <= applied <= committed <= last      base <= persisted <= saved <= last

`saved` is what has been handed out to be written, `persisted` what is durable here. They say nothing about
`committed`: an entry is committed by what a majority has persisted, and that majority may not include this member.
Entries up to the base are gone: a snapshot stands for them, and only the term of the last of them is still known.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from actors.etcd.raft.configurations import Configurations, encode_configuration
from actors.etcd.raft.types import START, Mark
from protocols.raft import Configuration, Entry

SLICE_ENTRIES_MAX = 256
NOBODY = Configuration(())


class Log:
    """The entries after the base, in memory: entry `i` is at position `i - base.index - 1`."""

    def __init__(
        self, entries: list[Entry], committed: int, base: Mark = START, configurations: Configurations | None = None
    ) -> None:
        """`configurations` ends with what holds at the base."""
        self.base = base
        self._entries = entries
        self.last_index = base.index + len(entries)  # asked for so often that it is kept
        self.configurations = configurations or Configurations(NOBODY)
        self.configurations.add(entries)
        self.saved = self.persisted = self.last_index
        self.committed = max(base.index, min(committed, self.last_index))
        self.applied = base.index

    @property
    def configuration(self) -> Configuration:
        """Who belongs to it, by the newest entry that says so, committed or not."""
        return self.configurations.current

    @property
    def last_term(self) -> int:
        return self._entries[-1].term if self._entries else self.base.term

    def term_at(self, index: int) -> int | None:
        """The term of the entry at `index`, which may be the base; None past the last, and where it is compacted."""
        position = index - self.base.index - 1
        if position == -1:
            return self.base.term
        return self._entries[position].term if 0 <= position < len(self._entries) else None

    def up_to_date(self, index: int, term: int) -> bool:
        """Whether a log that ends so is at least as complete as this one (Raft 5.4.1)."""
        return (term, index) >= (self.last_term, self.last_index)

    def append(self, term: int, data: bytes) -> int:
        """The leader's way to add an entry. Returns its index."""
        index = self.last_index = self.last_index + 1
        self._entries.append(Entry(term, index, data))
        return index

    def append_configuration(self, term: int, configuration: Configuration) -> int:
        index = self.last_index = self.last_index + 1
        entry = Entry(term, index, encode_configuration(configuration), True)
        self._entries.append(entry)
        self.configurations.add((entry,))
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
                self.last_index = entries[-1].index
                self.configurations.add(entries[position:])
                break
        return previous_index + len(entries)

    def _cut(self, last: int) -> None:
        if last >= self.last_index:
            return
        assert last >= self.committed, f"entry {last + 1} is committed ({self.committed}) and would be replaced"
        del self._entries[last - self.base.index :]
        self.last_index = last
        self.configurations.cut(last)
        self.saved = min(self.saved, last)
        self.persisted = min(self.persisted, last)

    def hint(self, index: int, term: int) -> tuple[int, int]:
        """(index, term) of the last entry at or before `index` whose term is at most `term`.

        What lies between cannot match a log that has `term` at `index`: a leader and a follower that disagree find
        the point of agreement in one step per term, not one per entry (Raft 5.3, end). Before the base nothing is
        known any more: `index` itself, and term 0.
        """
        if index < self.base.index:
            return index, 0
        end = min(index, self.last_index) - self.base.index
        index = self.base.index + bisect_right(self._entries, term, 0, end, key=_term_of)
        return index, self.term_at(index) or 0

    def slice(self, first: int, bytes_max: int) -> tuple[Entry, ...]:
        """Entries from `first` on, at least one if there is one, and not more than `bytes_max` otherwise."""
        position = first - self.base.index - 1
        assert position >= 0, f"entry {first} is compacted, the first is {self.base.index + 1}"
        entries = self._entries[position : position + SLICE_ENTRIES_MAX]
        size = 0
        for position, entry in enumerate(entries):
            size += len(entry.data)
            if size > bytes_max and position:
                return tuple(entries[:position])
        return tuple(entries)

    def between(self, before: int, last: int) -> list[Entry]:
        """The entries after `before`, up to `last`."""
        return self._entries[max(0, before - self.base.index) : last - self.base.index]

    def commit(self, index: int) -> None:
        """Commit indexes only grow; what is not here yet is committed when it comes."""
        self.committed = max(self.committed, min(index, self.last_index))

    def persist(self, index: int, term: int) -> None:
        """A write that ended at (index, term) is durable. If that was replaced meanwhile, it proves nothing."""
        if self.term_at(index) == term and index > self.persisted:
            self.persisted = index

    def take_unsaved(self) -> tuple[Entry, ...]:
        if self.saved == self.last_index:
            return ()
        entries = tuple(self._entries[self.saved - self.base.index :])
        self.saved = self.last_index
        return entries

    def take_committed(self, bytes_max: int) -> list[Entry]:
        """The next entries to apply, in order, each handed out once."""
        if self.applied == self.committed:
            return []
        entries = list(self.slice(self.applied + 1, bytes_max))[: self.committed - self.applied]
        self.applied += len(entries)
        return entries

    def compact(self, index: int) -> None:
        """Forget the entries up to `index`, for which a durable snapshot stands. What is not durable here stays."""
        index = min(index, self.applied, self.persisted)
        term = self.term_at(index)
        if index > self.base.index and term is not None:
            del self._entries[: index - self.base.index]
            self.base = Mark(index, term)
            self.configurations.compact(index)

    def following(self, base: Mark) -> tuple[Entry, ...]:
        """The entries that may stay when a snapshot up to `base` takes the place of what is before (Raft 7)."""
        if self.term_at(base.index) != base.term:
            return ()
        return tuple(self._entries[base.index - self.base.index :])

    def restore(self, base: Mark, configuration: Configuration) -> None:
        """A snapshot of another member, and the entries that follow it, are durable here in place of this log."""
        assert base.index > self.committed, f"a snapshot of {base.index} is older than what is committed"
        self._entries = list(self.following(base))
        self.last_index = base.index + len(self._entries)
        self.configurations = Configurations(configuration, base.index)
        self.configurations.add(self._entries)
        self.base = base
        self.committed = self.applied = base.index
        self.saved = self.persisted = self.last_index

    def check(self, known: int = 0) -> None:
        """Of the entries up to `known`, and of who they say belongs to it, is known that they are sound."""
        known = max(known, self.base.index)
        assert self.base.index <= min(self.applied, self.persisted), (self.base, self.applied, self.persisted)
        assert self.applied <= self.committed <= self.last_index, (self.applied, self.committed, self.last_index)
        assert self.persisted <= self.saved <= self.last_index, (self.persisted, self.saved, self.last_index)
        fresh = self._entries[known - self.base.index :]
        assert [entry.index for entry in fresh] == list(range(known + 1, self.last_index + 1))
        if fresh or known == self.base.index:
            self.configurations.check(fresh, known)
        terms = [self.term_at(known) or 0, *(entry.term for entry in fresh)]
        assert terms == sorted(terms), f"terms go back: {terms}"


def _term_of(entry: Entry) -> int:
    return entry.term
