"""Who waits for whom: what every system tells of its own actors, through its built-in actor `SYSTEM/waits`.

It is asked shortly before an ask runs out of time that leads to another process, so that a circle can be named.
"""

from __future__ import annotations

import msgspec

from protocols.message import Message, Request


class Wait(msgspec.Struct, frozen=True, array_like=True):
    """One ask that an actor has out: which request, to whom, and until when on its system's own clock, in seconds:
    two that are equal are the same ask."""

    request: str
    address: str
    until: float


class WaitList(Message):
    """Empty also where there is no such actor, or it could handle more meanwhile."""

    waits: tuple[Wait, ...] = ()


class AskWaits(Request[WaitList]):
    actor: str
