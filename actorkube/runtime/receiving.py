"""What comes in over links: frames become envelopes for actors, answers reach those who wait for them.

One handler for each kind of frame. It raises ValueError when a frame makes no sense: the transport ends the link.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from actorkube.runtime.actor import Ref
from actorkube.runtime.envelope import Envelope, FromLink, Opening, RemoteAsk, RemoteSend
from actorkube.runtime.link import Link
from actorkube.runtime.stream import CREDIT_MAX
from actorkube.runtime.tracing import because
from protocols.address import Address
from protocols.errors import Answer, AskError, BadRequest, Overloaded, Terminated, decode_error, encode_error
from protocols.frame import Frame, Kind, Row
from protocols.message import Message, decode, decoder_for, name_of, opens_stream
from protocols.trace import TRACED, TraceContext, split_context

if TYPE_CHECKING:
    from actorkube.runtime.cell import Cell
    from actorkube.runtime.system import System

FrameHandler = Callable[[Any, int, int, int, int, int, bytes], None]  # link, type, target, sender, corr, number, body
INF = math.inf
NAMES_MAX = 1_000_000  # actors of one peer that may introduce themselves over one link
NAME_BYTES_MAX = 1024
NOBODY = "there is no such actor"
OUTLETS_MAX = 10_000  # streams that one link may have open


class Receiver:
    """One system's. `handlers` are by the kind of a frame."""

    def __init__(self, system: System, cells: dict[int, Cell]) -> None:
        self._system = system
        self._cells = cells
        self.handlers = self._handlers()

    def _handlers(self) -> list[FrameHandler]:
        handlers = list(_UNKNOWN)
        handlers[Kind.TELL] = self._on_tell
        handlers[Kind.ASK] = self._on_ask
        handlers[Kind.REPLY] = self._on_reply
        handlers[Kind.ERROR] = self._on_error
        handlers[Kind.ITEM] = self._on_item
        handlers[Kind.CREDIT] = self._on_credit
        handlers[Kind.STREAM] = self._on_stream
        handlers[Kind.END] = self._on_end
        handlers[Kind.CANCEL] = self._on_cancel
        handlers[Kind.NAME] = self._on_name
        handlers[Kind.SEND] = self._on_send
        handlers[Kind.ACCEPTED] = self._on_accepted
        handlers[Kind.WATCH] = self._system.monitors.on_watch
        handlers[Kind.UNWATCH] = self._system.monitors.on_unwatch
        handlers[Kind.DOWN] = self._system.monitors.on_down
        for kind in (Kind.TELL, Kind.ASK, Kind.SEND, Kind.STREAM, Kind.ITEM, Kind.REPLY, Kind.ERROR, Kind.DOWN):
            handlers[kind | TRACED] = partial(self._on_traced, kind)
        return handlers

    def _on_traced(
        self, kind: Kind, link: Link, type_id: int, target: int, sender: int, corr: int, number: int, body: bytes
    ) -> None:
        """A frame that says what caused it."""
        trace, body = split_context(body)
        self._system.tracer.wake()
        if kind == Kind.ITEM:
            stream = self._system.streams.get(corr) if corr in link.streams else None
            if stream is not None:
                stream.item(type_id, body, trace)
        elif kind == Kind.TELL:
            self._on_tell(link, type_id, target, sender, corr, number, body, trace)
        elif kind == Kind.ASK:
            self._on_ask(link, type_id, target, sender, corr, number, body, trace)
        elif kind == Kind.SEND:
            self._on_send(link, type_id, target, sender, corr, number, body, trace)
        elif kind == Kind.STREAM:
            self._on_stream(link, type_id, target, sender, corr, number, body, trace)
        elif kind == Kind.DOWN:
            with because(trace):
                self._system.monitors.on_down(link, type_id, target, sender, corr, number, body)
        else:
            self._system.tracer.answered(link.asks.get(corr), trace)
            self.handlers[kind](link, type_id, target, sender, corr, number, body)

    def _on_tell(
        self,
        link: Link,
        type_id: int,
        target: int,
        sender: int,
        _corr: int,
        _number: int,
        body: bytes,
        trace: TraceContext | None = None,
    ) -> None:
        cell = self._cells.get(target) or self._system.built_in(target)
        if cell is None:
            self._system.dead_letters += 1
        else:
            cell.deliver(FromLink(None, link.names.get(sender), trace, INF, type_id, body))

    def _on_ask(
        self,
        link: Link,
        type_id: int,
        target: int,
        sender: int,
        corr: int,
        ttl_ms: int,
        body: bytes,
        trace: TraceContext | None = None,
    ) -> None:
        cell = self._cells.get(target) or self._system.built_in(target)
        if cell is None:
            link.send(Kind.ERROR, 0, 0, 0, corr, 0, encode_error(Terminated(NOBODY)))
            return
        expires_at = self._system.loop.time() + ttl_ms / 1000
        ask = RemoteAsk(None, link.names.get(sender), trace, expires_at, type_id, body, cell, link, corr)
        link.calls[corr] = ask
        cell.deliver(ask)

    def _on_send(
        self,
        link: Link,
        type_id: int,
        target: int,
        sender: int,
        corr: int,
        ttl_ms: int,
        body: bytes,
        trace: TraceContext | None = None,
    ) -> None:
        cell = self._cells.get(target) or self._system.built_in(target)
        if cell is None:
            link.send(Kind.ERROR, 0, 0, 0, corr, 0, encode_error(Terminated(NOBODY)))
            return
        expires_at = self._system.loop.time() + ttl_ms / 1000
        send = RemoteSend(None, link.names.get(sender), trace, expires_at, type_id, body, cell, link, corr)
        link.calls[corr] = send
        cell.offer(send)

    def _on_stream(
        self,
        link: Link,
        type_id: int,
        target: int,
        sender: int,
        corr: int,
        credit: int,
        body: bytes,
        trace: TraceContext | None = None,
    ) -> None:
        cell = self._cells.get(target) or self._system.built_in(target)
        if cell is None:
            link.send(Kind.END, 0, 0, 0, corr, 0, encode_error(Terminated(NOBODY)))
            return
        if credit > CREDIT_MAX:
            raise ValueError(f"credit for {credit} items")
        refusal = _no_stream(link, type_id)
        if refusal is not None:
            link.send(Kind.END, 0, 0, 0, corr, 0, encode_error(refusal))
            return
        who = link.names.get(sender)
        opening = Opening(None, who, trace, INF, type_id, body, cell, link, corr, credit=credit)
        link.calls[corr] = opening
        cell.deliver(opening)

    def tell_at_once(self, link: Link, frame: Frame) -> bool:
        """A TELL that came alone: its actor handles it before this returns, if nothing is before it. Whether it did."""
        _, type_id, target, sender, _, _, body = frame
        cell = self._cells.get(target)
        if cell is None or not cell.may_handle_at_once():
            return False
        try:
            message = decode(type_id, body)
        except ValueError:
            return False  # it is refused when its turn comes
        told = Envelope(message, link.names.get(sender), None, INF)
        (cell._context or cell.context).run(cell.handle_at_once, told)
        return True

    # Batches: what the handlers above do for one frame, for many, without a call for each.

    def on_batch(self, link: Link, kind: int, rows: list[Row]) -> None:
        """Frames of one kind of BATCHED."""
        if kind == Kind.TELL:
            self._on_tells(link, rows)
        elif kind == Kind.ASK:
            self._on_asks(link, rows)
        elif kind == Kind.REPLY:
            self._system.unawaited += self._system.asks.answered(link, rows)
        else:
            handler = self.handlers[kind]
            for row in rows:
                handler(link, *row)

    def _on_tells(self, link: Link, rows: list[Row]) -> None:
        """They are small: where there is room for them, they are decoded at once."""
        cells, names, known = self._cells, link.names, -1
        decode: Callable[[bytes], Message]
        for type_id, target, sender, corr, number, body in rows:
            cell = cells.get(target)
            if cell is None or len(box := cell.inbox) >= box.limit:
                self._on_tell(link, type_id, target, sender, corr, number, body)
                continue
            try:
                if type_id != known:
                    decode, known = decoder_for(type_id).decode, type_id
                message = decode(body)
            except (ValueError, RecursionError):
                self._on_tell(link, type_id, target, sender, corr, number, body)  # it is refused when its turn comes
                continue
            box.append(Envelope(message, names.get(sender), None, INF))
            if not cell.scheduled:
                cell.wake()

    def _on_asks(self, link: Link, rows: list[Row]) -> None:
        cells, names, calls, now = self._cells, link.names, link.calls, self._system.loop.time()
        for type_id, target, sender, corr, ttl_ms, body in rows:
            cell = cells.get(target)
            if cell is None:
                self._on_ask(link, type_id, target, sender, corr, ttl_ms, body)
                continue
            expires_at = now + ttl_ms / 1000
            ask = RemoteAsk(None, names.get(sender), None, expires_at, type_id, body, cell, link, corr)
            calls[corr] = ask
            box = cell.inbox  # from here on as `cell.deliver`
            if len(box) < box.limit:
                box.append(ask)
                if not cell.scheduled:
                    cell.wake()
            else:
                cell.deliver(ask)

    def _on_reply(self, link: Link, type_id: int, _t: int, _s: int, corr: int, _n: int, body: bytes) -> None:
        pending = link.asks.get(corr)
        if pending is not None:
            pending.answered(type_id, body)
        else:
            self._system.unawaited += 1

    def _on_error(self, link: Link, _i: int, _t: int, _s: int, corr: int, _n: int, body: bytes) -> None:
        pending = link.asks.get(corr)
        if pending is not None:
            error = decode_error(body)
            if isinstance(error, Terminated) and str(error) == NOBODY:  # a number is all that it was asked by
                error = Terminated(f"{pending.what}: {NOBODY}")
            pending.settle(error)
        else:
            self._system.unawaited += 1

    def _on_item(self, link: Link, type_id: int, _t: int, _s: int, corr: int, _n: int, body: bytes) -> None:
        stream = self._system.streams.get(corr) if corr in link.streams else None
        if stream is not None:
            stream.item(type_id, body)

    def _on_end(self, link: Link, _i: int, _t: int, _s: int, corr: int, _n: int, body: bytes) -> None:
        if corr in link.streams:
            self._system.end_stream(corr, decode_error(body) if body else None)

    def _on_credit(self, link: Link, _i: int, _t: int, _s: int, corr: int, number: int, _b: bytes) -> None:
        outlet = link.outlets.get(corr)
        if outlet is not None:
            outlet.grant(number)

    def _on_cancel(self, link: Link, _i: int, _t: int, _s: int, corr: int, _n: int, _b: bytes) -> None:
        call, outlet = link.calls.get(corr), link.outlets.get(corr)
        if call is not None:
            call.cancel()
        elif outlet is not None:
            outlet.close()

    def _on_accepted(self, link: Link, _i: int, _t: int, _s: int, corr: int, _n: int, _b: bytes) -> None:
        pending = link.asks.get(corr)
        if pending is not None:
            pending.settle(None)

    def _on_name(self, link: Link, _i: int, _t: int, sender: int, _c: int, _n: int, body: bytes) -> None:
        if len(link.names) >= NAMES_MAX:
            raise ValueError(f"more than {NAMES_MAX} names of actors")
        if not 0 < len(body) <= NAME_BYTES_MAX:
            raise ValueError(f"an actor's name of {len(body)} bytes")
        ref = Ref(Address(link.peer, body.decode()))
        if ref.actor_id != sender:
            raise ValueError(f"{ref.address.actor!r} is not the name of actor {sender}")
        link.names[sender] = ref


def _no_stream(link: Link, type_id: int) -> Answer | AskError | None:
    """Why the peer may not open a stream with this message."""
    if not opens_stream(type_id):
        return BadRequest(f"{name_of(type_id)} opens no stream")
    if len(link.outlets) >= OUTLETS_MAX:
        return Overloaded(f"{OUTLETS_MAX} streams are open")
    return None


def _on_unknown(kind: int, *frame: object) -> None:
    if kind & TRACED:
        raise ValueError(f"frame of kind {kind & ~TRACED} with a trace context")
    raise ValueError(f"frame of unknown kind {kind}")


_UNKNOWN: list[FrameHandler] = [partial(_on_unknown, kind) for kind in range(256)]
