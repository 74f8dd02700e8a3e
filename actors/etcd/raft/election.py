"""One try to become leader: whose votes were asked for, and how it stands."""

from __future__ import annotations

from actors.etcd.raft.quorum import Outcome, joint_outcome


class Ballot:
    """`pre` asks for promises only, for a term that the candidate has not entered yet (dissertation, 9.6)."""

    def __init__(self, term: int, majorities: tuple[tuple[str, ...], ...], *, pre: bool) -> None:
        self.term = term
        self.pre = pre
        self._majorities = majorities
        self._votes: dict[str, bool] = {}

    def record(self, voter: str, granted: bool) -> Outcome:
        """Count an answer; the first one of each voter stands."""
        if any(voter in voters for voters in self._majorities):
            self._votes.setdefault(voter, granted)
        return joint_outcome(self._majorities, self._votes)
