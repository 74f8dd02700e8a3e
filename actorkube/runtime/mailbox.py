"""Mailboxes: what waits for one actor, how much of it, and what gives way when there is more.

`Mailbox` is what an actor's class states; `Box` is the mailbox itself: a deque of envelopes with a bound, without loop
or clock. A delivery that finds room is an `append` while `len(box) < box.limit`; everything else is `admit`.
"""

from __future__ import annotations

import enum
import math
from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from typing import Literal

from actorkube.runtime.envelope import WITHDRAWN, Envelope, Signal
from protocols.address import Address
from protocols.errors import Answer, AskError, Overloaded, Terminated
from protocols.message import Message

Overflow = Literal["fail", "drop_oldest", "drop_newest", "backpressure"]

WITHDRAWN_KEPT = 32  # so many withdrawn messages may lie about before their places are looked for


@dataclass(frozen=True, slots=True)
class Mailbox:
    """How much may wait for an actor, and what happens to more.

    capacity   messages that wait; what is being handled, timers' ticks and signals do not count
    overflow   what a message does that finds the mailbox full:
                 fail          it is refused: an ask or a send raises Overloaded, a tell is lost; a fault to look at
                 drop_oldest   the message that has waited longest gives way to it
                 drop_newest   it is lost itself, as with `fail`; but by intention, so it is counted as that
                 backpressure  a send or an ask waits for room; a tell, which cannot wait, is refused
    key        conflation: a message replaces the waiting one with an equal key, in its place. None does not conflate.
               It needs the message, so what comes over a link is decoded at once. When it raises, the actor crashes.
    waiting    sends and asks that may wait for room; more are refused
    stash      messages that the actor may put aside; more are refused

    Whoever waits for the outcome of a message that is lost is told Overloaded. Every loss is counted (`Loss`).
    """

    capacity: int = 1024
    overflow: Overflow = "fail"
    key: Callable[[Message], Hashable | None] | None = None
    waiting: int = 1024
    stash: int = 1024

    def __post_init__(self) -> None:
        if self.capacity < 1 or self.waiting < 1 or self.stash < 0:
            raise ValueError(f"a mailbox has room for at least one message: {self}")


class Loss(enum.Enum):
    """Why a message was not handled."""

    REFUSED = "refused"  # no room
    DROPPED_OLDEST = "dropped_oldest"
    DROPPED_NEWEST = "dropped_newest"
    CONFLATED = "conflated"  # a newer one of the same key took its place
    EXPIRED = "expired"  # its time was over before its turn came
    WITHDRAWN = "withdrawn"  # whoever sent it took it back
    MALFORMED = "malformed"  # it did not decode
    STOPPED = "stopped"  # the actor stopped first


