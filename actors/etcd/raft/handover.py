"""A leader that wants another member to lead: to whom, and until when it waits for that (dissertation, 3.10)."""

from __future__ import annotations


class Handover:
    """`to` is "" while none is under way. `began`: the other was told to campaign at least once in this term."""

    def __init__(self) -> None:
        self.to = ""
        self.began = False
        self._until = 0.0
        self._told = False

    def begin(self, to: str, until: float) -> None:
        self.to, self._until, self._told = to, until, False

    def beat(self, now: float) -> None:
        """A heartbeat leaves: what the other was told may be lost. Its time may be over."""
        self._told = False
        if self.to and now >= self._until:
            self.to = ""

    def is_due(self, caught_up: bool) -> bool:
        """Whether to tell it now. It must have the whole log, or it could not win."""
        if self._told or not caught_up:
            return False
        self._told = self.began = True
        return True
