"""A tape: everything that enters one actor and everything that it decides, in order, as a file.

What enters is written when it takes effect: a message when `receive` is called, an answer when whoever awaits it goes
on. So the order on the tape is the order in which the actor's own code ran, and replaying needs nothing but the tape
(actorkube/sim/solo.py). Each entry is a MessagePack array: time (`ctx.now` from there on), kind, and its details.
"""

from __future__ import annotations

import asyncio
import errno
import os
import weakref
from collections.abc import Callable
from contextvars import Context
from pathlib import Path
from typing import Any, Protocol, TypeAlias

import msgspec

from actorkube.runtime.disk import DiskFull
from protocols.errors import Answer, AskError, decode_error, encode_error
from protocols.message import Message, decode, encode

FORMAT, VERSION = "actorkube tape", 1
TAPE_BYTES_MAX = 64 << 20
_pack = msgspec.msgpack.Encoder().encode

# Kind and details; the time is added by the tape.
Entry: TypeAlias = tuple[Any, ...]
INPUTS = ("start", "takeover", "message", "resolved", "woke", "step", "called", "handover", "stop")


class TapeHeader(msgspec.Struct, frozen=True, kw_only=True):
    address: str
    seed: int | str  # of the system: chance follows from it, the address and the incarnation
    incarnation: int
    format: str = FORMAT
    version: int = VERSION


class Gate(Protocol):
    is_open: bool

    def wait(self) -> asyncio.Future[None]:
        """Done when it is open."""


class Tape(Protocol):
    """What a taped actor talks to: one that writes, or one that is played (then nothing is `live`)."""

    live: bool
    now: float

    def put(self, *entry: Any) -> None:
        """Something entered, or was decided."""

    def value(self, ask: Callable[[], Any]) -> Any:
        """What the world says when it is asked and answers at once. Raises what it raises."""

    def enter(self, kind: str, number: int, code: Callable[[], object], context: Context | None = None) -> None:
        """The actor's code is about to run for that reason, in that context: run it, now or when the tape says so."""

    def gate(self, number: int) -> Gate | None:
        """A task is about to take a step: None when it may, else what it has to wait for."""

    def close(self) -> None: ...


class TapeWriter:
    """Bounded: past `bytes_max` nothing more is written, and the tape is good as far as it goes."""

    live = True

    def __init__(self, path: Path, header: TapeHeader, now: Callable[[], float], bytes_max: int = TAPE_BYTES_MAX):
        path.parent.mkdir(parents=True, exist_ok=True)
        # Written through at once: what a crash, or a kill, leaves of a tape is what makes it worth having.
        self._fd = os.open(path, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        self._close = weakref.finalize(self, os.close, self._fd)
        os.write(self._fd, _pack(header))
        self._left = bytes_max
        self._now = now
        self.now = now()

    def put(self, *entry: Any) -> None:
        if entry[0] in INPUTS:
            self.now = self._now()
        record = _pack((self.now, *entry))
        self._left -= len(record)
        if self._left >= 0 and self._close.alive:
            os.write(self._fd, record)

    def value(self, ask: Callable[[], Any]) -> Any:
        try:
            found = ask()
        except OSError as error:
            self.put("value", pack_value(error))
            raise
        self.put("value", pack_value(found))
        return found

    def enter(self, kind: str, number: int, code: Callable[[], object], context: Context | None = None) -> None:
        self.put(kind, number)
        code()

    def gate(self, number: int) -> None:
        self.put("step", number)

    def close(self) -> None:
        self._close()


# -- values -----------------------------------------------------------------------------------------------------------


def pack_value(value: Any) -> Entry:
    """A message, an error, or something plain, as MessagePack can hold it."""
    match value:
        case Message():
            return ("message", type(value).type_id, encode(value))
        case Answer() | AskError():
            return ("error", encode_error(value))
        case OSError():
            return ("os error", value.errno or errno.EIO, value.strerror or str(value))
        case StopAsyncIteration():
            return ("end",)
        case None | bool() | int() | float() | str() | bytes() | list():
            return ("plain", value)
    raise TypeError(f"{value!r} cannot be taped")


def unpack_value(entry: Any) -> Any:
    """What was packed; an exception is returned, not raised."""
    match tuple(entry):
        case ("message", type_id, body):
            return decode(type_id, body)
        case ("error", body):
            return decode_error(body)
        case ("os error", number, text):
            return DiskFull(number, text) if number == errno.ENOSPC else OSError(number, text)
        case ("end",):
            return StopAsyncIteration()
        case ("plain", value):
            return value
    raise ValueError(f"{entry!r} is no value of a tape")
