"""What a stranger's bytes reach first, as functions of bytes that must never raise what is not allowed.

python -m tests.fuzz.targets inbox CORPUS -runs=20000     under atheris, which looks for bytes that reach new code
"""

from __future__ import annotations

from collections.abc import Callable

import msgspec

from actorkube.runtime.greeting import Greeting, Self
from actorkube.runtime.refusals import Refused
from actorkube.runtime.wire import Inbox
from protocols.errors import Answer, AskError, decode_error
from protocols.frame import HEADER, decode_rows, encode_rows
from protocols.message import UnknownMessage, decode
from protocols.trace import split_context
from tests.fuzz.bodies import BOMBS, ERRORS, GOOD, TYPES
from tests.fuzz.recording_targets import RECORDING_TARGETS, recording_seeds
from tests.fuzz.store_targets import STORE_TARGETS, store_seeds

FRAME_MAX = 100_000


def inbox(data: bytes) -> None:
    """Any bytes in any pieces: frames, or a ValueError; never more memory than one frame may have."""
    got: list[bytes] = []
    box = Inbox(FRAME_MAX, [lambda *frame: got.append(frame[-1])] * 256)
    cut = data[0] + 1 if data else 1
    rest = data[1:]
    try:
        while rest:
            room = box.room()
            count = min(len(room), len(rest), cut)
            room[:count] = rest[:count]
            del room
            rest = rest[count:]
            box.add(count)
            box.deliver()
    except ValueError:
        return
    assert sum(map(len, got)) <= len(data)


def message(data: bytes) -> None:
    """Any body under any number."""
    for type_id in TYPES:
        try:
            decode(type_id, data)
        except (UnknownMessage, msgspec.MsgspecError):
            continue


def error(data: bytes) -> None:
    """Any error is one that can be raised and read."""
    found = decode_error(data)
    assert isinstance(found, Answer | AskError)
    assert isinstance(str(found), str)


def hello(data: bytes) -> None:
    """Any hello, then any proof: refused with a reason, and never believed."""
    greeting = Greeting(Self("server", 1), b"key", b"n" * 16, acceptable=lambda name: None)
    try:
        greeting.on_hello(data)
        greeting.on_proof(data[:32])
    except Refused:
        return
    raise AssertionError("a stranger was believed")


def context(data: bytes) -> None:
    try:
        split_context(data)
    except ValueError:
        return


def batch(data: bytes) -> None:
    """Any body of a batch: frames whose numbers fit a header, or a ValueError."""
    try:
        rows = decode_rows(data)
    except ValueError:
        return
    for type_id, *numbers, body in rows:
        HEADER.pack(len(body), type_id, *numbers)


TARGETS: dict[str, Callable[[bytes], None]] = {
    "inbox": inbox,
    "message": message,
    "error": error,
    "hello": hello,
    "context": context,
    "batch": batch,
    **STORE_TARGETS,
    **RECORDING_TARGETS,
}


def seeds(target: str) -> list[bytes]:
    """A corpus made by code: what the project itself sends, and what has been hard to bear before."""
    if target in STORE_TARGETS:
        return store_seeds(target)
    if target in RECORDING_TARGETS:
        return recording_seeds(target)
    small = [body[:2000] for body in (*GOOD, *ERRORS, *BOMBS)]
    if target == "inbox":
        frame = msgspec.msgpack.encode(None)
        return [b"\x07" + len(body).to_bytes(4, "little") + bytes([4]) + bytes(19) + body for body in small] + [frame]
    if target == "batch":
        return [encode_rows([(TYPES[0], 2**32 - 1, 0, 7, 8, body[:99]) for body in GOOD]), encode_rows([]), *small]
    if target == "hello":
        own = Greeting(Self("client", 2), b"other", b"m" * 16, acceptable=lambda name: None, expected="server")
        return [own.hello(), *small]
    return small
