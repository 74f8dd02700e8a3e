"""One try to become leader: whose votes were asked for, and how it stands."""

from __future__ import annotations

from actors.etcd.raft.quorum import Outcome, vote_outcome


class Ballot:
    """`pre` asks for promises only, for a term that the candidate has not entered yet (dissertation, 9.6)."""

    def __init__(self, term: int, voters: tuple[str, ...], *, pre: bool) -> None:
        self.term = term
        self.pre = pre
        self._voters = voters
        self._votes: dict[str, bool] = {}

    def record(self, voter: str, granted: bool) -> Outcome:
        """Count an answer; the first one of each voter stands."""
        if voter in self._voters:
            self._votes.setdefault(voter, granted)
        return vote_outcome(self._voters, self._votes)
