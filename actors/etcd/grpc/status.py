"""gRPC's codes, and with which of them and in which words etcd refuses what our store refuses."""

from __future__ import annotations

from enum import IntEnum

from protocols.errors import Answer, AskError, BadRequest, DeadlineExceeded, Overloaded, Unknown
from protocols.etcd import EtcdAnswer, NotLeader


class Code(IntEnum):
    OK = 0
    CANCELLED = 1
    UNKNOWN = 2
    INVALID_ARGUMENT = 3
    DEADLINE_EXCEEDED = 4
    NOT_FOUND = 5
    ALREADY_EXISTS = 6
    PERMISSION_DENIED = 7
    RESOURCE_EXHAUSTED = 8
    FAILED_PRECONDITION = 9
    ABORTED = 10
    OUT_OF_RANGE = 11
    UNIMPLEMENTED = 12
    INTERNAL = 13
    UNAVAILABLE = 14
    DATA_LOSS = 15
    UNAUTHENTICATED = 16


class Refused(Exception):
    """A call that is answered with a code and a sentence."""

    def __init__(self, code: Code, text: str) -> None:
        super().__init__(text)
        self.code = code
        self.text = text

    def as_go_says(self) -> str:
        """With the name of its code, as where an error becomes the text of a field."""
        name = "".join([word.capitalize() for word in self.code.name.split("_")])
        return f"rpc error: code = {name} desc = {self.text}"


NO_LEADER = Refused(Code.UNAVAILABLE, "etcdserver: no leader")


def refused(error: Answer | AskError) -> Refused:
    match error:
        case NotLeader():
            return NO_LEADER
        case EtcdAnswer():
            return Refused(Code[error.grpc_code], error.etcd_text)
        case BadRequest():
            return Refused(Code.INVALID_ARGUMENT, f"etcdserver: {error}")
        case Answer():
            return Refused(Code.UNKNOWN, f"etcdserver: {error}")
        case Overloaded():
            return Refused(Code.RESOURCE_EXHAUSTED, "etcdserver: too many requests")
        case DeadlineExceeded():
            return Refused(Code.UNAVAILABLE, "etcdserver: request timed out")
        case Unknown():
            return Refused(Code.UNAVAILABLE, "etcdserver: request timed out, possibly due to connection lost")
        case _:
            return Refused(Code.UNAVAILABLE, "etcdserver: server stopped")


def trailers(code: Code, text: str = "") -> tuple[tuple[bytes, bytes], ...]:
    status = (b"grpc-status", b"%d" % code)
    return (status, (b"grpc-message", percent_encoded(text))) if text else (status,)


def percent_encoded(text: str) -> bytes:
    """gRPC's: of bytes that are no printable ASCII, and of the percent sign."""
    return b"".join([bytes((byte,)) if 32 <= byte < 127 and byte != 37 else b"%%%02X" % byte for byte in text.encode()])
