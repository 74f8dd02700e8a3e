"""Frames: what travels on a link between two systems. A fixed header, then a body that stays opaque until asked for.

Header, 24 bytes, little-endian:

    u32 length   of the body; checked against FRAME_MAX before anything is buffered
    u32 word     the lowest 8 bits: Kind; the others: message number of the body (protocols/message.py), 0 where the
                 kind has no message
    u32 target   actor_id of the receiver (tell, ask, stream)
    u32 sender   actor_id of the sender, 0 when it is not an actor
    u32 corr     correlation id, chosen by the asking system
    u32 number   ask and send: milliseconds left to live; stream and credit: how many items may be sent

Small frames of one kind that follow each other travel as one BATCH: its `word` carries their kind where a type would
be, its body is one MessagePack array with an array [type, target, sender, corr, number, body] for each. So a tick's
messages are taken apart by one call into C; what a frame means is the same either way.

A frame with a body of more than 256 KiB travels in parts: the bodies of PART frames, one after the other, are its
header and its body; `number` says how many bytes are still to come. Small frames go in between (runtime/fragments.py).
"""

from __future__ import annotations

import enum
import struct
from collections.abc import Callable
from typing import Annotated

import msgspec

HEADER = struct.Struct("<6I")
HEADER_SIZE = HEADER.size
FRAME_MAX = 8 * 1024 * 1024
WIRE_VERSION = 6
PART_BYTES = 64 * 1024
BATCH_BYTES_MAX = 128 * 1024  # of the body of a batch: what it unfolds to is bounded by it
KIND_BITS = 8


Frame = tuple[int, int, int, int, int, int, bytes]  # kind, type, target, sender, corr, number, body


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
    CANCEL = 12  # whoever sent ask, send or stream `corr` does not wait for it any more
    PING = 13
    PONG = 14
    REFUSED = 15  # last frame of a side that will not work with the other: a sentence that says why
    RENEW = 16  # whoever dialled is asked for a successor of this connection
    MOVED = 17  # last frame on this connection: what follows comes on its successor
    WATCH = 18  # tell `sender`, by a DOWN with this `corr`, when `target` ends; `number` as in runtime/monitors.py
    UNWATCH = 19  # watch `corr` is taken back
    SEND = 20  # as a tell, and the sender waits for ACCEPTED or ERROR
    ACCEPTED = 21  # send `corr` is in the mailbox
    DOWN = 22  # what watch `corr` waited for has come; the body is the reason
    BATCH = 23  # several frames of the kinds in BATCHED
    PART = 24  # a piece of a large frame of the kinds in PARTED


BATCHED = frozenset({Kind.TELL, Kind.ASK, Kind.REPLY, Kind.ITEM})

PARTED = frozenset({Kind.TELL, Kind.ASK, Kind.REPLY, Kind.ERROR, Kind.STREAM, Kind.ITEM, Kind.SEND})
FREE = PARTED | {Kind.NAME, Kind.END, Kind.CREDIT, Kind.CANCEL, Kind.ACCEPTED, Kind.PING, Kind.PONG}  # go in between

_u24 = Annotated[int, msgspec.Meta(ge=0, le=2**24 - 1)]
_u32 = Annotated[int, msgspec.Meta(ge=0, le=2**32 - 1)]
Row = tuple[_u24, _u32, _u32, _u32, _u32, bytes]  # type, target, sender, corr, number, body: a frame of a batch

encode_rows: Callable[[list[Row]], bytes] = msgspec.msgpack.Encoder().encode
decode_rows: Callable[[bytes], list[Row]] = msgspec.msgpack.Decoder(list[Row]).decode  # raises ValueErrors


class Hello(msgspec.Struct, frozen=True, array_like=True):
    """Who is calling. The first two fields never change their place, so that versions can name each other.

    `link` numbers the dialler's link; `successor`: this connection goes on where that link's other one stops.
    """

    version: int
    system: str
    incarnation: int
    lane: int
    table: bytes
    nonce: bytes
    link: int = 0
    successor: bool = False


class Caller(msgspec.Struct, frozen=True, array_like=True):
    """What the hello of any version begins with."""

    version: int
    system: str
