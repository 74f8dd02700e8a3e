"""Messages: frozen, typed values with a number on the wire.

A request names its reply in its base class (`class Get(Request[Object])`), so `ask` is typed end to end. A message's
number is derived from its name and its module's (naming.py): both ends agree as long as they run the same message
table, which the handshake compares by digest. Equal names of different modules are different messages.
"""

from __future__ import annotations

import enum
import functools
import hashlib
import importlib
import pkgutil
import sys
import zlib
from collections.abc import Callable
from typing import Any, ClassVar, Generic, TypeVar, dataclass_transform

import msgspec

from protocols.naming import PACKAGE, wire_name

Reply = TypeVar("Reply", covariant=True)
Item = TypeVar("Item", covariant=True)


class Lane(enum.IntEnum):
    """Which of the two connections per peer carries a message; a long list must never delay a heartbeat."""

    CONTROL = 0
    BULK = 1


@dataclass_transform(frozen_default=True, field_specifiers=(msgspec.field,))
class Message(msgspec.Struct, frozen=True, array_like=True):
    """Base of everything actors say. Subclasses are declared at import time and never change."""

    lane: ClassVar[Lane] = Lane.BULK
    type_id: ClassVar[int] = 0

    def __init_subclass__(cls, **config: Any) -> None:
        super().__init_subclass__(**config)
        if cls.__module__ != __name__:
            cls.type_id = _register(cls)


class Request(Message, Generic[Reply]):
    """A message that is answered with exactly one `Reply`, or with an error."""


class Streaming(Message, Generic[Item]):
    """A message that is answered with a stream of `Item`, ended by the producer, the consumer, or an error."""


class Done(Message):
    """The empty answer: it happened."""


_types: dict[int, type[Message]] = {}
_decoders: dict[int, msgspec.msgpack.Decoder[Any]] = {}
_encoder = msgspec.msgpack.Encoder()


TYPE_ID_MAX = 0xFFFFFF  # as much as a frame has room for


def _number(name: str) -> int:
    return (zlib.crc32(name.encode()) & TYPE_ID_MAX) or 1


def _register(cls: type[Message]) -> int:
    type_id = _number(wire_name(cls))
    known = _types.get(type_id)
    # msgspec builds a generic struct's class twice; the same name in the same module is the same message.
    if known is not None and wire_name(known) != wire_name(cls):
        raise TypeError(f"message {wire_name(cls)} happens to have the number of {wire_name(known)}: rename one")
    _types[type_id] = cls
    _decoders.pop(type_id, None)
    return type_id


Done.type_id = _register(Done)


class UnknownMessage(ValueError):
    """A type number that this process has no message for."""


encode: Callable[[Message], bytes] = _encoder.encode


def decoder_for(type_id: int) -> msgspec.msgpack.Decoder[Any]:
    """Raises UnknownMessage."""
    decoder = _decoders.get(type_id)
    if decoder is None:
        cls = _types.get(type_id)
        if cls is None:
            raise UnknownMessage(f"no message has number {type_id}")
        decoder = _decoders[type_id] = msgspec.msgpack.Decoder(cls)
    return decoder


def decode(type_id: int, body: bytes | memoryview) -> Message:
    """Decode a body by its type number. Raises UnknownMessage or msgspec.DecodeError/ValidationError, nothing else."""
    decoder = _decoders.get(type_id) or decoder_for(type_id)
    try:
        message: Message = decoder.decode(body)
    except (RecursionError, UnicodeDecodeError) as error:  # msgspec lets these two through
        raise msgspec.DecodeError(str(error)) from error
    return message


def opens_stream(type_id: int) -> bool:
    """Whether it is the number of a Streaming message."""
    cls = _types.get(type_id)
    return cls is not None and issubclass(cls, Streaming)


def name_of(type_id: int) -> str:
    """The class name behind a number: for traces, and for faults that name messages."""
    cls = _types.get(type_id)
    return cls.__name__ if cls is not None else f"message {type_id}"


@functools.cache
def table_digest() -> bytes:
    """8 bytes that two processes share exactly when the messages of this package (names and fields) are equal.

    All of the package's modules are imported for it, because a process imports only those that it needs. Messages
    that are declared elsewhere are private to an actor, or to those who share the module.
    """
    for module in pkgutil.iter_modules(sys.modules[PACKAGE].__path__):
        if not module.ispkg:
            importlib.import_module(f"{PACKAGE}.{module.name}")
    rows = sorted(
        f"{type_id}:{cls.__name__}:{','.join(cls.__struct_fields__)}"
        for type_id, cls in _types.items()
        if cls.__module__.startswith(f"{PACKAGE}.")
    )
    return hashlib.blake2b("\n".join(rows).encode(), digest_size=8).digest()
