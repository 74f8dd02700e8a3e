"""The consistency check: who is to blame when replicas that should be equal have different hashes. Pure.

A majority that agrees is right. Without one nobody can say who is, and the leader is believed: its answers are what
clients have acted on.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping


def to_blame(hashes: Mapping[str, int], leader: str) -> list[str]:
    """Members whose hash is not the right one, in order. `hashes` are of the same revision; the leader's is there."""
    (most, count), *_ = Counter(hashes.values()).most_common(1)
    right = most if count * 2 > len(hashes) else hashes[leader]
    return sorted(member for member, found in hashes.items() if found != right)
