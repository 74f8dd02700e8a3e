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

    @property
    def is_key(self) -> bool:
        return self.high == self.low + b"\0"

    @property
    def is_prefix(self) -> bool:
        """Whether it is all keys that begin with `low`."""
        head = self.low.rstrip(b"\xff")
        if not head:
            return self.low == b"" and self.high is None
        return self.high == head[:-1] + bytes([head[-1] + 1])

    def holds(self, key: bytes) -> bool:
        return self.low <= key and (self.high is None or key < self.high)


EVERYTHING = Span(b"\0", None)
