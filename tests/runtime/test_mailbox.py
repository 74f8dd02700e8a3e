"""The mailbox against an obvious one: whatever comes, is taken back and is taken out, both hold and lose the same."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from actorkube.runtime.envelope import WITHDRAWN, Envelope
from actorkube.runtime.mailbox import Box, Loss, Mailbox, Overflow, open_box
from protocols.address import Address
from protocols.errors import Answer, AskError, Overloaded, Terminated
from protocols.message import Message

OWNER = Address("system", "actor")


class BoxedItem(Message):
    number: int
    key: int  # -1: none


class Noted(Envelope):
    """An envelope that knows what became of it."""

    can_wait: bool = False  # type: ignore[misc]
    is_free: bool = False  # type: ignore[misc]
    fate: str = ""

    def accepted(self) -> None:
        self.fate = "accepted"

    def fail(self, error: Answer | AskError) -> None:
        self.fate = type(error).__name__


def noted(number: int, key: int = -1, *, waits: bool = False, free: bool = False) -> Noted:
    return Noted(BoxedItem(number, key), None, None, 0.0 if free else 1e9, waits, free)


def key_of(message: Message) -> Hashable | None:
    assert isinstance(message, BoxedItem)
    return message.key if message.key >= 0 else None


class Model:
    """Slow and obvious: lists of numbers."""

    def __init__(self, settings: Mailbox) -> None:
        self.settings = settings
        self.waiting: list[Noted] = []
        self.lobby: list[Noted] = []
        self.losses: Counter[Loss] = Counter()
        self.closed = False

    def counted(self) -> list[Noted]:
        return [each for each in self.waiting if not each.is_free]

    def full(self) -> bool:
        return len(self.counted()) >= self.settings.capacity

    def same_key(self, envelope: Noted) -> Noted | None:
        key = key_of(envelope.message) if self.settings.key is not None and envelope.message is not None else None
        found = [each for each in self.counted() if key is not None and key_of(each.message or BoxedItem(0, -1)) == key]
        return found[0] if found else None

    def put(self, envelope: Noted) -> None:
        overflow = self.settings.overflow
        if self.closed:
            self.losses[Loss.STOPPED] += 1
        elif (older := self.same_key(envelope)) is not None:
            self.waiting[self.waiting.index(older)] = envelope
            self.losses[Loss.CONFLATED] += 1
        elif not self.lobby and not self.full():
            self.waiting.append(envelope)
        elif overflow == "drop_oldest":
            self.waiting.remove(self.counted()[0])
            self.waiting.append(envelope)
            self.losses[Loss.DROPPED_OLDEST] += 1
        elif overflow == "backpressure" and envelope.can_wait and len(self.lobby) < self.settings.waiting:
            self.lobby.append(envelope)
        else:
            self.losses[Loss.DROPPED_NEWEST if overflow == "drop_newest" else Loss.REFUSED] += 1

    def take(self) -> Noted | None:
        return self.waiting.pop(0) if self.waiting else None

    def fill(self) -> None:
        while self.lobby and not self.full():
            envelope = self.lobby.pop(0)
            older = self.same_key(envelope)
            if older is None:
                self.waiting.append(envelope)
            else:
                self.waiting[self.waiting.index(older)] = envelope
                self.losses[Loss.CONFLATED] += 1

    def withdraw(self, envelope: Noted) -> None:
        if not envelope.is_free:
            self.losses[Loss.WITHDRAWN] += 1
        (self.lobby if envelope in self.lobby else self.waiting).remove(envelope)
        self.fill()

    def close(self) -> None:
        self.losses[Loss.STOPPED] += len(self.lobby)
        self.lobby.clear()
        self.closed = True


def take(box: Box) -> Envelope | None:
    """As a cell does."""
    while box:
        envelope = box.popleft()
        if envelope.expires_at == WITHDRAWN:
            box.took_withdrawn()
        else:
            if envelope.is_free:
                box.took_free()
            return envelope
    return None


def deliver(box: Box, envelope: Noted) -> None:
    """As a cell does, by both ways."""
    if len(box) < box.limit:
        box.append(envelope)
    else:
        box.admit(envelope)


settings_of = st.builds(
    Mailbox,
    capacity=st.integers(1, 3),
    overflow=st.sampled_from(["fail", "drop_oldest", "drop_newest", "backpressure"]),
    key=st.sampled_from([None, None, key_of]),
    waiting=st.integers(1, 3),
)
puts = st.tuples(st.just("put"), st.integers(-1, 2), st.booleans())
deeds = st.one_of(
    puts,
    puts,
    st.tuples(st.just("tick")),
    st.tuples(st.just("take")),
    st.tuples(st.just("withdraw"), st.integers(0, 9)),
)
lives = st.tuples(st.lists(deeds, min_size=10, max_size=60), st.lists(deeds, max_size=5)).map(
    lambda life: [*life[0], ("close",), *life[1]]
)


@given(settings_of, lives)
@example(Mailbox(1, "drop_oldest"), [("tick",), ("put", -1, False), ("put", -1, False)])
def test_holds_and_loses_what_an_obvious_one_does(settings: Mailbox, deeds: list[tuple[object, ...]]) -> None:
    box, model = open_box(OWNER, settings), Model(settings)

    for number, deed in enumerate(deeds):
        match deed:
            case ("put", int(key), bool(waits)):
                envelope = noted(number, key, waits=waits)
                deliver(box, envelope)
                model.put(envelope)
            case ("tick",):
                envelope = noted(number, free=True)
                box.add_free(envelope)
                model.waiting.append(envelope)
            case ("take",):
                assert take(box) is model.take()
                box.fill()
                model.fill()
            case ("withdraw", int(index)):
                there = [*model.waiting, *model.lobby]
                if index < len(there):
                    box.withdraw(there[index])
                    model.withdraw(there[index])
            case ("close",):
                box.close()
                model.close()
        assert list(box.lobby) == model.lobby
        assert box.losses == model.losses

    assert [take(box) for _ in range(len(model.waiting) + 1)] == [*model.waiting, None]


def box_of(overflow: Overflow, capacity: int = 2) -> Box:
    return open_box(OWNER, Mailbox(capacity, overflow))


def test_a_withdrawn_message_makes_room_at_once() -> None:
    box = box_of("fail")
    first, second, third = (noted(number) for number in range(3))
    deliver(box, first)
    deliver(box, second)

    box.withdraw(first)
    deliver(box, third)

    assert (take(box), take(box), take(box)) == (second, third, None)


def test_withdrawn_messages_do_not_pile_up_behind_one_that_stays() -> None:
    box = box_of("fail")
    deliver(box, noted(0))

    for number in range(1, 1000):
        envelope = noted(number)
        deliver(box, envelope)
        box.withdraw(envelope)

    assert len(box) < 100


def test_whoever_is_dropped_or_refused_is_told_overloaded() -> None:
    oldest, newest = box_of("drop_oldest", 1), box_of("drop_newest", 1)
    envelopes = [noted(number) for number in range(4)]

    for box, some in ((oldest, envelopes[:2]), (newest, envelopes[2:])):
        for envelope in some:
            deliver(box, envelope)

    assert [each.fate for each in envelopes] == [Overloaded.__name__, "", "", Overloaded.__name__]


def test_a_closed_mailbox_says_that_its_actor_stops() -> None:
    box = box_of("backpressure", 1)
    waits, late = noted(1, waits=True), noted(2)
    deliver(box, noted(0))
    deliver(box, waits)

    box.close()
    deliver(box, late)

    assert (waits.fate, late.fate) == (Terminated.__name__, Terminated.__name__)


def test_what_is_put_back_comes_first_in_its_order() -> None:
    box = open_box(OWNER, Mailbox(4, key=key_of))
    early, keyed, newer = noted(0), noted(1, 7), noted(2, 7)
    deliver(box, newer)

    box.put_back([early, keyed])

    assert (take(box), take(box), take(box)) == (early, newer, None)
    assert box.losses == {Loss.CONFLATED: 1}


def test_a_mailbox_without_room_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        Mailbox(capacity=0)
