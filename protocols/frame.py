"""Frames: what travels on a link between two systems. A fixed header, then a body that stays opaque until asked for.

Header, 24 bytes, little-endian:

    u32 length   of the body; checked against FRAME_MAX before anything is buffered
    u8  kind     Kind
    u8  flags    0 (room for trace context)
    u16 type     message number of the body (protocols/message.py), 0 where the kind has no message
    u32 target   actor_id of the receiver (tell, ask, stream)
    u32 sender   actor_id of the sender, 0 when it is not an actor
    u32 corr     correlation id, chosen by the asking system
    u32 number   ask: milliseconds left to live; stream and credit: how many items may be sent
"""

from __future__ import annotations

import enum
import struct

import msgspec

HEADER = struct.Struct("<IBBHIIII")
HEADER_SIZE = HEADER.size
FRAME_MAX = 8 * 1024 * 1024
WIRE_VERSION = 1


class Kind(enum.IntEnum):
    HELLO = 1  # first frame of each side: Hello
    PROOF = 2  # second frame: HMAC over the other side's nonce
    NAME = 3  # body is the actor name whose id is `sender`; sent before the id's first use on a link
    TELL = 4
    ASK = 5
    REPLY = 6
    ERROR = 7
    STREAM = 8
    ITEM = 9
    END = 10  # body empty: the stream is complete; otherwise an encoded error
    CREDIT = 11
    CANCEL = 12  # the consumer of stream `corr` is gone
    PING = 13
    PONG = 14


class Hello(msgspec.Struct, frozen=True, array_like=True):
    """Who is calling. A side that cannot work with what it reads closes the connection and logs why."""

    version: int
    system: str
    incarnation: int
    lane: int
    table: bytes
    nonce: bytes


def pack_header(kind: int, type_id: int, target: int, sender: int, corr: int, number: int, length: int) -> bytes:
    return HEADER.pack(length, kind, 0, type_id, target, sender, corr, number)
