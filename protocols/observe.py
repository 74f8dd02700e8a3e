"""What every system tells about itself, through its built-in actor `SYSTEM/observer`: actors, links, metrics, spans.

A system that only dials cannot be reached by everybody, but each one is linked to somebody who can be: `Relay` asks
the observer of a neighbour, or of a neighbour's neighbour.
"""

from __future__ import annotations

import msgspec

from protocols.message import Done, Message, Request

SPANS_PER_ANSWER_MAX = 4096


class Histogram(msgspec.Struct, frozen=True, array_like=True):
    """counts[k]: values below 2**k and not below 2**(k-1), in microseconds (times) or as they are; `total` is their
    sum, in seconds or as they are. Sampled: about one of eight is looked at."""

    counts: tuple[int, ...] = ()
    total: float = 0.0


class ActorReport(msgspec.Struct, frozen=True, array_like=True):
    """`handled` by message type, `lost` by reason. Without metrics `handled` and the histograms are empty."""

    actor: str
    kind: str
    state: str
    mailbox: int
    running: int
    handled: dict[str, int]
    waiting: Histogram
    handling: Histogram
    depth: Histogram
    restarts: int
    crashes: int
    lost: dict[str, int]


class LinkReport(msgspec.Struct, frozen=True, array_like=True):
    """One connection. `outbox_bytes`: what waits to be written now."""

    peer: str
    lane: str
    frames_sent: int
    bytes_sent: int
    frames_received: int
    bytes_received: int
    outbox_bytes: int


class SystemReport(Message):
    """Times in seconds; `cpu_s` and `memory_bytes` are of the whole process, which several systems may share.

    `opened` counts connections by peer, so what is more than one a lane are reconnections; `refused` counts what was
    refused on connections, by reason.
    """

    system: str
    pid: int
    up_s: float
    cpu_s: float
    memory_bytes: int
    expired: int
    dead_letters: int
    unsent: int
    metered: bool
    trace_rate: float
    spans: int
    actors: tuple[ActorReport, ...]
    links: tuple[LinkReport, ...]
    opened: dict[str, int]
    refused: dict[str, int]


class Inspect(Request[SystemReport]):
    pass


class Exposition(Message):
    """Metrics in Prometheus' text format."""

    text: bytes
    content_type: str


class AskExposition(Request[Exposition]):
    """Of the system and of its actors; with a `page`, what only actors have to tell there."""

    page: str = ""


class SpanReport(msgspec.Struct, frozen=True, array_like=True):
    """Times in seconds since the epoch; `ended` 0: it goes on. `parent_id` 0: it began its trace."""

    trace_id: str
    span_id: int
    parent_id: int
    system: str
    actor: str
    what: str
    began: float
    ended: float
    error: str
    notes: dict[str, str]


class Spans(Message):
    spans: tuple[SpanReport, ...]


class AskSpans(Request[Spans]):
    """Those of one trace, or of all (""); the newest `limit` of them, in the order in which they began."""

    trace_id: str = ""
    limit: int = 1000


class FollowTraces(Request[Done]):
    """From now on begin a trace with this chance (0 to 1) where something happens without a cause."""

    rate: float


class Peers(Message):
    system: str
    peers: tuple[str, ...]


class AskPeers(Request[Peers]):
    """The systems that this one is linked to."""


class Relayed(Message):
    """`number` is the message number of the answer that `body` holds."""

    number: int
    body: bytes


class Relay(Request[Relayed]):
    """Ask the observer at the end of the path, by system names, each a neighbour of the one before."""

    path: tuple[str, ...]
    number: int
    body: bytes
