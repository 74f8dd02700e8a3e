"""What a real kube-apiserver 1.36 answers when one thing is changed about the least object of a kind.

A line of answers.txt is JSON: the kind, what is changed (dotted paths; null takes away), and the message of the
refusal, or "" for what is accepted. tests/cluster/test_side_by_side.py asks both servers again, where there is one.
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


def _seen(kind: str, changes: dict[str, Any], answer: str) -> Seen:
    return Seen(kind, {path: ABSENT if value is None else value for path, value in changes.items()}, answer)
