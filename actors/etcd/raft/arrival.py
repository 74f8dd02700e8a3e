"""A leader's snapshot that arrives in pieces: which are next, which are old, and when it is all there.

One snapshot at a time: it is known by the term in which it is sent, its sender and its index. A piece of another one
begins anew; a piece that does not follow what is here is answered with how far it got, so the sender goes on there.
"""

from __future__ import annotations

from actors.etcd.raft.types import Mark
from protocols.raft import InstallSnapshot


class Arrival:
    def __init__(self) -> None:
        self.complete = False  # all there, and being installed
        self._identity: tuple[int, str, int] | None = None
        self._offset = 0
        self._pieces: list[InstallSnapshot] = []  # not yet handed on
        self._install: Mark | None = None

    @property
    def is_under_way(self) -> bool:
        """Some of one is here, and not yet done with."""
        return self._identity is not None

    def receive(self, piece: InstallSnapshot) -> int:
        """Take it if it follows. Returns how many bytes are here."""
        identity = (piece.term, piece.source, piece.index)
        if identity != self._identity:
            self.clear()
            self._identity = identity
        if piece.offset == self._offset and piece.data and self._offset + len(piece.data) <= piece.size:
            self._offset += len(piece.data)
            self._pieces.append(piece)
            if self._offset == piece.size:
                self.complete = True
                self._install = Mark(piece.index, piece.last_term)
        return self._offset

    def take(self) -> tuple[list[InstallSnapshot], Mark | None]:
        """The pieces since the last call, and what to install if that was all; each once."""
        pieces, self._pieces = self._pieces, []
        install, self._install = self._install, None
        return pieces, install

    def clear(self) -> None:
        self.complete = False
        self._identity = None
        self._offset = 0
        self._pieces.clear()
        self._install = None
