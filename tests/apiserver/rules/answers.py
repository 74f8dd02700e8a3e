"""What a real kube-apiserver 1.36 answers when one thing is changed about the least object of a kind.

A line of answers.txt is JSON: the kind, what is changed (dotted paths; null takes away), and the message of the
refusal, or "" for what is accepted. One of warned.txt has, before what is warned of, what an update changes, or null.
One of updated.txt has what an update changes, its subresource, and what of the status was changed before, or null.
tests/cluster/test_side_by_side.py asks both servers again, where there is one.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, NamedTuple

from tests.apiserver.rules.judged import ABSENT


class Seen(NamedTuple):
    kind: str
    changes: dict[str, Any]
    answer: str

    def __str__(self) -> str:
        return f"{self.kind} {json.dumps(self.changes, default=lambda _: None)[:120]}"


def seen() -> list[Seen]:
    lines = (Path(__file__).parent / "answers.txt").read_text().splitlines()
    return [_seen(*json.loads(line)) for line in lines]


class Warned(NamedTuple):
    kind: str
    changes: dict[str, Any]
    updates: dict[str, Any] | None
    texts: list[str]

    def __str__(self) -> str:
        return f"{self.kind} {json.dumps([self.changes, self.updates], default=lambda _: None)[:120]}"


class Updated(NamedTuple):
    """What is said to an update, at the main endpoint or a `subresource`; `status` is what it has been given before, as
    a merge patch."""

    kind: str
    changes: dict[str, Any]
    updates: dict[str, Any]
    subresource: str
    status: dict[str, Any] | None
    answer: str

    def __str__(self) -> str:
        shown = [self.changes, self.updates, self.status]
        return f"{self.kind} {self.subresource} {json.dumps(shown, default=lambda _: None)[:120]}"


def updated() -> list[Updated]:
    lines = (Path(__file__).parent / "updated.txt").read_text().splitlines()
    return [_updated(*json.loads(line)) for line in lines]


def _updated(kind: str, changes: dict[str, Any], updates: dict[str, Any], *rest: Any) -> Updated:
    return Updated(kind, _with_absent(changes), _with_absent(updates), *rest)


def warned() -> list[Warned]:
    lines = (Path(__file__).parent / "warned.txt").read_text().splitlines()
    return [_warned(*json.loads(line)) for line in lines]


def _warned(kind: str, changes: dict[str, Any], updates: dict[str, Any] | None, texts: list[str]) -> Warned:
    return Warned(kind, _with_absent(changes), updates and _with_absent(updates), texts)


def _seen(kind: str, changes: dict[str, Any], answer: str) -> Seen:
    return Seen(kind, _with_absent(changes), answer)


def _with_absent(changes: dict[str, Any]) -> dict[str, Any]:
    return {path: ABSENT if value is None else value for path, value in changes.items()}
