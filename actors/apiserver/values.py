"""What lies under an object's key: its bytes, and behind them eight bytes that no other write has.

The mark answers the one question that equal objects leave open. When two writers replace the same revision by the same
content and one of them does not hear how it went, the object alone does not tell whose write it was.
"""

from __future__ import annotations

import random

MARK_BYTES = 8


def new_mark(chance: random.Random) -> bytes:
    return chance.getrandbits(8 * MARK_BYTES).to_bytes(MARK_BYTES, "big")


def value_of(body: bytes, mark: bytes) -> bytes:
    return body + mark


def body_of(value: bytes) -> bytes:
    return value[:-MARK_BYTES]
