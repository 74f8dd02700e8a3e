"""Kubernetes' channels in a WebSocket (`v5.channel.k8s.io` and its elders): every message begins with a channel number.

Version 4 sends how the command ended as a Status on the error channel; version 5 adds that a client may close one
channel, which is the end of the command's input. The base64 form is text, for clients that cannot send bytes.
"""

from __future__ import annotations

import base64
import binascii
from typing import NamedTuple

from protocols.objects import Object

STDIN, STDOUT, STDERR, ERROR, RESIZE = range(5)
CLOSE = 255
V5, V4, V4_BASE64 = "v5.channel.k8s.io", "v4.channel.k8s.io", "v4.base64.channel.k8s.io"
SUBPROTOCOLS = (V5, V4, V4_BASE64)
SPDY_PROTOCOLS = (V4,)  # the same channels as streams of a SPDY connection, for kubectl before 1.30


class Frame(NamedTuple):
    channel: int
    data: bytes


def to_wire(subprotocol: str, channel: int, data: bytes) -> str | bytes:
    """Text messages are str, binary ones bytes."""
    if subprotocol == V4_BASE64:
        return f"{channel}{base64.b64encode(data).decode()}"
    return bytes((channel,)) + data


def from_wire(subprotocol: str, message: str | bytes) -> Frame:
    """Raises ValueError for what is no message of this protocol. Clients send text and bytes as they like."""
    if not message:
        raise ValueError("a message without a channel")
    if subprotocol == V4_BASE64:
        return _from_base64(message if isinstance(message, str) else message.decode("ascii"))
    data = message.encode() if isinstance(message, str) else message
    if data[0] == CLOSE and subprotocol != V5:
        raise ValueError(f"{subprotocol} closes no channels")
    return Frame(data[0], data[1:])


def _from_base64(text: str) -> Frame:
    if text[0] not in "0123456789":
        raise ValueError(f"{text[0]!r} is no channel")
    try:
        return Frame(int(text[0]), base64.b64decode(text[1:], validate=True))
    except binascii.Error as error:
        raise ValueError(str(error)) from None


def ended(exit_code: int, error: str = "") -> Object:
    """The Status of the error channel, as the kubelet words it; `error`: it has not even started."""
    if error:
        message = f"Internal error occurred: error executing command in container: {error}"
        causes = {"causes": [{"message": f"error executing command in container: {error}"}]}
        return _failure(message, "InternalError", causes, code=500)
    if exit_code:
        message = f"command terminated with non-zero exit code: exit status {exit_code}"
        causes = {"causes": [{"reason": "ExitCode", "message": str(exit_code)}]}
        return _failure(message, "NonZeroExitCode", causes)
    return {"metadata": {}, "status": "Success"}


def _failure(message: str, reason: str, details: Object, **more: int) -> Object:
    return {"metadata": {}, "status": "Failure", "message": message, "reason": reason, "details": details, **more}
