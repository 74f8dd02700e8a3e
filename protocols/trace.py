"""Trace context: which trace a message belongs to, and which span caused it. Only messages that are followed carry one.

A frame whose kind has the bit TRACED begins its body with 25 bytes, big-endian as in W3C's `traceparent`:

    16 bytes  trace id   shared by everything that has one first cause
     8 bytes  span id    of the handling, pass or request in which it was sent; 0 begins the trace
     1 byte   bit 0: sampled (W3C); bits 1 to 7: how many timers lie between the first cause and here
"""

from __future__ import annotations

import struct

import msgspec

TRACED = 0x80
CONTEXT_SIZE = 25
TIMERS_MAX = 127
_wire = struct.Struct(">16sQB")


class TraceContext(msgspec.Struct, frozen=True, gc=False):
    """A cause, as it travels. A trace id has 16 bytes."""

    trace_id: bytes
    span_id: int
    timers: int = 0


def pack_context(trace_id: bytes, span_id: int, timers: int) -> bytes:
    return _wire.pack(trace_id, span_id, min(timers, TIMERS_MAX) << 1 | 1)


def split_context(body: bytes) -> tuple[TraceContext | None, bytes]:
    """The context before a traced body, and the body. None: not sampled. Raises ValueError for what is too short."""
    if len(body) < CONTEXT_SIZE:
        raise ValueError(f"a traced frame of {len(body)} bytes has no room for its context")
    trace_id, span_id, flags = _wire.unpack_from(body)
    context = TraceContext(trace_id, span_id, flags >> 1) if flags & 1 else None
    return context, body[CONTEXT_SIZE:]


def traceparent(context: TraceContext) -> str:
    """As a W3C header value."""
    return f"00-{context.trace_id.hex()}-{context.span_id:016x}-01"


def parse_traceparent(header: str) -> TraceContext | None:
    """None for what is no traceparent, or asks not to be followed."""
    parts = header.strip().split("-")
    if len(parts) < 4 or [len(part) for part in parts[:4]] != [2, 32, 16, 2] or parts[0] == "ff":
        return None
    try:
        trace_id, span_id, flags = bytes.fromhex(parts[1]), int(parts[2], 16), int(parts[3], 16)
    except ValueError:
        return None
    return TraceContext(trace_id, span_id) if any(trace_id) and span_id and flags & 1 else None
