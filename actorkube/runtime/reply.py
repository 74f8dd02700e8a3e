"""Answers on their way back to whoever asked, here or over a link."""

from __future__ import annotations

from typing import TYPE_CHECKING

from actorkube.runtime.tracing import NOT_FOLLOWED, cause, with_cause
from protocols.errors import Answer, AskError, InternalError, encode_error
from protocols.frame import FRAME_MAX, Kind
from protocols.message import Done, Message, encode

if TYPE_CHECKING:
    from actorkube.runtime.asks import Pending
    from actorkube.runtime.link import Link
    from actorkube.runtime.tracing import Tracer


class ReplyHandle:
    """Answers one request, at most once; later answers are ignored."""

    __slots__ = ()

    def send(self, reply: Message | None) -> None:
        raise NotImplementedError

    def fail(self, error: Answer | AskError) -> None:
        raise NotImplementedError


class LocalReply(ReplyHandle):
    """The asker is in the same system: the reply is handed over as it is (messages are frozen)."""

    __slots__ = ("_corr", "_pending")

    def __init__(self, pending: dict[int, Pending], corr: int) -> None:
        self._pending = pending
        self._corr = corr

    def send(self, reply: Message | None) -> None:
        pending = self._pending.pop(self._corr, None)
        if pending is not None and not pending.future.done():
            pending.future.set_result(reply if reply is not None else Done())

    def fail(self, error: Answer | AskError) -> None:
        pending = self._pending.pop(self._corr, None)
        if pending is not None and not pending.future.done():
            pending.future.set_exception(error)


class TracedLocalReply(LocalReply):
    """The request is followed: what caused the answer is kept for the asker."""

    __slots__ = ("_tracer",)

    def __init__(self, pending: dict[int, Pending], corr: int, tracer: Tracer) -> None:
        super().__init__(pending, corr)
        self._tracer = tracer

    def send(self, reply: Message | None) -> None:
        self._tracer.answered(self._pending.get(self._corr), cause.get())
        super().send(reply)


class RemoteReply(ReplyHandle):
    __slots__ = ("_corr", "_link")

    def __init__(self, link: Link, corr: int) -> None:
        self._link: Link | None = link
        self._corr = corr

    def send(self, reply: Message | None) -> None:
        message = reply if reply is not None else Done()
        body = encode(message)
        if len(body) > FRAME_MAX:
            self.fail(InternalError(f"the answer has {len(body)} bytes, more than a frame may ({FRAME_MAX})"))
        else:
            self._answer(Kind.REPLY, type(message).type_id, body)

    def fail(self, error: Answer | AskError) -> None:
        self._answer(Kind.ERROR, 0, encode_error(error))

    def _answer(self, kind: int, type_id: int, body: bytes) -> None:
        link, self._link = self._link, None
        if link is not None:
            link.send(kind, type_id, 0, 0, self._corr, 0, body)


class TracedReply(RemoteReply):
    """The request is followed: the answer says what caused it."""

    __slots__ = ()

    def _answer(self, kind: int, type_id: int, body: bytes) -> None:
        trace = cause.get()
        if trace is not None and trace is not NOT_FOLLOWED:
            kind, body = with_cause(kind, body, trace)
        super()._answer(kind, type_id, body)


class NoReply(ReplyHandle):
    """For a tell: nobody waits."""

    __slots__ = ()

    def send(self, reply: Message | None) -> None:
        return

    def fail(self, error: Answer | AskError) -> None:
        return


NO_REPLY = NoReply()
