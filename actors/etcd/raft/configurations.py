"""Who belongs to the replica set, along the log: the newest entry that says so holds, committed or not (Raft 6).

An entry that is replaced takes its configuration with it, and the one before holds again. So who belongs to it is a
function of the log alone, as safe as the log is; a snapshot keeps what held at its end.
"""

from __future__ import annotations

from collections.abc import Sequence

import msgspec

from protocols.raft import Configuration, Entry

encode_configuration = msgspec.msgpack.Encoder().encode
decode_configuration = msgspec.msgpack.Decoder(Configuration).decode


class Configurations:
    """`current` holds at the end of the log; the entry `index`, or a snapshot of it, says so. 0: nothing has yet."""

    def __init__(self, configuration: Configuration, index: int = 0) -> None:
        self._marks = [(index, configuration)]
        self.index, self.current = self._marks[-1]

    def add(self, entries: Sequence[Entry]) -> None:
        """They follow in the log."""
        for entry in entries:
            if entry.configures:
                self._marks.append((entry.index, decode_configuration(entry.data)))
                self.index, self.current = self._marks[-1]

    def cut(self, last: int) -> None:
        """The entries after `last` are gone."""
        while self._marks[-1][0] > last and len(self._marks) > 1:
            self._marks.pop()
        self.index, self.current = self._marks[-1]

    def compact(self, index: int) -> None:
        """Nobody will ask what held before `index`."""
        while len(self._marks) > 1 and self._marks[1][0] <= index:
            del self._marks[0]

    def at(self, index: int) -> Configuration:
        """What held when the entry at `index` had been added."""
        return next(
            (configuration for start, configuration in reversed(self._marks) if start <= index), self._marks[0][1]
        )

    def since(self, index: int) -> list[Configuration]:
        """What held at `index`, and all that came after it."""
        return [self.at(index), *(configuration for start, configuration in self._marks if start > index)]

    def check(self, entries: Sequence[Entry], before: int) -> None:
        """`entries` are those that follow `before` in the log."""
        found = [(entry.index, decode_configuration(entry.data)) for entry in entries if entry.configures]
        marks = [mark for mark in self._marks[1:] if mark[0] > before]
        assert marks == found, (marks, found)
        assert (self.index, self.current) == self._marks[-1]
