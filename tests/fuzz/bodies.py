"""Bodies and frames that no peer in its senses sends, and some that it does."""

from __future__ import annotations

import msgpack
from hypothesis import strategies as st

from protocols.address import actor_id
from protocols.errors import Conflict, Unknown, encode_error
from protocols.frame import encode_rows
from protocols.message import encode
from tests.fuzz.stage import FuzzEcho, FuzzFeed, FuzzText, FuzzWait

TYPES = [cls.type_id for cls in (FuzzText, FuzzEcho, FuzzFeed, FuzzWait)]
GOOD = [encode(message) for message in (FuzzText("a", 1, ["b"], {"c": None}), FuzzEcho("d"), FuzzFeed(), FuzzWait())]
BOMBS = [
    b"\x91" * 100_000 + b"\xc0",  # arrays in arrays
    b"\x92\xa0" + b"\x81\xa1a" * 50_000 + b"\xc0",  # maps in maps, where a field may be any value
    b"\x94\xa0\x00\x90" + b"\x81\xa1a" * 50_000 + b"\xc0",
    b"\x91\xdd\xff\xff\xff\xff",  # an array that says it is huge
    b"\x91\xdb\xff\xff\xff\xff",  # a text that says so
    b"\xdf\xff\xff\xff\xff",
    b"\x94\xa0\xcf" + b"\xff" * 8 + b"\x90\x80",  # the largest integer
    b"\x91\xa2\xff\xfe",  # no UTF-8
    b"\x94\xa0\x00\x90\x81\xa1\xff\xc0",
    b"\x94\xa0\x00\x90\x81\xc4\x01a\xc0",
    b"\x92\xa0\x81\xa1a\xd6\xff\x00\x00\x00\x00",  # a time stamp
    b"\x92\xa0\x81\xa1a\xc7\x0c\xff" + b"\xff" * 12,
    b"\xc1",
    b"",
]
ERRORS = [
    encode_error(Unknown("?")),
    encode_error(Conflict("no", {"name": "a"})),
    *(
        msgpack.packb(value)
        for value in (
            ["NotLeader", 5, []],
            ["Conflict", None, [1]],
            [["Conflict"], "x", {}],
            [{}, 1, 2],
            ["DeadlineExceeded", {}, {}],
            "x",
            [],
            2**64 - 1,
        )
    ),
    b"\x93" + b"\x91" * 100_000,
    b"\x93\xa8Conflict\xa1x" + b"\x81\xa1a" * 50_000 + b"\xc0",
    b"\x93\xa8Conflict\xa2\xff\xfe\x80",
]


class Body(bytes):
    """One that a failing test can name."""

    def __repr__(self) -> str:
        return bytes.__repr__(self) if len(self) < 200 else f"<{len(self)} bytes: {self[:12]!r}...>"


u32 = st.one_of(st.integers(0, 12), st.sampled_from([2**31 - 1, 2**31, 2**32 - 1]), st.integers(0, 2**32 - 1))
names = st.sampled_from(["echo", "feed", "hole", "nobody", ""])
bodies = st.one_of(
    st.sampled_from([Body(body) for body in GOOD + ERRORS + BOMBS]),
    st.binary(max_size=80),
    st.builds(
        lambda body, at, bit: flipped(body, at, bit), st.sampled_from(GOOD), st.integers(0, 50), st.integers(0, 7)
    ),
    names.map(str.encode),
    st.lists(st.tuples(*[st.integers(0, 70000)] * 5, st.sampled_from(GOOD)), max_size=6).map(encode_rows),
)
frames = st.tuples(
    st.one_of(st.integers(1, 25), st.integers(0, 255)),  # kind
    st.one_of(st.sampled_from([*TYPES, 0]), st.integers(0, 65535)),
    st.one_of(names.map(actor_id), u32),  # target
    st.one_of(names.map(actor_id), u32),  # sender
    u32,  # corr
    u32,  # number
    bodies,
)


def flipped(body: bytes, at: int, bit: int) -> bytes:
    if not body:
        return body
    place = at % len(body)
    return body[:place] + bytes([body[place] ^ 1 << bit]) + body[place + 1 :]
