"""What the scheduler tells itself. Whether it is settled is asked as of a controller: protocols/controller.py."""

from __future__ import annotations

from protocols.message import Message


class SchedulerDue(Message):
    """A timer: some pod's back-off has ended."""
