"""Records: how the write-ahead log and the snapshots frame what they keep, so that damage is noticed. Pure.

magic 3 | type 1 | length 4 | crc32 4 | payload       little endian; the CRC covers type, length and payload
"""

from __future__ import annotations

import struct
import zlib

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


def sound_record_after(data: bytes, offset: int) -> bool:
    while (offset := data.find(MAGIC, offset + 1)) >= 0:
        if record_at(data, offset) is not None:
            return True
    return False
