"""What one may ask of a controller's actor, and what it tells itself."""

from __future__ import annotations

from protocols.message import Message, Request


class Activity(Message):
    """`settled`: the views are complete, no key is queued, retried or worked on. Timers may still be waiting."""

    settled: bool
    queued: int
    working: int
    delayed: int
    passes: int
    writes: int
    retries: int


class AskActivity(Request[Activity]):
    """How busy a controller is. `controller` "" sums over all that the actor runs."""

    controller: str = ""


class ControllerDue(Message):
    """A controller's timer to itself: a delayed key has become due."""
