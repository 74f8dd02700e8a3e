"""Messages and an error of another author, who chose words that are taken elsewhere, too."""

from __future__ import annotations

from protocols.errors import Answer
from protocols.message import Message, Request


class Found(Message):
    name: str


class Get(Request[Found]):
    shelf: int


class NotFound(Answer):
    """The shelf is empty."""
