"""Records: how the write-ahead log and the snapshots frame what they keep, so that damage is noticed. Pure.

magic 3 | type 1 | length 4 | crc32 4 | payload       little endian; the CRC covers type, length and payload
"""

from __future__ import annotations

import struct
import zlib
from collections.abc import Callable, Iterator

import msgspec

READ_BYTES_MAX = 1 << 20
UNDECODABLE = (msgspec.MsgspecError, UnicodeDecodeError)  # what a decoder raises for a payload that is none
MAGIC = b"\xc5AK"

_prefix = struct.Struct("<3sBII")
_checked = struct.Struct("<BI")

Record = tuple[int, bytes]  # its type and its payload


def encode_record(kind: int, payload: bytes) -> bytes:
    crc = zlib.crc32(payload, zlib.crc32(_checked.pack(kind, len(payload))))
    return _prefix.pack(MAGIC, kind, len(payload), crc) + payload


def record_at(data: bytes, offset: int) -> Record | None:
    """The record that begins there, if it is whole and sound."""
    if len(data) - offset < _prefix.size:
        return None
    magic, kind, length, crc = _prefix.unpack_from(data, offset)
    start = offset + _prefix.size
    if magic != MAGIC or length > len(data) - start:
        return None
    payload = data[start : start + length]
    if zlib.crc32(payload, zlib.crc32(_checked.pack(kind, length))) != crc:
        return None
    return kind, payload


def records(data: bytes) -> tuple[list[Record], int]:
    """The sound records from the beginning on, and how many bytes they take."""
    found = []
    offset = 0
    while (record := record_at(data, offset)) is not None:
        found.append(record)
        offset += _prefix.size + len(record[1])
    return found, offset


class BrokenRecord(Exception):
    """The record at byte `offset` is damaged, or not all there."""

    def __init__(self, offset: int) -> None:
        super().__init__(f"the record at byte {offset} is damaged")
        self.offset = offset


def read_records(read: Callable[[int], bytes]) -> Iterator[Record]:
    """One after the other, so that a large file need never be in memory as a whole. `read` gives the next bytes, at
    most so many, none at the end. Raises BrokenRecord unless the last record ends there."""
    offset = 0
    while prefix := _read(read, _prefix.size):
        if len(prefix) < _prefix.size or not prefix.startswith(MAGIC):
            raise BrokenRecord(offset)
        _, kind, length, crc = _prefix.unpack(prefix)
        payload = _read(read, length)
        if len(payload) < length or zlib.crc32(payload, zlib.crc32(_checked.pack(kind, length))) != crc:
            raise BrokenRecord(offset)
        yield kind, payload
        offset += _prefix.size + length


def _read(read: Callable[[int], bytes], size: int) -> bytes:
    """In pieces: a damaged length must not ask for memory that the file does not fill."""
    pieces = []
    while size > 0 and (piece := read(min(size, READ_BYTES_MAX))):
        pieces.append(piece)
        size -= len(piece)
    return b"".join(pieces)


def sound_record_after(data: bytes, offset: int) -> bool:
    while (offset := data.find(MAGIC, offset + 1)) >= 0:
        if record_at(data, offset) is not None:
            return True
    return False