class Box(deque[Envelope]):
    """One actor's mailbox. `limit` is the length below which an envelope may simply be appended."""

    __slots__ = ("_extra", "_withdrawn", "closed", "limit", "lobby", "losses", "owner", "settings", "signals")

    def __init__(self, owner: Address, settings: Mailbox) -> None:
        super().__init__()
        self.owner = owner
        self.settings = settings
        self.limit = settings.capacity
        self.closed = False
        self.signals: deque[Signal] | None = None  # of the system: before all that waits, and without a bound
        self.lobby: OrderedDict[Envelope, None] = OrderedDict()  # wait for room, first come first served
        self.losses: Counter[Loss] = Counter()
        self._extra = 0  # envelopes in it that the bound does not count: ticks, and withdrawn ones
        self._withdrawn = 0

    # -- coming in ------------------------------------------------------------------------------------------------

    def admit(self, envelope: Envelope) -> bool:
        """Whether it is in the mailbox now. It may also wait for room, or be lost."""
        if self.closed:
            self.lose(envelope, Loss.STOPPED, Terminated(f"{self.owner} stops"))
            return False
        if self.lobby or len(self) >= self.settings.capacity + self._extra:
            return self._overflow(envelope)
        self._enter(envelope)
        return True

    def add_free(self, envelope: Envelope) -> None:
        """A timer's tick: needs no room."""
        self.append(envelope)
        self._extra += 1
        self._reckon()

    def _overflow(self, envelope: Envelope) -> bool:
        overflow = self.settings.overflow
        full = Overloaded(f"the mailbox of {self.owner} is full")
        if overflow == "drop_oldest" and self._drop_oldest(full):
            self._enter(envelope)
            return True
        if overflow == "backpressure" and envelope.can_wait and len(self.lobby) < self.settings.waiting:
            self.lobby[envelope] = None
            self._reckon()
        else:
            self.lose(envelope, Loss.DROPPED_NEWEST if overflow == "drop_newest" else Loss.REFUSED, full)
        return False

    def _drop_oldest(self, error: AskError) -> bool:
        for place, oldest in enumerate(self):
            if not oldest.is_free and oldest.expires_at != WITHDRAWN:
                del self[place]
                self._left(oldest)
                self.lose(oldest, Loss.DROPPED_OLDEST, error)
                return True
        return False

    def fill(self) -> None:
        """There may be room again: let in who waits for it."""
        while self.lobby and len(self) < self.settings.capacity + self._extra:
            envelope, _ = self.lobby.popitem(last=False)
            self._enter(envelope)
            envelope.accepted()
        self._reckon()

    # -- going out ------------------------------------------------------------------------------------------------

    def took_free(self) -> None:
        """An envelope that the bound does not count was taken."""
        self._extra -= 1
        self._reckon()

    def took_withdrawn(self) -> None:
        self._withdrawn -= 1
        self.took_free()

    def withdraw(self, envelope: Envelope) -> None:
        """Nobody wants it any more: it makes room at once, and is not handled when its turn comes."""
        self.losses[Loss.WITHDRAWN] += not envelope.is_free
        if envelope in self.lobby:
            del self.lobby[envelope]
        else:
            envelope.expires_at = WITHDRAWN
            self._withdrawn += 1
            self._extra += not envelope.is_free
            if self._withdrawn > WITHDRAWN_KEPT and self._withdrawn * 2 > len(self):
                self._compact()
        self.fill()

    def put_back(self, envelopes: list[Envelope]) -> None:
        """Messages that were taken before are the next ones again, in this order; whether or not there is room."""
        self.extendleft(reversed(envelopes))

    def close(self) -> None:
        """From now on nothing comes in."""
        self.closed = True
        stopping = Terminated(f"{self.owner} stops")
        while self.lobby:
            self.lose(self.lobby.popitem(last=False)[0], Loss.STOPPED, stopping)
        self._reckon()

    def refuse_all(self, error: AskError) -> None:
        """Nobody will handle what waits."""
        while self:
            self.lose(self.popleft(), Loss.STOPPED, error)
        while self.lobby:
            self.lose(self.lobby.popitem(last=False)[0], Loss.STOPPED, error)

    def moved_to(self, other: Box) -> Box:
        """What waits goes on waiting in a mailbox with other settings, which is returned."""
        other.losses, other.closed, other.signals = self.losses, self.closed, self.signals
        waiting = [self.popleft() for _ in range(len(self))]
        other.put_back([envelope for envelope in waiting if envelope.expires_at != WITHDRAWN])
        other.lobby = self.lobby
        other.fill()
        return other

    def lose(self, envelope: Envelope, loss: Loss, error: AskError) -> None:
        self.losses[loss] += 1
        envelope.fail(error)

    def _enter(self, envelope: Envelope) -> None:
        self.append(envelope)

    def _left(self, envelope: Envelope) -> None:
        """It was taken out of the middle."""

    def _compact(self) -> None:
        kept = [envelope for envelope in self if envelope.expires_at != WITHDRAWN]
        self._extra -= len(self) - len(kept)
        self._withdrawn = 0
        self.clear()
        self.extend(kept)

    def _reckon(self) -> None:
        self.limit = 0 if self.closed or self.lobby else self.settings.capacity + self._extra


class Place(Envelope):
    """Where the newest message with one key waits."""

    key: Hashable
    newest: Envelope

    def fail(self, error: Answer | AskError) -> None:
        self.newest.fail(error)


class ConflatingBox(Box):
    """A mailbox with a key: a message whose key waits already takes the place of the one that waits."""

    __slots__ = ("_key", "_places")

    def __init__(self, owner: Address, settings: Mailbox) -> None:
        super().__init__(owner, settings)
        assert settings.key is not None
        self._key = settings.key
        self._places: dict[Hashable, Place] = {}
        self._reckon()

    def admit(self, envelope: Envelope) -> bool:
        if not self.closed and self._key(envelope.open()) in self._places:
            self._enter(envelope)
            return True
        return super().admit(envelope)

    def popleft(self) -> Envelope:
        first = super().popleft()
        if isinstance(first, Place) and first.expires_at != WITHDRAWN:
            del self._places[first.key]
            return first.newest
        return first

    def withdraw(self, envelope: Envelope) -> None:
        place = self._places.get(self._key(envelope.message)) if envelope.message is not None else None
        if place is not None and place.newest is envelope:
            del self._places[place.key]
            super().withdraw(place)
        else:
            super().withdraw(envelope)

    def put_back(self, envelopes: list[Envelope]) -> None:
        for envelope in reversed(envelopes):
            key = self._key(envelope.open())
            if key is None:
                self.appendleft(envelope)
            elif key in self._places:
                self._conflate(envelope)
            else:
                place = self._places[key] = Place(None, None, None, math.inf, key, envelope)
                self.appendleft(place)

    def _enter(self, envelope: Envelope) -> None:
        key = self._key(envelope.open())
        if key is None:
            self.append(envelope)
        elif key in self._places:
            place = self._places[key]
            older, place.newest = place.newest, envelope
            self._conflate(older)
        else:
            place = self._places[key] = Place(None, None, None, math.inf, key, envelope)
            self.append(place)

    def _conflate(self, older: Envelope) -> None:
        self.lose(older, Loss.CONFLATED, Overloaded(f"a newer message with its key waits for {self.owner}"))

    def _left(self, envelope: Envelope) -> None:
        if isinstance(envelope, Place):
            del self._places[envelope.key]

    def _reckon(self) -> None:
        self.limit = 0  # each delivery looks at the keys


def open_box(owner: Address, settings: Mailbox) -> Box:
    return (Box if settings.key is None else ConflatingBox)(owner, settings)
