"""A range of keys as etcd writes it: [key, range_end), where an empty end means the one key, and b"\\0" no end."""

from __future__ import annotations

from typing import NamedTuple


class Span(NamedTuple):
    """Keys from `low` on, before `high`; None: no end."""

    low: bytes
    high: bytes | None

    @classmethod
    def of(cls, key: bytes, range_end: bytes) -> Span:
        if not range_end:
            return cls(key, key + b"\0")
        return cls(key, None if range_end == b"\0" else range_end)

    def holds(self, key: bytes) -> bool:
        return self.low <= key and (self.high is None or key < self.high)
