"""Answers that an actor gives later than its handler returns."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING

from protocols.errors import Answer, AskError
from protocols.message import Message

if TYPE_CHECKING:
    from actorkube.runtime.envelope import Envelope
    from actorkube.runtime.work import Work


class ReplyHandle(ABC):
    """Answers one request, at most once; later answers are ignored."""

    __slots__ = ()

    @property
    def is_wanted(self) -> bool:
        """Whether anybody still waits for it: worth a look before the work is begun."""
        return True

    @abstractmethod
    def send(self, reply: Message | None) -> None: ...

    @abstractmethod
    def fail(self, error: Answer | AskError) -> None: ...


class TakenReply(ReplyHandle):
    """The answer that a handler took over. When its actor ends before it is given, the asker is told so."""

    __slots__ = ("_envelope", "_work")

    def __init__(self, work: Work, envelope: Envelope) -> None:
        self._work = work
        self._envelope: Envelope | None = envelope

    @property
    def is_wanted(self) -> bool:
        return self._envelope is not None and self._envelope.is_wanted

    def send(self, reply: Message | None) -> None:
        envelope, self._envelope = self._envelope, None  # as `_take`: a call less for each answer
        if envelope is not None:
            self._work.answered(self)
            envelope.answer(reply)

    def fail(self, error: Answer | AskError) -> None:
        if (envelope := self._take()) is not None:
            envelope.fail(error)

    def _take(self) -> Envelope | None:
        envelope, self._envelope = self._envelope, None
        if envelope is not None:
            self._work.answered(self)
        return envelope
