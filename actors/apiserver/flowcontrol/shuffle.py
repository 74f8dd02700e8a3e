"""Shuffle sharding: a few queues of many, the same for the same flow, and hardly ever the same for two flows. Pure."""

from __future__ import annotations

import hashlib


def hand_of(schema: str, distinguisher: str, queues: int, hand_size: int) -> tuple[int, ...]:
    """`hand_size` different queues of 0 ... `queues` - 1, by the flow's name (KEP-1040, "Shuffle sharding").

    The hash is a number in a base that shrinks by one with each digit: each digit chooses among those that are left.
    """
    digest = hashlib.sha256(f"{schema}\0{distinguisher}".encode()).digest()
    number, choices = int.from_bytes(digest[:8], "little"), []
    for taken in range(hand_size):
        number, choice = divmod(number, queues - taken)
        choices.append(choice)
    return tuple(_card(choices, which) for which in range(hand_size))


def _card(choices: list[int], which: int) -> int:
    card = choices[which]
    for earlier in reversed(choices[:which]):
        if card >= earlier:
            card += 1
    return card
