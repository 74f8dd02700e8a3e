"""What a majority says, or both while voters change: pure functions on which all of Raft's safety rests."""

from __future__ import annotations

import enum
from collections.abc import Iterable, Sequence


class Outcome(enum.Enum):
    PENDING = "pending"
    WON = "won"
    LOST = "lost"


def majority_index(indexes: Sequence[int]) -> int:
    """The highest index that a majority of the members has reached, given each member's."""
    return sorted(indexes)[(len(indexes) - 1) // 2]


def vote_outcome(voters: Iterable[str], votes: dict[str, bool]) -> Outcome:
    """How an election stands; a member without an entry in `votes` has not answered yet."""
    answers = [votes.get(voter) for voter in voters]
    needed = len(answers) // 2 + 1
    if answers.count(True) >= needed:
        return Outcome.WON
    if len(answers) - answers.count(False) < needed:
        return Outcome.LOST
    return Outcome.PENDING


def joint_outcome(majorities: Iterable[Iterable[str]], votes: dict[str, bool]) -> Outcome:
    """How an election stands that needs each of these majorities (Raft 6)."""
    outcomes = [vote_outcome(voters, votes) for voters in majorities]
    if Outcome.LOST in outcomes:
        return Outcome.LOST
    return Outcome.PENDING if Outcome.PENDING in outcomes else Outcome.WON
