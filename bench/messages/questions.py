"""The questions, in the order in which they are asked; what the words mean stands in subject.py."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from bench.messages.payloads import WORDS

PLACES = {"local": "in process", "tcp": "TCP", "unix": "unix socket", "tls": "TLS"}
FAN = 1000
SPAWNED = 100_000


class Question(NamedTuple):
    label: str
    words: str  # what a subject reads; {seconds} is filled in
    unit: str = "/s"
    fresh: bool = False  # in a process of its own, because it is about memory


def _ask(where: str, depth: int, payload: str) -> Question:
    label = f"ask, {PLACES[where]}, depth {depth}, {WORDS[payload]}"
    return Question(label, f"ask {where} {depth} {payload} {{seconds}}")


def _tell(where: str, payload: str) -> Question:
    return Question(f"tell, {PLACES[where]}, {WORDS[payload]}", f"tell {where} {payload} {{seconds}}")


def _questions() -> Iterator[Question]:
    for where in PLACES:
        yield _tell(where, "100B")
        for depth in (1, 16, 256):
            yield _ask(where, depth, "100B")
    for where in ("local", "tcp"):
        for payload in ("1KiB", "pod", "pod-decoded"):
            yield _tell(where, payload)
            yield _ask(where, 16, payload)
    for where in ("local", "tcp"):
        yield Question(f"ask {FAN:,} actors at once, {PLACES[where]}", f"fan_out {where} {FAN} {{seconds}}")
        yield Question(f"stream, {PLACES[where]}", f"stream {where} {{seconds}}")
    yield Question("made ahead of a reader that stops", "ahead tcp", "items")
    yield Question(f"spawn {SPAWNED:,} actors", f"spawn {SPAWNED}", fresh=True)
    yield Question("memory of an idle actor", f"spawn {SPAWNED}\nmemory", "B", fresh=True)


QUESTIONS = tuple(_questions())
