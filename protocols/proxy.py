"""What a node's proxy tells itself."""

from __future__ import annotations

from protocols.message import Message


class ProxyDue(Message):
    """A timer: time to try again the addresses that could not be listened on."""
