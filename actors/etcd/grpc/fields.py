"""HTTP/2 header blocks (HPACK). Ours are written without any state; those of peers are read by `hpack`, and remembered.

A client that calls again sends the same few bytes again: indexes into a table that has not changed. So a block that
changes nothing in the table means the same until one does, and need not be decoded twice.
"""

from __future__ import annotations

from collections.abc import Iterable

import hpack

Fields = dict[bytes, bytes]

FIELDS_BYTES_MAX = 16_384  # of one list, as HTTP/2 counts: 32 for each field, and its bytes
REMEMBERED_MAX = 64
_INDEXED = 0x80


class Reader:
    """Reads the header blocks of one peer, in their order."""

    def __init__(self) -> None:
        self._decoder = hpack.Decoder(max_header_list_size=FIELDS_BYTES_MAX)
        self._remembered: dict[bytes, Fields] = {}

    def read(self, block: bytes) -> Fields:
        """A name that is there twice has its last value. Raises ValueError: the connection is of no use any more."""
        known = self._remembered.get(block)
        if known is not None:
            return known
        try:
            fields = {bytes(name): bytes(value) for name, value in self._decoder.decode(block, raw=True)}
        except (hpack.HPACKError, IndexError) as error:
            raise ValueError(f"a header block does not decode: {error}") from error
        if min(block, default=0) < _INDEXED:
            self._remembered.clear()
        elif len(self._remembered) < REMEMBERED_MAX:
            self._remembered[block] = fields
        return fields


def write(fields: Iterable[tuple[bytes, bytes]]) -> bytes:
    """A block that neither uses nor changes the peer's table: literals, not indexed."""
    return b"".join([b"\0" + _string(name) + _string(value) for name, value in fields])


def _string(text: bytes) -> bytes:
    if len(text) < 127:
        return bytes((len(text),)) + text
    rest, out = len(text) - 127, bytearray(b"\x7f")
    while rest > 127:
        out.append(rest & 127 | 128)
        rest >>= 7
    out.append(rest)
    return bytes(out) + text
