"""gRPC's messages within a stream: a byte that says whether it is compressed, four of length, the message."""

from __future__ import annotations

from actors.etcd.grpc.status import Code, Refused

REQUEST_BYTES_MAX = 2 << 20  # etcd's: 1.5 MiB and half a MiB around them


def framed(message: bytes) -> bytes:
    return b"\0" + len(message).to_bytes(4, "big") + message


class Unframer:
    """Bytes in, messages out. Raises Refused."""

    __slots__ = ("_bytes_max", "_received")

    def __init__(self, bytes_max: int = REQUEST_BYTES_MAX) -> None:
        self._received: bytearray | bytes = b""
        self._bytes_max = bytes_max

    @property
    def is_empty(self) -> bool:
        return not self._received

    @property
    def waiting_bytes(self) -> int:
        return len(self._received)

    def feed(self, data: bytes) -> list[bytes]:
        received: bytearray | bytes = data
        if self._received:
            if isinstance(self._received, bytes):
                self._received = bytearray(self._received)
            self._received += data
            received = self._received
        messages: list[bytes] = []
        at = 0
        while len(received) - at >= 5:
            size = int.from_bytes(received[at + 1 : at + 5], "big")
            if received[at]:
                raise Refused(Code.UNIMPLEMENTED, "grpc: compressed messages are not taken")
            if size > self._bytes_max:
                text = f"grpc: received message larger than max ({size} vs. {self._bytes_max})"
                raise Refused(Code.RESOURCE_EXHAUSTED, text)
            if len(received) - at < 5 + size:
                break
            messages.append(bytes(received[at + 5 : at + 5 + size]))
            at += 5 + size
        self._received = received[at:]
        return messages


_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}


def timeout_s(value: bytes) -> float:
    """The `grpc-timeout` header. Raises Refused."""
    digits, unit = value[:-1], value[-1:]
    if unit not in _UNITS or not digits.isdigit() or len(digits) > 8:
        raise Refused(Code.INTERNAL, f"malformed grpc-timeout: {value[:20]!r}")
    return int(digits) * _UNITS[unit]
